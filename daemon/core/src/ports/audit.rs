//! Port to the audit log. Changes are recorded by the store itself, in the transaction that makes them; here is what changes
//! nothing, and reading.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::{
    CustomerId, Timestamp,
    audit::{AuditEntry, AuditRecord},
};

/// An entry as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its content.
    pub entry: AuditEntry,
    /// Its text, which was hashed.
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub hash: String,
    /// Id of the key that signed it as a head; empty: it is none.
    pub head_key_id: String,
    /// The signature, hexadecimal.
    pub head_signature: String,
}

/// Which entries, oldest first.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// After this position.
    pub after_seq: i64,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// About what is this customer's only.
    pub customer: Option<CustomerId>,
    /// At most this many.
    pub limit: u32,
}

/// Where the chain ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditEnd {
    /// Position of the newest entry; 0: there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

/// Signs heads of the chain.
pub trait HeadSigner: std::fmt::Debug + Send + Sync + 'static {
    /// Id of the key.
    fn key_id(&self) -> &str;

    /// The signature of a position and its hash, hexadecimal.
    fn sign(&self, seq: i64, hash: &str) -> String;

    /// The signature of a pruning through a position with that hash, hexadecimal.
    fn sign_pruning(&self, seq: i64, hash: &str) -> String;
}

/// The audit log.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Records what changed nothing: denials, and reads of credentials. Durable when it returns.
    async fn record(&self, records: Vec<AuditRecord>) -> Result<(), StoreError>;

    /// Has heads of the chain signed from now on, after 100 entries or 10 minutes. Once; later signers change nothing.
    fn sign_audit(&self, signer: Arc<dyn HeadSigner>);

    /// A page of entries.
    async fn entries(&self, query: &AuditQuery) -> Result<Vec<KeptEntry>, StoreError>;

    /// Where the chain ends.
    async fn audit_end(&self) -> Result<AuditEnd, StoreError>;

    /// The oldest entries, `limit` at most, that are older than `kept`.
    async fn audit_older_than(&self, kept: Duration, limit: u32) -> Result<Vec<KeptEntry>, StoreError>;

    /// Forgets all entries up to `end`, which were exported to `file`, and records that in the same transaction,
    /// signed if there is a signer.
    /// FailedPrecondition if the entry at that position has another hash.
    async fn prune_audit(&self, end: &AuditEnd, file: &str) -> Result<(), StoreError>;
}
