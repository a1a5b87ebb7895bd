//! Names that apps make for themselves: the real ExternalDNS with the arguments that the platform's chart gives its pod, as its own
//! service account and with no more of the cloud than the identity that landlord ties to it. What it wrote is read from the zones;
//! what it was refused, from the API server's audit log and the simulated cloud's account of rights.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType};
use landlord_e2e::binaries;
use landlord_test_harness::{TenantFile, World, WorldOptions, binaries::checkout, cloud::EKS, judge};
use landlord_test_kube::{Artifacts, ExternalDns};
use serde_json::{Value, json};

use crate::{portals::copy, shared::kubectl};

const SCALE: f64 = 1.0 / 60.0;
/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Namespace and account of the pod, which the identity in the cloud is for.
const PLACE: &str = "external-dns";
const HOSTNAME: &str = "external-dns.alpha.kubernetes.io/hostname";
/// The pod's credential is one of the account's that is held to the identity's policy.
const KEY: &str = "AKIA111122223333EDNS";
const SECRET: &str = "cloudsim";

/// The shipped platform without what needs a data plane: the part for records alone.
fn platform(folder: &Path) {
    let shipped = checkout().join("config/platforms/standard");
    let text = fs::read_to_string(shipped.join("platform.yaml")).unwrap();
    let part = text.lines().find(|line| line.contains("name: external-dns, default")).unwrap();
    let release = text.split_once("  - name: external-dns\n").unwrap().1.split("\n\n").next().unwrap();
    // Its Gateway is the edge's.
    let release: String =
        release.lines().filter(|line| !line.contains("dependsOn")).map(|line| line.to_owned() + "\n").collect();
    let own = folder.join("standard");
    fs::create_dir_all(&own).unwrap();
    let manifest = format!(
        "apiVersion: landlord.dev/v1\nkind: Platform\nparts:\n{part}\nreleases:\n  - name: external-dns\n{release}"
    );
    fs::write(own.join("platform.yaml"), manifest).unwrap();
    copy(&shipped.join("charts/external-dns"), &own.join("charts/external-dns"));
}

fn class() -> String {
    format!(
        "[classes.named]\nlevel = 'CLUSTER'\nprovider = 'eks'\ncredentials = 'default'\nregions = ['{}']\n\
         machine_type = '{}'\nnode_count = 1\nnode_count_max = 2\nstack = 'ai-fileserver'\nplatform = 'standard'\n\
         checks_from = 'any'\nskip_checks = ['names', 'certificates', 'files', 'chat']\n\
         [classes.named.parameters]\n{}\n\
         [classes.named.platform_options]\nparts = {{ external-dns = true }}\n\
         [classes.named.platform_options.values.external-dns]\nprovider = 'aws'\neventInterval = '1s'\n\
         env = [{{ name = 'AWS_REGION', value = '{}' }}]\n",
        EKS.regions[0], EKS.machine_types[1], EKS.parameters, EKS.regions[0]
    )
}

/// Whose names they are.
struct Scene {
    world: World,
    tenant: TenantFile,
    neighbour: TenantFile,
    zones: aws_sdk_route53::Client,
    _platforms: tempfile::TempDir,
}

impl Scene {
    fn start() -> Self {
        let platforms = tempfile::tempdir().unwrap();
        platform(platforms.path());
        let options = WorldOptions {
            time_scale: SCALE,
            kubernetes: Some(Artifacts::ensure(&mut |_| {}).unwrap()),
            audit: true,
            platforms_dir: Some(platforms.path().to_owned()),
            extra_config: class(),
            ..WorldOptions::default()
        };
        let world = World::temporary(binaries().unwrap(), &options).unwrap();
        let tenant = TenantFile::new("acme", "prod", "named");
        let neighbour = TenantFile::new("globex", "prod", &EKS.bare_class());
        for tenant in [&tenant, &neighbour] {
            world.cli().apply(tenant).unwrap();
        }
        let zones = route53(&world, &format!("AKIA{}SEEN", EKS.account));
        let scene = Self { world, tenant, neighbour, zones, _platforms: platforms };
        scene.reach(&scene.tenant, "READY");
        scene.reach(&scene.neighbour, "READY");
        scene
    }

    fn reach(&self, tenant: &TenantFile, state: &str) {
        if let Err(error) = self.world.cli().wait_for(&tenant.name(), state, TIMEOUT) {
            let shown = self.world.cli().run(&["describe", &tenant.name()]).unwrap();
            panic!("{error:#}\n{}{}\n{}", shown.stdout, shown.stderr, self.world.log_tail(40));
        }
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&self.world, &self.tenant.name(), arguments)
    }

    fn shown(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    fn apply(&self, objects: &[Value]) {
        let file = self.world.folder().join("applied.json");
        fs::write(&file, json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()).unwrap();
        self.kubectl(&["apply", "-f", &file.display().to_string()]);
    }

    /// What the API server knows of the pod: its arguments, and a kubeconfig with a token of an account of its namespace alone.
    fn pod(&self, account: &str) -> (Vec<String>, PathBuf) {
        let deployment = self.shown(&["get", "deployment", PLACE, "-n", PLACE]);
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], PLACE);
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        let mut arguments: Vec<String> = arguments.iter().map(|word| word.as_str().unwrap().to_owned()).collect();
        // Without it what the API server refuses is not written down.
        arguments.push("--log-level=debug".to_owned());
        let mut kubeconfig: Value =
            serde_json::from_str(&self.kubectl(&["config", "view", "--raw", "-o", "json"])).unwrap();
        let token = self.kubectl(&["create", "token", account, "-n", PLACE, "--duration=1h"]);
        kubeconfig["users"][0]["user"] = json!({ "token": token.trim() });
        let path = self.world.folder().join(format!("{account}.kubeconfig"));
        fs::write(&path, kubeconfig.to_string()).unwrap();
        (arguments, path)
    }

    fn run(&self, program: &Path, account: &str) -> ExternalDns {
        let (arguments, kubeconfig) = self.pod(account);
        let environment = [
            ("AWS_REGION", EKS.regions[0]),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_ENDPOINT_URL", self.world.simulator().endpoint.as_str()),
        ];
        let folder = self.world.folder().join(format!("run-{account}"));
        fs::create_dir_all(&folder).unwrap();
        ExternalDns::start(program, &arguments, &kubeconfig, &environment, &folder).unwrap()
    }

    /// Records of a tenant's zone: name, type and first value of each.
    async fn records(&self, tenant: &TenantFile) -> BTreeSet<(String, String, String)> {
        let id = self.zone(tenant).await.expect("the zone is gone");
        let found = self.zones.list_resource_record_sets().hosted_zone_id(id).send().await.unwrap();
        let first = |set: &ResourceRecordSet| {
            let alias = set.alias_target().map(|alias| alias.dns_name().to_owned());
            alias.or(set.resource_records().first().map(|record| record.value().to_owned())).unwrap_or_default()
        };
        let named = |set: &ResourceRecordSet| {
            (set.name().trim_end_matches('.').to_owned(), set.r#type().as_str().to_owned(), first(set))
        };
        found.resource_record_sets().iter().map(named).collect()
    }

    async fn zone(&self, tenant: &TenantFile) -> Option<String> {
        let found = self.zones.list_hosted_zones_by_name().dns_name(&tenant.domain).send().await.unwrap();
        let zone = found.hosted_zones().iter().find(|zone| zone.name().trim_end_matches('.') == tenant.domain)?;
        Some(zone.id().trim_start_matches("/hostedzone/").to_owned())
    }

    /// Waits until the tenant's zone has a record of a name and its owner, or neither.
    async fn until(&self, name: &str, present: bool, program: &mut ExternalDns) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            program.check().unwrap();
            let records = self.records(&self.tenant).await;
            let has = |wanted: &dyn Fn(&str, &str) -> bool| records.iter().any(|(found, kind, _)| wanted(found, kind));
            // The zone's own name has its name servers in any case.
            let here = has(&|found, kind| found == name && ["A", "AAAA", "CNAME"].contains(&kind));
            let owned = has(&|found, kind| kind == "TXT" && found.ends_with(&format!("-owner.{name}")));
            if (here, owned) == (present, present) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} {present}: {records:#?}\n{}", program.log());
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Resources that an account requested of the API server, and requests that were refused.
    fn requested(&self, account: &str) -> (BTreeSet<String>, Vec<Value>) {
        let user = format!("system:serviceaccount:{PLACE}:{account}");
        let text: String = self
            .world
            .clusters()
            .iter()
            .map(|folder| fs::read_to_string(folder.join("audit.jsonl")).unwrap())
            .collect();
        // The last line may be half of one.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let (mut resources, mut refused) = (BTreeSet::new(), Vec::new());
        for line in lines.filter(|line| line["user"]["username"] == user.as_str()) {
            if let Some(resource) = line["objectRef"]["resource"].as_str() {
                resources.insert(resource.to_owned());
            }
            if line["responseStatus"]["code"] == 403 {
                refused.push(line);
            }
        }
        (resources, refused)
    }
}

fn route53(world: &World, key: &str) -> aws_sdk_route53::Client {
    let credentials = aws_credential_types::Credentials::new(key, SECRET, None, None, "test");
    let config = aws_sdk_route53::Config::builder()
        .behavior_version(aws_sdk_route53::config::BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(aws_sdk_route53::config::Region::new(EKS.regions[0]))
        .endpoint_url(&world.simulator().endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_route53::Client::from_conf(config)
}

/// Has the simulated cloud hold the pod's credential to the policy of the identity that landlord made for its account.
async fn hold(world: &World, uid: &str) {
    let credentials =
        aws_credential_types::Credentials::new(format!("AKIA{}SEEN", EKS.account), SECRET, None, None, "test");
    let config = aws_sdk_eks::Config::builder()
        .behavior_version(aws_sdk_eks::config::BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(aws_sdk_eks::config::Region::new(EKS.regions[0]))
        .endpoint_url(&world.simulator().endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let eks = aws_sdk_eks::Client::from_conf(config);
    let mut policies = Vec::new();
    for cluster in eks.list_clusters().send().await.unwrap().clusters() {
        let found = eks.list_pod_identity_associations().cluster_name(cluster).namespace(PLACE).service_account(PLACE);
        for association in found.send().await.unwrap().associations() {
            let one = eks.describe_pod_identity_association().cluster_name(cluster);
            let one = one.association_id(association.association_id().unwrap()).send().await.unwrap();
            policies.push((cluster.clone(), one.association().unwrap().policy().unwrap().to_owned()));
        }
    }
    let policy = policies.into_iter().find(|(cluster, _)| cluster.contains(&uid.replace('-', ""))).unwrap().1;
    let rights = json!({ "account": EKS.account, "cloud": "aws", "document": policy, "credentials": [KEY] });
    world.simulator().control().post("rights", &rights).unwrap();
}

fn service(name: &str, hostname: &str, target: Option<&str>) -> Value {
    let mut annotations = json!({ HOSTNAME: hostname });
    if let Some(target) = target {
        annotations["external-dns.alpha.kubernetes.io/target"] = json!(target);
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": "own", "annotations": annotations },
        "spec": { "type": "LoadBalancer", "selector": { "app": name }, "ports": [{ "port": 80 }] },
    })
}

fn route(name: &str, hostname: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": name, "namespace": "own" },
        "spec": { "parentRefs": [{ "name": "door" }], "hostnames": [hostname] },
    })
}

/// A Gateway with an address and routes that it has accepted: what its controller would say stands here.
fn routes(scene: &Scene, routes: &[(&str, String)]) {
    let listener = json!({ "name": "http", "port": 80, "protocol": "HTTP" });
    let gateway = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": { "name": "door", "namespace": "own" },
        "spec": { "gatewayClassName": "door", "listeners": [listener] },
    });
    let made: Vec<Value> = routes.iter().map(|(name, hostname)| route(name, hostname)).collect();
    scene.apply(&[vec![gateway], made].concat());
    let report = |kind: &str, name: &str, status: Value| {
        let patch = json!({ "status": status }).to_string();
        scene.kubectl(&["patch", kind, name, "-n", "own", "--subresource=status", "--type=merge", "-p", &patch]);
    };
    report("gateway", "door", json!({ "addresses": [{ "type": "IPAddress", "value": "203.0.113.10" }] }));
    for (name, _) in routes {
        let accepted = json!({
            "type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let parent =
            json!({ "parentRef": { "name": "door" }, "controllerName": "example.com/door", "conditions": [accepted] });
        report("httproute", name, json!({ "parents": [parent] }));
    }
}

/// The identity changes no zone but the tenant's.
async fn the_neighbours_zone_is_refused(scene: &Scene) {
    let record = ResourceRecord::builder().value("203.0.113.66").build().unwrap();
    let name = format!("attempt.{}", scene.neighbour.domain);
    let set =
        ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(60).resource_records(record).build().unwrap();
    let change = Change::builder().action(ChangeAction::Create).resource_record_set(set).build().unwrap();
    let batch = ChangeBatch::builder().changes(change).build().unwrap();
    let zone = scene.zone(&scene.neighbour).await.unwrap();
    let attempt = route53(&scene.world, KEY).change_resource_record_sets().hosted_zone_id(zone).change_batch(batch);
    let refused = attempt.send().await.unwrap_err();
    assert_eq!(refused.into_service_error().meta().code(), Some("AccessDenied"));
}

/// Another account of the namespace has no rights: that it is refused is seen where the real one was not.
fn refusals_are_seen(scene: &Scene, program: &Path) {
    let _foreign = scene.run(program, "default");
    let deadline = Instant::now() + TIMEOUT;
    while scene.requested("default").1.is_empty() {
        assert!(Instant::now() < deadline, "a foreign one was refused nothing");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: cargo xtask test --long"]
async fn long_names_of_apps_have_records_in_the_tenants_zone_and_nowhere_else() {
    let program = tokio::task::spawn_blocking(|| ExternalDns::ensure(&mut |_| {})).await.unwrap().unwrap();
    let scene = tokio::task::spawn_blocking(Scene::start).await.unwrap();
    let (domain, other) = (scene.tenant.domain.clone(), scene.neighbour.domain.clone());
    let uid = scene.world.cli().tenant(&scene.tenant.name()).unwrap().unwrap()["uid"].as_str().unwrap().to_owned();
    hold(&scene.world, &uid).await;
    let [before, before_other] = [scene.records(&scene.tenant).await, scene.records(&scene.neighbour).await];
    assert!(before.iter().any(|(name, ..)| *name == format!("sftp.{domain}")), "landlord made no records: {before:#?}");

    let own = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "own" } });
    scene.apply(&[
        own,
        service("web", &format!("web.{domain}"), None),
        service("apex", &domain, Some("203.0.113.7")),
        // Names that are not the tenant's, or landlord's own records.
        service("foreign", &format!("web.{other}"), None),
        service("above", "web.example.com", None),
        service("reserved", &format!("chat.{domain}"), None),
        service("taken", &format!("sftp.{domain}"), Some("203.0.113.8")),
    ]);
    routes(&scene, &[("wiki", format!("wiki.{domain}")), ("foreign", format!("wiki.{other}"))]);
    let mut program_of_pod = scene.run(&program, PLACE);
    for name in [format!("web.{domain}"), domain.clone(), format!("wiki.{domain}")] {
        scene.until(&name, true, &mut program_of_pod).await;
    }
    // Whatever else stood there when this one came was looked at before.
    scene.apply(&[service("last", &format!("last.{domain}"), None)]);
    scene.until(&format!("last.{domain}"), true, &mut program_of_pod).await;
    let records = scene.records(&scene.tenant).await;
    assert!(before.is_subset(&records), "landlord's records were changed: {before:#?} {records:#?}");
    let owners: Vec<_> = records.iter().filter(|(name, kind, _)| kind == "TXT" && name.contains("-owner.")).collect();
    assert!(
        !owners.is_empty() && owners.iter().all(|(.., value)| value.contains(&format!("external-dns/owner={uid},"))),
        "{owners:#?}"
    );
    assert!(!records.iter().any(|(name, ..)| name.ends_with(&format!("chat.{domain}"))), "{records:#?}");
    assert_eq!(scene.records(&scene.neighbour).await, before_other);

    scene.kubectl(&["delete", "service", "web", "-n", "own"]);
    scene.kubectl(&["delete", "httproute", "wiki", "-n", "own"]);
    for name in [format!("web.{domain}"), format!("wiki.{domain}")] {
        scene.until(&name, false, &mut program_of_pod).await;
    }

    // It was refused nothing, and asked for everything that its role grants.
    let (requested, refused) = scene.requested(PLACE);
    assert!(refused.is_empty(), "{refused:#?}");
    let role = scene.shown(&["get", "clusterrole", "landlord-external-dns"]);
    let granted = role["rules"].as_array().unwrap().iter().flat_map(|rule| rule["resources"].as_array().unwrap());
    let granted: BTreeSet<String> = granted.map(|resource| resource.as_str().unwrap().to_owned()).collect();
    assert_eq!(requested, granted);
    let log = program_of_pod.log().to_lowercase();
    for word in ["forbidden", "accessdenied", "level=error", "level=fatal"] {
        let line = log.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "{line:?}");
    }
    let rights = &scene.world.simulator().control().get("rights").unwrap()[EKS.account];
    assert_eq!(rights["missing"], json!([]), "{rights:#}");
    the_neighbours_zone_is_refused(&scene).await;
    let foreign = program.clone();
    let scene = tokio::task::spawn_blocking(move || {
        refusals_are_seen(&scene, &foreign);
        scene
    })
    .await
    .unwrap();

    // It works on while the tenant goes, and holds nothing up.
    scene.world.cli().ok(&["delete", &scene.tenant.name()]).unwrap();
    scene.reach(&scene.tenant, "GONE");
    assert!(scene.zone(&scene.tenant).await.is_none());
    drop(program_of_pod);
    scene.world.cli().ok(&["delete", &scene.neighbour.name()]).unwrap();
    scene.reach(&scene.neighbour, "GONE");
    judge::account_is_empty(scene.world.simulator().control(), EKS.account).unwrap();
    assert!(scene.world.stop().unwrap());
}
