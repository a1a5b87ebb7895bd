//! Resources as they would be accepted, for `validate_only`.

use landlord_core::{Environment, OperationId, Owner, Placement, TenantUid, Timestamp, lifecycle};
use landlord_proto::v1;
use uuid::Uuid;

use super::{host_cluster::host_cluster, tenant::tenant, value::any};

/// An environment that would be new: without an identity, an operation and times.
pub(crate) fn would_be_new(owner: Owner, placement: Placement) -> prost_types::Any {
    let (uid, operation) = (TenantUid(Uuid::nil()), OperationId(Uuid::nil()));
    let environment = lifecycle::accept(uid, owner, placement, operation, Timestamp(0));
    shown(&environment, |tenant| {
        let tenant = without_operation(tenant);
        v1::Tenant { uid: String::new(), create_time: None, ..tenant }
    })
}

/// An environment that is there, as a change would leave it.
pub(crate) fn would_be(environment: &Environment) -> prost_types::Any {
    shown(environment, without_operation)
}

/// What only an accepted change has is left out.
fn without_operation(tenant: v1::Tenant) -> v1::Tenant {
    v1::Tenant { latest_operation: String::new(), etag: String::new(), update_time: None, ..tenant }
}

fn shown(environment: &Environment, of_tenant: impl FnOnce(v1::Tenant) -> v1::Tenant) -> prost_types::Any {
    match &environment.owner {
        Owner::Tenant(of) => any(&of_tenant(tenant(environment, of))),
        Owner::HostCluster(of) => {
            let shown = host_cluster(environment, of, None);
            any(&v1::HostCluster {
                uid: String::new(),
                latest_operation: String::new(),
                create_time: None,
                update_time: None,
                ..shown
            })
        }
    }
}
