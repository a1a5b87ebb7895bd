//! What a customer needs to know its servers by: host keys of SFTP, certificates of the web. Read from the servers themselves,
//! as the customer will see them; nothing is signed in to.

use std::{fs, path::Path, process::Stdio, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_STANDARD_NO_PAD};
use landlord_core::ports::{AccessAddress, AccessFacts, CertificateState, CredentialFact, DeployTarget, HostKey};
use sha2::{Digest as _, Sha256};
use tokio::{process::Command, time::timeout};

use super::{
    Scene,
    route::{Relay, Route},
    tls,
};
use crate::{
    access::{CredentialSpec, Rotation},
    render,
};

/// One handshake of SSH.
const KEY_TIMEOUT: Duration = Duration::from_secs(8);
/// Keys that servers have, the best first; one that a server lacks costs one connection.
const ALGORITHMS: [&str; 3] = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"];

/// All of it.
pub(super) async fn facts(scene: &mut Scene<'_>) -> AccessFacts {
    let manifest = scene.manifest;
    let mut facts = AccessFacts::default();
    for entry in &manifest.entry_points {
        let address = scene.addresses.get(&entry.record).cloned().unwrap_or_default();
        let (name, url) = (entry.endpoint.name.clone(), render::replace(&entry.endpoint.url, scene.target));
        if url.starts_with("sftp://") {
            facts.host_keys.extend(host_keys(scene, &entry.record, &name).await);
        }
        facts.addresses.push(AccessAddress { name, url, address });
    }
    facts.certificates = certificates(scene).await;
    facts
}

/// A credential without its value.
pub(crate) fn fact(credential: &CredentialSpec, target: &DeployTarget) -> CredentialFact {
    CredentialFact {
        name: credential.name.clone(),
        app: credential.app.to_string(),
        addresses: credential.entry_points.clone(),
        username: render::replace(&credential.username, target),
        rotation: credential.rotation.as_ref().map(Rotation::effect),
    }
}

async fn certificates(scene: &mut Scene<'_>) -> Vec<CertificateState> {
    let records: Vec<String> = scene.https_records().map(str::to_owned).collect();
    let mut states = Vec::new();
    for record in records {
        let host = scene.host(&record);
        let (days_left, problem) = match tls::days_left(scene, &record).await {
            Ok(days) => (Some(days), String::new()),
            Err(why) => (None, why),
        };
        states.push(CertificateState { host, days_left, problem });
    }
    states
}

/// The keys of an SFTP server; one row that says why, if it has none.
async fn host_keys(scene: &mut Scene<'_>, record: &str, name: &str) -> Vec<HostKey> {
    let row = |algorithm: &str, fingerprint: String, problem: String| HostKey {
        address: name.to_owned(),
        algorithm: algorithm.to_owned(),
        fingerprint,
        problem,
    };
    let route = match scene.route(record, 22).await {
        Ok(route) => route,
        Err(why) => return vec![row("", String::new(), why)],
    };
    let (mut keys, mut problem) = (Vec::new(), String::new());
    for algorithm in ALGORITHMS {
        match timeout(KEY_TIMEOUT, key(scene, &route, algorithm)).await {
            Ok(Ok((algorithm, fingerprint))) => keys.push(row(&algorithm, fingerprint, String::new())),
            Ok(Err(why)) => problem = why,
            Err(_) => {
                problem = format!("no handshake {} within {} s", route.via(), KEY_TIMEOUT.as_secs());
                break;
            }
        }
    }
    if keys.is_empty() { vec![row("", String::new(), problem)] } else { keys }
}

/// The key that a server proves itself with by one algorithm: OpenSSH's client writes it down before it would sign in.
async fn key(scene: &Scene<'_>, route: &Route, algorithm: &str) -> Result<(String, String), String> {
    let failed = |error: std::io::Error| format!("reading the host key: {error}");
    let folder = tempfile::Builder::new().prefix("key-").tempdir_in(&scene.options.runs).map_err(failed)?;
    let relay = Relay::open().await?;
    let mut client = client(&scene.options.sftp_path, folder.path(), algorithm, relay.port);
    let client = async { client.output().await.map_err(failed) };
    relay.carry((route, &scene.clients.admin), client).await?;
    let known = fs::read_to_string(folder.path().join("known")).unwrap_or_default();
    known.lines().find_map(fingerprint).ok_or_else(|| format!("the server {} has no key {algorithm}", route.via()))
}

fn client(path: &Path, folder: &Path, algorithm: &str, port: u16) -> Command {
    let mut sftp = Command::new(path);
    sftp.args(["-F", "/dev/null", "-oBatchMode=yes", "-P", &port.to_string()]);
    for option in [
        "StrictHostKeyChecking=accept-new",
        "UserKnownHostsFile=known",
        "GlobalKnownHostsFile=/dev/null",
        // Nothing is signed in to.
        "PreferredAuthentications=none",
        "PubkeyAuthentication=no",
        "LogLevel=ERROR",
    ] {
        sftp.arg(format!("-o{option}"));
    }
    sftp.arg(format!("-oHostKeyAlgorithms={algorithm}")).arg("landlord-probe@127.0.0.1");
    sftp.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
    sftp.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    sftp
}

/// Algorithm and fingerprint of a line of `known_hosts`.
fn fingerprint(line: &str) -> Option<(String, String)> {
    let mut parts = line.split_whitespace().skip(1);
    let (algorithm, key) = (parts.next()?, parts.next()?);
    let digest = Sha256::digest(BASE64_STANDARD.decode(key).ok()?);
    Some((algorithm.to_owned(), format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_as_ssh_keygen_shows_it() {
        // From `ssh-keygen -lf` of this very key.
        let line = "[127.0.0.1]:2022 ssh-ed25519 \
                    AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
        let (algorithm, shown) = fingerprint(line).unwrap();
        assert_eq!(
            (algorithm.as_str(), shown.as_str()),
            ("ssh-ed25519", "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU")
        );
        assert_eq!(fingerprint("# a remark"), None);
    }
}
