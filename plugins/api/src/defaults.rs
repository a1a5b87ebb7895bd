//! Responses of methods that a provider does not implement.

use crate::{ErrorKind, ProviderError, v1};

/// INVALID: this provider has no `what`.
#[must_use]
pub fn refusal(what: &str, capability: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, format!("this provider has no {what}")).with_remedy(format!(
        "use a class whose provider has the capability `{capability}`, or one that does not need it"
    ))
}

/// A request without a scope is refused here too.
pub(crate) fn scoped(scope: Option<&v1::Scope>) -> Result<(), ProviderError> {
    let is_good = scope.is_some_and(|scope| !scope.installation.is_empty());
    is_good
        .then_some(())
        .ok_or_else(|| ProviderError::new(ErrorKind::Invalid, "the request lacks a scope with an installation"))
}

pub(crate) fn ready() -> Option<v1::Progress> {
    let outcome = v1::progress::Outcome::Ready(v1::Ready::default());
    Some(v1::Progress { outcome: Some(outcome), removed: Vec::new() })
}
