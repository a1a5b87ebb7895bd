//! GetTenantAccess and RotateTenantCredentials: what is handed over to a customer. That a credential was read is recorded before
//! its value leaves; nothing of a value is logged. A rotation ends whether its client waits or not, and is known to run before
//! it changes anything.

use std::time::Duration;

use landlord_core::{
    Environment, ErrorKind, Failure, Violation,
    access::{Action, Resource},
    audit::{AuditRecord, Outcome},
    ports::{
        Caller, CredentialFact, CredentialRecord, ROTATION_TIME_MAX, RotationEffect, RotationFailure, RotationReached,
    },
};
use landlord_proto::v1::{self, access_credential::Rotation};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tonic::Request;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    access::Access,
    context, convert,
    error::{Error, violation},
    name,
    ports::Ports,
};

/// One rotation, with time left to record how it ended.
const ROTATION_TIMEOUT: Duration = ROTATION_TIME_MAX.saturating_sub(Duration::from_secs(30));

/// All credentials that can be read.
const ALL: &str = "*";

/// What is known of each credential of a tenant.
type Known = Vec<(CredentialFact, CredentialRecord)>;

pub(super) async fn get(
    ports: &Ports,
    access: &Access,
    request: &v1::GetTenantAccessRequest,
) -> Result<v1::GetTenantAccessResponse, Error> {
    let name = name::tenant("name", &request.name)?;
    let tenant = ports.store.get(&name.into()).await?;
    let declared = ports.handover.credential_facts(&tenant)?;
    let wanted = wanted(&declared, &request.read_credentials)?;
    let used = named(&declared, "used_credentials", &request.used_credentials)?;
    let known = known(ports, &tenant, declared).await?;
    // Before anything is marked: without a cluster nothing can be given.
    let facts = ports.handover.facts(&tenant).await?;
    let readable = |name: &String| known.iter().find(|(fact, record)| fact.name == *name && record.is_readable);
    let seen: Vec<CredentialRecord> = wanted.iter().filter_map(readable).map(|(_, record)| record.clone()).collect();
    let wanted: Vec<String> = seen.iter().map(|record| record.name.clone()).collect();
    let caller = access.caller();
    if !wanted.is_empty() {
        // Before a value leaves, and before it is marked as read: who has it can't be unknown.
        let detail = format!("the credentials {}", wanted.join(", "));
        record(ports, access, Action::GetTenantAccess, &tenant, detail).await?;
    }
    let values = values(ports, &caller, &tenant, (&wanted, &seen)).await?;
    if !used.is_empty() {
        let record = access.record(Action::GetTenantAccess, &Resource::from(&tenant), Outcome::Done);
        ports.credentials.credentials_used((tenant.uid, &tenant.name()), &used, &caller, record).await?;
    }
    let credentials = known.iter().map(|(fact, record)| {
        let value = values.iter().find(|(name, _)| *name == fact.name).map(|(_, value)| value);
        credential(fact, record, value)
    });
    Ok(v1::GetTenantAccessResponse {
        addresses: facts.addresses.into_iter().map(address).collect(),
        host_keys: facts.host_keys.into_iter().map(host_key).collect(),
        certificates: facts.certificates.into_iter().map(certificate).collect(),
        credentials: credentials.collect(),
    })
}

pub(super) async fn rotate(
    ports: &Ports,
    access: &Access,
    request: &Request<v1::RotateTenantCredentialsRequest>,
) -> Result<v1::RotateTenantCredentialsResponse, Error> {
    let mut violations = Vec::new();
    context::of("RotateTenantCredentials", request, &request.get_ref().request_id, &mut violations);
    Error::unless_empty(violations)?;
    let request = request.get_ref();
    let name = name::tenant("name", &request.name)?;
    let tenant = ports.store.get(&name.into()).await?;
    let declared = ports.handover.credential_facts(&tenant)?;
    let of_app: Vec<CredentialFact> = declared.iter().filter(|fact| fact.app == request.app).cloned().collect();
    if of_app.is_empty() {
        let apps: Vec<&str> = declared.iter().map(|fact| fact.app.as_str()).collect();
        let problem = format!("{:?} has no credentials; these have: {}", request.app, apps.join(", "));
        return Err(violation("app", problem).into());
    }
    let rotation = if request.request_id.is_empty() { Uuid::new_v4().to_string() } else { request.request_id.clone() };
    let caller = access.caller();
    let names: Vec<&str> = of_app.iter().map(|fact| fact.name.as_str()).collect();
    let detail = format!("rotates the credentials {}", names.join(", "));
    let record = access.record(Action::RotateTenantCredentials, &Resource::from(&tenant), Outcome::Done);
    let record = AuditRecord { detail, ..record };
    let all = rotate_all(ports.clone(), (tenant.clone(), of_app.clone()), rotation, (caller, record));
    // In a task of its own, which ends by its timeouts: a client that leaves would leave an app that has taken a value which
    // nobody can read.
    let ended = TaskTracker::new().spawn(all.in_current_span()).await;
    ended.unwrap_or_else(|_| {
        Err(Failure::new(ErrorKind::Internal, "the rotation panicked; this is a bug of landlord").into())
    })?;
    let known = known(ports, &tenant, of_app).await?;
    let credentials = known.iter().map(|(fact, record)| credential(fact, record, None)).collect();
    Ok(v1::RotateTenantCredentialsResponse { credentials })
}

/// Rotates one credential after the other.
async fn rotate_all(
    ports: Ports,
    (tenant, credentials): (Environment, Vec<CredentialFact>),
    rotation: String,
    (caller, record): (Caller, AuditRecord),
) -> Result<(), Error> {
    let name = tenant.name();
    let of = (tenant.uid, &name);
    let mut unrecorded = Some(record);
    for CredentialFact { name: credential, .. } in &credentials {
        ports.credentials.credential_rotating(of, credential, &rotation).await?;
        // One that is refused is no entry. Before anything is changed in the tenant's cluster: who did can't be unknown.
        if let Some(record) = unrecorded.take()
            && let Err(error) = ports.audit.record(vec![record]).await
        {
            ports.credentials.credential_not_rotated(of, credential, &rotation, true).await?;
            return Err(error.into());
        }
        let ended = timeout(ROTATION_TIMEOUT, ports.handover.rotate(&tenant, credential, &rotation)).await;
        let ended = ended.unwrap_or_else(|_| {
            let problem = format!("the rotation of {credential} did not end within {} s", ROTATION_TIMEOUT.as_secs());
            let remedy = "rotate it again with the same request_id, which goes on where it stopped";
            let failure = Box::new(Failure::new(ErrorKind::Transient, problem).with_remedy(remedy));
            Err(RotationFailure { failure, reached: RotationReached::Unknown })
        });
        if let Err(RotationFailure { failure, reached }) = ended {
            // Where it may be the new value that is in place, it must not stay unread.
            let kept = match reached {
                RotationReached::Nothing | RotationReached::OldInPlace => true,
                RotationReached::Unknown => false,
            };
            ports.credentials.credential_not_rotated(of, credential, &rotation, kept).await?;
            tracing::warn!(tenant = %name, credential, %failure, "a credential was not rotated");
            return Err(Error::from(*failure));
        }
        ports.credentials.credential_rotated(of, credential, &rotation, &caller).await?;
        tracing::info!(tenant = %name, credential, "a credential was rotated");
    }
    Ok(())
}

/// Keeps in the audit log who asks for this. No value is in `detail`.
async fn record(
    ports: &Ports,
    access: &Access,
    action: Action,
    tenant: &Environment,
    detail: String,
) -> Result<(), Error> {
    let record = access.record(action, &Resource::from(tenant), Outcome::Done);
    Ok(ports.audit.record(vec![AuditRecord { detail, ..record }]).await?)
}

async fn known(ports: &Ports, tenant: &Environment, declared: Vec<CredentialFact>) -> Result<Known, Error> {
    let names: Vec<String> = declared.iter().map(|fact| fact.name.clone()).collect();
    let reading = tenant.placement.service.credentials;
    let records = ports.credentials.credentials(tenant.uid, &names, reading).await?;
    Ok(declared.into_iter().zip(records).collect())
}

/// Reads the values, marks them as read, and keeps those that the mark was made for: somebody else may have been faster.
async fn values(
    ports: &Ports,
    caller: &Caller,
    tenant: &Environment,
    (wanted, seen): (&[String], &[CredentialRecord]),
) -> Result<Vec<(String, SecretString)>, Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let values = ports.handover.credential_values(tenant, wanted).await?;
    let reading = tenant.placement.service.credentials;
    let given = ports.credentials.read_credentials((tenant.uid, &tenant.name()), seen, reading, caller).await?;
    tracing::info!(tenant = %tenant.name(), credentials = given.join(", "), "credentials were read");
    let both = wanted.iter().cloned().zip(values);
    Ok(both.filter(|(name, _)| given.contains(name)).collect())
}

fn wanted(declared: &[CredentialFact], names: &[String]) -> Result<Vec<String>, Violation> {
    if names == [ALL] {
        return Ok(declared.iter().map(|fact| fact.name.clone()).collect());
    }
    named(declared, "read_credentials", names)
}

/// The names, each once, if the stack has all of them.
fn named(declared: &[CredentialFact], field: &str, names: &[String]) -> Result<Vec<String>, Violation> {
    let known: Vec<&str> = declared.iter().map(|fact| fact.name.as_str()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => {
            Err(violation(field, format!("{unknown:?} is no credential; the stack has: {}", known.join(", "))))
        }
        None => Ok(known.into_iter().filter(|name| names.iter().any(|own| own == name)).map(str::to_owned).collect()),
    }
}

fn credential(fact: &CredentialFact, record: &CredentialRecord, value: Option<&SecretString>) -> v1::AccessCredential {
    let rotation = match fact.rotation {
        None => Rotation::Unspecified,
        Some(RotationEffect::OldUntilNew) => Rotation::OldUntilNew,
        Some(RotationEffect::Restart) => Rotation::Restart,
    };
    v1::AccessCredential {
        name: fact.name.clone(),
        app: fact.app.clone(),
        addresses: fact.addresses.clone(),
        username: fact.username.clone(),
        password: value.map(|value| value.expose_secret().to_owned()).unwrap_or_default(),
        readable: record.is_readable,
        read_time: record.read_time.map(convert::timestamp),
        used_time: record.used_time.map(convert::timestamp),
        rotate_time: record.rotate_time.map(convert::timestamp),
        rotation: rotation.into(),
    }
}

fn address(address: landlord_core::ports::AccessAddress) -> v1::AccessAddress {
    v1::AccessAddress { name: address.name, url: address.url, address: address.address }
}

fn host_key(key: landlord_core::ports::HostKey) -> v1::HostKey {
    v1::HostKey { address: key.address, algorithm: key.algorithm, fingerprint: key.fingerprint, problem: key.problem }
}

fn certificate(state: landlord_core::ports::CertificateState) -> v1::CertificateState {
    v1::CertificateState {
        host: state.host,
        valid: state.days_left.is_some(),
        days_left: state.days_left.map_or(0, |days| i32::try_from(days).unwrap_or(i32::MAX)),
        problem: state.problem,
    }
}
