//! Helm's own records, read from its Secrets: which revision stands how, with which digest, and
//! which objects it has. Reads only what Helm writes; decides nothing.

use std::io::Read as _;

use base64::Engine as _;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;

use super::process::DIGEST_LABEL;
use landlord_kube::{object::ObjectRef, yaml};

/// A release's record unpacked; a Secret holds at most 1 MiB packed, manifests pack about 1:10.
const RECORD_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How a revision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The present one.
    Deployed,
    /// An install, upgrade or rollback that did not end.
    Pending,
    /// An uninstall that did not end.
    Uninstalling,
    /// Failed, superseded, or anything else from which Helm goes on by itself.
    Other,
}

/// One revision of a release.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    /// Name of the Secret.
    pub(crate) secret: String,
    pub(crate) number: u64,
    pub(crate) status: Status,
    /// Digest of chart and values; empty if it was not made by us.
    pub(crate) digest: String,
    payload: Vec<u8>,
}

/// The revisions among `secrets`, oldest first.
pub(crate) fn revisions(secrets: Vec<Secret>) -> Vec<Revision> {
    let mut revisions: Vec<Revision> = secrets.into_iter().filter_map(revision).collect();
    revisions.sort_by_key(|revision| revision.number);
    revisions
}

fn revision(secret: Secret) -> Option<Revision> {
    let labels = secret.metadata.labels.unwrap_or_default();
    let status = match labels.get("status")?.as_str() {
        "deployed" => Status::Deployed,
        "pending-install" | "pending-upgrade" | "pending-rollback" => Status::Pending,
        "uninstalling" => Status::Uninstalling,
        _ => Status::Other,
    };
    Some(Revision {
        secret: secret.metadata.name?,
        number: labels.get("version")?.parse().ok()?,
        status,
        digest: labels.get(DIGEST_LABEL).cloned().unwrap_or_default(),
        payload: secret.data.unwrap_or_default().remove("release").map(|data| data.0).unwrap_or_default(),
    })
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    manifest: String,
}

impl Revision {
    /// The objects of the release; `None` if the record can't be read.
    pub(crate) fn objects(&self, namespace: &str) -> Option<Vec<ObjectRef>> {
        let packed = base64::engine::general_purpose::STANDARD.decode(&self.payload).ok()?;
        let mut text = Vec::new();
        if packed.starts_with(&[0x1f, 0x8b]) {
            flate2::read::GzDecoder::new(packed.as_slice()).take(RECORD_BYTES_MAX).read_to_end(&mut text).ok()?;
        } else {
            text = packed;
        }
        let record: Record = serde_json::from_slice(&text).ok()?;
        let documents = yaml::documents(&record.manifest).ok()?;
        Some(documents.iter().filter_map(|document| ObjectRef::of(document, namespace)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write as _};

    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn secret(version: &str, status: &str, payload: &[u8]) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(format!("sh.helm.release.v1.a.v{version}"));
        let labels = [("version", version), ("status", status), (DIGEST_LABEL, "d")];
        secret.metadata.labels = Some(labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        secret.data = Some(BTreeMap::from([("release".to_owned(), ByteString(payload.to_vec()))]));
        secret
    }

    #[test]
    fn revisions_are_read_in_order() {
        let all =
            vec![secret("10", "pending-upgrade", b""), secret("9", "deployed", b""), secret("x", "deployed", b"")];
        let found = revisions(all);
        assert_eq!(
            found.iter().map(|r| (r.number, r.status)).collect::<Vec<_>>(),
            [(9, Status::Deployed), (10, Status::Pending)]
        );
        assert_eq!(found[0].digest, "d");
        assert_eq!(found[0].objects("n"), None, "an unreadable record is treated as unknown");
    }

    #[test]
    fn objects_come_from_the_manifest() {
        let manifest = "---\n# Source: x\napiVersion: v1\nkind: Service\nmetadata: { name: a }\n---\n\
                        apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: b, namespace: other }\n---\n# empty\n";
        let record = json!({ "name": "a", "manifest": manifest }).to_string();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(record.as_bytes()).unwrap();
        let payload = base64::engine::general_purpose::STANDARD.encode(packer.finish().unwrap());
        let found = revisions(vec![secret("1", "deployed", payload.as_bytes())]);
        let objects = found[0].objects("n").unwrap();
        let names: Vec<(&str, &str)> = objects.iter().map(|o| (o.kind.as_str(), o.namespace.as_str())).collect();
        assert_eq!(names, [("Service", "n"), ("Deployment", "other")]);
    }
}
