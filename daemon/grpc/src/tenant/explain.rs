//! ExplainPlacement. Changes nothing.

use landlord_core::{
    EnvironmentName, Violations,
    access::{Action, Resource},
    ports::StoreError,
};
use landlord_proto::v1;

use super::create;
use crate::{access::Access, convert, error::Error, name, ports::Ports, provider};

/// Where a specification would be placed, and why there.
pub(crate) async fn explain(
    ports: &Ports,
    access: &Access,
    request: v1::ExplainPlacementRequest,
) -> Result<v1::ExplainPlacementResponse, Error> {
    let mut violations = Vec::new();
    let wanted = create::wanted(&ports.catalog, &request.parent, &request.tenant_id, request.tenant, &mut violations);
    let Some((name, spec)) = wanted else {
        return Err(Violations(violations).into());
    };
    access.check(&Resource::Customer(name.customer.clone()))?;
    let ports = &access.guard(ports);
    let verdicts = match &spec.class {
        Some(_) => Vec::new(),
        None => ports.catalog.verdicts(&name, &spec),
    };
    let verdicts = verdicts.into_iter().map(|verdict| v1::PlacementVerdict {
        rule: verdict.rule,
        tenant_class: verdict.class.to_string(),
        matched: verdict.mismatches.is_empty(),
        reason: verdict.mismatches.join("; "),
    });
    let mut host_clusters = Vec::new();
    let (mut placement, mut problems) = match ports.catalog.place(&name, &spec) {
        Ok(placement) => (
            Some(placement.clone()),
            provider::start_failure(&*ports.providers, &placement).into_iter().collect::<Vec<_>>(),
        ),
        Err(wrong) => {
            (None, wrong.0.into_iter().map(|v| format!("{}: {}", name::field(&v.field), v.description)).collect())
        }
    };
    if let Some(selector) = placement.as_ref().and_then(|placement| ports.catalog.host_selector(placement)) {
        let candidates = ports.store.candidates(Some(&name.customer)).await?;
        let (verdicts, full) = convert::host_cluster_verdicts(&candidates, &selector);
        host_clusters = verdicts;
        host_clusters.retain(|verdict| shows_host_cluster(access, &verdict.host_cluster));
        if let Some(why) = full {
            problems.push(StoreError::NoHostClusterCapacity(why).to_string());
            placement = None;
        }
    }
    match ports.store.check_domain(&name, &spec.domain).await {
        Ok(()) => {}
        Err(taken @ StoreError::DomainTaken { .. }) => {
            problems.push(taken.to_string());
            placement = None;
        }
        Err(error) => return Err(error.into()),
    }
    let chosen = host_clusters.iter().find(|verdict| verdict.chosen).map(|verdict| verdict.host_cluster.clone());
    let placement = placement
        .map(|placement| v1::Placement { host_cluster: chosen.unwrap_or_default(), ..convert::offered(&placement) });
    Ok(v1::ExplainPlacementResponse { placement, problems, verdicts: verdicts.collect(), host_clusters })
}

/// Whether the caller may know of a host cluster.
fn shows_host_cluster(access: &Access, name: &str) -> bool {
    let Ok(id) = name::host_cluster("host_cluster", name) else { return false };
    let resource = Resource::Environment { name: EnvironmentName::from(id), attributes: None };
    access.decide(Action::GetHostCluster, &resource).allowed
}
