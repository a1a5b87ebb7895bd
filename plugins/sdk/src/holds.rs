//! What would hold a removal: protections, locks, objects of others. Found and named before the first step that can't be
//! taken back, so that nobody is left with half an environment.

use landlord_provider_api::{ErrorKind, ProviderError, v1::ResourceKind as Kind};

/// Holds that are named in one error; more are counted.
const NAMED_MAX: usize = 8;

/// Whether removing a kind comes at or before the cluster, in the order of a removal: what would hold the cluster, or what
/// comes after it, is searched for then. Later there is nothing left that could be spared.
#[must_use]
pub fn are_searched_for(kind: Kind) -> bool {
    match kind {
        Kind::DnsRecords | Kind::DnsZone | Kind::Identity | Kind::Addons | Kind::NodePool | Kind::Cluster => true,
        Kind::Leftovers | Kind::Network | Kind::Unspecified => false,
    }
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Holds(Vec<(String, String)>);

impl Holds {
    /// One more: what holds the removal, and what lets it go on.
    pub fn add(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push((what.into(), remedy.into()));
    }

    /// Nothing, or the error that names all of them.
    ///
    /// # Errors
    /// CONFLICT: nothing was removed, and the removal goes on by itself once nothing holds it.
    pub fn end(self) -> Result<(), ProviderError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let join = |texts: Vec<&str>| texts.into_iter().take(NAMED_MAX).collect::<Vec<_>>().join("; ");
        let mut remedies: Vec<&str> = self.0.iter().map(|hold| hold.1.as_str()).collect();
        remedies.dedup();
        let more = match self.0.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let what = join(self.0.iter().map(|hold| hold.0.as_str()).collect());
        Err(ProviderError::new(ErrorKind::Conflict, format!("the removal is held, nothing was removed: {what}{more}"))
            .with_remedy(format!("{}; the removal then goes on by itself", join(remedies))))
    }
}

#[cfg(test)]
mod tests {
    use super::Holds;
    use landlord_provider_api::ErrorKind;

    #[test]
    fn all_holds_are_named_with_each_remedy_once() {
        assert!(Holds::default().end().is_ok());
        let mut holds = Holds::default();
        for n in 1..=10 {
            holds.add(format!("node pool {n} is not landlord's"), "delete or move it");
        }
        let error = holds.end().expect_err("held");
        assert_eq!(error.kind, ErrorKind::Conflict);
        assert!(error.message.contains("pool 8") && error.message.ends_with("and 2 more"), "{error}");
        assert_eq!(error.remedy, "delete or move it; the removal then goes on by itself");
    }
}
