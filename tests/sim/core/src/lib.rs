//! What all simulated clouds share: the world of objects, its clock and journal, faults, the server, the control API.
//!
//! Everything is in one [`world::World`] behind one lock; what a cloud does by itself is a schedule of steps applied at
//! their own due times. The clouds are crates beside this one, behind the seam [`cloud::Cloud`]; this crate knows none of
//! them, nor how Kubernetes is run for their clusters.

pub mod call;
pub mod clock;
pub mod cloud;
pub mod cloud_side;
pub mod cluster;
pub mod control;
mod critical_path;
pub mod ctx;
mod driver;
pub mod duration;
mod error;
pub mod faults;
pub mod http;
pub mod in_cluster;
pub mod journal;
pub mod json;
pub mod kind;
pub mod object;
mod persist;
pub mod quota;
pub mod rights;
pub mod runtime;
pub mod schedule;
pub mod scope;
pub mod scope_key;
pub mod secrets;
mod server;
pub mod shared;
mod sim;
pub mod states;
mod tag_edit;
pub mod throttle;
pub mod world;

pub use error::Error;
pub use sim::{Handle, Options, Simulator};
