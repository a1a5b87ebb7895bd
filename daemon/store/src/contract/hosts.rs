//! Host clusters: made, chosen, cordoned, observed. A host cluster is a row among the tenants, so all
//! that works on tenants works on it; here is what only it has.
//!
//! Choosing and writing are one transaction of the only writer, so that two creates can't both take
//! the last place. (A store with several writers must lock the host cluster's row.)

use landlord_core::{
    Amounts, Candidate, CustomerId, DesiredState, Environment, EnvironmentName, HostCluster, HostClusterId,
    HostClusterRef, HostClusterSpec, HostSelector, HostView, Owner, Precondition, ReservePercent, Stage, StageRecord,
    StageState, State, Tenant, TenantUid, Timestamp,
    audit::Author,
    capacity::COUNT_AFTER_PLACEMENT,
    fleet::{self, Choice, Growth},
    lifecycle,
    ports::{NewHostCluster, RequestContext, StoreError},
};
use sqlx::{AnyConnection, Row as _};
use uuid::Uuid;

use super::accept;
use crate::rows::{self, clock, desired_state_word, environments, stages, unavailable};

/// Tenants named in a refusal.
const NAMED_MAX: i64 = 5;
/// Of a class's name in the name of a host cluster that it orders; with a dash and eight digits it
/// fits an id.
const CLASS_CHARS_MAX: usize = 31;

/// Every host cluster, with its tenants counted, what is reserved for them, and what was last seen there. PostgreSQL's
/// sum of numbers is a number again only by a cast.
const CANDIDATES: &str = "SELECT hosts.*, looks.status AS observation, \
       (SELECT COUNT(*) FROM tenants AS t WHERE t.host_uid = hosts.uid) AS held, \
       (SELECT COUNT(*) FROM tenants AS t WHERE t.host_uid = hosts.uid AND t.customer = $1) AS of_customer, \
       (SELECT CAST(COALESCE(SUM(t.reserved_cpu_milli), 0) AS BIGINT) FROM tenants AS t \
          WHERE t.host_uid = hosts.uid) AS held_cpu_milli, \
       (SELECT CAST(COALESCE(SUM(t.reserved_memory_mib), 0) AS BIGINT) FROM tenants AS t \
          WHERE t.host_uid = hosts.uid) AS held_memory_mib, \
       (SELECT CAST(COALESCE(SUM(t.reserved_pods), 0) AS BIGINT) FROM tenants AS t \
          WHERE t.host_uid = hosts.uid) AS held_pods \
     FROM tenants AS hosts \
     LEFT JOIN stages AS looks ON looks.tenant_uid = hosts.uid AND looks.direction = $2 AND looks.stage = $3 \
     WHERE hosts.customer = '' ORDER BY hosts.tenant";

/// All host clusters by name, with who lives in each.
pub(crate) async fn candidates(
    connection: &mut AnyConnection,
    customer: Option<&CustomerId>,
) -> Result<Vec<Candidate>, StoreError> {
    let failed = unavailable("reading host clusters");
    // An empty customer is nobody's: host clusters themselves live nowhere.
    let rows = sqlx::query(CANDIDATES)
        .bind(customer.map_or("", CustomerId::as_str))
        .bind(desired_state_word(DesiredState::Present))
        .bind(Stage::Capacity.to_string())
        .fetch_all(connection)
        .await
        .map_err(&failed)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let sum = |column: &str| -> Result<u64, StoreError> {
            let sum: i64 = row.try_get(column).map_err(&failed)?;
            Ok(sum.unsigned_abs())
        };
        let count = |column: &str| sum(column).map(|sum| u32::try_from(sum).unwrap_or(u32::MAX));
        let held = Held {
            tenants: count("held")?,
            of_customer: count("of_customer")?,
            reserved: Amounts {
                cpu_milli: sum("held_cpu_milli")?,
                memory_mib: sum("held_memory_mib")?,
                pods: sum("held_pods")?,
            },
            observation: row.try_get::<Option<Vec<u8>>, _>("observation").map_err(&failed)?.unwrap_or_default(),
        };
        found.extend(rows::readable(&row).and_then(|record| candidate(record, held)));
    }
    Ok(found)
}

/// What is known of a host cluster beside its row.
struct Held {
    tenants: u32,
    of_customer: u32,
    reserved: Amounts,
    /// As the engine stored it; empty: nothing was counted yet.
    observation: Vec<u8>,
}

/// Whether it is being removed, or about to be: a create that is cancelled unwinds, anything else that is cancelled stays.
fn is_leaving(record: &Environment) -> bool {
    let unwinds = record.cancel_requested && !record.was_ready() && record.status.state != State::Failed;
    record.desired_state == DesiredState::Absent || unwinds
}

fn candidate(record: Environment, held: Held) -> Option<Candidate> {
    let leaving = is_leaving(&record);
    let Owner::HostCluster(HostCluster { id, spec, .. }) = record.owner else { return None };
    Some(Candidate {
        host: HostClusterRef { uid: record.uid, id },
        provider: record.placement.provider,
        credentials: record.placement.credentials,
        account: record.placement.account,
        class: record.placement.class,
        node_count: record.placement.node_count,
        region: record.placement.region,
        labels: spec.labels,
        state: record.status.state,
        leaving,
        cordoned: spec.cordoned,
        tenants_max: spec.tenants_max,
        tenants: held.tenants,
        of_customer: held.of_customer,
        reserved: held.reserved,
        // One that an older version wrote otherwise is counted again soon.
        observation: serde_json::from_slice(&held.observation).ok(),
    })
}

/// Gives a new tenant its host cluster, ordering one if its class grows.
pub(crate) async fn place(
    connection: &mut AnyConnection,
    author: &Author,
    environment: &mut Environment,
    selector: &HostSelector,
    now: Timestamp,
    events_max: u64,
) -> Result<(), StoreError> {
    let Owner::Tenant(tenant) = &mut environment.owner else { return Ok(()) };
    let candidates = candidates(connection, Some(&tenant.name.customer)).await?;
    let (host, credentials, account) = match fleet::choose(&candidates, selector) {
        Choice::Host(host) => {
            requeue_capacity(connection, host.host.uid, now).await?;
            (host.host.clone(), host.credentials.clone(), host.account.clone())
        }
        Choice::Full(why) => return Err(StoreError::NoHostClusterCapacity(why)),
        Choice::Grow(growth) => {
            let host = grow(connection, author, growth, now, events_max).await?;
            (host, growth.placement.credentials.clone(), growth.placement.account.clone())
        }
    };
    tenant.host = Some(host);
    environment.placement.credentials = credentials;
    environment.placement.account = account;
    Ok(())
}

/// Has the engine count what a host cluster has, soon after a tenant was placed there. A host cluster that is being
/// worked on is counted by that work, or at its next turn.
async fn requeue_capacity(connection: &mut AnyConnection, uid: TenantUid, now: Timestamp) -> Result<(), StoreError> {
    let soon = now.after(COUNT_AFTER_PLACEMENT);
    let Some(record) = stages::one(connection, uid, DesiredState::Present, &Stage::Capacity).await? else {
        return Ok(());
    };
    if record.state != StageState::Done || record.poll_time <= soon {
        return Ok(());
    }
    stages::put(connection, uid, &StageRecord { poll_time: soon, ..record }).await?;
    sqlx::query(
        "UPDATE tenants SET next_due = $1 \
         WHERE uid = $2 AND lease_until <= $3 AND (next_due IS NULL OR next_due > $1)",
    )
    .bind(soon.0)
    .bind(uid.to_string())
    .bind(now.0)
    .execute(connection)
    .await
    .map_err(unavailable("having a host cluster inspected"))?;
    Ok(())
}

/// Reservations of tenants that were accepted before reservations were kept: all that their quotas let them request,
/// for what their classes reserve is not known here.
pub(crate) async fn fill_reservations(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let failed = unavailable("filling reservations in");
    let rows = sqlx::query("SELECT * FROM tenants WHERE host_uid IS NOT NULL AND reserved_cpu_milli IS NULL")
        .fetch_all(&mut *connection)
        .await
        .map_err(&failed)?;
    for row in rows {
        let Some(environment) = rows::readable(&row) else { continue };
        let reserve = ReservePercent::default().of(&environment.placement);
        let [cpu_milli, memory_mib, pods] = environments::reserved(reserve);
        sqlx::query(
            "UPDATE tenants SET reserved_cpu_milli = $1, reserved_memory_mib = $2, reserved_pods = $3 WHERE uid = $4",
        )
        .bind(cpu_milli)
        .bind(memory_mib)
        .bind(pods)
        .bind(environment.uid.to_string())
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    }
    Ok(())
}

async fn grow(
    connection: &mut AnyConnection,
    author: &Author,
    growth: &Growth,
    now: Timestamp,
    events_max: u64,
) -> Result<HostClusterRef, StoreError> {
    let uid = TenantUid(Uuid::new_v4());
    let class: String = growth.placement.class.as_str().chars().take(CLASS_CHARS_MAX).collect();
    let digits: String = uid.to_string().chars().take(8).collect();
    let id: HostClusterId = format!("{class}-{digits}").parse().map_err(|error: landlord_core::ids::InvalidName| {
        StoreError::Corrupt { what: "host cluster id".into(), problem: error.to_string() }
    })?;
    let new = NewHostCluster {
        id: id.clone(),
        spec: growth.spec.clone(),
        placement: growth.placement.clone(),
        request: RequestContext::of_daemon(),
    };
    let (record, request) = record(uid, new, now);
    accept::accept_new(connection, &record, Amounts::default(), (&request, author), events_max).await?;
    Ok(HostClusterRef { uid, id })
}

/// The row of a new host cluster.
pub(crate) fn record(uid: TenantUid, new: NewHostCluster, now: Timestamp) -> (Environment, RequestContext) {
    let owner = Owner::HostCluster(HostCluster { id: new.id, spec: new.spec, last_ready: None });
    (lifecycle::accept(uid, owner, new.placement, accept::new_operation(), now), new.request)
}

/// Refuses what must not happen to a host cluster in which tenants live.
pub(crate) async fn refuse_if_in_use(connection: &mut AnyConnection, record: &Environment) -> Result<(), StoreError> {
    if record.host_cluster().is_none() {
        return Ok(());
    }
    let failed = unavailable("searching for tenants of a host cluster");
    let uid = record.uid.to_string();
    let all: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tenants WHERE host_uid = $1")
        .bind(&uid)
        .fetch_one(&mut *connection)
        .await
        .map_err(&failed)?;
    if all == 0 {
        return Ok(());
    }
    let rows = sqlx::query("SELECT * FROM tenants WHERE host_uid = $1 ORDER BY customer, tenant LIMIT $2")
        .bind(&uid)
        .bind(NAMED_MAX)
        .fetch_all(connection)
        .await
        .map_err(&failed)?;
    let mut named = Vec::with_capacity(rows.len());
    for row in &rows {
        named.push(rows::name_in(row)?.to_string());
    }
    let more = if all > NAMED_MAX { format!(" and {} more", all - NAMED_MAX) } else { String::new() };
    Err(StoreError::HostInUse { name: record.name().to_string(), tenants: format!("{}{more}", named.join(", ")) })
}

/// Opens or closes a host cluster for new tenants.
pub(crate) async fn cordon(
    connection: &mut AnyConnection,
    author: Author,
    id: HostClusterId,
    precondition: Precondition,
    cordoned: bool,
) -> Result<Environment, StoreError> {
    let name = EnvironmentName::HostCluster(id);
    let record = environments::find(connection, &name).await?;
    lifecycle::check_precondition(&record, &precondition)?;
    let Owner::HostCluster(before) = &record.owner else { return Err(StoreError::NotFound(name.to_string())) };
    if record.desired_state == DesiredState::Absent {
        return Err(StoreError::FailedPrecondition(format!("{name} is being deleted")));
    }
    if before.spec.cordoned == cordoned {
        return Ok(record);
    }
    let spec = HostClusterSpec { cordoned, ..before.spec.clone() };
    let after = Owner::HostCluster(HostCluster { spec, ..before.clone() });
    let now = clock::now(connection).await?;
    environments::rewrite_owner(connection, &author, &record, after, now).await?;
    environments::find(connection, &name).await
}

/// A tenant's host cluster as it is now.
pub(crate) async fn view(
    connection: &mut AnyConnection,
    environment: &Environment,
) -> Result<Option<HostView>, StoreError> {
    let uid = match &environment.owner {
        Owner::HostCluster(_) => environment.uid,
        Owner::Tenant(Tenant { host: Some(host), .. }) => host.uid,
        Owner::Tenant(Tenant { host: None, .. }) => return Ok(None),
    };
    let row = sqlx::query("SELECT * FROM tenants WHERE uid = $1")
        .bind(uid.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable("reading a host cluster"))?;
    // Its row can't go while a tenant names it.
    let missing = || StoreError::Corrupt { what: "host cluster".into(), problem: format!("{uid} is gone") };
    let record = rows::environment(&row.ok_or_else(missing)?)?;
    let usable = record.was_ready() && record.desired_state == DesiredState::Present;
    let Owner::HostCluster(HostCluster { id, spec, .. }) = record.owner else { return Err(missing()) };
    let mut status_of = async |stage: Stage| -> Result<Vec<u8>, StoreError> {
        let found = stages::one(connection, uid, DesiredState::Present, &stage).await?;
        Ok(found.map(|record| record.status).unwrap_or_default())
    };
    Ok(Some(HostView {
        host: HostClusterRef { uid, id },
        state: record.status.state,
        usable,
        placement: record.placement,
        adoption: spec.adoption,
        network: status_of(Stage::Network).await?,
        cluster: status_of(Stage::Cluster).await?,
    }))
}

#[cfg(test)]
mod tests {
    use super::{super::plan, CANDIDATES};

    #[tokio::test]
    async fn tenants_are_counted_from_indexes_alone() {
        let steps = plan::steps(CANDIDATES).await;
        let of_tenants: Vec<&String> = steps.iter().filter(|step| step.contains(" t ")).collect();
        assert_eq!(of_tenants.len(), 5, "{steps:#?}");
        assert!(of_tenants.iter().all(|step| step.starts_with("SEARCH t USING COVERING INDEX")), "{steps:#?}");
        assert!(steps.iter().any(|step| step.starts_with("SEARCH looks USING INDEX")), "{steps:#?}");
    }
}
