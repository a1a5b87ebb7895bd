//! What would hold a removal: protections, locks, objects of others. Found and named before the first step that can't be
//! taken back, so that nobody is left with half an environment.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use landlord_provider_api::{
    ErrorKind, ProviderError,
    v1::{ResourceKind as Kind, Scope},
};

/// Holds that are named in one error; more are counted.
const NAMED_MAX: usize = 8;
/// How long a search that found nothing counts. A removal takes minutes; who protects something in the middle of it can't count on a
/// moment.
const KEPT: Duration = Duration::from_secs(60);

/// Searches that found nothing, so that not every poll of every stage of a teardown asks the cloud for everything again: while it
/// throttles, a chain of eight reads hardly ever comes to its end. What holds is never remembered. Lost with the process: then it is
/// searched once more.
#[derive(Debug, Default)]
pub struct Searches(Mutex<HashMap<(String, String), Instant>>);

impl Searches {
    /// Searches before a kind is removed, unless that was done a moment ago. The removal of the cluster is always searched for, since
    /// what began to hold it meanwhile would be lost with it.
    ///
    /// # Errors
    /// What the search ends with.
    pub async fn before<E>(
        &self,
        (scope, kind, role): (&Scope, Kind, &str),
        search: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let subject = (scope.tenant_uid.clone(), role.to_owned());
        let is_known = |kept: &HashMap<_, Instant>| kept.get(&subject).is_some_and(|at| at.elapsed() < KEPT);
        if kind != Kind::Cluster && is_known(&self.0.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        search.await?;
        if are_searched_for(kind) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // As few as are being removed.
            kept.retain(|_, at| at.elapsed() < KEPT);
            kept.insert(subject, Instant::now());
        }
        Ok(())
    }
}

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
    use super::{Holds, Searches};
    use landlord_provider_api::{
        ErrorKind,
        v1::{ResourceKind as Kind, Scope},
    };

    #[tokio::test]
    async fn what_nothing_holds_is_not_searched_for_at_each_poll() {
        let searches = Searches::default();
        let scope = |uid: &str| Scope { tenant_uid: uid.into(), ..Scope::default() };
        let (one, other) = (scope("a"), scope("b"));
        let never = async { Err("searched") };
        assert_eq!(searches.before((&one, Kind::DnsZone, ""), never).await, Err("searched"));
        let held = async { Err("held") };
        assert_eq!(searches.before((&one, Kind::DnsZone, ""), held).await, Err("held"), "what holds is not remembered");
        searches.before((&one, Kind::DnsZone, ""), async { Ok::<_, &str>(()) }).await.unwrap();
        searches.before((&one, Kind::Identity, ""), async { Err("searched") }).await.unwrap();
        for (scope, kind, role) in
            [(&one, Kind::Cluster, ""), (&one, Kind::NodePool, "default"), (&other, Kind::DnsZone, "")]
        {
            let again = searches.before((scope, kind, role), async { Err("searched") }).await;
            assert_eq!(again, Err("searched"), "{kind:?} {role} of {}", scope.tenant_uid);
        }
    }

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
