//! Port to the customers.

use async_trait::async_trait;

use super::{request::RequestContext, store::Page, store_error::StoreError};
use crate::{
    CustomerId, Placement, TenantName, TenantSpec,
    environment::{Customer, CustomerRules, CustomerSpec},
};

/// Who may order, and what.
#[async_trait]
pub trait CustomerStore: Send + Sync + 'static {
    /// How customers are dealt with from now on. Once; without it as [`CustomerRules::default`].
    fn set_customer_rules(&self, rules: CustomerRules);

    /// Makes a customer. A replayed request id returns it as it is now.
    async fn create_customer(
        &self,
        id: &CustomerId,
        spec: CustomerSpec,
        request: RequestContext,
    ) -> Result<Customer, StoreError>;

    /// A customer by id.
    async fn customer(&self, id: &CustomerId) -> Result<Customer, StoreError>;

    /// A page of customers, by id, after `after`.
    async fn customers(&self, after: Option<&str>, limit: u32) -> Result<Page<Customer>, StoreError>;

    /// Changes a customer if `etag` still stands. Its tenants are looked at soon.
    async fn update_customer(
        &self,
        id: &CustomerId,
        etag: &str,
        spec: CustomerSpec,
        request: RequestContext,
    ) -> Result<Customer, StoreError>;

    /// Forgets a customer if `etag` (when given) still stands. FailedPrecondition while it has tenants.
    async fn delete_customer(
        &self,
        id: &CustomerId,
        etag: Option<&str>,
        validate_only: bool,
        request: RequestContext,
    ) -> Result<(), StoreError>;

    /// [`StoreError::NotInContract`] if a customer may not order this now. `before`: of a change, the tenant as it is.
    async fn check_contract(
        &self,
        name: &TenantName,
        ordered: (&TenantSpec, &Placement),
        before: Option<(&TenantSpec, &Placement)>,
    ) -> Result<(), StoreError>;
}
