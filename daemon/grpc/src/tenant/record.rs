//! The tenant of a record.

use landlord_core::{Environment, Tenant, ports::StoreError};

/// The tenant of a record, which its name has chosen.
pub(crate) fn tenant_of(environment: &Environment) -> Result<&Tenant, StoreError> {
    environment.tenant().ok_or_else(|| StoreError::NotFound(environment.name().to_string()))
}
