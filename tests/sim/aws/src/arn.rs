//! Amazon Resource Names of what a call makes.

use cloudsim_core::{
    ctx::Ctx,
    scope_key::{GLOBAL, ScopeKey},
};

/// Makes names in the account and Region of a context.
pub(crate) trait Arn {
    /// `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
    fn arn(&self, service: &str, rest: &str) -> String;
}

impl Arn for Ctx<'_> {
    fn arn(&self, service: &str, rest: &str) -> String {
        let region = if self.key.region == GLOBAL { "" } else { &self.key.region };
        let account = if matches!(service, "route53") { "" } else { &self.key.account };
        format!("arn:aws:{service}:{region}:{account}:{rest}")
    }
}

/// The scope of a cluster's ARN.
#[must_use]
pub(crate) fn cluster_scope(arn: &str) -> Option<ScopeKey> {
    match arn.split(':').collect::<Vec<_>>()[..] {
        [_, _, _, region, account, _] => Some(ScopeKey::new(account, region)),
        _ => None,
    }
}
