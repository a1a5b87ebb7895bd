//! The cases, by what they ask for. Each gives a short account of what it did, or why the plugin fails.

pub(crate) mod capabilities;
pub(crate) mod completions;
pub(crate) mod configure;
pub(crate) mod describe;
pub(crate) mod failures;
pub(crate) mod faults;
pub(crate) mod garbage;
pub(crate) mod inventory;
pub(crate) mod keys;
pub(crate) mod lifecycle;
pub(crate) mod names;
pub(crate) mod parallel;
pub(crate) mod pools;
pub(crate) mod repeat;
pub(crate) mod secrets;
pub(crate) mod shared;
pub(crate) mod throttle;
