//! The audit log's key, and what becomes of old entries: exported to files, and only then removed from the store.
//!
//! A file is whole on the disk before its entries go. A daemon that is killed between the two writes the same file again.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use landlord_audit::{Line, SigningKey};
use landlord_core::ports::{AuditEnd, AuditStore, HeadSigner, KeptEntry};
use tokio_util::sync::CancellationToken;

use crate::config::{self, read_secret};

/// Days matter, so hours do.
const INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Entries of a file, which are removed in one transaction: a tenth of a second, some 10 MB.
const ENTRIES: u32 = 10_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
struct Key(SigningKey);

impl HeadSigner for Key {
    fn key_id(&self) -> &str {
        self.0.id()
    }

    fn sign(&self, seq: i64, hash: &str) -> String {
        self.0.sign(seq, hash)
    }

    fn sign_pruning(&self, seq: i64, hash: &str) -> String {
        self.0.sign_pruning(seq, hash)
    }
}

/// Who signs heads of the log; `None`: nobody does.
///
/// # Errors
/// A file that can't be used.
pub(crate) fn signer(config: &config::Audit) -> Result<Option<Arc<dyn HeadSigner>>> {
    let file = &config.signing_key_file;
    if file.as_os_str().is_empty() {
        tracing::info!("the audit log is not signed; audit.signing_key_file names a key");
        return Ok(None);
    }
    let pem = read_secret(file).map_err(|problem| anyhow!(problem)).context("audit.signing_key_file")?;
    let key = SigningKey::from_pem(&pem).with_context(|| format!("audit.signing_key_file: {}", file.display()))?;
    tracing::info!(key = key.id(), "the audit log is signed");
    Ok(Some(Arc::new(Key(key))))
}

/// Exports and removes old entries, at once and every hour, until `stop`. What fails is tried again with the next round, and
/// removes nothing. Several daemons on one store export the same entries, and one of them removes them.
pub(crate) async fn follow(store: Arc<dyn AuditStore>, config: config::Audit, stop: CancellationToken) {
    if config.kept_days == 0 || config.export_dir.as_os_str().is_empty() {
        return;
    }
    let mut rounds = tokio::time::interval(INTERVAL);
    while stop.run_until_cancelled(rounds.tick()).await.is_some() {
        while !stop.is_cancelled() {
            match export(&*store, DAY * config.kept_days, &config.export_dir).await {
                Ok(None) => break,
                Ok(Some(file)) => tracing::info!(file = %file.display(), "old entries of the audit log are exported"),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "old entries of the audit log stay in the store");
                    break;
                }
            }
        }
    }
}

/// Exports one file's worth of entries that are older than `kept`, and removes them; `None`: there are none.
async fn export(store: &dyn AuditStore, kept: Duration, folder: &Path) -> Result<Option<PathBuf>> {
    let entries = store.audit_older_than(kept, ENTRIES).await?;
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(None) };
    let name = format!("audit-{}-{}.jsonl", first.entry.seq, last.entry.seq);
    let end = AuditEnd { seq: last.entry.seq, hash: last.hash.clone() };
    let path = folder.join(&name);
    let (target, text) = (path.clone(), lines(&entries)?);
    tokio::task::spawn_blocking(move || write(&target, &text))
        .await?
        .with_context(|| format!("audit.export_dir: {}", folder.display()))?;
    store.prune_audit(&end, &name).await?;
    Ok(Some(path))
}

fn lines(entries: &[KeptEntry]) -> Result<String> {
    let mut text = String::new();
    for kept in entries {
        let line = Line {
            entry: kept.text.clone(),
            hash: kept.hash.clone(),
            head_key_id: kept.head_key_id.clone(),
            head_signature: kept.head_signature.clone(),
        };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    Ok(text)
}

/// Writes a file whole, or not at all, and durably.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    // Nobody else's: several daemons may export into one folder at the same moment.
    let part = path.with_extension(format!("{}.part", uuid::Uuid::new_v4().simple()));
    let written = write_new(&part, text).and_then(|()| std::fs::rename(&part, path));
    written.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use landlord_audit::Verifier;
    use landlord_core::{
        audit::{AuditRecord, Author, Outcome},
        ports::AuditQuery,
    };
    use landlord_store::{SqliteOptions, sqlite};

    use super::*;

    #[tokio::test]
    async fn what_is_pruned_was_exported_and_both_are_one_chain() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions { create: true, ..SqliteOptions::default() };
        let store = sqlite::open(&folder.path().join("landlord.db"), options).await.unwrap();
        for index in 0..5 {
            let author = Author::daemon("Test", "");
            let record = AuditRecord::new(author, format!("customers/c{index}"), None, Outcome::Done);
            store.record(vec![record]).await.unwrap();
        }
        assert_eq!(export(&store, DAY, folder.path()).await.unwrap(), None);
        let absent = folder.path().join("absent");
        export(&store, Duration::ZERO, &absent).await.unwrap_err();
        let query = AuditQuery { limit: 100, ..AuditQuery::default() };
        assert_eq!(store.entries(&query).await.unwrap().len(), 5, "nothing goes that is not on the disk");

        let file = export(&store, Duration::ZERO, folder.path()).await.unwrap().unwrap();
        assert_eq!(file.file_name().unwrap(), "audit-1-5.jsonl");
        let exported = std::fs::read_to_string(&file).unwrap();
        let exported = exported.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
        let left = store.entries(&query).await.unwrap();
        let left: Vec<Line> = lines(&left).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(left.len(), 1);
        let end = store.audit_end().await.unwrap();
        let end = Some((end.seq, end.hash.as_str()));
        let mut whole = Verifier::default();
        exported.chain(left.clone()).try_for_each(|line| whole.take(&line)).unwrap();
        assert_eq!(whole.end(end).unwrap().last, 6);
        // And what is left shows by itself that the rest was pruned.
        let mut rest = Verifier::default();
        left.iter().try_for_each(|line| rest.take(line)).unwrap();
        assert_eq!(rest.end(end).unwrap().first, 6);
        store.close().await;
    }
}
