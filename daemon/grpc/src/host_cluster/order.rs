//! CreateHostCluster and AdoptHostCluster: from the request to checked values, with everything that is wrong at once.

use landlord_core::{
    Catalog, ClassName, Environment, EnvironmentName, HostCluster, HostClusterId, HostClusterSpec, Level, Owner,
    Placement, State, Violation, Violations,
    access::{EnvironmentAttributes, Resource},
    environment::{HostClusterInput, adopted_placement},
    ports::{Accepted, NewHostCluster, RequestContext, RequestScope, StoreError},
};
use landlord_proto::v1;

use crate::{
    accept::Write,
    convert,
    error::{Error, maybe, violation},
    name,
    ports::Ports,
    provider,
};

#[tonic::async_trait]
impl Write for v1::CreateHostClusterRequest {
    const METHOD: &'static str = "CreateHostCluster";
    const CREATES: bool = true;
    /// Its request is set when it is committed.
    type Change = NewHostCluster;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn scope(&self) -> Option<RequestScope> {
        Some(RequestScope::HostClusters)
    }

    fn parent(&self, catalog: &Catalog) -> Option<Resource> {
        Some(requested(catalog, &self.host_cluster_id, self.host_cluster.as_ref()))
    }

    fn ordered(&self, new: &NewHostCluster) -> Option<Resource> {
        let attributes = Some(EnvironmentAttributes::of_order(&new.placement, &new.spec.labels));
        Some(Resource::Environment { name: new.id.clone().into(), attributes })
    }

    async fn check(&self, ports: &Ports, violations: Vec<Violation>) -> Result<NewHostCluster, Error> {
        if_up(ports, create(&ports.catalog.now(), self, violations)?)
    }

    async fn dry_run(&self, ports: &Ports, new: &NewHostCluster) -> Result<(), Error> {
        dry_run(ports, new).await
    }

    fn would_be(&self, new: &NewHostCluster) -> Option<Environment> {
        Some(would_be(new))
    }

    async fn commit(&self, ports: &Ports, new: NewHostCluster, request: RequestContext) -> Result<Accepted, Error> {
        Ok(ports.store.create_host_cluster(NewHostCluster { request, ..new }).await?)
    }
}

#[tonic::async_trait]
impl Write for v1::AdoptHostClusterRequest {
    const METHOD: &'static str = "AdoptHostCluster";
    const CREATES: bool = true;
    /// Its request is set when it is committed.
    type Change = NewHostCluster;

    fn request_id(&self) -> &str {
        &self.request_id
    }

    fn validate_only(&self) -> bool {
        self.validate_only
    }

    fn scope(&self) -> Option<RequestScope> {
        Some(RequestScope::HostClusters)
    }

    fn parent(&self, catalog: &Catalog) -> Option<Resource> {
        Some(requested(catalog, &self.host_cluster_id, self.host_cluster.as_ref()))
    }

    fn ordered(&self, new: &NewHostCluster) -> Option<Resource> {
        let attributes = Some(EnvironmentAttributes::of_order(&new.placement, &new.spec.labels));
        Some(Resource::Environment { name: new.id.clone().into(), attributes })
    }

    async fn check(&self, ports: &Ports, violations: Vec<Violation>) -> Result<NewHostCluster, Error> {
        if_up(ports, adopt(&ports.catalog.now(), self, violations)?)
    }

    async fn dry_run(&self, ports: &Ports, new: &NewHostCluster) -> Result<(), Error> {
        dry_run(ports, new).await
    }

    fn would_be(&self, new: &NewHostCluster) -> Option<Environment> {
        Some(would_be(new))
    }

    async fn commit(&self, ports: &Ports, new: NewHostCluster, request: RequestContext) -> Result<Accepted, Error> {
        Ok(ports.store.create_host_cluster(NewHostCluster { request, ..new }).await?)
    }
}

/// What a request says of the host cluster, before anything of it is checked: whoever may not order it learns nothing of
/// classes and their regions.
fn requested(catalog: &Catalog, id: &str, wanted: Option<&v1::HostCluster>) -> Resource {
    let wanted = wanted.cloned().unwrap_or_default();
    let class = wanted.tenant_class.parse::<ClassName>().ok().and_then(|name| catalog.classes.get(&name));
    let attributes = EnvironmentAttributes {
        class: wanted.tenant_class,
        level: Level::Cluster.as_str().into(),
        provider: match (class, wanted.adoption) {
            (Some(class), _) => class.provider.to_string(),
            (None, Some(adoption)) => adoption.provider,
            (None, None) => String::new(),
        },
        region: wanted.region,
        state: State::Pending.as_str().into(),
        labels: wanted.labels.into_iter().collect(),
    };
    // A malformed id names nothing; who may order none of any name may not order this one.
    let id = id.parse().or_else(|_| "unnamed".parse::<HostClusterId>());
    let Ok(id) = id else { return Resource::Installation };
    Resource::Environment { name: id.into(), attributes: Some(attributes) }
}

/// Refused now rather than accepted and left waiting.
fn if_up(ports: &Ports, new: NewHostCluster) -> Result<NewHostCluster, Error> {
    match provider::start_failure(&*ports.providers, &new.placement) {
        Some(down) => Err(Error::ProviderDown(down)),
        None => Ok(new),
    }
}

fn would_be(new: &NewHostCluster) -> Environment {
    let host = HostCluster { id: new.id.clone(), spec: new.spec.clone(), last_ready: None };
    convert::new_environment(Owner::HostCluster(host), new.placement.clone())
}

async fn dry_run(ports: &Ports, new: &NewHostCluster) -> Result<(), Error> {
    let name = EnvironmentName::from(new.id.clone());
    match maybe(ports.store.get(&name).await)? {
        Some(_) => Err(StoreError::AlreadyExists(name.to_string()).into()),
        None => Ok(()),
    }
}

fn create(
    catalog: &Catalog,
    request: &v1::CreateHostClusterRequest,
    mut violations: Vec<Violation>,
) -> Result<NewHostCluster, Violations> {
    let wanted = wanted(&request.host_cluster_id, request.host_cluster.as_ref(), &mut violations);
    if request.host_cluster.as_ref().is_some_and(|cluster| cluster.adoption.is_some()) {
        let problem = "is for AdoptHostCluster; here landlord makes the cluster";
        violations.push(violation("host_cluster.adoption", problem));
    }
    let Some((id, spec)) = wanted else { return Err(Violations(violations)) };
    let placement = catalog.place_host_cluster(&spec);
    finish((id, spec), placement, violations)
}

fn adopt(
    catalog: &Catalog,
    request: &v1::AdoptHostClusterRequest,
    mut violations: Vec<Violation>,
) -> Result<NewHostCluster, Violations> {
    let wanted = wanted(&request.host_cluster_id, request.host_cluster.as_ref(), &mut violations);
    let resource = request.host_cluster.clone().unwrap_or_default();
    let of_made = [("tenant_class", !resource.tenant_class.is_empty()), ("node_count", resource.node_count != 0)];
    for (field, _) in of_made.into_iter().filter(|(_, given)| *given) {
        let problem = "is for clusters that landlord makes; leave it out";
        violations.push(violation(&format!("host_cluster.{field}"), problem));
    }
    let Some(adoption) = resource.adoption else {
        violations.push(violation("host_cluster.adoption", "is missing; it names which cluster and how it is reached"));
        return Err(Violations(violations));
    };
    let scope = adoption.provider.parse().ok().map(|provider| (provider, adoption.credentials.clone()));
    let account = scope.and_then(|scope| catalog.accounts.get(&scope).cloned()).unwrap_or_default();
    let placement = adopted_placement(&adoption.provider, &adoption.credentials, &account, &resource.region);
    let placement = placement.map_err(|Violations(wrong)| {
        Violations(wrong.into_iter().map(|v| Violation { field: format!("adoption.{}", v.field), ..v }).collect())
    });
    let Some(wanted) = wanted else {
        violations.extend(placement.err().into_iter().flat_map(|more| more.0).map(of_host_cluster));
        return Err(Violations(violations));
    };
    finish(wanted, placement, violations)
}

fn of_host_cluster(violation: Violation) -> Violation {
    name::within("host_cluster", violation)
}

fn wanted(
    id: &str,
    resource: Option<&v1::HostCluster>,
    violations: &mut Vec<Violation>,
) -> Option<(HostClusterId, HostClusterSpec)> {
    let id = id.parse::<HostClusterId>();
    let id = id.map_err(|error| violations.push(violation("host_cluster_id", error.to_string()))).ok();
    let Some(resource) = resource else {
        violations.push(violation("host_cluster", "is missing; it says what is ordered"));
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
    let parsed = parsed.map_err(|more| violations.extend(more.0.into_iter().map(of_host_cluster))).ok();
    Some((id?, parsed?))
}

fn finish(
    (id, spec): (HostClusterId, HostClusterSpec),
    placement: Result<Placement, Violations>,
    mut violations: Vec<Violation>,
) -> Result<NewHostCluster, Violations> {
    let placement = placement.map_err(|more| violations.extend(more.0.into_iter().map(of_host_cluster))).ok();
    match placement {
        Some(placement) if violations.is_empty() => {
            Ok(NewHostCluster { id, spec, placement, request: RequestContext::of_daemon() })
        }
        _ => Err(Violations(violations)),
    }
}
