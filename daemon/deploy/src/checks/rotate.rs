//! Gives a credential a new value.
//!
//! # Expected flow
//! The new value is written beside the old one in the Secret (`KEY.next`), with the name of the rotation; the app takes it,
//! by requests, and proves it; then it takes the old one's place, and what must start again is restarted. An app that reads the
//! Secret only when it starts is restarted first, and proves it then.
//!
//! # Guarantees
//! A killed rotation goes on where it stopped, with the value that it had made, when it is repeated or another one begins, before
//! somebody reads the credential, and by itself with the next resync: else an app that has taken the new value would be left with the
//! old one in the Secret. The old value is not forgotten before the app was seen taking the new one, where it can be asked. No
//! value is in a message.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::{
    ByteString,
    api::{apps::v1::Deployment, core::v1::Secret},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use landlord_core::ports::{DeployTarget, RotationReached};
use landlord_kube::{
    Doing as _,
    absent::since,
    client::ClusterClients,
    markers::{FIELD_MANAGER, is_ours},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Checks, Ended, Scene, request};
use crate::{
    access::{CredentialSpec, Rotation},
    base,
    check::Request,
    error::{Error, Result},
    render,
    stack::{Manifest, SecretKey, SecretSpec},
};

#[cfg(test)]
#[path = "rotate_tests.rs"]
mod tests;

/// Behind the name of a key: its new value, until the app has taken it.
const NEXT: &str = ".next";
/// Annotation of a Secret: the last rotation of a key, whose name follows.
const ROTATED: &str = "rotated.landlord.dev/";
/// Annotation of a pod template, before the name of a key: the rotation of it that its pods were started with.
const STARTED_WITH: &str = "credentials.landlord.dev/";
/// What was there in its place before: key and rotation, of the last one only.
const CREDENTIALS: &str = "landlord.dev/credentials";
/// An app that was restarted is waited for: a volume that moves takes a minute.
const PROOF_TIMEOUT: Duration = Duration::from_secs(150);
const PROOF_POLL: Duration = Duration::from_secs(3);

/// What one rotation works with.
struct Rotating<'a> {
    clients: &'a ClusterClients,
    target: &'a DeployTarget,
    manifest: &'a Manifest,
    credential: &'a CredentialSpec,
    rotation: &'a Rotation,
    namespace: &'a str,
}

/// Gives the credential `name` a new value. `reached` says at each moment which value is in place: also where this is dropped.
pub(crate) async fn rotate(
    checks: &Checks,
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
    (name, id): (&str, &str),
    reached: &mut RotationReached,
) -> Result<()> {
    let credential = known(manifest, name)?;
    let Some(rotation) = &credential.rotation else { return Err(Error::NoRotation { name: name.to_owned() }) };
    let namespace = render::namespace(target, manifest);
    let rotating = Rotating { clients, target, manifest, credential, rotation, namespace };
    let (old, new) = rotating.begin(id, reached).await?;
    let mut scene = checks.scene(clients, target, manifest, BTreeMap::new());
    let user = render::replace(&credential.username, target);
    scene.known.extend(super::secrets(clients, namespace, manifest).await?);
    scene.known.insert("basic".into(), BASE64_STANDARD.encode(format!("{user}:{new}")));
    scene.known.insert("old".into(), old);
    scene.known.insert("new".into(), new);
    if !rotation.requests.is_empty() && all(&mut scene, &rotation.proof).await.is_err() {
        scene.sent = 0;
        let taken = async {
            all(&mut scene, &rotation.requests).await?;
            all(&mut scene, &rotation.proof).await
        };
        if let Err(problem) = taken.await {
            let error = not_taken(&mut scene, rotation, &user, (name, problem), reached).await;
            if matches!(error, Error::NotRotated { .. }) {
                rotating.give_up(id).await;
            }
            return Err(error);
        }
    }
    if !rotation.requests.is_empty() {
        *reached = RotationReached::Unknown;
    }
    rotating.complete(reached).await?;
    rotating.restart(id).await?;
    if rotation.requests.is_empty() {
        let proved = eventually(&mut scene, &rotation.proof).await;
        proved.map_err(|problem| Error::RotationUnproved { name: name.to_owned(), problem })?;
    }
    Ok(())
}

/// Secrets of an environment by name, as they were read for one of its credentials: others may be in the same one.
pub(crate) type Read = BTreeMap<String, Option<Secret>>;

/// Ends a rotation that was killed, of which nothing was written for `quiet`, and returns whether there was one. What is in `read` is
/// not read again.
pub(crate) async fn finish(
    checks: &Checks,
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
    (credential, quiet): (&CredentialSpec, Duration),
    read: &mut Read,
) -> Result<bool> {
    let Some(rotation) = &credential.rotation else { return Ok(false) };
    let namespace = render::namespace(target, manifest);
    let rotating = Rotating { clients, target, manifest, credential, rotation, namespace };
    let name = &credential.secret;
    if !read.contains_key(name) {
        read.insert(name.clone(), rotating.found().await?);
    }
    let Some(Some(secret)) = read.get(name) else { return Ok(false) };
    let Some(id) = rotating.unfinished(secret, quiet).await? else { return Ok(false) };
    // What follows writes it.
    read.remove(name);
    tracing::info!(tenant = %target.name, credential = credential.name, "a rotation that was killed goes on");
    let mut reached = RotationReached::Nothing;
    rotate(checks, clients, target, manifest, (&credential.name, &id), &mut reached).await?;
    Ok(true)
}

/// What it means that the app was not seen taking the new value. That the old one is still in place is said where nothing was sent, or
/// the app was seen taking that: a request whose response is lost may have changed it.
async fn not_taken(
    scene: &mut Scene<'_>,
    rotation: &Rotation,
    user: &str,
    (name, problem): (&str, String),
    reached: &mut RotationReached,
) -> Error {
    let name = name.to_owned();
    let (was_sent, before) = (scene.sent > 0, *reached);
    if !was_sent && before == RotationReached::OldInPlace {
        return Error::NotRotated { name, problem };
    }
    *reached = RotationReached::Unknown;
    let old = scene.known.get("old").cloned().unwrap_or_default();
    scene.known.insert("basic".into(), BASE64_STANDARD.encode(format!("{user}:{old}")));
    scene.known.insert("new".into(), old);
    if all(scene, &rotation.proof).await.is_err() {
        return Error::RotationUnknown { name, problem };
    }
    *reached = RotationReached::OldInPlace;
    Error::NotRotated { name, problem }
}

/// A credential by name.
pub(crate) fn known<'a>(manifest: &'a Manifest, name: &str) -> Result<&'a CredentialSpec> {
    manifest.access.iter().find(|credential| credential.name == name).ok_or_else(|| Error::UnknownCredential {
        name: name.to_owned(),
        known: manifest.access.iter().map(|credential| credential.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// All requests in their order, or why not.
async fn all(scene: &mut Scene<'_>, requests: &[Request]) -> std::result::Result<(), String> {
    for one in requests {
        match request::run(scene, one).await {
            Ended::Passed(_) | Ended::Warned { .. } => {}
            Ended::Failed { cause, remedy, .. } => return Err(scene.redact(format!("{cause}; {remedy}"))),
            Ended::NotRun(why) => return Err(why),
        }
    }
    Ok(())
}

/// The same, while the app starts.
async fn eventually(scene: &mut Scene<'_>, proof: &[Request]) -> std::result::Result<(), String> {
    let deadline = Instant::now() + PROOF_TIMEOUT;
    loop {
        match all(scene, proof).await {
            Err(_) if Instant::now() < deadline => sleep(PROOF_POLL).await,
            ended => return ended,
        }
    }
}

impl Rotating<'_> {
    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.clients.tenant.clone(), self.namespace)
    }

    fn spec(&self) -> Result<(&SecretSpec, usize)> {
        let unknown = || Error::UnknownCredential { name: self.credential.name.clone(), known: String::new() };
        let spec = self.manifest.secrets.iter().find(|secret| secret.name == self.credential.secret);
        let spec = spec.ok_or_else(unknown)?;
        match spec.keys.get(&self.credential.key) {
            Some(SecretKey::Generate(chars)) => Ok((spec, *chars)),
            Some(SecretKey::Template(_)) | None => Err(unknown()),
        }
    }

    /// Its Secret, if it is there and landlord's.
    async fn found(&self) -> Result<Option<Secret>> {
        let (namespace, name) = (self.namespace, &self.credential.secret);
        let found = self.secrets().get_opt(name).await.doing(|| format!("reading secret {namespace}/{name}"))?;
        Ok(found.filter(|found| is_ours(found.metadata.labels.as_ref(), self.target)))
    }

    async fn read(&self) -> Result<Secret> {
        let missing = || Error::NoCredentialYet { name: self.credential.name.clone() };
        self.found().await?.ok_or_else(missing)
    }

    async fn write(&self, mut secret: Secret) -> Result<()> {
        let (namespace, name) = (self.namespace, &self.credential.secret);
        secret.metadata.managed_fields = None;
        // With the version that was read: two rotations at the same moment are one after the other.
        let written = self.secrets().replace(name, &PostParams::default(), &secret).await;
        Ok(written.map(drop).doing(|| format!("writing secret {namespace}/{name}"))?)
    }

    /// The old value and the new one, which is durable beside it.
    async fn begin(&self, id: &str, reached: &mut RotationReached) -> Result<(String, String)> {
        let (_, chars) = self.spec()?;
        let mut secret = self.read().await?;
        let (key, next) = (&self.credential.key, format!("{}{NEXT}", self.credential.key));
        let text = |data: &BTreeMap<String, ByteString>, key: &str| {
            data.get(key).map(|value| String::from_utf8_lossy(&value.0).into_owned())
        };
        let data = secret.data.get_or_insert_default();
        let missing = || Error::NoCredentialYet { name: self.credential.name.clone() };
        let old = text(data, key).ok_or_else(missing)?;
        let pending = text(data, &next);
        let annotation = format!("{ROTATED}{key}");
        let annotations = secret.metadata.annotations.get_or_insert_default();
        let is_last = annotations.get(&annotation).is_some_and(|last| last == id);
        if is_last {
            *reached = RotationReached::Unknown;
            // Nothing pending: its value has taken its place; what follows may be missing.
            let new = pending.unwrap_or_else(|| old.clone());
            return Ok((old, new));
        }
        // A rotation that stopped: its value goes on as this one's.
        // What stopped may have been taken already; what is only made now, by nobody.
        *reached = if pending.is_some() { RotationReached::Unknown } else { RotationReached::OldInPlace };
        let new = pending.unwrap_or_else(|| base::random_text(chars));
        data.insert(next, ByteString(new.clone().into_bytes()));
        annotations.insert(annotation, id.to_owned());
        self.write(secret).await?;
        Ok((old, new))
    }

    /// The new value takes the old one's place, also in what was made of it.
    async fn complete(&self, reached: &mut RotationReached) -> Result<()> {
        let (spec, _) = self.spec()?;
        let mut secret = self.read().await?;
        let data = secret.data.get_or_insert_default();
        let Some(new) = data.remove(&format!("{}{NEXT}", self.credential.key)) else { return Ok(()) };
        data.insert(self.credential.key.clone(), new);
        let generated: BTreeMap<String, String> = data
            .iter()
            .filter(|(key, _)| matches!(spec.keys.get(*key), Some(SecretKey::Generate(_))))
            .map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
            .collect();
        for (key, how) in &spec.keys {
            if let SecretKey::Template(template) = how
                && template.contains(&format!("${{{}}}", self.credential.key))
            {
                let text = super::replace(&render::replace(template, self.target), &generated);
                data.insert(key.clone(), ByteString(text.into_bytes()));
            }
        }
        *reached = RotationReached::Unknown;
        self.write(secret).await
    }

    async fn restart(&self, id: &str) -> Result<()> {
        let annotations = json!({ format!("{STARTED_WITH}{}", self.credential.key): id });
        let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotations } } } });
        for name in &self.rotation.restart {
            let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
            let patched = self.deployments().patch(name, &params, &Patch::Merge(&patch)).await;
            patched.map(drop).doing(|| format!("restarting Deployment {}/{name}", self.namespace))?;
        }
        Ok(())
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.clients.tenant.clone(), self.namespace)
    }

    /// The app has the old value and nobody goes on: the new one stays for a rotation that somebody requests.
    async fn give_up(&self, id: &str) {
        let annotation = format!("{ROTATED}{}", self.credential.key);
        let Ok(mut secret) = self.read().await else { return };
        let annotations = secret.metadata.annotations.get_or_insert_default();
        if annotations.get(&annotation).is_some_and(|last| last == id) {
            annotations.remove(&annotation);
            // Where it fails the next resync tries this rotation once more.
            let _ = self.write(secret).await;
        }
    }

    /// The rotation that has begun and whose end is missing: its value waits beside the old one, or pods run that were started with
    /// the old one. `None` also while something was written within `quiet`: it may be under way.
    async fn unfinished(&self, secret: &Secret, quiet: Duration) -> Result<Option<String>> {
        let annotation = format!("{ROTATED}{}", self.credential.key);
        let id = secret.metadata.annotations.as_ref().and_then(|all| all.get(&annotation)).cloned();
        let Some(id) = id else { return Ok(None) };
        let written = secret.metadata.managed_fields.iter().flatten().filter_map(|fields| fields.time.as_ref()).max();
        if written.is_some_and(|time| since(time) < quiet) {
            return Ok(None);
        }
        if secret.data.as_ref().is_some_and(|data| data.contains_key(&format!("{}{NEXT}", self.credential.key))) {
            return Ok(Some(id));
        }
        for name in &self.rotation.restart {
            let what = || format!("reading Deployment {}/{name}", self.namespace);
            let Some(found) = self.deployments().get_opt(name).await.doing(what)? else { continue };
            // One that was made after the Secret was written has no pods of before.
            let is_newer = written.is_some_and(|time| found.metadata.creation_timestamp.as_ref() >= Some(time));
            if !is_newer && !self.was_started_with(&found, &id) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn was_started_with(&self, deployment: &Deployment, id: &str) -> bool {
        let template = deployment.spec.template.metadata.as_ref();
        let annotation = |key: &str| template.and_then(|meta| meta.annotations.as_ref()).and_then(|all| all.get(key));
        let key = &self.credential.key;
        annotation(&format!("{STARTED_WITH}{key}")).is_some_and(|with| with == id)
            || annotation(CREDENTIALS).is_some_and(|with| *with == format!("{key}-{id}"))
    }
}
