//! The audit log's rows: appended in the transaction of the change that they tell of, chained by hashes, signed now and then.
//!
//! Whoever appends holds the row of the chain's end, so entries of several daemons stand in the order in which they were
//! committed.

use std::{cell::RefCell, time::Duration};

use landlord_core::{
    Timestamp,
    audit::{AuditEntry, AuditRecord},
    ports::{AuditEnd, AuditQuery, HeadSigner, KeptEntry, StoreError},
};
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    clock,
    columns::{json, page_limit, unavailable},
    statement::Statement,
};

/// A head is signed after so many entries: as many can be rewritten by whoever has the database and not the key.
const HEAD_EVERY: i64 = 100;
/// An entry waits no longer for a signed head behind it.
const HEAD_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Where the chain ends, and how far it is signed.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    seq: i64,
    hash: String,
    signed_seq: i64,
    signed_time: Timestamp,
}

impl Chain {
    /// As it is stored.
    pub(crate) async fn read(connection: &mut AnyConnection) -> Result<Self, StoreError> {
        let row = sqlx::query("SELECT seq, hash, signed_seq, signed_time FROM audit_chain WHERE id = 1");
        let row = row.fetch_one(connection).await.map_err(unavailable("signing the audit log"))?;
        Self::of(&row)
    }

    fn of(row: &AnyRow) -> Result<Self, StoreError> {
        let failed = unavailable("reading the audit log");
        let number = |column: &str| row.try_get::<i64, _>(column).map_err(&failed);
        let hash = row.try_get("hash").map_err(&failed)?;
        let (seq, signed_seq, signed_time) = (number("seq")?, number("signed_seq")?, number("signed_time")?);
        Ok(Self { seq, hash, signed_seq, signed_time: Timestamp(signed_time) })
    }
}

tokio::task_local! {
    /// Where the change under way left the chain's end; none: it appended nothing.
    static APPENDED: RefCell<Option<Chain>>;
}

/// Runs a change; gives where the chain ends if something was appended. So a commit without an entry need not ask, and one with
/// an entry knows. A change that is undone has appended nothing: whoever undoes it forgets this.
pub(crate) async fn following<T>(change: impl Future<Output = T>) -> (T, Option<Chain>) {
    let following = async {
        let done = change.await;
        (done, APPENDED.with(RefCell::take))
    };
    APPENDED.scope(RefCell::new(None), following).await
}

/// Appends an entry. `time`: of the transaction, by the database's clock.
pub(crate) async fn append(
    connection: &mut AnyConnection,
    record: AuditRecord,
    time: Timestamp,
) -> Result<(), StoreError> {
    let failed = unavailable("writing the audit log");
    // Held until the transaction ends.
    let held = sqlx::query(
        "UPDATE audit_chain SET seq = seq + 1 WHERE id = 1 \
                            RETURNING seq, hash, signed_seq, signed_time",
    );
    let chain = Chain::of(&held.fetch_one(&mut *connection).await.map_err(&failed)?)?;
    let (seq, previous) = (chain.seq, chain.hash.clone());
    let previous = if previous.is_empty() { landlord_audit::NONE.to_owned() } else { previous };
    let customer = record.customer.clone();
    let text = json("audit entry", &AuditEntry { seq, previous, time, record })?;
    let hash = landlord_audit::hash(&text);
    sqlx::query("INSERT INTO audit (seq, time, customer, entry, hash) VALUES ($1, $2, $3, $4, $5)")
        .bind(seq)
        .bind(time.0)
        .bind(customer)
        .bind(text)
        .bind(&hash)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    sqlx::query("UPDATE audit_chain SET hash = $1 WHERE id = 1")
        .bind(&hash)
        .execute(connection)
        .await
        .map_err(&failed)?;
    // Nobody follows where a store is moved.
    let _ = APPENDED.try_with(|appended| appended.replace(Some(Chain { hash, ..chain })));
    Ok(())
}

/// Signs the end of the chain if enough was appended since the last signed head, or if that was long ago. Gives what was
/// signed.
pub(crate) async fn sign_if_due(
    connection: &mut AnyConnection,
    signer: &dyn HeadSigner,
    Chain { seq, hash, signed_seq, signed_time }: Chain,
) -> Result<Option<(AuditEnd, String)>, StoreError> {
    let failed = unavailable("signing the audit log");
    if seq == signed_seq {
        return Ok(None);
    }
    let now = clock::now(connection).await?;
    if seq - signed_seq < HEAD_EVERY && now.since(signed_time) < HEAD_WITHIN {
        return Ok(None);
    }
    let signature = signer.sign(seq, &hash);
    sqlx::query("INSERT INTO audit_heads (seq, key_id, signature) VALUES ($1, $2, $3)")
        .bind(seq)
        .bind(signer.key_id())
        .bind(&signature)
        .execute(&mut *connection)
        .await
        .map_err(&failed)?;
    sqlx::query("UPDATE audit_chain SET signed_seq = $1, signed_time = $2 WHERE id = 1")
        .bind(seq)
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(&failed)?;
    Ok(Some((AuditEnd { seq, hash }, signature)))
}

/// Where the chain ends.
pub(crate) async fn end(connection: &mut AnyConnection) -> Result<AuditEnd, StoreError> {
    let failed = unavailable("reading the audit log");
    let row = sqlx::query("SELECT seq, hash FROM audit_chain WHERE id = 1");
    let row = row.fetch_one(connection).await.map_err(&failed)?;
    Ok(AuditEnd { seq: row.try_get("seq").map_err(&failed)?, hash: row.try_get("hash").map_err(&failed)? })
}

const ENTRIES: &str = "SELECT audit.seq, audit.time, audit.customer, audit.entry, audit.hash, audit_heads.key_id, audit_heads.signature FROM audit \
                       LEFT JOIN audit_heads ON audit_heads.seq = audit.seq WHERE audit.seq > ";

/// Position of the first entry that is not older than a time.
async fn first_since(connection: &mut AnyConnection, time: Timestamp) -> Result<Option<i64>, StoreError> {
    sqlx::query_scalar("SELECT MIN(seq) FROM audit WHERE time >= $1")
        .bind(time.0)
        .fetch_one(connection)
        .await
        .map_err(unavailable("reading the audit log"))
}

/// A page, oldest first.
pub(crate) async fn entries(connection: &mut AnyConnection, query: &AuditQuery) -> Result<Vec<KeptEntry>, StoreError> {
    let failed = unavailable("reading the audit log");
    let mut after = query.after_seq;
    if let Some(since) = query.since {
        match first_since(connection, since).await? {
            Some(first) => after = after.max(first - 1),
            None => return Ok(Vec::new()),
        }
    }
    let mut sql = Statement::new(ENTRIES);
    sql.bind(after);
    if let Some(customer) = &query.customer {
        sql.push(" AND audit.customer = ").bind(customer.as_str());
    }
    sql.push(" ORDER BY audit.seq LIMIT ").bind(i64::from(page_limit(query.limit)));
    let rows = sql.query().fetch_all(connection).await.map_err(&failed)?;
    rows.iter().map(kept).collect()
}

/// The oldest entries of those before a time.
pub(crate) async fn before(
    connection: &mut AnyConnection,
    time: Timestamp,
    limit: u32,
) -> Result<Vec<KeptEntry>, StoreError> {
    let failed = unavailable("reading the audit log");
    // A clock that was set back makes times stand out of order; what is pruned has no newer entry before it.
    let first = first_since(connection, time).await?;
    let mut sql = Statement::new(ENTRIES);
    sql.bind(0_i64);
    sql.push(" AND audit.seq < ").bind(first.unwrap_or(i64::MAX));
    sql.push(" ORDER BY audit.seq LIMIT ").bind(i64::from(limit));
    let rows = sql.query().fetch_all(connection).await.map_err(&failed)?;
    rows.iter().map(kept).collect()
}

/// Removes the entries up to a position. Their signed heads go with them.
pub(crate) async fn remove(connection: &mut AnyConnection, end: &AuditEnd) -> Result<(), StoreError> {
    let failed = unavailable("pruning the audit log");
    let hash: Option<String> = sqlx::query_scalar("SELECT hash FROM audit WHERE seq = $1")
        .bind(end.seq)
        .fetch_optional(&mut *connection)
        .await
        .map_err(&failed)?;
    if hash.as_deref() != Some(end.hash.as_str()) {
        let problem = format!("audit entry {} is not the one that was exported; nothing is pruned", end.seq);
        return Err(StoreError::FailedPrecondition(problem));
    }
    for sql in ["DELETE FROM audit WHERE seq <= $1", "DELETE FROM audit_heads WHERE seq <= $1"] {
        sqlx::query(sql).bind(end.seq).execute(&mut *connection).await.map_err(&failed)?;
    }
    Ok(())
}

fn kept(row: &AnyRow) -> Result<KeptEntry, StoreError> {
    let failed = unavailable("reading an audit entry");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(&failed);
    let of_head = |column: &str| row.try_get::<Option<String>, _>(column).map_err(&failed);
    let entry = text("entry")?;
    let corrupt = |error: serde_json::Error| StoreError::Corrupt {
        what: format!("audit entry {}", row.try_get::<i64, _>("seq").unwrap_or_default()),
        problem: error.to_string(),
    };
    let parsed: AuditEntry = serde_json::from_str(&entry).map_err(corrupt)?;
    // What rows are chosen by must be what was signed.
    let time: i64 = row.try_get("time").map_err(&failed)?;
    if (time, text("customer")?) != (parsed.time.0, parsed.record.customer.clone()) {
        return Err(StoreError::Corrupt {
            what: format!("audit entry {}", parsed.seq),
            problem: "its columns time and customer differ from the entry; somebody changed them".into(),
        });
    }
    Ok(KeptEntry {
        entry: parsed,
        text: entry,
        hash: text("hash")?,
        head_key_id: of_head("key_id")?.unwrap_or_default(),
        head_signature: of_head("signature")?.unwrap_or_default(),
    })
}
