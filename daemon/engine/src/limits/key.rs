//! Whose limits.

/// Whose limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) region: String,
}
