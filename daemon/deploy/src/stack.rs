//! Stacks as they lie on disk: read and checked once at start. Knows nothing of clusters.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use landlord_core::{
    AppName, StackName,
    isolation::GatewayRef,
    ports::{ReleaseOf, ReleasePlan},
    revision::RevisionId,
};
use serde::Deserialize;

use crate::{
    access::{self, CredentialSpec},
    chart::{self, ChartMirrors, ChartRef},
    check::{self, Check},
    error::{Error, Result},
    manifest::{self, ManifestRelease, ReleaseFacts},
    revisions::{self, OwnValues, Packed},
};

/// Values of an installation over those of its stacks and platforms: by their names, then by release.
pub type Values = BTreeMap<String, BTreeMap<String, serde_json::Map<String, serde_json::Value>>>;

/// The manifest's name in a stack's folder.
const MANIFEST: &str = "stack.yaml";
/// Bounds of a generated secret: 16 characters are 95 bits.
const SECRET_CHARS: std::ops::RangeInclusive<usize> = 16..=256;

/// A stack's manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `landlord.dev/v1`.
    pub api_version: String,
    /// `Stack`.
    pub kind: String,
    /// Where the releases live.
    pub namespace: String,
    /// Generated secrets.
    #[serde(default)]
    pub secrets: Vec<SecretSpec>,
    /// The Gateway of the routes.
    pub gateway: Option<GatewayRef>,
    /// Releases.
    pub releases: Vec<Release>,
    /// Names below the customer's domain.
    #[serde(default)]
    pub entry_points: Vec<EntryPoint>,
    /// How the environment is used before it counts as answering.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// What is handed over to the customer.
    #[serde(default)]
    pub access: Vec<CredentialSpec>,
}

impl Manifest {
    /// Labels of the names below the customer's domain that are served through the Gateway.
    #[must_use]
    pub fn gateway_records(&self) -> Vec<String> {
        self.entry_points.iter().filter(|entry| entry.gateway).map(|entry| entry.record.clone()).collect()
    }
}

/// A Secret that is made once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// Name of the Secret.
    pub name: String,
    /// Its keys.
    pub keys: BTreeMap<String, SecretKey>,
}

/// How one key of a Secret comes to be.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum SecretKey {
    /// This many random letters and digits.
    Generate(usize),
    /// Text with references to the contract and to generated keys of the same Secret.
    Template(String),
}

/// A release of a stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// Name of release and stage.
    pub name: AppName,
    /// Folder beside the manifest, or `oci://` or `https://` reference.
    pub chart: String,
    /// Version of a referenced chart.
    #[serde(default)]
    pub version: String,
    /// `sha256:` and the digest of a referenced chart's archive (what `helm pull` writes), which no other may have; empty: whatever the
    /// registry gives.
    #[serde(default)]
    pub digest: String,
    /// Releases that must be ready before.
    #[serde(default)]
    pub depends_on: Vec<AppName>,
    /// Typical time until ready.
    pub expected_seconds: u64,
    /// Whether the chart takes `gateway.*` values.
    #[serde(default)]
    pub gateway: bool,
    /// Whether the chart takes `loadBalancers.*` values.
    #[serde(default)]
    pub load_balancer: bool,
    /// Whether the chart takes the values contract (ours do; foreign charts have other names).
    #[serde(default = "yes")]
    pub contract: bool,
    /// Values, over the contract's.
    #[serde(default)]
    pub values: serde_json::Map<String, serde_json::Value>,
    /// Dotted paths that a tenant's own values may set.
    #[serde(default)]
    pub tenant_values: Vec<String>,
}

fn yes() -> bool {
    true
}

/// A name below the customer's domain, and what it leads to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryPoint {
    /// Label of the DNS record below the domain.
    pub record: String,
    /// Service of type LoadBalancer in the stack's namespace.
    #[serde(default)]
    pub service: Option<String>,
    /// The stack's Gateway, once it has an address.
    #[serde(default)]
    pub gateway: bool,
    /// Address for the customer.
    pub endpoint: EndpointSpec,
}

/// Address for the customer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointSpec {
    /// Name.
    pub name: String,
    /// URL with references to the contract.
    pub url: String,
    /// Path at which the stack's own program says whether it does what it is for: any status below 500, or what is lacking in the
    /// first line of its response. Asked for at every look whether the environment answers; empty: `/` is.
    #[serde(default)]
    pub health_path: String,
}

impl ManifestRelease for Release {
    fn facts(&self) -> ReleaseFacts<'_> {
        ReleaseFacts {
            name: &self.name,
            depends_on: &self.depends_on,
            chart: &self.chart,
            version: &self.version,
            digest: &self.digest,
        }
    }

    fn values(&mut self) -> &mut serde_json::Map<String, serde_json::Value> {
        &mut self.values
    }
}

/// A checked stack.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its manifest.
    pub manifest: Manifest,
    /// Where each release's chart is.
    charts: BTreeMap<AppName, ChartRef>,
    /// As it is kept; `None`: it is no revision of any installation.
    pub packed: Option<Packed>,
}

impl Stack {
    /// Reads and checks the stack in `folder`.
    ///
    /// # Errors
    /// [`Error::Stack`] with everything that does not fit.
    pub fn load(folder: &Path, mirrors: &ChartMirrors) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let manifest: Manifest = manifest::read(&path, problems)?;
        let charts = manifest::charts(&path, &manifest.releases, mirrors)?;
        Ok(Self { manifest, charts, packed: None })
    }

    /// Lays values of this installation over a stack in `folder`, and packs both.
    fn revised(mut self, folder: &Path, values: &OwnValues) -> Result<Self> {
        self.packed = Some(manifest::revise(folder, MANIFEST, &mut self.manifest.releases, values)?);
        Ok(self)
    }

    /// A revision as it was packed, in a folder of its own.
    ///
    /// # Errors
    /// [`Error::Revision`] for what is not what it is called by; else as [`Self::load`].
    pub fn unpack(id: &RevisionId, content: &[u8], folder: &Path, mirrors: &ChartMirrors) -> Result<Self> {
        let values = revisions::unpack(id, content, folder)?;
        let folder = folder.canonicalize().map_err(Error::file("resolve", folder))?;
        Self::load(&folder, mirrors)?.revised(&folder, &values)
    }

    /// One that lies nowhere, for tests whose driver renders without charts.
    #[cfg(test)]
    pub(crate) fn of(manifest: Manifest) -> Self {
        Self { manifest, charts: BTreeMap::new(), packed: None }
    }

    /// A release by name.
    ///
    /// # Errors
    /// [`Error::UnknownRelease`].
    pub fn release(&self, app: &AppName) -> Result<&Release> {
        let found = self.manifest.releases.iter().find(|release| release.name == *app);
        found.ok_or_else(|| Error::UnknownRelease { name: app.to_string() })
    }

    /// The releases as the engine plans them.
    #[must_use]
    pub fn plan(&self) -> Vec<ReleasePlan> {
        let plan = |release: &Release| ReleasePlan {
            of: ReleaseOf::Stack,
            app: release.name.clone(),
            depends_on: release.depends_on.clone(),
            expected: Duration::from_secs(release.expected_seconds),
            part: None,
        };
        self.manifest.releases.iter().map(plan).collect()
    }

    /// The folder of a release's chart; `None`: it is a reference.
    pub(crate) fn chart_folder(&self, release: &Release) -> Option<PathBuf> {
        (!chart::is_reference(&release.chart)).then(|| PathBuf::from(self.chart(release).location))
    }

    /// Where its charts are.
    pub(crate) fn charts_mut(&mut self) -> impl Iterator<Item = &mut ChartRef> {
        self.charts.values_mut()
    }

    /// Where a release's chart is; a release that is not of this stack has none.
    pub(crate) fn chart(&self, release: &Release) -> ChartRef {
        self.charts.get(&release.name).cloned().unwrap_or_else(|| ChartRef::missing(release.name.as_str()))
    }
}

/// All stacks in `folder`, by name, with `values` over their own; charts are taken from `mirrors` where those name them.
///
/// # Errors
/// The first stack that does not fit, an unreadable folder, values for a release that is not there.
pub fn load_all(folder: &Path, values: &Values, mirrors: &ChartMirrors) -> Result<BTreeMap<StackName, Stack>> {
    let mut stacks = BTreeMap::new();
    for (name, path) in manifest::folders::<StackName>(folder, MANIFEST)? {
        let values = values.get(name.as_str()).cloned().unwrap_or_default();
        stacks.insert(name, Stack::load(&path, mirrors)?.revised(&path, &values)?);
    }
    Ok(stacks)
}

fn problems(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    if manifest.api_version != "landlord.dev/v1" || manifest.kind != "Stack" {
        problems.push("apiVersion and kind must be landlord.dev/v1 and Stack".to_owned());
    }
    if manifest.namespace.parse::<AppName>().is_err() || manifest.namespace.starts_with("kube-") {
        problems.push(format!("namespace {:?} must be a DNS label and not begin with kube-", manifest.namespace));
    }
    let mut seen = BTreeSet::new();
    for release in &manifest.releases {
        problems.extend(manifest::release_problems(release, &mut seen));
        if release.gateway && manifest.gateway.is_none() {
            problems.push(format!("{} takes a gateway, but the stack names none", release.name));
        }
    }
    for secret in &manifest.secrets {
        for (key, spec) in &secret.keys {
            if let SecretKey::Generate(chars) = spec
                && !SECRET_CHARS.contains(chars)
            {
                problems.push(format!("{}.{key} must have {SECRET_CHARS:?} characters", secret.name));
            }
        }
    }
    let records: Vec<&str> = manifest.entry_points.iter().map(|entry| entry.record.as_str()).collect();
    let releases: Vec<&AppName> = manifest.releases.iter().map(|release| &release.name).collect();
    problems.extend(check::problems(&manifest.checks, &records, &releases));
    let generated = |secret: &str, key: &str| {
        let secret = manifest.secrets.iter().find(|own| own.name == secret);
        matches!(secret.and_then(|own| own.keys.get(key)), Some(SecretKey::Generate(_)))
    };
    problems.extend(access::problems(&manifest.access, &releases, &records, generated));
    for entry in &manifest.entry_points {
        if entry.service.is_some() == entry.gateway {
            problems.push(format!("entry point {} needs either a service or the gateway", entry.record));
        }
        if entry.gateway && manifest.gateway.is_none() {
            problems.push(format!("entry point {} leads to a gateway, but the stack names none", entry.record));
        }
        let path = &entry.endpoint.health_path;
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        if !path.is_empty() && !is_path {
            problems.push(format!("entry point {}: healthPath {path:?} is no path; write it as /health", entry.record));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stacks() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks")
    }

    #[test]
    fn the_shipped_stack_is_valid() {
        let all = load_all(&stacks(), &Values::new(), &ChartMirrors::new()).unwrap();
        let stack = &all[&"ai-fileserver".parse::<StackName>().unwrap()];
        let names: Vec<String> = stack.plan().iter().map(|release| release.app.to_string()).collect();
        assert_eq!(names, ["sftpgo", "qdrant", "ollama", "open-webui"]);
        assert_eq!(stack.plan()[3].depends_on.len(), 2);
    }

    #[test]
    fn values_of_the_installation_are_laid_over_the_stacks_own() {
        let of = |stack: &str, release: &str| -> Values {
            let values = serde_json::json!({ "storage": { "className": "fast" } }).as_object().cloned().unwrap();
            [(stack.to_owned(), [(release.to_owned(), values)].into())].into()
        };
        let all = load_all(&stacks(), &of("ai-fileserver-pg", "vectors"), &ChartMirrors::new()).unwrap();
        let release = all[&"ai-fileserver-pg".parse::<StackName>().unwrap()].release(&"vectors".parse().unwrap());
        assert_eq!(release.unwrap().values["storage"], serde_json::json!({ "size": "20Gi", "className": "fast" }));
        let unknown = load_all(&stacks(), &of("ai-fileserver-pg", "nope"), &ChartMirrors::new());
        assert!(unknown.unwrap_err().to_string().contains("nope"));
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let text = "apiVersion: landlord.dev/v1\nkind: Stack\nnamespace: kube-system\nreleases:\n\
                    - { name: a, chart: ../a, expectedSeconds: 1, dependsOn: [b] }\n\
                    - { name: a, chart: 'oci://x/y', expectedSeconds: 1, gateway: true }\n\
                    - { name: c, chart: 'oci://x/z', version: '1', digest: 'sha256:12', expectedSeconds: 1 }\n\
                    secrets: [{ name: s, keys: { k: { generate: 4 } } }]\n\
                    entryPoints: [{ record: r, endpoint: { name: r, url: x, healthPath: 'a b' } }]\n";
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        let message = Stack::load(folder.path(), &ChartMirrors::new()).unwrap_err().to_string();
        for part in [
            "kube-",
            "depends on b",
            "twice",
            "needs a version",
            "c: digest must be sha256:",
            "beside the manifest",
            "names none",
            "s.k",
            "either a service",
            "is no path",
        ] {
            assert!(message.contains(part), "{part} is missing in: {message}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(MANIFEST),
            "apiVersion: landlord.dev/v1\nkind: Stack\nnamespace: a\nreleases: []\nnope: 1\n",
        )
        .unwrap();
        assert!(Stack::load(folder.path(), &ChartMirrors::new()).unwrap_err().to_string().contains("nope"));
    }
}
