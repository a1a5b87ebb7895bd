//! Keeps what is derived from being stated: the type can't be named outside of this crate.

/// Argument of functions that no other crate can override.
#[derive(Debug, Clone, Copy)]
pub struct Seal;
