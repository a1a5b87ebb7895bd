//! ExplainPlacement. Changes nothing.

use landlord_core::{
    Mismatch, Orderer, Placement, TenantName, TenantSpec, Violations, access::Resource, ports::StoreError,
};
use landlord_proto::v1;

use super::{create, values};
use crate::{access::Access, convert, customer, displayed::Displayed, error::Error, name, ports::Ports, provider};

/// Where a specification would be placed, and why there.
pub(crate) async fn explain(
    ports: &Ports,
    access: &Access,
    request: v1::ExplainPlacementRequest,
) -> Result<v1::ExplainPlacementResponse, Error> {
    // Before anything of classes and rules is shown.
    if let Ok(customer) = name::customer(&request.parent) {
        access.check(&Resource::Customer(customer))?;
    }
    let mut violations = Vec::new();
    let wanted = create::wanted(ports, &request.parent, &request.tenant_id, request.tenant, &mut violations);
    let Some((name, spec)) = wanted else {
        return Err(Violations(violations).into());
    };
    let ports = &access.guard(ports);
    let labels = customer::labels(ports, &name.customer).await?;
    let orderer = Orderer { name: &name, labels: &labels };
    let catalog = ports.catalog.now();
    let verdicts = match &spec.class {
        Some(_) => Vec::new(),
        None => catalog.verdicts(orderer, &spec),
    };
    let verdicts = verdicts.into_iter().map(|verdict| v1::PlacementVerdict {
        rule: verdict.rule,
        tenant_class: verdict.class.to_string(),
        matched: verdict.mismatches.is_empty(),
        reason: reason(access, &verdict.mismatches),
    });
    let mut host_clusters: Vec<v1::HostClusterVerdict> = Vec::new();
    let (mut placement, mut problems) = match catalog.place(orderer, &spec) {
        Ok(placement) => (
            Some(placement.clone()),
            provider::start_failure(&*ports.providers, &placement).into_iter().collect::<Vec<_>>(),
        ),
        Err(wrong) => {
            (None, wrong.0.into_iter().map(|v| format!("{}: {}", name::field(&v.field), v.description)).collect())
        }
    };
    if let (Some(placed), None) = (&placement, &spec.class) {
        let wrong = values::check(ports, placed.stack.as_ref(), &spec.stack_values);
        problems
            .extend(wrong.into_iter().map(|v| format!("{}: {}", v.field.trim_start_matches("tenant."), v.description)));
    }
    if !violations.is_empty() {
        return Err(Violations(violations).into());
    }
    if let Some(selector) = placement.as_ref().and_then(|placement| catalog.host_selector(placement)) {
        let candidates = ports.store.candidates(Some(&name.customer)).await?;
        let (verdicts, full) = convert::host_cluster_verdicts(&candidates, &selector);
        let shown: Vec<bool> = candidates.iter().map(|candidate| access.shows_candidate(candidate)).collect();
        host_clusters =
            verdicts.into_iter().zip(&shown).filter(|(_, shown)| **shown).map(|(verdict, _)| verdict).collect();
        if let Some(why) = full {
            let why = access.capacity_message(&candidates, why);
            problems.push(StoreError::NoHostClusterCapacity(why).to_string());
            placement = None;
        }
    }
    let refused = refused(ports, (&name, &spec), placement.as_ref()).await?;
    placement = placement.filter(|_| refused.is_empty());
    problems.extend(refused);
    let chosen = host_clusters.iter().find(|verdict| verdict.chosen).map(|verdict| verdict.host_cluster.clone());
    let placement = placement.map(|placement| v1::Placement {
        host_cluster: chosen.unwrap_or_default(),
        ..convert::offered(&Displayed::to(access).placement(placement))
    });
    Ok(v1::ExplainPlacementResponse { placement, problems, verdicts: verdicts.collect(), host_clusters })
}

/// Why a rule does not choose. For which other customers it is, only those learn who may read them and act for none.
fn reason(access: &Access, mismatches: &[Mismatch]) -> String {
    let for_all = access.principal().customer.is_none();
    let mut reasons: Vec<String> = Vec::new();
    for mismatch in mismatches {
        let shown = match mismatch {
            Mismatch::Order(_) => true,
            Mismatch::CustomerLabel { .. } => for_all,
            Mismatch::Customers { of, .. } => for_all && of.iter().all(|customer| reads_customer(access, customer)),
        };
        let reason = if shown { mismatch.to_string() } else { Mismatch::OF_OTHERS.to_owned() };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.join("; ")
}

fn reads_customer(access: &Access, customer: &str) -> bool {
    customer.parse().is_ok_and(|customer| access.reads(&Resource::Customer(customer)))
}

/// What the store would refuse of an order.
async fn refused(
    ports: &Ports,
    (name, spec): (&TenantName, &TenantSpec),
    placement: Option<&Placement>,
) -> Result<Vec<String>, Error> {
    let contract = match placement {
        Some(placement) => ports.customers.check_contract(name, (spec, placement), None).await,
        None => Ok(()),
    };
    let domain = ports.store.check_domain(name, &spec.domain).await;
    let mut refused = Vec::new();
    for checked in [contract, domain] {
        match checked {
            Ok(()) => {}
            Err(
                why @ (StoreError::DomainTaken { .. }
                | StoreError::NotInContract { .. }
                | StoreError::FailedPrecondition(_)),
            ) => refused.push(why.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused)
}
