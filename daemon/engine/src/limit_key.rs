//! Whose limits a call counts against: a name, for those who limit and those who measure.

/// Whose limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) region: String,
}
