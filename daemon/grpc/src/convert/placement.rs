//! Placements, and what isolates a tenant there, as messages of the API.

use landlord_core::{Environment, Level, Placement, isolation::SharedTarget};
use landlord_proto::v1;

use super::value::whole;

/// Where a tenant is placed.
pub(crate) fn placement(environment: &Environment) -> v1::Placement {
    let host = environment.tenant().and_then(|tenant| tenant.host.as_ref());
    v1::Placement {
        host_cluster: host.map(|host| format!("hostClusters/{}", host.id)).unwrap_or_default(),
        isolation: isolation(environment),
        ..offered(&environment.placement)
    }
}

/// An isolation level as clients see it.
pub(crate) fn level(level: Level) -> v1::placement::Level {
    match level {
        Level::Cluster => v1::placement::Level::Cluster,
        Level::Node => v1::placement::Level::Node,
        Level::Namespace => v1::placement::Level::Namespace,
    }
}

/// Where a placement places a tenant, as far as it is known.
pub(crate) fn offered(placement: &Placement) -> v1::Placement {
    v1::Placement {
        tenant_class: placement.class.to_string(),
        rule: placement.rule.clone(),
        provider: placement.provider.to_string(),
        account: placement.account.clone(),
        region: placement.region.clone(),
        level: level(placement.level).into(),
        stack: placement.stack.as_ref().map(ToString::to_string).unwrap_or_default(),
        stack_revision: placement.revisions.stack.as_ref().map(ToString::to_string).unwrap_or_default(),
        platform_revision: placement.revisions.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..v1::Placement::default()
    }
}

/// What isolates a tenant in a host cluster, also of a reader who may not know which one that is.
fn isolation(environment: &Environment) -> Option<v1::Isolation> {
    environment.tenant()?;
    if environment.uid.0.is_nil() {
        // Not accepted yet: its namespace has no name.
        return None;
    }
    let target = SharedTarget::namespace(environment.uid, environment.placement.guardrails.clone()?);
    let (settings, quota) = (&target.settings, target.settings.quota());
    Some(v1::Isolation {
        namespace: target.namespace.to_string(),
        pod_security_version: settings.pod_security_version().to_string(),
        cpu_request_milli: quota.cpu_request_milli.into(),
        memory_request_mib: quota.memory_request_mib.into(),
        memory_limit_mib: quota.memory_limit_mib.into(),
        storage_gib: quota.storage_gib.into(),
        pods: whole(quota.pods),
        load_balancers: whole(settings.load_balancers()),
        internet_egress: settings.internet_egress(),
        customer_group: settings.customer_group().map(ToString::to_string).unwrap_or_default(),
    })
}
