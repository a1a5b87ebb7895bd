//! Platforms: what every cluster that landlord makes needs before apps. A platform is a set of releases like a stack, but of
//! the whole cluster: each release has a namespace of its own, and none belongs to a customer.
//!
//! `install` brings a release into a cluster and takes it away again; `certificate` says what it has authorities asked for.

pub(crate) mod certificate;
mod in_use;
mod injection;
pub(crate) mod install;
mod left;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use landlord_core::{
    AppName, PlatformName, PlatformOptions, PlatformPart,
    ports::{PlatformTarget, ReleaseOf, ReleasePlan},
    revision::RevisionId,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    chart::{ChartMirrors, ChartRef},
    error::{Error, Result},
    manifest::{self, ManifestRelease, ReleaseFacts},
    revisions::{self, OwnValues, Packed},
    stack::{Stack, Values},
    values::merge,
};

/// The manifest's name in a platform's folder.
const MANIFEST: &str = "platform.yaml";

/// A platform's manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `landlord.dev/v1`.
    pub api_version: String,
    /// `Platform`.
    pub kind: String,
    /// What a class orders or leaves out.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Releases.
    pub releases: Vec<Release>,
}

/// A part that a class orders or leaves out; its releases go together.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Part {
    /// Its name in `platform_options.parts` of classes.
    pub name: AppName,
    /// Whether clusters get it whose class says nothing.
    pub default: bool,
    /// Word of a provider whose cloud brings the part; absent: no cloud does.
    #[serde(default)]
    pub capability: Option<String>,
    /// Whether it works in a tenant's zone: clusters for many don't get it.
    #[serde(default)]
    pub needs_zone: bool,
}

/// How a release is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverKind {
    /// As a release of Helm, with the chart's hooks.
    #[default]
    Helm,
    /// Rendered by Helm, and applied by landlord itself, server-side: for charts that pass the 1 MiB in which Helm keeps a
    /// release. Without hooks.
    Manifests,
}

impl DriverKind {
    /// What a delivered release is called in the list of what was removed.
    pub(crate) fn object_type(self) -> &'static str {
        match self {
            Self::Helm => "HelmRelease",
            Self::Manifests => "Release",
        }
    }
}

/// A release of a platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// Name of release and stage.
    pub name: AppName,
    /// Its namespace, made if it is missing. No two releases share one with a stack.
    pub namespace: String,
    /// Folder beside the manifest, or `oci://` or `https://` reference.
    pub chart: String,
    /// Version of a referenced chart.
    #[serde(default)]
    pub version: String,
    /// `sha256:` and the digest of a referenced chart's archive (what `helm pull` writes), which no other may have; empty: whatever the
    /// registry gives.
    #[serde(default)]
    pub digest: String,
    /// The part that it is of; absent: every cluster has it.
    #[serde(default)]
    pub part: Option<AppName>,
    /// How it is delivered.
    #[serde(default)]
    pub driver: DriverKind,
    /// Releases that must be ready before.
    #[serde(default)]
    pub depends_on: Vec<AppName>,
    /// Typical time until ready.
    pub expected_seconds: u64,
    /// Whether the chart takes the platform's contract: `gateway.name`, `gateway.namespace` and `gateway.hosts`, the names
    /// of the tenant whose cluster it is.
    #[serde(default)]
    pub contract: bool,
    /// Whether the chart takes `environment`: `name`, `uid`, `installation`, and `customer` and `domain` of the tenant whose cluster it
    /// is (empty: a host cluster's).
    #[serde(default)]
    pub environment: bool,
    /// Whether the chart takes `zone`: `domain` of the tenant whose cluster it is, `owner`, by which records in the zone are known as the
    /// release's (the tenant's uid), and `reserved`, names whose records are landlord's. Its part must need a zone.
    #[serde(default)]
    pub zone: bool,
    /// Where in the chart's values the cluster's name belongs, as its cloud knows it: keys joined by dots. Empty: nowhere.
    #[serde(default)]
    pub cluster_name: String,
    /// Values, over the contract's.
    #[serde(default)]
    pub values: Map<String, Value>,
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

    fn values(&mut self) -> &mut Map<String, Value> {
        &mut self.values
    }
}

/// A checked platform.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Its manifest.
    pub manifest: Manifest,
    charts: BTreeMap<AppName, ChartRef>,
    /// As it is kept; `None`: it is no revision of any installation.
    pub packed: Option<Packed>,
}

impl Platform {
    /// Reads and checks the platform in `folder`; charts are taken from `mirrors` where those name them.
    ///
    /// # Errors
    /// [`Error::Stack`] with everything that does not fit.
    pub fn load(folder: &Path, mirrors: &ChartMirrors) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let manifest: Manifest = manifest::read(&path, check)?;
        let charts = manifest::charts(&path, &manifest.releases, mirrors)?;
        Ok(Self { manifest, charts, packed: None })
    }

    /// Lays values of this installation over a platform in `folder`, and packs both.
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

    /// The releases as the engine plans them.
    #[must_use]
    pub fn plan(&self) -> Vec<ReleasePlan> {
        let plan = |release: &Release| ReleasePlan {
            of: ReleaseOf::Platform,
            app: release.name.clone(),
            depends_on: release.depends_on.clone(),
            expected: Duration::from_secs(release.expected_seconds),
            part: self.part(release),
        };
        self.manifest.releases.iter().map(plan).collect()
    }

    fn part(&self, release: &Release) -> Option<PlatformPart> {
        let part = self.manifest.parts.iter().find(|part| Some(&part.name) == release.part.as_ref())?;
        Some(PlatformPart {
            name: part.name.clone(),
            is_default: part.default,
            capability: part.capability.clone(),
            needs_zone: part.needs_zone,
        })
    }

    /// What a class chooses that this platform does not have, in words; `None`: it has everything.
    #[must_use]
    pub fn lacking(&self, options: &PlatformOptions) -> Option<String> {
        let join = |names: Vec<&str>| names.join(", ");
        let parts = || self.manifest.parts.iter().map(|part| &part.name);
        let unknown = options.parts.keys().find(|name| parts().all(|part| part != *name));
        let unknown = unknown.map(|name| {
            format!("parts: the platform has no part {name}; it has: {}", join(parts().map(AppName::as_str).collect()))
        });
        let releases = || self.manifest.releases.iter().map(|release| &release.name);
        let stray = options.values.keys().find(|name| releases().all(|release| release != *name));
        unknown.or(stray.map(|name| {
            let known = join(releases().map(AppName::as_str).collect());
            format!("values: the platform has no release {name}; it has: {known}")
        }))
    }

    /// Where its charts are.
    pub(crate) fn charts_mut(&mut self) -> impl Iterator<Item = &mut ChartRef> {
        self.charts.values_mut()
    }

    pub(crate) fn release(&self, name: &AppName) -> Result<(&Release, &ChartRef)> {
        let found = self.manifest.releases.iter().find(|release| release.name == *name).zip(self.charts.get(name));
        found.ok_or_else(|| Error::UnknownRelease { name: name.to_string() })
    }
}

/// All platforms in `folder`, by name, with `values` over their own; none, if there is no such folder.
///
/// # Errors
/// The first platform that does not fit, an unreadable folder, values for a release that is not there.
pub fn load_all(folder: &Path, values: &Values, mirrors: &ChartMirrors) -> Result<BTreeMap<PlatformName, Platform>> {
    let mut platforms = BTreeMap::new();
    if !folder.exists() {
        return Ok(platforms);
    }
    for (name, path) in manifest::folders::<PlatformName>(folder, MANIFEST)? {
        let values = values.get(name.as_str()).cloned().unwrap_or_default();
        platforms.insert(name, Platform::load(&path, mirrors)?.revised(&path, &values)?);
    }
    Ok(platforms)
}

fn check(manifest: &Manifest) -> Vec<String> {
    let mut problems = Vec::new();
    if manifest.api_version != "landlord.dev/v1" || manifest.kind != "Platform" {
        problems.push("apiVersion and kind must be landlord.dev/v1 and Platform".to_owned());
    }
    let parts: BTreeSet<&AppName> = manifest.parts.iter().map(|part| &part.name).collect();
    if parts.len() < manifest.parts.len() {
        problems.push("a part stands there twice".to_owned());
    }
    let mut seen = BTreeSet::new();
    for release in &manifest.releases {
        if release.namespace.parse::<AppName>().is_err() || release.namespace.starts_with("kube-") {
            let namespace = &release.namespace;
            problems.push(format!("namespace {namespace:?} must be a DNS label and not begin with kube-"));
        }
        if let Some(part) = release.part.as_ref().filter(|part| !parts.contains(part)) {
            problems.push(format!("{} is of part {part}, which is not in parts", release.name));
        }
        let of = |part: &Part| Some(&part.name) == release.part.as_ref();
        if release.zone && !manifest.parts.iter().any(|part| part.needs_zone && of(part)) {
            problems.push(format!("{} takes a zone, so it must be of a part with needsZone", release.name));
        }
        problems.extend(manifest::release_problems(release, &mut seen));
    }
    problems
}

/// Values of a release: the contract, over it the platform's, over it those of the environment's class.
fn values(target: &PlatformTarget, release: &Release, stack: Option<&Stack>) -> Value {
    let mut values = json!({});
    if release.contract {
        let gateway = stack.and_then(|stack| stack.manifest.gateway.as_ref());
        if let Some(gateway) = gateway {
            values = json!({ "gateway": { "name": gateway.name, "namespace": gateway.namespace } });
        }
        values["gateway"]["hosts"] = json!(hosts(target, stack));
    }
    if release.environment {
        let (name, domain) = (&target.name, target.domain.as_ref().map(|domain| domain.as_str()));
        values["environment"] = json!({
            "name": name.to_string(), "uid": target.uid.to_string(), "installation": target.installation,
            "customer": name.customer().map(ToString::to_string).unwrap_or_default(),
            "domain": domain.unwrap_or_default(),
        });
    }
    if let Some(domain) = target.domain.as_ref().filter(|_| release.zone) {
        let (domain, owner) = (domain.as_str(), target.uid.to_string());
        let all = stack.into_iter().flat_map(|stack| &stack.manifest.entry_points);
        let reserved: Vec<String> = all.map(|entry| format!("{}.{domain}", entry.record)).collect();
        values["zone"] = json!({ "domain": domain, "owner": owner, "reserved": reserved });
    }
    if !release.cluster_name.is_empty() {
        let name = json!(target.cluster_name);
        let nested = release.cluster_name.rsplit('.').fold(name, |inner, key| json!({ key: inner }));
        merge(&mut values, &nested);
    }
    merge(&mut values, &Value::Object(release.values.clone()));
    if let Some(own) = target.values.get(&release.name) {
        merge(&mut values, &Value::Object(own.clone()));
    }
    values
}

/// The names that the tenant's stack serves through the Gateway.
fn hosts(target: &PlatformTarget, stack: Option<&Stack>) -> Vec<String> {
    let (Some(stack), Some(domain)) = (stack, &target.domain) else { return Vec::new() };
    stack.manifest.gateway_records().iter().map(|record| format!("{record}.{}", domain.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_platform_fits() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/platforms");
        let all = load_all(&folder, &Values::new(), &ChartMirrors::new()).unwrap();
        let plan = all[&"standard".parse::<PlatformName>().unwrap()].plan();
        let names: Vec<&str> = plan.iter().map(|release| release.app.as_str()).collect();
        let shipped = ["certificates", "gateway-crds", "gateway", "edge", "metrics-server", "metrics", "logs"];
        assert_eq!(names[..shipped.len()], shipped);
        assert_eq!(names[shipped.len()..], ["node-scaling-crds", "node-scaling", "node-classes", "external-dns"]);
        let ordered = plan.iter().filter(|release| release.part.is_none()).count();
        assert_eq!(ordered, 1, "only the edge is of no part");
        let silent = plan.iter().filter(|release| {
            release
                .part
                .as_ref()
                .is_none_or(|part| PlatformOptions::default().left_out(part, true, |_| false).is_none())
        });
        let silent: Vec<&str> = silent.map(|release| release.app.as_str()).collect();
        assert_eq!(silent, shipped[..4], "what a class did not order before it does not get now");
        for (capability, brought) in
            [("gateway", ["gateway-crds", "gateway"].as_slice()), ("certificates", ["certificates"].as_slice())]
        {
            let left = plan.iter().filter(|release| {
                let part = release.part.as_ref();
                part.is_some_and(|part| {
                    PlatformOptions::default().left_out(part, true, |word| word == capability).is_some()
                        && part.is_default
                })
            });
            let left: Vec<&str> = left.map(|release| release.app.as_str()).collect();
            assert_eq!(left, brought, "{capability}");
        }
        let wrong = |text: &str| {
            let options: PlatformOptions = serde_json::from_str(text).unwrap();
            all[&"standard".parse::<PlatformName>().unwrap()].lacking(&options)
        };
        assert_eq!(wrong(r#"{"parts": {"metrics": true}, "values": {"edge": {"proxy": {"replicas": 1}}}}"#), None);
        let named = wrong(r#"{"parts": {"metric": true}}"#).unwrap();
        assert!(
            named.contains("no part metric; it has: metrics-server, metrics, logs, node-scaling, external-dns"),
            "{named}"
        );
        assert!(wrong(r#"{"values": {"prometheus": {}}}"#).unwrap().contains("no release prometheus"));
    }

    fn target(domain: Option<&str>) -> PlatformTarget {
        let identity = landlord_core::ports::KubeIdentity::Token("none".to_owned().into());
        PlatformTarget {
            kube: landlord_core::ports::KubeCredentials {
                endpoint: "https://127.0.0.1:1".into(),
                ca_pem: String::new(),
                identity,
                expire_time: None,
            },
            installation: "test".into(),
            uid: landlord_core::TenantUid(uuid::Uuid::from_u128(7)),
            name: "hostClusters/shared".parse().unwrap(),
            cluster_name: "landlord-7".into(),
            platform: "standard".parse().unwrap(),
            values: BTreeMap::new(),
            revision: None,
            domain: domain.map(|domain| domain.to_owned().try_into().unwrap()),
            stack: None,
            stack_revision: None,
        }
    }

    fn shipped(values: &str) -> (Platform, Stack) {
        let (folder, mirrors) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"), ChartMirrors::new());
        let values = [("standard".to_owned(), serde_json::from_str(values).unwrap())].into();
        let mut platforms = load_all(&folder.join("platforms"), &values, &mirrors).unwrap();
        let mut stacks = crate::stack::load_all(&folder.join("stacks"), &Values::new(), &mirrors).unwrap();
        let stack = stacks.remove(&"ai-fileserver-pg".parse().unwrap()).unwrap();
        (platforms.remove(&"standard".parse().unwrap()).unwrap(), stack)
    }

    #[test]
    fn a_tenants_gateway_orders_one_certificate_of_an_acme_server() {
        let ordered = |values: &str, domain: Option<&str>, release: &str| {
            let (platform, stack) = shipped(values);
            certificate::ordered(&platform, &target(domain), &release.parse().unwrap(), Some(&stack)).unwrap()
        };
        let acme = r#"{"edge": {"issuer": {"kind": "acme"}}}"#;
        let own = Some("acme.example.com");
        let order = ordered(acme, own, "edge").unwrap();
        assert_eq!(order.authority, "https://acme-v02.api.letsencrypt.org/directory", "the chart's own");
        assert_eq!(order.joined(), "chat.acme.example.com,files.acme.example.com,webdav.acme.example.com");
        let staging = r#"{"edge": {"issuer": {"kind": "acme", "acme": {"server": "https://staging.example.com"}}}}"#;
        assert_eq!(ordered(staging, own, "edge").unwrap().authority, "https://staging.example.com");
        // Others issue without such a server; a cluster for many has no names; who takes no contract makes no Gateway.
        assert_eq!(ordered("{}", own, "edge"), None);
        assert_eq!(ordered(r#"{"edge": {"issuer": {"kind": "ca", "ca": {"secretName": "ca"}}}}"#, own, "edge"), None);
        assert_eq!(ordered(acme, None, "edge"), None);
        assert_eq!(ordered(acme, own, "metrics"), None);
    }

    #[test]
    fn who_keeps_records_is_given_the_zone_the_owner_and_what_is_landlords() {
        let (platform, stack) = shipped("{}");
        let (release, _) = platform.release(&"external-dns".parse().unwrap()).unwrap();
        let own = target(Some("acme.example.com"));
        let zone = values(&own, release, Some(&stack))["zone"].clone();
        let reserved = ["sftp", "files", "webdav", "chat"].map(|name| format!("{name}.acme.example.com"));
        assert_eq!(zone, json!({ "domain": "acme.example.com", "owner": own.uid.to_string(), "reserved": reserved }));
        assert!(platform.part(release).unwrap().needs_zone);
    }

    #[test]
    fn what_does_not_fit_is_stated_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let text = "apiVersion: landlord.dev/v1\nkind: Stack\nreleases:\n\
                    - { name: a, namespace: kube-system, chart: ../a, expectedSeconds: 1, dependsOn: [b], part: c }\n\
                    - { name: a, namespace: a, chart: 'oci://x/y', expectedSeconds: 1, zone: true }\n";
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        let reported = Platform::load(folder.path(), &ChartMirrors::new()).unwrap_err().to_string();
        for part in [
            "Platform",
            "kube-",
            "depends on b",
            "twice",
            "needs a version",
            "beside the manifest",
            "not in parts",
            "needsZone",
        ] {
            assert!(reported.contains(part), "{part} is missing in: {reported}");
        }
    }
}
