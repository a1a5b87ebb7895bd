//! Whose limits a call counts against: a name, for those who limit and those who measure.

/// Whose limits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitKey {
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) region: String,
}

impl LimitKey {
    /// Whether it is of an account, as [`landlord_core::Placement::account_key`] names it.
    pub(crate) fn is_of(&self, account: &str) -> bool {
        account.strip_prefix(&self.provider).and_then(|rest| rest.strip_prefix('/')) == Some(&self.account)
    }
}
