//! Orders and adoptions of host clusters: from the request to checked values, with everything that is
//! wrong at once.

use landlord_core::{
    Catalog, HostClusterId, HostClusterSpec, Violation, Violations,
    environment::{HostClusterInput, adopted_placement},
    ports::{NewHostCluster, RequestKey},
};
use landlord_proto::v1;

use super::convert;
use crate::request;

type Checked = (RequestKey, Result<NewHostCluster, Violations>);

/// Of a CreateHostCluster.
pub(crate) fn create(catalog: &Catalog, asked: &v1::CreateHostClusterRequest) -> Checked {
    let mut violations = Vec::new();
    let key = request::key("CreateHostCluster", &asked.request_id, asked, &mut violations);
    let wanted = wanted(&asked.host_cluster_id, asked.host_cluster.as_ref(), &mut violations);
    if asked.host_cluster.as_ref().is_some_and(|cluster| cluster.adoption.is_some()) {
        add(&mut violations, "host_cluster.adoption", "is for AdoptHostCluster; here landlord makes the cluster");
    }
    let Some((id, spec)) = wanted else { return (key, Err(Violations(violations))) };
    let placement = catalog.place_host_cluster(&spec);
    finish(key, (id, spec), placement, violations)
}

/// Of an AdoptHostCluster.
pub(crate) fn adopt(catalog: &Catalog, asked: &v1::AdoptHostClusterRequest) -> Checked {
    let mut violations = Vec::new();
    let key = request::key("AdoptHostCluster", &asked.request_id, asked, &mut violations);
    let wanted = wanted(&asked.host_cluster_id, asked.host_cluster.as_ref(), &mut violations);
    let resource = asked.host_cluster.clone().unwrap_or_default();
    if !resource.tenant_class.is_empty() {
        add(&mut violations, "host_cluster.tenant_class", "is for clusters that landlord makes; leave it out");
    }
    if resource.node_count != 0 {
        add(&mut violations, "host_cluster.node_count", "is for clusters that landlord makes; leave it out");
    }
    let Some(adoption) = resource.adoption else {
        add(&mut violations, "host_cluster.adoption", "is missing; it says which cluster and how it is reached");
        return (key, Err(Violations(violations)));
    };
    let scope = adoption.provider.parse().ok().map(|provider| (provider, adoption.credentials.clone()));
    let account = scope.and_then(|scope| catalog.accounts.get(&scope).cloned()).unwrap_or_default();
    let placement = adopted_placement(&adoption.provider, &adoption.credentials, &account, &resource.region);
    let placement = placement.map_err(|Violations(wrong)| {
        Violations(wrong.into_iter().map(|v| Violation { field: format!("adoption.{}", v.field), ..v }).collect())
    });
    let Some(wanted) = wanted else {
        violations.extend(placement.err().into_iter().flat_map(|more| more.0).map(of_host));
        return (key, Err(Violations(violations)));
    };
    finish(key, wanted, placement, violations)
}

fn add(violations: &mut Vec<Violation>, field: &str, description: &str) {
    violations.push(Violation { field: field.into(), description: description.into() });
}

fn of_host(violation: Violation) -> Violation {
    Violation { field: format!("host_cluster.{}", request::field(&violation.field)), ..violation }
}

fn wanted(
    id: &str,
    resource: Option<&v1::HostCluster>,
    violations: &mut Vec<Violation>,
) -> Option<(HostClusterId, HostClusterSpec)> {
    let id = id.parse::<HostClusterId>();
    let id = id.map_err(|error| add(violations, "host_cluster_id", &error.to_string())).ok();
    let Some(resource) = resource else {
        add(violations, "host_cluster", "is missing; it says what is ordered");
        return None;
    };
    let parsed = HostClusterSpec::parse(HostClusterInput {
        labels: resource.labels.clone().into_iter().collect(),
        class: resource.tenant_class.clone(),
        region: resource.region.clone(),
        node_count: resource.node_count.into(),
        tenants_max: resource.tenants_max.into(),
        deletion_protection: resource.deletion_protection,
        adoption: resource.adoption.clone().map(convert::adoption_of),
    });
    let parsed = parsed.map_err(|more| violations.extend(more.0.into_iter().map(of_host))).ok();
    Some((id?, parsed?))
}

fn finish(
    key: RequestKey,
    (id, spec): (HostClusterId, HostClusterSpec),
    placement: Result<landlord_core::Placement, Violations>,
    mut violations: Vec<Violation>,
) -> Checked {
    let placement = placement.map_err(|more| violations.extend(more.0.into_iter().map(of_host))).ok();
    match placement {
        Some(placement) if violations.is_empty() => {
            let request = request::context(key.clone());
            (key, Ok(NewHostCluster { id, spec, placement, request }))
        }
        _ => (key, Err(Violations(violations))),
    }
}
