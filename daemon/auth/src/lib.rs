//! Who calls landlordd, and what they may do.
//!
//! Knows certificates, tokens and policies; knows neither gRPC nor the store. What it finds out crosses to the rest of the
//! daemon as values of core.

pub mod authenticator;
pub mod certificate;
pub mod policy;
pub mod principals;
pub mod secret_file;
pub mod small_file;
pub mod tls;
pub mod token;
