//! Everything that is applied at the three levels, read by checkov: what it finds is either mended, or stands with its
//! reason in `checkov/accepted.json`. No cluster.
//!
//! Without its vendor's service checkov knows no severities: those in the file are our judgement of what an attacker
//! would gain, and a finding that would be high is not accepted, whatever the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use crate::support::deployer::{DeployOptions, Deployer};
use crate::support::shipped::{STACKS, artifacts, helm_in, least, stacks};
use anyhow::{Context as _, Result, ensure};
use landlord_core::{
    TenantSpec, TenantUid,
    environment::SpecInput,
    isolation::{IsolationSettings, SharedTarget},
    ports::{DeployTarget, KubeCredentials, KubeIdentity, TargetCluster},
};
use landlord_kube::yaml;
use serde::Deserialize;
use serde_json::Value;

/// A finding that stays, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    severity: String,
    /// Objects as checkov names them, without the namespace: `Kind.name`.
    objects: BTreeSet<String>,
    reason: String,
}

#[tokio::test]
async fn what_is_found_is_mended_or_has_a_reason() -> Result<()> {
    // Not a hidden folder, which checkov passes over.
    let folder = tempfile::Builder::new().prefix("checkov-").tempdir()?;
    let manifests = folder.path().join("manifests");
    render(folder.path(), &manifests).await?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkov");
    let python = landlord_test_kube::python_env(&own.join("requirements.txt"))?;
    let output = Command::new(python.with_file_name("checkov"))
        .args(["--framework", "kubernetes", "--output", "json", "--compact", "--quiet", "--skip-download"])
        .args(["--soft-fail", "--directory"])
        .arg(&manifests)
        .env("HOME", folder.path())
        // Nothing is sent anywhere.
        .env("BC_SOURCE", "cli")
        .env("LOG_LEVEL", "ERROR")
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stdout).chars().take(2_000).collect::<String>())?;
    let passed = report["summary"]["passed"].as_u64().unwrap_or(0);
    ensure!(passed > 1_000 && report["summary"]["parsing_errors"] == 0, "{}", report["summary"]);

    let text = std::fs::read_to_string(own.join("accepted.json"))?;
    let accepted: BTreeMap<String, Accepted> = serde_json::from_str(&text)?;
    let mut used = BTreeSet::new();
    let mut open = BTreeSet::new();
    for check in report["results"]["failed_checks"].as_array().context("no list of failed checks")? {
        let id = check["check_id"].as_str().context("no id")?;
        let object = object(check["resource"].as_str().context("no resource")?);
        if accepted.get(id).is_some_and(|accepted| accepted.objects.contains(&object)) {
            used.insert((id.to_owned(), object));
        } else {
            open.insert(format!("{id} {object}: {}", check["check_name"]));
        }
    }
    ensure!(open.is_empty(), "{} findings without a reason:\n{}", open.len(), join(&open));
    for (id, accepted) in &accepted {
        ensure!(["LOW", "MEDIUM"].contains(&accepted.severity.as_str()), "{id} is {}", accepted.severity);
        ensure!(accepted.reason.len() > 30, "{id} has no reason");
        for object in &accepted.objects {
            ensure!(used.contains(&(id.clone(), object.clone())), "{id} {object} is not found any more; take it off");
        }
    }
    Ok(())
}

fn join(lines: &BTreeSet<String>) -> String {
    lines.iter().cloned().collect::<Vec<_>>().join("\n")
}

/// `Deployment.namespace.name` without the namespace, which is different for each level.
fn object(resource: &str) -> String {
    let mut parts = resource.splitn(3, '.');
    let (kind, _, name) = (parts.next(), parts.next(), parts.next());
    format!("{}.{}", kind.unwrap_or_default(), name.unwrap_or_default())
}

/// One folder for each stack at each level; a file for each release of the platform.
async fn render(folder: &Path, manifests: &Path) -> Result<()> {
    let deployer = Deployer::open(DeployOptions {
        stacks_dir: stacks(),
        helm_path: artifacts()?.helm,
        helm_version: ">=4.3.0, <5.0.0".into(),
        state_dir: folder.join("state"),
        helm_processes_max: 1,
        gateway_api_crds: None,
        removal_timeout: landlord_isolation::REMOVAL_TIMEOUT,
    })
    .await?;
    let uid = TenantUid(uuid::Uuid::from_u128(7));
    let shared = |place| TargetCluster::Shared(Box::new(place));
    let levels = [
        ("cluster", TargetCluster::OwnCluster),
        ("node", shared(SharedTarget::node(uid, IsolationSettings::default()))),
        ("namespace", shared(SharedTarget::namespace(uid, IsolationSettings::default()))),
    ];
    for (stack, (level, place)) in STACKS.iter().flat_map(|stack| levels.clone().map(|level| (stack, level))) {
        let folder = manifests.join(format!("{level}-{stack}"));
        std::fs::create_dir_all(&folder)?;
        let target = target(uid, place, stack);
        let isolation = ("isolation".to_owned(), deployer.isolation.manifest(&target));
        let apps = deployer.apps.manifests(&target).await?;
        for (name, text) in std::iter::once(isolation).chain(apps).filter(|(_, text)| !text.is_empty()) {
            std::fs::write(folder.join(format!("{name}.yaml")), text)?;
        }
    }
    platform(manifests)
}

/// Definitions of kinds, megabytes of them: nothing that runs, and nothing that may do anything.
const DEFINITIONS: [&str; 2] = ["gateway-crds", "node-scaling-crds"];
/// Charts of others' that are put together here from their modules, by release; of what is not among them there is no chart
/// on this machine.
const OTHERS: [(&str, &str); 2] = [("certificates", "cert-manager"), ("gateway", "gateway-helm")];
const ABSENT: &str = "node-scaling";

/// Each release of the platform, with the values that the platform gives it.
fn platform(manifests: &Path) -> Result<()> {
    let folder = stacks().join("../platforms/standard");
    let text = std::fs::read_to_string(folder.join("platform.yaml"))?;
    let manifest = yaml::documents(&text).map_err(anyhow::Error::msg)?.pop().context("no platform")?;
    let others = landlord_test_kube::images(&["charts"])?.pop().context("no charts")?;
    for release in manifest["releases"].as_array().context("no releases")? {
        let of = |key: &str| release[key].as_str().unwrap_or_default();
        let (name, chart) = (of("name"), of("chart"));
        if DEFINITIONS.contains(&name) || name == ABSENT {
            continue;
        }
        let chart = match OTHERS.iter().find(|(release, _)| *release == name) {
            Some((_, other)) => others.join(other),
            None => folder.join(chart),
        };
        let mut values = release["values"].as_object().cloned().unwrap_or_default();
        values.extend(least(name).as_object().cloned().unwrap_or_default());
        let rendered = helm_in(&["template", name, "--namespace", of("namespace")], &chart, &Value::Object(values))?;
        ensure!(rendered.status.success(), "{name}: {}", String::from_utf8_lossy(&rendered.stderr));
        std::fs::write(manifests.join(format!("platform-{name}.yaml")), rendered.stdout)?;
    }
    Ok(())
}

fn target(uid: TenantUid, cluster: TargetCluster, stack: &str) -> DeployTarget {
    let spec =
        TenantSpec::parse(SpecInput { domain: "acme.example.com".into(), storage_gib: 10, ..SpecInput::default() });
    DeployTarget {
        kube: KubeCredentials {
            endpoint: "https://127.0.0.1:1".into(),
            ca_pem: String::new(),
            identity: KubeIdentity::Token("none".to_owned().into()),
            expire_time: None,
        },
        cluster,
        installation: "test".into(),
        uid,
        name: "customers/acme/tenants/prod".parse().unwrap(),
        spec: spec.unwrap(),
        generation: 1,
        was_ready: false,
        stack: Some(stack.parse().unwrap()),
        name_servers: Vec::new(),
        skip_checks: Vec::new(),
        checks_from: landlord_core::ChecksFrom::default(),
        revision: None,
    }
}
