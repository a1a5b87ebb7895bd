//! What every provider plugin needs beside its cloud, so that a plugin holds nothing but its cloud.
//!
//! | module | for |
//! |---|---|
//! | [`endpoint`] | the check of `endpoint_override` |
//! | [`settings`], [`configure`] | settings, class parameters and credentials, every problem reported at once, no secret repeated |
//! | [`request`] | the parts of a request that a call can't do without |
//! | [`names`], [`zones`] | a tenant's uid in names, domains, parent zones |
//! | [`markers`] | the owner markers: written, compared, reported |
//! | [`error`], [`table`] | from a cloud's error to the contract's: codes, HTTP status, `Retry-After`, absent, busy |
//! | [`progress`] | Ready, Pending, Gone, what an observation of several objects means |
//! | [`operation`] | the cloud's operations, observed until they end: over calls, by the checkpoint, within bounds |
//! | [`attempts`] | repetitions of an outside call within one call, within bounds |
//! | [`findings`], [`cidr`], [`parameters`] | what `validate` finds, what classes say alike on every cloud |
//! | [`holds`] | what would hold a removal, named before its first step |
//! | [`versions`] | minor versions of Kubernetes |
//! | [`describe`] | the description, from tables |
//!
//! It knows the contract, and neither a cloud nor the daemon. Using it is no part of the contract.
//!
//! # Example
//! What several objects of a cloud mean together, as `ensure_*` and `observe` return it:
//!
//! ```
//! use landlord_provider_api::v1::OwnedObject;
//! use landlord_provider_sdk::progress::{Outcome, observed, ready};
//!
//! struct Disk(&'static str, &'static str);
//!
//! let owned = |disk: &Disk| OwnedObject { id: disk.0.into(), ..OwnedObject::default() };
//! let unready = |disk: &Disk| (disk.1 != "READY").then(|| format!("{} is {}", disk.0, disk.1));
//! let after = |disks: &[Disk]| observed(disks, owned, unready, 10).0;
//! assert_eq!(after(&[Disk("a", "READY"), Disk("b", "READY")]), ready());
//! assert!(matches!(after(&[Disk("a", "READY"), Disk("b", "CREATING")]), Outcome::Pending(_)));
//! assert_eq!(after(&[]), Outcome::Gone);
//! ```
//!
//! # Versions
//! The crate follows semantic versioning by itself: the contract's version is `landlord-provider-api`'s, of which this
//! crate takes one major version. Below 1.0 a minor release may break.

pub mod attempts;
pub mod cidr;
pub mod configure;
pub mod describe;
pub mod endpoint;
pub mod error;
pub mod findings;
pub mod holds;
pub mod markers;
pub mod names;
pub mod operation;
pub mod parameters;
pub mod progress;
pub mod request;
pub mod settings;
pub mod table;
pub mod versions;
pub mod zones;
