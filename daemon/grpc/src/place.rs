//! ExplainPlacement, and whether the plugin that a placement needs is up. Changes nothing.

use landlord_core::{
    Placement,
    ports::{Providers, StoreError},
};
use landlord_proto::v1;
use tonic::Status;

use crate::{Ports, convert, create, host, request, status};

/// Why nothing can be built there: the plugin never came up.
pub(crate) fn down(providers: &dyn Providers, placement: &Placement) -> Option<String> {
    // Of a class that takes the credential scope of whatever host cluster is chosen nothing is known yet.
    if placement.credentials.is_empty() {
        return None;
    }
    let key = placement.provider_key();
    let why = providers.start_failure(&key)?;
    let class = &placement.class;
    Some(format!(
        "class {class} needs the plugin {key}, which is not up: {why}; see `landlord plugins` and the daemon's log"
    ))
}

/// Where a specification would be placed, and why there.
pub(crate) async fn explain(
    ports: &Ports,
    asked: v1::ExplainPlacementRequest,
) -> Result<v1::ExplainPlacementResponse, Status> {
    let mut violations = Vec::new();
    let wanted = create::wanted(&ports.catalog, &asked.parent, &asked.tenant_id, asked.tenant, &mut violations);
    let Some((name, spec)) = wanted else {
        return Err(status::invalid(&landlord_core::Violations(violations)));
    };
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
        Ok(placement) => (Some(placement.clone()), down(&*ports.providers, &placement).into_iter().collect::<Vec<_>>()),
        Err(wrong) => {
            (None, wrong.0.into_iter().map(|v| format!("{}: {}", request::field(&v.field), v.description)).collect())
        }
    };
    if let Some(selector) = placement.as_ref().and_then(|placement| ports.catalog.host_selector(placement)) {
        let candidates = ports.store.candidates(Some(&name.customer)).await.map_err(|error| status::store(&error))?;
        let (said, full) = host::convert::verdicts(&candidates, &selector);
        host_clusters = said;
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
        Err(error) => return Err(status::store(&error)),
    }
    let chosen = host_clusters.iter().find(|verdict| verdict.chosen).map(|verdict| verdict.host_cluster.clone());
    let placement = placement
        .map(|placement| v1::Placement { host_cluster: chosen.unwrap_or_default(), ..convert::offered(&placement) });
    Ok(v1::ExplainPlacementResponse { placement, problems, verdicts: verdicts.collect(), host_clusters })
}
