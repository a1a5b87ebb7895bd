//! Customers, and what they may order: looked up and counted in the transaction that accepts a tenant, so that orders at the same
//! moment can't exceed a limit together.

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    CustomerId, Placement, TenantName, TenantSpec, Timestamp,
    audit::Author,
    environment::{Customer, CustomerRules, CustomerSpec, ORPHANS, Used, Violation},
    ports::{CustomerStore, Page, RequestContext, StoreError},
};
use sqlx::AnyConnection;

use crate::{
    rows::{self, clock, customers, unavailable},
    store::Store,
};

/// Tenants named in a refusal.
const NAMED_MAX: i64 = 3;

#[async_trait]
impl CustomerStore for Store {
    fn set_customer_rules(&self, rules: CustomerRules) {
        let _ = self.customer_rules.set(rules);
    }

    async fn create_customer(
        &self,
        id: &CustomerId,
        spec: CustomerSpec,
        request: RequestContext,
    ) -> Result<Customer, StoreError> {
        let id = id.clone();
        self.writer.write(move |connection| create(connection, id.clone(), spec.clone(), request.clone()).boxed()).await
    }

    async fn customer(&self, id: &CustomerId) -> Result<Customer, StoreError> {
        self.read(async |connection| customers::find(connection, id).await).await
    }

    async fn customers(&self, after: Option<&str>, limit: u32) -> Result<Page<Customer>, StoreError> {
        self.read(async |connection| customers::list(connection, after, limit).await).await
    }

    async fn update_customer(
        &self,
        id: &CustomerId,
        etag: &str,
        spec: CustomerSpec,
        request: RequestContext,
    ) -> Result<Customer, StoreError> {
        let (id, etag) = (id.clone(), etag.to_owned());
        self.writer
            .write(move |connection| {
                update(connection, id.clone(), etag.clone(), spec.clone(), request.clone()).boxed()
            })
            .await
    }

    async fn delete_customer(
        &self,
        id: &CustomerId,
        etag: Option<&str>,
        validate_only: bool,
        request: RequestContext,
    ) -> Result<(), StoreError> {
        let (id, etag) = (id.clone(), etag.map(str::to_owned));
        if validate_only {
            return self.snapshot(async |connection| deletable(connection, &id, etag.as_deref()).await.map(drop)).await;
        }
        self.writer.write(move |connection| delete(connection, id.clone(), etag.clone(), request.clone()).boxed()).await
    }

    async fn check_contract(
        &self,
        name: &TenantName,
        (spec, placement): (&TenantSpec, &Placement),
        before: Option<(&TenantSpec, &Placement)>,
    ) -> Result<(), StoreError> {
        let rules = self.customer_rules();
        self.snapshot(async |connection| {
            if let Some(before) = before {
                return admit_change(connection, (name, spec, placement), before, rules).await;
            }
            let now = clock::now(connection).await?;
            match customers::maybe(connection, &name.customer).await? {
                Some(customer) => refuse(connection, &customer, (name, spec, placement), None, now).await,
                None => known(name, rules),
            }
        })
        .await
    }
}

impl Store {
    /// How customers are dealt with.
    pub(crate) fn customer_rules(&self) -> CustomerRules {
        self.customer_rules.get().copied().unwrap_or_default()
    }
}

async fn create(
    connection: &mut AnyConnection,
    id: CustomerId,
    spec: CustomerSpec,
    request: RequestContext,
) -> Result<Customer, StoreError> {
    if customers::was_accepted(connection, &request.key).await? {
        return customers::find(connection, &id).await;
    }
    if customers::maybe(connection, &id).await?.is_some() {
        return Err(StoreError::AlreadyExists(format!("customers/{id}")));
    }
    let now = clock::now(connection).await?;
    customers::insert(connection, &Author::from(&request), (&id, &spec), now).await?;
    customers::accept(connection, &request.key, &id, now).await?;
    customers::find(connection, &id).await
}

fn check_etag(customer: &Customer, etag: Option<&str>) -> Result<(), StoreError> {
    match etag {
        Some(etag) if etag != customer.etag => {
            Err(StoreError::EtagMismatch { name: format!("customers/{}", customer.id) })
        }
        _ => Ok(()),
    }
}

async fn update(
    connection: &mut AnyConnection,
    id: CustomerId,
    etag: String,
    spec: CustomerSpec,
    request: RequestContext,
) -> Result<Customer, StoreError> {
    if customers::was_accepted(connection, &request.key).await? {
        return customers::find(connection, &id).await;
    }
    let before = customers::find(connection, &id).await?;
    check_etag(&before, Some(&etag))?;
    let now = clock::now(connection).await?;
    customers::rewrite(connection, &Author::from(&request), (&before, &spec), now).await?;
    customers::accept(connection, &request.key, &id, now).await?;
    // What was left as it is may go on, or the other way round.
    sqlx::query(
        "UPDATE tenants SET revision = revision + 1, next_due = CASE WHEN lease_until <= $1 THEN $1 ELSE next_due END \
         WHERE customer = $2",
    )
    .bind(now.0)
    .bind(id.as_str())
    .execute(&mut *connection)
    .await
    .map_err(unavailable("having a customer's tenants looked at"))?;
    customers::find(connection, &id).await
}

/// A customer that can be forgotten.
async fn deletable(
    connection: &mut AnyConnection,
    id: &CustomerId,
    etag: Option<&str>,
) -> Result<Customer, StoreError> {
    let customer = customers::find(connection, id).await?;
    check_etag(&customer, etag)?;
    let failed = unavailable("looking for a customer's tenants");
    let named: Vec<String> =
        sqlx::query_scalar("SELECT tenant FROM tenants WHERE customer = $1 ORDER BY tenant LIMIT $2")
            .bind(id.as_str())
            .bind(NAMED_MAX)
            .fetch_all(connection)
            .await
            .map_err(&failed)?;
    if named.is_empty() {
        return Ok(customer);
    }
    let named: Vec<String> = named.into_iter().map(|tenant| format!("customers/{id}/tenants/{tenant}")).collect();
    Err(StoreError::FailedPrecondition(format!(
        "customers/{id} has tenants ({}); delete them first, or suspend the customer",
        named.join(", ")
    )))
}

async fn delete(
    connection: &mut AnyConnection,
    id: CustomerId,
    etag: Option<String>,
    request: RequestContext,
) -> Result<(), StoreError> {
    if customers::was_accepted(connection, &request.key).await? {
        return Ok(());
    }
    let customer = deletable(connection, &id, etag.as_deref()).await?;
    let now = clock::now(connection).await?;
    customers::remove(connection, &Author::from(&request), &customer, now).await?;
    customers::accept(connection, &request.key, &id, now).await
}

/// Refuses a customer that is not known, where nobody becomes one by ordering.
fn known(name: &TenantName, rules: CustomerRules) -> Result<(), StoreError> {
    if rules.make_unknown {
        return Ok(());
    }
    Err(StoreError::FailedPrecondition(format!(
        "customers/{} does not exist, and customers.unknown is \"refuse\"; create the customer first",
        name.customer
    )))
}

/// Lets a new tenant in, or says everything that forbids it.
pub(super) async fn admit(
    connection: &mut AnyConnection,
    author: &Author,
    (name, spec, placement): (&TenantName, &TenantSpec, &Placement),
    rules: CustomerRules,
    now: Timestamp,
) -> Result<(), StoreError> {
    // The daemon's own, for what it removes.
    if name.customer.as_str() == ORPHANS {
        return Ok(());
    }
    match customers::maybe(connection, &name.customer).await? {
        Some(customer) => refuse(connection, &customer, (name, spec, placement), None, now).await,
        None => {
            known(name, rules)?;
            customers::insert(connection, author, (&name.customer, &CustomerSpec::default()), now).await
        }
    }
}

/// The same of a change. One that makes work is an order; any other is refused where the customer's tenants are left as they are,
/// unless it keeps more of the tenant as it is. A customer of whom nothing is known has no limits.
pub(super) async fn admit_change(
    connection: &mut AnyConnection,
    (name, spec, placement): (&TenantName, &TenantSpec, &Placement),
    before: (&TenantSpec, &Placement),
    rules: CustomerRules,
) -> Result<(), StoreError> {
    let now = clock::now(connection).await?;
    // What changes nothing is a renewal, which is work.
    if before.0 != spec && !before.0.needs_work(spec) && before.1 == placement {
        if before.0.only_holds(spec) {
            return Ok(());
        }
        return refuse_if_frozen(connection, &name.customer, rules, now).await;
    }
    let Some(customer) = customers::maybe(connection, &name.customer).await? else { return Ok(()) };
    refuse(connection, &customer, (name, spec, placement), Some(before), now).await
}

async fn refuse(
    connection: &mut AnyConnection,
    customer: &Customer,
    (name, spec, placement): (&TenantName, &TenantSpec, &Placement),
    before: Option<(&TenantSpec, &Placement)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let used = match customer.spec.limits {
        limits if limits == Default::default() => Used::default(),
        _ => used(connection, name).await?,
    };
    let violations: Vec<Violation> = customer.spec.violations(used, (spec, placement), before, now);
    if violations.is_empty() {
        return Ok(());
    }
    Err(StoreError::NotInContract { customer: format!("customers/{}", customer.id), violations })
}

/// What a customer's tenants have, but for one. Read row by row: only customers with limits are counted.
async fn used(connection: &mut AnyConnection, but: &TenantName) -> Result<Used, StoreError> {
    let rows = sqlx::query("SELECT * FROM tenants WHERE customer = $1 AND tenant <> $2")
        .bind(but.customer.as_str())
        .bind(but.tenant.as_str())
        .fetch_all(connection)
        .await
        .map_err(unavailable("counting a customer's tenants"))?;
    // One that can't be read counts as a tenant.
    let tenants = rows.len() as u64;
    let all = rows.iter().filter_map(rows::readable).fold(Used::default(), |used, environment| Used {
        storage_gib: used.storage_gib + environment.tenant().map_or(0, |t| u64::from(t.spec.storage.gib())),
        nodes: used.nodes + u64::from(environment.placement.nodes_max()),
        ..used
    });
    Ok(Used { tenants, ..all })
}

/// Why a tenant is left as it is; `None`: it is not.
pub(super) async fn frozen(
    connection: &mut AnyConnection,
    customer: &CustomerId,
    rules: CustomerRules,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    if !rules.freeze {
        return Ok(None);
    }
    let found = customers::maybe(connection, customer).await?;
    Ok(found.and_then(|customer| customer.spec.frozen(now)))
}

/// Refuses a change of what belongs to a customer whose tenants are left as they are.
pub(super) async fn refuse_if_frozen(
    connection: &mut AnyConnection,
    customer: &CustomerId,
    rules: CustomerRules,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(why) = frozen(connection, customer, rules, now).await? else { return Ok(()) };
    let description =
        format!("{why}; its tenants are left as they are: they can be protected, paused and deleted, and nothing else");
    let violations = vec![Violation { field: "suspended".into(), description }];
    Err(StoreError::NotInContract { customer: format!("customers/{customer}"), violations })
}
