//! Resources as they would be accepted, for `validate_only`.

use landlord_core::{Environment, OperationId, Owner, Placement, TenantUid, Timestamp, lifecycle};
use landlord_proto::v1;
use uuid::Uuid;

use super::{host_cluster::host_cluster, tenant::tenant, value::any};

/// An environment that would be new: without an identity and an operation.
pub(crate) fn new_environment(owner: Owner, placement: Placement) -> Environment {
    let (uid, operation) = (TenantUid(Uuid::nil()), OperationId(Uuid::nil()));
    lifecycle::accept(uid, owner, placement, operation, Timestamp(0))
}

/// An environment that is there, as a change would leave it, or one that would be new.
pub(crate) fn would_be(environment: &Environment) -> prost_types::Any {
    match &environment.owner {
        Owner::Tenant(of) => {
            let tenant = without_operation(tenant(environment, of));
            let is_new = environment.uid.0.is_nil();
            any(&if is_new { v1::Tenant { uid: String::new(), create_time: None, ..tenant } } else { tenant })
        }
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

/// What only an accepted change has is left out.
fn without_operation(tenant: v1::Tenant) -> v1::Tenant {
    v1::Tenant { latest_operation: String::new(), etag: String::new(), update_time: None, ..tenant }
}
