//! The audit log. What changes an environment is recorded by the function that writes its row, which takes the author as an
//! argument (`rows/environments.rs`): there is no other way to write one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::FutureExt as _;
use landlord_core::{
    audit::{AuditRecord, Author, Outcome},
    ports::{AuditEnd, AuditQuery, AuditStore, HeadSigner, KeptEntry, StoreError},
};
use sqlx::AnyConnection;

use crate::{
    rows::{audit, clock},
    store::Store,
};

#[async_trait]
impl AuditStore for Store {
    async fn record(&self, records: Vec<AuditRecord>) -> Result<(), StoreError> {
        self.writer.write(move |connection| record(connection, records.clone()).boxed()).await
    }

    fn sign_audit(&self, signer: Arc<dyn HeadSigner>) {
        self.writer.sign_audit(signer);
    }

    async fn entries(&self, query: &AuditQuery) -> Result<Vec<KeptEntry>, StoreError> {
        self.snapshot(async |connection| audit::entries(connection, query).await).await
    }

    async fn audit_end(&self) -> Result<AuditEnd, StoreError> {
        self.read(async |connection| audit::end(connection).await).await
    }

    async fn audit_older_than(&self, kept: Duration, limit: u32) -> Result<Vec<KeptEntry>, StoreError> {
        self.engine_snapshot(async |connection| {
            let now = clock::now(connection).await?;
            audit::before(connection, now.before(kept), limit).await
        })
        .await
    }

    async fn prune_audit(&self, end: &AuditEnd, file: &str) -> Result<(), StoreError> {
        let (end, file, signer) = (end.clone(), file.to_owned(), self.writer.signer());
        self.writer.write(move |connection| prune(connection, end.clone(), file.clone(), signer.clone()).boxed()).await
    }
}

async fn record(connection: &mut AnyConnection, records: Vec<AuditRecord>) -> Result<(), StoreError> {
    let now = clock::now(connection).await?;
    for record in records {
        audit::append(connection, record, now).await?;
    }
    Ok(())
}

async fn prune(
    connection: &mut AnyConnection,
    end: AuditEnd,
    file: String,
    signer: Option<Arc<dyn HeadSigner>>,
) -> Result<(), StoreError> {
    audit::remove(connection, &end).await?;
    let author = Author::daemon(landlord_audit::PRUNE, "");
    let signature = signer.as_ref().map(|signer| (signer.key_id(), signer.sign_pruning(end.seq, &end.hash)));
    let signed = signature.as_ref().map(|(key, signature)| (*key, signature.as_str()));
    let detail = landlord_audit::pruning_detail(end.seq, &end.hash, &file, signed);
    let record = AuditRecord { detail, ..AuditRecord::new(author, "auditEvents".into(), None, Outcome::Done) };
    let now = clock::now(connection).await?;
    audit::append(connection, record, now).await
}
