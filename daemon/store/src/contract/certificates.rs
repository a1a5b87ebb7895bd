//! Places among the certificates that authorities give: counted in the transaction that takes one, so that all daemons together stay
//! within the limits. A tenant takes a place once, however often what it orders is made again.

use landlord_core::{
    CertificateOrder, TenantUid, Timestamp,
    certificate::{Allowance, CertificateWait, LimitedBy, ORDER_WINDOW_MAX, OrderLimit, OrderLimits},
    ports::{Claim, StoreError},
};
use sqlx::AnyConnection;

use super::commit::fenced;
use crate::rows::{Statement, clock, column, unavailable};

const DOING: &str = "counting certificates";

/// Whether an environment has its place already.
pub(super) async fn is_taken(
    connection: &mut AnyConnection,
    uid: TenantUid,
    order: &CertificateOrder,
) -> Result<bool, StoreError> {
    let found: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM certificate_orders WHERE tenant_uid = $1 AND authority = $2 AND names = $3",
    )
    .bind(uid.to_string())
    .bind(&order.authority)
    .bind(order.joined())
    .fetch_one(connection)
    .await
    .map_err(unavailable(DOING))?;
    Ok(found > 0)
}

/// Takes a place for an order of the claimed environment, or finds until when there is none. Who `served` its customer before waits for
/// nothing; what it had before anybody counted it ordered when it was accepted.
pub(super) async fn order(
    connection: &mut AnyConnection,
    claim: &Claim,
    order: &CertificateOrder,
    limits: &OrderLimits,
    served: bool,
) -> Result<Allowance, StoreError> {
    let row = fenced(connection, claim).await?;
    if is_taken(connection, claim.uid, order).await? {
        return Ok(Allowance::Granted);
    }
    let now = clock::now(connection).await?;
    clamp(connection, now).await?;
    let mut time = now;
    if served {
        let places: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM certificate_orders WHERE tenant_uid = $1")
            .bind(claim.uid.to_string())
            .fetch_one(&mut *connection)
            .await
            .map_err(unavailable(DOING))?;
        if places == 0 {
            time = Timestamp(column(&row, "create_time")?).min(now);
        }
    } else {
        for (by, limit) in limits.each() {
            if let Some(wait) = reached(connection, order, (by, limit), now).await? {
                return Ok(Allowance::Wait(wait));
            }
        }
    }
    forget(connection, now).await?;
    sqlx::query(
        "INSERT INTO certificate_orders (tenant_uid, authority, names, registered_domain, order_time) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(claim.uid.to_string())
    .bind(&order.authority)
    .bind(order.joined())
    .bind(order.registered_domain())
    .bind(time.0)
    .execute(connection)
    .await
    .map_err(unavailable(DOING))?;
    Ok(Allowance::Granted)
}

/// What an order has to wait for: as many as a limit allows lie within its window, and the oldest of them has to leave it.
async fn reached(
    connection: &mut AnyConnection,
    order: &CertificateOrder,
    (limited_by, limit): (LimitedBy, OrderLimit),
    now: Timestamp,
) -> Result<Option<CertificateWait>, StoreError> {
    let mut statement = Statement::new("SELECT order_time FROM certificate_orders WHERE order_time > ");
    statement.bind(now.before(limit.window).0).push(" AND authority = ").bind(order.authority.clone());
    let of = match limited_by {
        LimitedBy::Orders => String::new(),
        LimitedBy::RegisteredDomain => {
            statement.push(" AND registered_domain = ").bind(order.registered_domain());
            order.registered_domain()
        }
        LimitedBy::SameNames => {
            statement.push(" AND names = ").bind(order.joined());
            order.joined()
        }
    };
    statement.push(" ORDER BY order_time DESC");
    let times = statement.query().fetch_all(connection).await.map_err(unavailable(DOING))?;
    let ordered = u32::try_from(times.len()).unwrap_or(u32::MAX);
    // The newest so many would still be within the window when the one before them has left it.
    let Some(oldest) = usize::try_from(limit.max - 1).ok().and_then(|index| times.get(index)) else { return Ok(None) };
    let oldest: i64 = column(oldest, "order_time")?;
    Ok(Some(CertificateWait {
        authority: order.authority.clone(),
        limited_by,
        ordered,
        max: limit.max,
        window_seconds: limit.window.as_secs(),
        of,
        until: Timestamp(oldest).after(limit.window),
    }))
}

/// Nothing was ordered in the future: a clock that was set back would have everybody wait for more than a window.
async fn clamp(connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE certificate_orders SET order_time = $1 WHERE order_time > $1")
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(unavailable(DOING))?;
    Ok(())
}

/// Forgets what no window reaches back to, of tenants that are gone; of the others it is known what they have.
async fn forget(connection: &mut AnyConnection, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM certificate_orders WHERE order_time <= $1 AND NOT EXISTS \
         (SELECT 1 FROM tenants WHERE tenants.uid = certificate_orders.tenant_uid)",
    )
    .bind(now.before(ORDER_WINDOW_MAX).0)
    .execute(connection)
    .await
    .map_err(unavailable("forgetting old certificates"))?;
    Ok(())
}
