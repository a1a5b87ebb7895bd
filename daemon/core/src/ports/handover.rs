//! Ports to what is handed over to a customer: addresses, proofs of identity, first credentials. Values of credentials are in
//! types that don't print them, and no store ever holds one.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use super::{Caller, StoreError, target::DeployTarget};
use crate::{CredentialReading, Environment, EnvironmentName, Failure, TenantUid, Timestamp, audit::AuditRecord};

/// An address that the customer uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessAddress {
    /// `files`, `chat`, `sftp`, …
    pub name: String,
    /// URL.
    pub url: String,
    /// Address or name of the load balancer that it leads to; empty: none yet.
    pub address: String,
}

/// A key by which a server proves that it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// Name of the address.
    pub address: String,
    /// `ssh-ed25519`, …; empty: it could not be read.
    pub algorithm: String,
    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fingerprint: String,
    /// Why it could not be read; empty: it could.
    pub problem: String,
}

/// The certificate of an https address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateState {
    /// Host name.
    pub host: String,
    /// Whole days until it ends; `None`: it does not hold.
    pub days_left: Option<u32>,
    /// Why it does not hold, and who must do what; empty: it does.
    pub problem: String,
}

/// What becomes of a credential while it is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationEffect {
    /// The old one works until the app was seen taking the new one.
    OldUntilNew,
    /// The app is restarted: neither works for that time.
    Restart,
}

/// A credential of an environment, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFact {
    /// Name, unique in the stack.
    pub name: String,
    /// App whose it is.
    pub app: String,
    /// Names of the addresses that it is used at.
    pub addresses: Vec<String>,
    /// User name.
    pub username: String,
    /// What becomes of it while it is rotated; `None`: the app can't.
    pub rotation: Option<RotationEffect>,
}

/// What a customer needs to use its environment; no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessFacts {
    /// Where it is.
    pub addresses: Vec<AccessAddress>,
    /// How SFTP servers are known.
    pub host_keys: Vec<HostKey>,
    /// How web servers are known.
    pub certificates: Vec<CertificateState>,
}

/// What apps give to be handed over.
#[async_trait]
pub trait AppAccess: Send + Sync + 'static {
    /// The credentials that a target's stack declares. Reads only what is loaded.
    ///
    /// # Errors
    /// INVALID: no such stack.
    fn credential_facts(&self, target: &DeployTarget) -> Result<Vec<CredentialFact>, Failure>;

    /// Addresses, host keys and certificates, as they are seen now. Takes up to a minute if something does not
    /// answer; dropping it is safe.
    ///
    /// # Errors
    /// As [`Failure::kind`] says.
    async fn facts(&self, target: &DeployTarget) -> Result<AccessFacts, Failure>;

    /// The values of these credentials, in their order, read through the API server.
    ///
    /// # Errors
    /// INVALID: the stack has none of that name; CONFLICT: it was not made yet.
    async fn credential_values(&self, target: &DeployTarget, names: &[String]) -> Result<Vec<SecretString>, Failure>;

    /// Gives a credential a new value. `rotation` names this very rotation: repeated, it goes on where it stopped and makes no
    /// further value.
    ///
    /// # Errors
    /// INVALID: the stack has none of that name; CONFLICT: the app can't, or did not take the new one, and the old one still
    /// works; else as [`Failure::kind`] says. Which value is in place [`RotationFailure::reached`] says, whatever the kind.
    async fn rotate(&self, target: &DeployTarget, name: &str, rotation: &str) -> Result<(), RotationFailure>;
}

/// How far a rotation got that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotationReached {
    /// Nothing was written: all is as it was before.
    Nothing,
    /// A new value was made, and the app has not taken it: the old one is in place.
    OldInPlace,
    /// Either value may be in place.
    Unknown,
}

/// Why a rotation failed, and how far it had got.
#[derive(Debug, Clone, PartialEq)]
pub struct RotationFailure {
    /// Why.
    pub failure: Box<Failure>,
    /// How far.
    pub reached: RotationReached,
}

/// A failure before anything was begun.
impl From<Failure> for RotationFailure {
    fn from(failure: Failure) -> Self {
        Self { failure: Box::new(failure), reached: RotationReached::Nothing }
    }
}

/// The same of a tenant, by its record.
#[async_trait]
pub trait Handover: Send + Sync + 'static {
    /// The credentials that its stack declares. Asks nobody.
    ///
    /// # Errors
    /// CONFLICT: no stack.
    fn credential_facts(&self, tenant: &Environment) -> Result<Vec<CredentialFact>, Failure>;

    /// As [`AppAccess::facts`].
    ///
    /// # Errors
    /// CONFLICT while there is no cluster or no stack; else as [`Failure::kind`] says.
    async fn facts(&self, tenant: &Environment) -> Result<AccessFacts, Failure>;

    /// As [`AppAccess::credential_values`].
    ///
    /// # Errors
    /// As [`Self::facts`] and [`AppAccess::credential_values`].
    async fn credential_values(&self, tenant: &Environment, names: &[String]) -> Result<Vec<SecretString>, Failure>;

    /// As [`AppAccess::rotate`].
    ///
    /// # Errors
    /// As [`Self::facts`] and [`AppAccess::rotate`].
    async fn rotate(&self, tenant: &Environment, name: &str, rotation: &str) -> Result<(), RotationFailure>;
}

/// Longest that one rotation takes: an app that was restarted is waited for. Whoever rotates gives up by then, and a rotation of
/// before has died.
pub const ROTATION_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// What is known of the reading of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Name.
    pub name: String,
    /// When it was first read; `None`: not since it was made or rotated.
    pub read_time: Option<Timestamp>,
    /// When somebody said that it was used.
    pub used_time: Option<Timestamp>,
    /// When it was last rotated.
    pub rotate_time: Option<Timestamp>,
    /// The rotation that its value is of; empty: the first value.
    pub rotation: String,
    /// Whether it can be read now. Not while it is rotated.
    pub is_readable: bool,
}

/// Who has read what; no values.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// What is known of these credentials of a tenant, in their order.
    async fn credentials(
        &self,
        uid: TenantUid,
        names: &[String],
        reading: CredentialReading,
    ) -> Result<Vec<CredentialRecord>, StoreError>;

    /// Marks those of `seen` as read that can be read and are of the same rotation still, in one transaction, with an event about
    /// those that had not been read: whoever may read them again makes no events by it. Returns them: only their values may be given away, and only after this. `seen`: what was known before the values were
    /// read.
    async fn read_credentials(
        &self,
        tenant: (TenantUid, &EnvironmentName),
        seen: &[CredentialRecord],
        reading: CredentialReading,
        by: &Caller,
    ) -> Result<Vec<String>, StoreError>;

    /// Marks credentials as used: they can't be read any more. Those that were not marked yet get an event and an entry of the
    /// audit log (`record`, with a detail that names them) in the same transaction; if there are none, nothing is written.
    async fn credentials_used(
        &self,
        tenant: (TenantUid, &EnvironmentName),
        names: &[String],
        by: &Caller,
        record: AuditRecord,
    ) -> Result<(), StoreError>;

    /// Records that a rotation begins, before anything is changed for it: which value is in its place is not known until it has
    /// ended, and nobody reads it. One that is not heard of for [`ROTATION_TIME_MAX`] has died: what is there can be read.
    /// Repeated for a rotation that has ended, it changes nothing. NotInContract while the tenant's customer is left as it is
    /// (suspended, or its contract has ended).
    async fn credential_rotating(
        &self,
        tenant: (TenantUid, &EnvironmentName),
        name: &str,
        rotation: &str,
    ) -> Result<(), StoreError>;

    /// Records that a rotation failed. With `kept` the old value is in its place, and is read or not as before; else either may
    /// be, and what is there can be read.
    async fn credential_not_rotated(
        &self,
        tenant: (TenantUid, &EnvironmentName),
        name: &str,
        rotation: &str,
        kept: bool,
    ) -> Result<(), StoreError>;

    /// Records that a credential was rotated, with an event: the new value can be read. Repeated for the same `rotation`, it
    /// changes nothing.
    async fn credential_rotated(
        &self,
        tenant: (TenantUid, &EnvironmentName),
        name: &str,
        rotation: &str,
        by: &Caller,
    ) -> Result<(), StoreError>;
}
