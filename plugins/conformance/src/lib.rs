//! Runs the whole provider contract against any plugin file and the cloud that its configuration names.
//!
//! The plugin is run as the daemon runs it: by `landlord-plugin-host`, in a child process with its sandbox. Between it and
//! its cloud stands a recording proxy ([`proxy`]), which loses, cuts, throttles and delays outside calls, and kills the
//! process at each of them. What is judged is what `list_owned` and `observe` report, what the proxy saw, and, where the
//! configuration names one, a witness of everything in the account.
//!
//! - [`config`]: what a run is given. [`suite`]: the cases and how they are run. [`report`]: what came out.
//! - [`session`]: the plugin's process. [`tenant`]: stages and their requests. [`world`]: calls, repeated as the daemon
//!   repeats them. [`owned`]: the inventory. [`offered`]: what the plugin can be requested.
//! - [`proxy`], [`fault`], [`outside`]: what happens between plugin and cloud.
//!
//! It knows no provider and no daemon beyond the plugin host.

pub mod capture;
mod cases;
pub mod config;
pub mod fault;
pub mod hook;
pub mod offered;
pub mod outside;
pub mod owned;
pub mod proxy;
pub mod report;
mod schema;
pub mod session;
pub mod suite;
pub mod tenant;
pub mod world;

pub use config::Config;
pub use report::{CaseReport, Outcome, Report};
pub use suite::{CASES, Options, run};
