//! Nodes beyond those that are always there: the real Karpenter, whose provider makes kwok's nodes, fills the pool that landlord
//! orders for a tenant with nodes of its own. Pods wait, machines come with the tenant's taint and no more than the class pays for,
//! and all of them are gone with the tenant, whenever the daemon is killed.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use landlord_e2e::kubernetes_world;
use landlord_test_harness::{HostFile, TenantFile, World, cloud::EKS, judge};
use landlord_test_kube::Karpenter;
use serde_json::Value;

use crate::shared::{begun, crash_in_stage, crash_in_stage_again, kubectl};

const SCALE: f64 = 1.0 / 60.0;
const TIMEOUT: Duration = Duration::from_secs(600);
/// Machines of kwok's provider with four cores.
const MACHINE: &str = "c-4x-amd64-linux";
/// Two beside the one that is always there, as the limit of eight cores has it.
const NODES_MAX: usize = 3;

fn class(nodes_max: Option<usize>) -> String {
    let node = format!("machine_type = '{}'\nnode_count = 1\nnode_count_max = 2\n", EKS.machine_types[0]);
    let scaling = nodes_max.map_or(String::new(), |most| {
        format!(
            "[classes.scaled.node_scaling]\nnodes_max = {most}\n[classes.scaled.node_scaling.karpenter]\n\
             node_class = {{ group = 'karpenter.kwok.sh', kind = 'KWOKNodeClass', name = 'default' }}\n\
             limits = {{ cpu = '8' }}\nrequirements = [{{ key = 'node.kubernetes.io/instance-type', operator = 'In', \
             values = ['{MACHINE}'] }}]\n"
        )
    });
    format!(
        "[classes.scaled]\nlevel = 'NODE'\nprovider = 'eks'\ncredentials = 'default'\nregions = ['{}']\n{node}\
         [classes.scaled.hosts]\nlabels = {{ tier = 'shared' }}\n\
         [classes.scaled.guardrails.quota]\ncpu_request_milli = 16000\n{scaling}",
        EKS.regions[0]
    )
}

/// Pods that fill a machine each, as a tenant's app would order them.
fn pods(count: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: load }}\nspec:\n  replicas: {count}\n  \
         selector: {{ matchLabels: {{ app: load }} }}\n  template:\n    metadata: {{ labels: {{ app: load }} }}\n    spec:\n      \
         securityContext: {{ runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{ type: RuntimeDefault }} }}\n      \
         containers:\n        - name: load\n          image: example.com/load:1\n          \
         securityContext: {{ allowPrivilegeEscalation: false, capabilities: {{ drop: [ALL] }} }}\n          \
         resources: {{ requests: {{ cpu: '3', memory: 64Mi }}, limits: {{ memory: 64Mi }} }}\n"
    )
}

struct Scene {
    world: World,
    tenant: TenantFile,
    neighbour: TenantFile,
}

impl Scene {
    fn shown(&self, arguments: &[&str]) -> Value {
        let text = kubectl(&self.world, &self.neighbour.name(), &[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap()
    }

    /// Machines that Karpenter made.
    fn nodes(&self) -> Vec<Value> {
        self.shown(&["get", "nodes", "-l", "karpenter.sh/nodepool"])["items"].as_array().unwrap().clone()
    }

    fn until(&self, what: &str, mut seen: impl FnMut() -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        while !seen() {
            let described = || self.world.cli().run(&["describe", &self.tenant.name()]).unwrap().stdout;
            assert!(Instant::now() < deadline, "{what}\n{}\n{}", described(), self.world.log_tail(20));
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn reach(&self, name: &str, state: &str) {
        if let Err(error) = self.world.cli().wait_for(name, state, TIMEOUT) {
            let shown = self.world.cli().run(&["describe", name]).unwrap();
            panic!("{error:#}\n{}{}\n{}", shown.stdout, shown.stderr, self.world.log_tail(40));
        }
    }

    fn apply(&self, text: &str, namespace: &str) {
        let file = self.world.folder().join("applied.yaml");
        std::fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        kubectl(&self.world, &self.neighbour.name(), &["apply", "-n", namespace, "-f", &file]);
    }

    fn install(&self, program: &Path) -> Karpenter {
        let definitions = Karpenter::definitions(program).display().to_string();
        kubectl(&self.world, &self.neighbour.name(), &["apply", "--server-side", "-f", &definitions]);
        self.until("the kinds are known", || {
            let known = ["get", "crd", "nodepools.karpenter.sh", "kwoknodeclasses.karpenter.kwok.sh", "-o", "name"];
            kubectl(&self.world, &self.neighbour.name(), &known).lines().count() == 2
        });
        self.apply(
            "apiVersion: karpenter.kwok.sh/v1alpha1\nkind: KWOKNodeClass\nmetadata: { name: default }\n",
            "default",
        );
        // Its own copy: the file that kubectl uses is written again and again.
        let kubeconfig = self.world.folder().join("karpenter.kubeconfig");
        let text = self.world.cli().ok(&["kubeconfig", &self.neighbour.name(), "--for", "operator"]).unwrap();
        std::fs::write(&kubeconfig, text).unwrap();
        Karpenter::start(program, &kubeconfig, self.world.folder()).unwrap()
    }
}

/// Two machines come for five pods, since the class pays for no third one; each is the tenant's and nobody else's.
#[expect(clippy::print_stdout, reason = "the figure is shown")]
fn machines_come(scene: &Scene, uid: &str) {
    let namespace = {
        let found = scene.world.cli().tenant(&scene.tenant.name()).unwrap().unwrap();
        judge::text(&found["placement"]["isolation"], "namespace").to_owned()
    };
    scene.apply(&pods(5), &namespace);
    let began = Instant::now();
    scene.until("two machines come", || scene.nodes().len() == NODES_MAX - 1);
    let label = uid.replace('-', "");
    let running = || {
        let pods = scene.shown(&["get", "pods", "-n", &namespace]);
        let on: BTreeSet<String> = pods["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Running")
            .map(|pod| judge::text(&pod["spec"], "nodeName").to_owned())
            .collect();
        on
    };
    let own =
        || scene.nodes().iter().map(|node| judge::text(&node["metadata"], "name").to_owned()).collect::<BTreeSet<_>>();
    scene.until("pods run on both", || own().is_subset(&running()));
    println!("FIGURE: two machines and pods on them after {:?}", began.elapsed());
    for node in scene.nodes() {
        assert_eq!(node["metadata"]["labels"]["landlord.dev/tenant"], label.as_str(), "{node:#}");
        assert_eq!(node["metadata"]["labels"]["node.kubernetes.io/instance-type"], MACHINE);
        let taints = node["spec"]["taints"].as_array().unwrap();
        let is_own = |taint: &Value| taint["key"] == "landlord.dev/tenant" && taint["value"] == label.as_str();
        assert!(taints.iter().any(|taint| is_own(taint) && taint["effect"] == "NoSchedule"), "{taints:?}");
    }
    // Longer than Karpenter gathers waiting pods for: it has made up its mind.
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(scene.nodes().len(), NODES_MAX - 1, "more machines than the class pays for");
    let waiting = scene.shown(&["get", "pods", "-n", &namespace, "--field-selector=status.phase=Pending"]);
    assert!(!waiting["items"].as_array().unwrap().is_empty(), "nothing waits, so no limit was met");
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long"]
fn long_pods_that_wait_get_nodes_within_the_limit_and_all_go_with_their_tenant() {
    let program = Karpenter::ensure(&mut |_| {}).unwrap();
    let world = kubernetes_world(&EKS, SCALE, &class(Some(NODES_MAX))).unwrap();
    world.cli().apply_host(&HostFile::new("shared-1", &EKS.bare_class(), 2, 10)).unwrap();
    let [tenant, neighbour] = ["acme", "globex"].map(|customer| TenantFile::new(customer, "prod", "scaled"));
    let mut scene = Scene { world, tenant, neighbour };
    let name = scene.tenant.name();
    for tenant in [&scene.neighbour, &scene.tenant] {
        scene.world.cli().apply(tenant).unwrap();
    }
    // Without Karpenter the stage says who must do what, and waits.
    scene.until("the lack of Karpenter is named", || {
        let described = scene.world.cli().run(&["describe", &name]).unwrap().stdout;
        described.contains("the cluster knows no NodePool of Karpenter")
    });
    let mut karpenter = scene.install(&program);
    crash_in_stage(&mut scene.world, &name, "node-scaling");
    for name in [&name, &scene.neighbour.name()] {
        scene.reach(name, "READY");
    }
    assert_eq!(scene.nodes().len(), 0, "machines that no pod waits for");
    let uid = judge::text(&scene.world.cli().tenant(&name).unwrap().unwrap(), "uid").to_owned();
    machines_come(&scene, &uid);
    karpenter.check().unwrap();

    let before = begun(&scene.world, &name, "node-scaling");
    scene.world.cli().ok(&["delete", &name]).unwrap();
    crash_in_stage_again(&mut scene.world, &name, "node-scaling", before);
    scene.reach(&name, "GONE");
    assert_eq!(scene.nodes().len(), 0, "machines outlive their tenant");
    let claims = scene.shown(&["get", "nodeclaims"]);
    assert_eq!(claims["items"].as_array().unwrap().len(), 0, "{claims:#}");
    let pools = scene.shown(&["get", "nodepools"]);
    assert_eq!(pools["items"].as_array().unwrap().len(), 1, "the neighbour keeps its own: {pools:#}");

    // An order that the class does not make any more goes from the neighbour when it is asked for.
    scene.world.crash_daemon().unwrap();
    let config = std::fs::read_to_string(scene.world.config()).unwrap();
    std::fs::write(scene.world.config(), config.replace(&class(Some(NODES_MAX)), &class(None))).unwrap();
    scene.world.start_daemon().unwrap();
    let neighbour = scene.neighbour.name();
    scene.world.cli().ok(&["update", &neighbour, "--to-current"]).unwrap();
    scene.reach(&neighbour, "READY");
    let described = scene.world.cli().ok(&["describe", &neighbour]).unwrap();
    assert!(described.contains("class scaled does not order it"), "{described}");
    assert_eq!(scene.shown(&["get", "nodepools"])["items"].as_array().unwrap().len(), 0);
    scene.world.cli().ok(&["delete", &neighbour]).unwrap();
    scene.reach(&neighbour, "GONE");
    scene.world.cli().ok(&["delete", "hostcluster", "shared-1"]).unwrap();
    scene.until("the host cluster is gone", || {
        judge::account_is_empty(scene.world.simulator().control(), EKS.account).is_ok()
    });
    assert!(scene.world.stop().unwrap());
}
