//! Nothing changes by itself: a chart and a class are edited under tenants that are READY, the daemon is started again and looks
//! after all of them again and again, and not one object differs. Then one of them is brought to what is on offer, and exactly
//! that one changes; a revision that fails goes back to the one before.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, binaries};
use landlord_test_harness::{HostFile, TenantFile, World, WorldOptions, binaries::checkout, cloud::EKS, judge};
use landlord_test_kube::Artifacts;
use serde_json::Value;

use crate::shared::{crash_in_stage, kubectl};

const TIMEOUT: Duration = Duration::from_secs(600);
/// READY tenants are inspected this often while nothing may change. Not while they are built or changed: on a busy machine an
/// inspection takes longer, and whoever is inspected all the time never comes to rest.
const RESYNC: Duration = Duration::from_secs(2);
const NO_RESYNC: Duration = Duration::from_secs(1800);
/// Longer than ten of them, also on a busy machine: the first repair below shows that they go on.
const RESYNCS: Duration = Duration::from_secs(20);

/// A stack of one app, whose ConfigMap says `text`.
fn write_stack(folder: &Path, text: &str) {
    let templates = folder.join("tiny/charts/app/templates");
    fs::create_dir_all(&templates).unwrap();
    let manifest = "apiVersion: landlord.dev/v1\nkind: Stack\nnamespace: tiny\nreleases:\n\
                    - { name: app, chart: charts/app, expectedSeconds: 1 }\n";
    fs::write(folder.join("tiny/stack.yaml"), manifest).unwrap();
    let chart = folder.join("tiny/charts/app");
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: app\nversion: 1.0.0\n").unwrap();
    let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: app }}\ndata: {{ text: {text} }}\n");
    fs::write(templates.join("app.yaml"), object).unwrap();
}

fn class(load_balancers: u32, resync: Duration) -> String {
    format!(
        "[engine]\nresync_interval = '{}s'\n[classes.tiny]\nlevel = 'NAMESPACE'\nprovider = 'eks'\ncredentials = 'default'\n\
         regions = ['{}']\nstack = 'tiny'\n[classes.tiny.hosts]\nlabels = {{ tier = 'shared' }}\n\
         reserve_percent = {{ cpu = 0, memory = 0, pods = 0 }}\n[classes.tiny.guardrails]\nload_balancers = {load_balancers}\n",
        resync.as_secs(),
        EKS.regions[0],
    )
}

struct Scene {
    world: World,
    stacks: tempfile::TempDir,
    tenants: Vec<TenantFile>,
}

impl Scene {
    fn start(tenants: usize) -> Self {
        let stacks = tempfile::tempdir().unwrap();
        write_stack(stacks.path(), "one");
        // Classes of the world name it.
        let shipped = checkout().join("config/stacks/ai-fileserver");
        std::os::unix::fs::symlink(shipped, stacks.path().join("ai-fileserver")).unwrap();
        let options = WorldOptions {
            time_scale: FAST,
            kubernetes: Some(Artifacts::ensure(&mut |_| {}).unwrap()),
            stacks_dir: Some(stacks.path().to_owned()),
            extra_config: class(0, NO_RESYNC),
            ..WorldOptions::default()
        };
        let world = World::temporary(binaries().unwrap(), &options).unwrap();
        world.cli().apply_host(&HostFile::new("shared-1", &EKS.bare_class(), 2, 100)).unwrap();
        let tenants = (0..tenants).map(|number| TenantFile::new(&format!("c{number}"), "t", "tiny"));
        let scene = Self { world, stacks, tenants: tenants.collect() };
        for tenant in &scene.tenants {
            scene.world.cli().apply(tenant).unwrap();
        }
        for tenant in &scene.tenants {
            scene.reach(&tenant.name());
        }
        scene
    }

    fn reach(&self, name: &str) {
        let cli = self.world.cli();
        if let Err(error) = cli.wait_for(name, "READY", TIMEOUT) {
            panic!("{error:#}\n{}\n{}", cli.run(&["describe", name]).unwrap().stdout, self.world.log_tail(30));
        }
    }

    /// Other contents on disk, under a daemon that was killed.
    fn edit(&mut self, text: &str, before: &str, after: &str) {
        self.world.crash_daemon().unwrap();
        write_stack(self.stacks.path(), text);
        let config = fs::read_to_string(self.world.config()).unwrap();
        assert!(config.contains(before));
        fs::write(self.world.config(), config.replace(before, after)).unwrap();
        self.world.start_daemon().unwrap();
    }

    fn namespace(&self, tenant: &TenantFile) -> String {
        let found = self.world.cli().tenant(&tenant.name()).unwrap().unwrap();
        judge::text(&found["placement"]["isolation"], "namespace").to_owned()
    }

    /// All that was decided in a tenant's namespace, object by object; what Kubernetes counts by itself is not.
    fn objects(&self, tenant: &TenantFile) -> BTreeMap<String, Value> {
        let kinds = "secrets,configmaps,serviceaccounts,roles,rolebindings,resourcequotas,limitranges,networkpolicies";
        let namespace = self.namespace(tenant);
        let text = kubectl(&self.world, &tenant.name(), &["get", kinds, "-n", &namespace, "-o", "json"]);
        let all: Value = serde_json::from_str(&text).unwrap();
        let line = |object: &Value| {
            let (mut object, key) = (
                object.clone(),
                format!("{} {}", judge::text(object, "kind"), judge::text(&object["metadata"], "name")),
            );
            object["status"] = Value::Null;
            for field in ["managedFields", "resourceVersion"] {
                object["metadata"][field] = Value::Null;
            }
            (key, object)
        };
        all["items"].as_array().unwrap().iter().map(line).collect()
    }

    fn all(&self) -> Vec<BTreeMap<String, Value>> {
        self.tenants.iter().map(|tenant| self.objects(tenant)).collect()
    }

    fn text(&self, tenant: &TenantFile) -> String {
        self.objects(tenant)
            .get("ConfigMap app")
            .map_or_else(String::new, |object| judge::text(&object["data"], "text").to_owned())
    }

    /// The ConfigMap is deleted, and comes back as it was: so a resync ran, and repaired towards the tenant's own revision.
    fn a_resync_repairs(&self, tenant: &TenantFile, expected: &str) {
        kubectl(&self.world, &tenant.name(), &["delete", "configmap", "app", "-n", &self.namespace(tenant)]);
        let deadline = Instant::now() + TIMEOUT;
        while self.text(tenant) != expected {
            assert!(Instant::now() < deadline, "{:?}; {}", self.text(tenant), self.world.log_tail(20));
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn outdated(&self) -> Vec<Value> {
        let text = self.world.cli().ok(&["get", "tenants", "--outdated", "-o", "json"]).unwrap();
        let found: Value = serde_json::from_str(&text).unwrap();
        found.as_array().or_else(|| found["tenants"].as_array()).cloned().unwrap_or_default()
    }
}

fn nothing_changes_by_itself(tenants: usize) {
    let mut scene = Scene::start(tenants);
    assert!(scene.outdated().is_empty(), "{:?}", scene.outdated());
    let before = scene.all();
    let [first, second, third] = [class(0, NO_RESYNC), class(2, RESYNC), class(2, NO_RESYNC)];
    scene.edit("two", &first, &second);
    std::thread::sleep(RESYNCS);
    assert_eq!(scene.all(), before, "something changed by itself");
    scene.a_resync_repairs(&scene.tenants[1], "one");
    assert_eq!(scene.outdated().len(), tenants);
    scene.edit("two", &second, &third);
    for tenant in &scene.tenants {
        scene.reach(&tenant.name());
    }

    // Exactly the one that was asked for.
    let first = scene.tenants[0].name();
    scene.world.cli().ok(&["update", &first, "--to-current"]).unwrap();
    scene.reach(&first);
    assert_eq!(scene.text(&scene.tenants[0]), "two");
    let quota = scene.objects(&scene.tenants[0])["ResourceQuota landlord"].to_string();
    assert!(quota.contains(r#""services.loadbalancers":"2""#), "the class reached it, too: {quota}");
    assert_eq!(scene.outdated().len(), tenants - 1);
    for (tenant, before) in scene.tenants.iter().zip(&before).skip(2) {
        assert_eq!(&scene.objects(tenant), before, "{}", tenant.name());
    }
    assert_eq!(scene.text(&scene.tenants[1]), "one");

    // One that no API server takes is given up for the one before.
    scene.edit("{ a: { b: c } }", &third, &third);
    let second = scene.tenants[1].name();
    scene.world.cli().run(&["update", &second, "--to-current"]).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    let given_up = |scene: &Scene| {
        let events = scene.world.cli().events(&second).unwrap();
        events.iter().any(|event| judge::text(event, "reason") == "RevisionGivenUp")
    };
    while !given_up(&scene) {
        assert!(Instant::now() < deadline, "{}", scene.world.cli().ok(&["describe", &second]).unwrap());
        std::thread::sleep(Duration::from_millis(500));
    }
    scene.reach(&second);
    assert_eq!(scene.text(&scene.tenants[1]), "one");
    assert!(scene.world.stop().unwrap());
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_a_chart_and_a_class_reach_whom_they_are_meant_for_and_nobody_else() {
    nothing_changes_by_itself(3);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_a_chart_and_a_class_reach_one_of_thirty() {
    nothing_changes_by_itself(30);
}

/// A platform with a release that everybody has, a part that a class orders, and one that the cloud brings.
fn write_platform(folder: &Path) {
    let release = |name: &str, part: &str| {
        let templates = folder.join("parts/charts").join(name).join("templates");
        fs::create_dir_all(&templates).unwrap();
        fs::write(
            templates.parent().unwrap().join("Chart.yaml"),
            format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\n"),
        )
        .unwrap();
        let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: what }\ndata: { of: {{ .Values.of | default \"nobody\" }} }\n";
        fs::write(templates.join("object.yaml"), object).unwrap();
        format!("  - {{ name: {name}, namespace: {name}, chart: charts/{name}, expectedSeconds: 1{part} }}\n")
    };
    let manifest = format!(
        "apiVersion: landlord.dev/v1\nkind: Platform\nparts:\n  - {{ name: lamp, default: false }}\n  \
         - {{ name: brought, default: true, capability: leftovers }}\nreleases:\n{}{}{}",
        release("always", ""),
        release("lamp", ", part: lamp"),
        release("brought", ", part: brought"),
    );
    fs::write(folder.join("parts/platform.yaml"), manifest).unwrap();
}

fn own_class(options: &str) -> String {
    format!(
        "[classes.own]\nlevel = 'CLUSTER'\nprovider = 'eks'\ncredentials = 'default'\nregions = ['{}']\nplatform = 'parts'\n\
         machine_type = '{}'\nnode_count = 1\nnode_count_max = 2\nplatform_options = {options}\n[classes.own.parameters]\n{}\n",
        EKS.regions[0], EKS.machine_types[0], EKS.parameters,
    )
}

/// What a release's ConfigMap says; empty: there is none.
fn installed(world: &World, release: &str) -> String {
    let shown = [
        "get",
        "configmaps",
        "-n",
        release,
        "--ignore-not-found",
        "-o",
        "jsonpath={.items[?(@.metadata.name=='what')].data.of}",
    ];
    kubectl(world, "customers/c/tenants/t", &shown)
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_parts_of_a_platform_are_what_the_class_orders_and_the_cloud_does_not_bring() {
    let folder = tempfile::tempdir().unwrap();
    write_platform(folder.path());
    let ordered = own_class("{ parts = { lamp = true }, values = { lamp = { of = 'the class' } } }");
    let options = WorldOptions {
        time_scale: FAST,
        kubernetes: Some(Artifacts::ensure(&mut |_| {}).unwrap()),
        platforms_dir: Some(folder.path().to_owned()),
        extra_config: ordered.clone(),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    let tenant = TenantFile::new("c", "t", "own");
    world.cli().apply(&tenant).unwrap();
    for stage in ["platform/always", "platform/lamp"] {
        crash_in_stage(&mut world, &tenant.name(), stage);
    }
    let ready = |world: &World| {
        let waited = world.cli().wait_for(&tenant.name(), "READY", TIMEOUT);
        waited.unwrap_or_else(|error| panic!("{error:#}\n{}", world.log_tail(30)));
        world.cli().ok(&["describe", &tenant.name()]).unwrap()
    };
    let described = ready(&world);
    assert!(described.contains("the cloud brings it (capability leftovers of provider eks)"), "{described}");
    let all = |world: &World| ["always", "lamp", "brought"].map(|release| installed(world, release));
    assert_eq!(all(&world), ["nobody", "the class", ""]);

    // Not ordered any more: nothing happens by itself, then it is taken away.
    world.crash_daemon().unwrap();
    let config = fs::read_to_string(world.config()).unwrap();
    fs::write(world.config(), config.replace(&ordered, &own_class("{ parts = { lamp = false } }"))).unwrap();
    world.start_daemon().unwrap();
    assert_eq!(all(&world), ["nobody", "the class", ""]);
    world.cli().ok(&["update", &tenant.name(), "--to-current"]).unwrap();
    let described = ready(&world);
    assert!(described.contains("class own does not order it"), "{described}");
    assert_eq!(all(&world), ["nobody", "", ""]);
    world.cli().ok(&["delete", &tenant.name()]).unwrap();
    world.cli().wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
    assert!(world.stop().unwrap());
}

/// A platform of one release, whose ConfigMap says `text`.
fn write_gates(folder: &Path, text: &str) {
    let chart = folder.join("gates/charts/gate");
    fs::create_dir_all(chart.join("templates")).unwrap();
    let manifest = "apiVersion: landlord.dev/v1\nkind: Platform\nreleases:\n\
                    - { name: gate, namespace: gate, chart: charts/gate, expectedSeconds: 1 }\n";
    fs::write(folder.join("gates/platform.yaml"), manifest).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: gate\nversion: 1.0.0\n").unwrap();
    let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: what }}\ndata: {{ of: {text} }}\n");
    fs::write(chart.join("templates/object.yaml"), object).unwrap();
}

/// A class of host clusters with that platform.
fn gated_class() -> String {
    format!(
        "[classes.gated]\nlevel = 'CLUSTER'\nprovider = 'eks'\ncredentials = 'default'\nregions = ['{}']\nplatform = 'gates'\n\
         machine_type = '{}'\nnode_count = 1\nnode_count_max = 2\n[classes.gated.parameters]\n{}\n",
        EKS.regions[0], EKS.machine_types[0], EKS.parameters,
    )
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_a_platform_reaches_the_host_cluster_that_is_asked_for_and_one_that_fails_goes_back() {
    let (stacks, platforms) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_stack(stacks.path(), "one");
    let shipped = checkout().join("config/stacks/ai-fileserver");
    std::os::unix::fs::symlink(shipped, stacks.path().join("ai-fileserver")).unwrap();
    write_gates(platforms.path(), "one");
    let options = WorldOptions {
        time_scale: FAST,
        kubernetes: Some(Artifacts::ensure(&mut |_| {}).unwrap()),
        stacks_dir: Some(stacks.path().to_owned()),
        platforms_dir: Some(platforms.path().to_owned()),
        extra_config: class(0, NO_RESYNC) + &gated_class(),
        ..WorldOptions::default()
    };
    let mut world = World::temporary(binaries().unwrap(), &options).unwrap();
    let (host, tenant) = (HostFile::new("shared-1", "gated", 1, 10), TenantFile::new("c", "t", "tiny"));
    world.cli().apply_host(&host).unwrap();
    world.cli().apply(&tenant).unwrap();
    let reach = |world: &World, name: &str| {
        let waited = world.cli().wait_for(name, "READY", TIMEOUT);
        waited.unwrap_or_else(|error| panic!("{error:#}\n{}", world.log_tail(30)));
    };
    reach(&world, &tenant.name());
    let outdated = |world: &World| world.cli().ok(&["get", "hostclusters", "--outdated", "-o", "name"]).unwrap();
    let gate = |world: &World| installed(world, "gate");
    assert_eq!((gate(&world).as_str(), outdated(&world).as_str()), ("one", ""));
    let edit = |world: &mut World, text: &str| {
        world.crash_daemon().unwrap();
        write_gates(platforms.path(), text);
        world.start_daemon().unwrap();
        reach(world, &host.name());
    };

    // It lies there, and nobody has asked for it.
    edit(&mut world, "two");
    assert_eq!((gate(&world), outdated(&world)), ("one".to_owned(), format!("{}\n", host.name())));
    world.cli().ok(&["update", "hostcluster", &host.id, "--to-current"]).unwrap();
    reach(&world, &host.name());
    assert_eq!((gate(&world).as_str(), outdated(&world).as_str()), ("two", ""));

    // One that no API server takes, with the daemon killed in the middle: what it goes back to is in the store alone.
    edit(&mut world, "{ a: { b: c } }");
    world.cli().ok(&["update", "hostcluster", &host.id, "--to-current"]).unwrap();
    world.crash_daemon().unwrap();
    world.start_daemon().unwrap();
    let given_up = |world: &World| {
        let events = world.cli().events(&host.name()).unwrap();
        events.iter().any(|event| judge::text(event, "reason") == "RevisionGivenUp")
    };
    let deadline = Instant::now() + TIMEOUT;
    while !given_up(&world) {
        assert!(Instant::now() < deadline, "{}", world.cli().ok(&["describe", "hostcluster", &host.id]).unwrap());
        std::thread::sleep(Duration::from_millis(500));
    }
    reach(&world, &host.name());
    assert_eq!(gate(&world), "two");
    let of_tenant = world.cli().tenant(&tenant.name()).unwrap().unwrap();
    let generation = of_tenant["generation"].to_string();
    assert_eq!((judge::text(&of_tenant, "state"), generation.trim_matches('"')), ("READY", "1"));

    for name in [tenant.name(), host.name()] {
        world.cli().ok(&["delete", &name]).unwrap();
        world.cli().wait_for(&name, "GONE", TIMEOUT).unwrap();
    }
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
    assert!(world.stop().unwrap());
}
