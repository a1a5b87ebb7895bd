//! Who has read which first credential. That one was read is durable before its value leaves the daemon, so nobody reads twice
//! what may be read once; a reading whose response was lost is mended by a rotation. Knows no values.

use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    CredentialReading, EnvironmentName, TenantUid, Timestamp,
    audit::AuditRecord,
    ports::{Caller, CredentialRecord, CredentialStore, EventKind, NewEvent, ROTATION_TIME_MAX, StoreError},
    service_rules::READABLE_DAYS_MAX,
};
use sqlx::{AnyConnection, Row as _};

use crate::{
    contract::customers,
    rows::{audit, clock, events, unavailable},
    store::Store,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[async_trait]
impl CredentialStore for Store {
    async fn credentials(
        &self,
        uid: TenantUid,
        names: &[String],
        reading: CredentialReading,
    ) -> Result<Vec<CredentialRecord>, StoreError> {
        self.snapshot(async |connection| records(connection, uid, names, reading).await).await
    }

    async fn read_credentials(
        &self,
        (uid, name): (TenantUid, &EnvironmentName),
        seen: &[CredentialRecord],
        reading: CredentialReading,
        by: &Caller,
    ) -> Result<Vec<String>, StoreError> {
        let (of, seen, by, events_max) = (name.clone(), seen.to_vec(), by.to_string(), self.events_max);
        self.writer
            .write(move |connection| {
                let (of, seen, by) = (of.clone(), seen.clone(), by.clone());
                async move {
                    let names: Vec<String> = seen.iter().map(|one| one.name.clone()).collect();
                    let found = records(connection, uid, &names, reading).await?;
                    // Rotated since: the value that was read is of before.
                    let given = found.into_iter().zip(&seen).filter(|(now, then)| now.rotation == then.rotation);
                    let given: Vec<String> =
                        given.filter(|(now, _)| now.is_readable).map(|(now, _)| now.name).collect();
                    if given.is_empty() {
                        return Ok(given);
                    }
                    let now = clock::now(connection).await?;
                    forget_dead_rotations(connection, uid, now).await?;
                    let first = unmarked(connection, uid, &given, "read_time").await?;
                    for name in &first {
                        mark(connection, uid, name, "read_time", now).await?;
                    }
                    if !first.is_empty() {
                        let message = format!("the credentials {} were read by {by}", first.join(", "));
                        emit(connection, (now, uid, &of), "CredentialsRead", message, events_max).await?;
                    }
                    Ok(given)
                }
                .boxed()
            })
            .await
    }

    async fn credentials_used(
        &self,
        (uid, name): (TenantUid, &EnvironmentName),
        names: &[String],
        by: &Caller,
        record: AuditRecord,
    ) -> Result<(), StoreError> {
        let (of, names, by, events_max) = (name.clone(), names.to_vec(), by.to_string(), self.events_max);
        self.writer
            .write(move |connection| {
                let (of, names, by, record) = (of.clone(), names.clone(), by.clone(), record.clone());
                async move {
                    let first = unmarked(connection, uid, &names, "used_time").await?;
                    if first.is_empty() {
                        return Ok(());
                    }
                    let now = clock::now(connection).await?;
                    for name in &first {
                        mark(connection, uid, name, "used_time", now).await?;
                    }
                    let detail = format!("the credentials {} are in use", first.join(", "));
                    audit::append(connection, AuditRecord { detail, ..record }, now).await?;
                    let message = format!("the credentials {} are in use, says {by}", first.join(", "));
                    emit(connection, (now, uid, &of), "CredentialsUsed", message, events_max).await
                }
                .boxed()
            })
            .await
    }

    async fn credential_rotating(
        &self,
        (uid, of): (TenantUid, &EnvironmentName),
        credential: &str,
        rotation: &str,
    ) -> Result<(), StoreError> {
        let (of, name, rotation) = (of.clone(), credential.to_owned(), rotation.to_owned());
        let rules = self.customer_rules();
        self.writer
            .write(move |connection| {
                let (of, name, rotation) = (of.clone(), name.clone(), rotation.clone());
                async move {
                    let now = clock::now(connection).await?;
                    if let Some(tenant) = of.tenant() {
                        customers::refuse_if_frozen(connection, &tenant.customer, rules, now).await?;
                    }
                    // What one that died has left is not forgotten by the next one.
                    forget_dead_rotations(connection, uid, now).await?;
                    sqlx::query(
                        "INSERT INTO credentials (tenant_uid, name, rotation, rotating, rotating_time) \
                         VALUES ($1, $2, '', $3, $4) ON CONFLICT (tenant_uid, name) DO UPDATE SET \
                         rotating = excluded.rotating, rotating_time = excluded.rotating_time \
                         WHERE credentials.rotation <> excluded.rotating",
                    )
                    .bind(uid.to_string())
                    .bind(&name)
                    .bind(&rotation)
                    .bind(now.0)
                    .execute(connection)
                    .await
                    .map_err(unavailable("recording that a rotation begins"))?;
                    Ok(())
                }
                .boxed()
            })
            .await
    }

    async fn credential_not_rotated(
        &self,
        (uid, _): (TenantUid, &EnvironmentName),
        credential: &str,
        rotation: &str,
        kept: bool,
    ) -> Result<(), StoreError> {
        let (name, rotation) = (credential.to_owned(), rotation.to_owned());
        let readable = if kept { "" } else { ", read_time = NULL, used_time = NULL" };
        let sql = format!(
            "UPDATE credentials SET rotating = '', rotating_time = NULL{readable} \
             WHERE tenant_uid = $1 AND name = $2 AND rotating = $3"
        );
        self.writer
            .write(move |connection| {
                let (name, rotation, sql) = (name.clone(), rotation.clone(), sql.clone());
                async move {
                    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(uid.to_string()).bind(name).bind(rotation);
                    query.execute(connection).await.map_err(unavailable("recording that a rotation failed"))?;
                    Ok(())
                }
                .boxed()
            })
            .await
    }

    async fn credential_rotated(
        &self,
        (uid, name): (TenantUid, &EnvironmentName),
        credential: &str,
        rotation: &str,
        by: &Caller,
    ) -> Result<(), StoreError> {
        let (of, name, rotation) = (name.clone(), credential.to_owned(), rotation.to_owned());
        let (by, events_max) = (by.to_string(), self.events_max);
        self.writer
            .write(move |connection| {
                let (of, name, rotation, by) = (of.clone(), name.clone(), rotation.clone(), by.clone());
                async move {
                    let now = clock::now(connection).await?;
                    let rotated = sqlx::query(
                        "INSERT INTO credentials (tenant_uid, name, rotate_time, rotation) VALUES ($1, $2, $3, $4) \
                         ON CONFLICT (tenant_uid, name) DO UPDATE SET read_time = NULL, used_time = NULL, \
                         rotate_time = excluded.rotate_time, rotation = excluded.rotation, \
                         rotating_time = CASE credentials.rotating WHEN excluded.rotation THEN NULL \
                         ELSE credentials.rotating_time END, \
                         rotating = CASE credentials.rotating WHEN excluded.rotation THEN '' ELSE credentials.rotating END \
                         WHERE credentials.rotation <> excluded.rotation",
                    )
                    .bind(uid.to_string())
                    .bind(&name)
                    .bind(now.0)
                    .bind(&rotation)
                    .execute(&mut *connection)
                    .await
                    .map_err(unavailable("recording a rotation"))?;
                    if rotated.rows_affected() == 0 {
                        return Ok(());
                    }
                    let message = format!("the credential {name} was rotated by {by}");
                    emit(connection, (now, uid, &of), "CredentialRotated", message, events_max).await
                }
                .boxed()
            })
            .await
    }
}

/// Those of `names` that have no time in `column` yet, which is one of this module's own words.
async fn unmarked(
    connection: &mut AnyConnection,
    uid: TenantUid,
    names: &[String],
    column: &'static str,
) -> Result<Vec<String>, StoreError> {
    let sql = format!("SELECT name FROM credentials WHERE tenant_uid = $1 AND {column} IS NOT NULL");
    let marked: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(uid.to_string())
        .fetch_all(connection)
        .await
        .map_err(unavailable("reading which credentials are marked"))?;
    Ok(names.iter().filter(|name| !marked.contains(name)).cloned().collect())
}

/// Sets a time of a credential, which may have no row yet. `column` is one of this module's own words.
async fn mark(
    connection: &mut AnyConnection,
    uid: TenantUid,
    name: &str,
    column: &'static str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO credentials (tenant_uid, name, {column}, rotation) VALUES ($1, $2, $3, '') \
         ON CONFLICT (tenant_uid, name) DO UPDATE SET {column} = excluded.{column}"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(uid.to_string())
        .bind(name)
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(unavailable("marking a credential"))?;
    Ok(())
}

async fn emit(
    connection: &mut AnyConnection,
    (now, uid, name): (Timestamp, TenantUid, &EnvironmentName),
    reason: &str,
    message: String,
    events_max: u64,
) -> Result<(), StoreError> {
    let event =
        NewEvent { kind: EventKind::Tenant, stage: String::new(), reason: reason.into(), message, progress: None };
    events::append(connection, now, uid, name, (None, &[event]), events_max).await
}

async fn records(
    connection: &mut AnyConnection,
    uid: TenantUid,
    names: &[String],
    reading: CredentialReading,
) -> Result<Vec<CredentialRecord>, StoreError> {
    let failed = unavailable("reading what is known of credentials");
    let now = clock::now(connection).await?;
    let rows = sqlx::query("SELECT * FROM credentials WHERE tenant_uid = $1")
        .bind(uid.to_string())
        .fetch_all(connection)
        .await
        .map_err(&failed)?;
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let time =
            |column: &str| row.try_get::<Option<i64>, _>(column).map(|time| time.map(Timestamp)).map_err(&failed);
        let name: String = row.try_get("name").map_err(&failed)?;
        let (rotate_time, rotating) = (time("rotate_time")?, rotating(time("rotating_time")?, now));
        let (read_time, used_time) = match rotating {
            Rotating::Died => (None, None),
            Rotating::No | Rotating::Yes => (time("read_time")?, time("used_time")?),
        };
        let rotation = row.try_get("rotation").map_err(&failed)?;
        let is_readable = rotating != Rotating::Yes && is_readable(reading, read_time, used_time, now);
        known.push(CredentialRecord { name, read_time, used_time, rotate_time, rotation, is_readable });
    }
    let record = |name: &String| {
        let found = known.iter().find(|record| record.name == *name).cloned();
        found.unwrap_or_else(|| CredentialRecord {
            name: name.clone(),
            read_time: None,
            used_time: None,
            rotate_time: None,
            rotation: String::new(),
            is_readable: true,
        })
    };
    Ok(names.iter().map(record).collect())
}

/// Whether a credential is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rotating {
    No,
    Yes,
    /// Its end was never recorded: which value is in its place is not known, and nobody has read it.
    Died,
}

fn rotating(since: Option<Timestamp>, now: Timestamp) -> Rotating {
    match since {
        None => Rotating::No,
        Some(since) if now < since.after(ROTATION_TIME_MAX) => Rotating::Yes,
        Some(_) => Rotating::Died,
    }
}

/// Credentials whose rotation has died can be read as if they never had been.
async fn forget_dead_rotations(
    connection: &mut AnyConnection,
    uid: TenantUid,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE credentials SET read_time = NULL, used_time = NULL, rotating = '', rotating_time = NULL \
         WHERE tenant_uid = $1 AND rotating_time <= $2",
    )
    .bind(uid.to_string())
    .bind(now.before(ROTATION_TIME_MAX).0)
    .execute(connection)
    .await
    .map_err(unavailable("forgetting rotations that have died"))?;
    Ok(())
}

fn is_readable(
    reading: CredentialReading,
    read_time: Option<Timestamp>,
    used_time: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    let in_time = read_time.is_none_or(|read| match reading {
        CredentialReading::Once => false,
        CredentialReading::UntilUsed => now < read.after(DAY * READABLE_DAYS_MAX),
    });
    used_time.is_none() && in_time
}

/// What is known of the credentials of a tenant that is gone.
pub(super) async fn forget(connection: &mut AnyConnection, uid: TenantUid) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM credentials WHERE tenant_uid = $1")
        .bind(uid.to_string())
        .execute(connection)
        .await
        .map_err(unavailable("forgetting credentials"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_without_an_end_dies() {
        let begun = Timestamp(1_000);
        let last = begun.after(ROTATION_TIME_MAX).before(Duration::from_millis(1));
        assert_eq!(rotating(None, last), Rotating::No);
        assert_eq!(rotating(Some(begun), last), Rotating::Yes);
        assert_eq!(rotating(Some(begun), begun.after(ROTATION_TIME_MAX)), Rotating::Died);
    }

    #[test]
    fn a_credential_is_readable_as_the_class_says() {
        use CredentialReading::{Once, UntilUsed};
        let now = Timestamp(0).after(DAY * 100);
        let (fresh, old) = (Timestamp(0).after(DAY * 99), Timestamp(0).after(DAY * 80));
        for (reading, read, used, expected) in [
            (Once, None, None, true),
            (Once, Some(fresh), None, false),
            (UntilUsed, None, None, true),
            (UntilUsed, Some(fresh), None, true),
            (UntilUsed, Some(fresh), Some(fresh), false),
            (UntilUsed, Some(old), None, false),
            (Once, None, Some(fresh), false),
        ] {
            assert_eq!(is_readable(reading, read, used, now), expected, "{reading:?} {read:?} {used:?}");
        }
    }
}
