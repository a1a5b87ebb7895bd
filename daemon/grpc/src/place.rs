//! ExplainPlacement, and whether the plugin that a placement needs is up. Changes nothing.

use landlord_core::{
    Offer,
    ports::{ProviderHealth, Providers},
};
use landlord_proto::v1;
use tonic::Status;

use crate::{Ports, convert, create, status};

/// Why nothing can be built there: the plugin never came up. One that crashed since is started again by the next call.
pub(crate) fn down(providers: &dyn Providers, offer: &Offer) -> Option<String> {
    let is_its =
        |health: &ProviderHealth| health.key.provider == offer.provider && health.key.credentials == offer.credentials;
    let health = providers.health().into_iter().find(is_its);
    match health {
        // One that is just being started takes orders: they wait for it.
        Some(health) if !health.start_failed => None,
        Some(health) => Some(format!(
            "class {} needs the plugin {}, which is not up: {}; see `landlord plugins` and the daemon's log",
            offer.class, health.key, health.detail
        )),
        None => Some(format!(
            "class {} needs the plugin {} with the credentials {}, which the daemon does not have",
            offer.class, offer.provider, offer.credentials
        )),
    }
}

/// Where a specification would be placed, and why there.
pub(crate) fn explain(
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
        class: verdict.class.to_string(),
        matched: verdict.mismatches.is_empty(),
        reason: verdict.mismatches.join("; "),
    });
    let (placement, problems) = match ports.catalog.place(&name, &spec) {
        Ok(offer) => {
            (Some(convert::placement(&offer)), down(&*ports.providers, &offer).into_iter().collect::<Vec<_>>())
        }
        Err(wrong) => (None, wrong.0.into_iter().map(|v| format!("{}: {}", v.field, v.description)).collect()),
    };
    Ok(v1::ExplainPlacementResponse { placement, problems, verdicts: verdicts.collect() })
}
