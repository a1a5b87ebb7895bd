//! How a release is delivered: the pinned Helm binary.

pub(crate) mod helm;
pub(crate) mod records;
mod slots;
