//! Parts of a tenant or a host cluster as they are on offer now, on trial: what both rpcs that bring them there check and write.

use landlord_core::{
    Environment, EnvironmentName, Placement, Precondition, Violation,
    lifecycle::{self, Refusal, check_precondition},
    ports::{Accepted, Change, RequestContext, StoreError},
    revision::Part,
};

use crate::{
    accept::{Write, checked_name, merged_into},
    error::{Error, violation},
    list::environment::class_differences,
    ports::Ports,
};

/// What an environment becomes, and the version that it was made of.
pub(crate) struct Renewed {
    pub(crate) current: Environment,
    pub(crate) placement: Placement,
}

/// Checks a request for `parts`, of those that its kind of environment has; none: all of these.
pub(crate) async fn check(
    ports: &Ports,
    name: Result<EnvironmentName, Violation>,
    (parts, all): (&[String], &[Part]),
    etag: &str,
    mut violations: Vec<Violation>,
) -> Result<Renewed, Error> {
    let parts: Result<Vec<Part>, String> = parts.iter().map(|part| one_of(all, part)).collect();
    violations.extend(parts.as_ref().err().map(|problem| violation("parts", problem.as_str())));
    let name = checked_name(name, violations)?;
    let parts = parts.ok().filter(|parts| !parts.is_empty()).unwrap_or_else(|| all.to_vec());
    let current = ports.store.get(&name).await?;
    check_precondition(&current, &Precondition::of_etag(etag)).map_err(StoreError::from)?;
    let refused = |problem: String| Error::from(StoreError::FailedPrecondition(format!("{name}: {problem}")));
    let placement = ports.catalog.now().renewed(&current, &parts).map_err(refused)?;
    if placement == current.placement {
        return Err(refused(nothing_to_do(&class_differences(&ports.catalog.now(), &current))));
    }
    Ok(Renewed { current, placement })
}

/// `differing`: fields in which it differs all the same.
fn nothing_to_do(differing: &[String]) -> String {
    match differing {
        [] => "it runs what is on offer already; nothing is to be done".into(),
        fields => format!(
            "in these parts it runs what is on offer already; what differs ({}) is of another part, or is kept for life",
            fields.join(", ")
        ),
    }
}

fn one_of(all: &[Part], text: &str) -> Result<Part, String> {
    let known = || all.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(" and ");
    let found = all.iter().copied().find(|part| part.as_str() == text);
    found.ok_or_else(|| format!("{text:?} is no part here; there are {}", known()))
}

impl Renewed {
    /// Refuses what the store would refuse of either kind.
    pub(crate) fn dry_run(&self) -> Result<(), Error> {
        Ok(self.accepted().map(drop).map_err(StoreError::from)?)
    }

    /// The environment as it would be accepted.
    pub(crate) fn would_be(&self) -> Option<Environment> {
        self.accepted().ok()
    }

    fn accepted(&self) -> Result<Environment, Refusal> {
        let operation = self.current.operation;
        Ok(lifecycle::renew(&self.current, self.placement.clone(), operation)?.environment)
    }

    /// Has the store accept it.
    pub(crate) async fn commit(
        self,
        ports: &Ports,
        write: &impl Write,
        request: RequestContext,
    ) -> Result<Accepted, Error> {
        let Self { current, placement } = self;
        let change = Change::Renew { placement };
        Ok(ports.store.change(&current.name(), merged_into(write, &current), change, request).await?)
    }
}
