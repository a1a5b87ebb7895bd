//! What a tenant's accounts must not be able to do. Each row is one request; who sends it, and which rule refuses it.
//!
//! Rows with the number of an advisory try what was once possible in Capsule, a tool that lets tenants own namespaces.

use serde_json::{Value, json};

use super::asking::{
    Ask,
    Rule::{self, PodSecurity, Policy, Quota, Rbac},
    delete, get, patch, post, put,
};

/// Who tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Customer,
    Deployer,
    Both,
}

/// One attempt.
pub(crate) struct Attempt {
    pub(crate) who: Who,
    pub(crate) what: &'static str,
    pub(crate) ask: Ask,
    pub(crate) by: Rule,
}

fn both(what: &'static str, ask: Ask, by: Rule) -> Attempt {
    Attempt { who: Who::Both, what, ask, by }
}

fn customer(what: &'static str, ask: Ask, by: Rule) -> Attempt {
    Attempt { who: Who::Customer, what, ask, by }
}

fn deployer(what: &'static str, ask: Ask, by: Rule) -> Attempt {
    Attempt { who: Who::Deployer, what, ask, by }
}

/// Names that the attempts are about.
pub(crate) struct Names {
    /// Namespace of the one who tries.
    pub(crate) own: String,
    /// Namespace of another tenant.
    pub(crate) other: String,
    /// Pool of that other tenant.
    pub(crate) other_pool: String,
    /// A running pod of the one who tries.
    pub(crate) own_pod: String,
    /// A running pod of the other.
    pub(crate) other_pod: String,
}

/// A pod that would be allowed, changed by `what`.
pub(crate) fn pod(what: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "attempt-" },
        "spec": {
            "automountServiceAccountToken": false,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "c", "image": "example.com/c:1",
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        },
    });
    for (key, value) in what.as_object().into_iter().flatten() {
        match key.strip_prefix("container.") {
            Some(key) => pod["spec"]["containers"][0][key] = value.clone(),
            None => pod["spec"][key.as_str()] = value.clone(),
        }
    }
    pod
}

fn pods(names: &Names, what: &Value) -> Ask {
    post(format!("/api/v1/namespaces/{}/pods", names.own), pod(what))
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1";

pub(crate) fn all(names: &Names) -> Vec<Attempt> {
    let mut all = other_tenants(names);
    all.extend(namespaces(names));
    all.extend(own_fences(names));
    all.extend(whole_cluster(names));
    all.extend(other_nodes(names));
    all.extend(pod_security(names));
    all.extend(identities(names));
    all.extend(quotas(names));
    all.extend(networks(names));
    all
}

fn other_tenants(names: &Names) -> Vec<Attempt> {
    let Names { other, other_pod, .. } = names;
    let in_other = |rest: &str| format!("/api/v1/namespaces/{other}/{rest}");
    vec![
        both("list another tenant's pods", get(in_other("pods")), Rbac),
        both("read another tenant's secret", get(in_other("secrets/sftpgo")), Rbac),
        both("list another tenant's secrets", get(in_other("secrets")), Rbac),
        both(
            "write into another tenant's namespace",
            post(in_other("configmaps"), json!({ "metadata": { "name": "a" }, "data": { "a": "b" } })),
            Rbac,
        ),
        both(
            "change another tenant's workload",
            patch(format!("/apis/apps/v1/namespaces/{other}/deployments/sftpgo"), json!({ "spec": { "replicas": 0 } })),
            Rbac,
        ),
        both("delete another tenant's volume claim", delete(in_other("persistentvolumeclaims/sftpgo")), Rbac),
        both(
            "enter another tenant's pod",
            post(in_other(&format!("pods/{other_pod}/exec?command=sh")), Value::Null),
            Rbac,
        ),
        both("read another tenant's logs", get(in_other(&format!("pods/{other_pod}/log"))), Rbac),
        both(
            "reach another tenant's pod through the API server",
            get(in_other(&format!("pods/{other_pod}/proxy/"))),
            Rbac,
        ),
        both(
            "reach another tenant's service through the API server",
            get(in_other("services/sftpgo:8080/proxy/")),
            Rbac,
        ),
        both("list pods of all tenants", get("/api/v1/pods"), Rbac),
        both("list secrets of all tenants", get("/api/v1/secrets"), Rbac),
    ]
}

fn namespaces(names: &Names) -> Vec<Attempt> {
    let Names { own, other, .. } = names;
    let namespace = |name: &str| format!("/api/v1/namespaces/{name}");
    let object = |name: &str| json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name }, "spec": { "finalizers": [] } });
    let claimed =
        json!({ "metadata": { "labels": { "landlord.dev/level": "namespace", "landlord-installation": "test" } } });
    vec![
        both("list namespaces (CVE-2023-46254)", get("/api/v1/namespaces"), Rbac),
        both("watch namespaces", get("/api/v1/namespaces?watch=1"), Rbac),
        both("read another tenant's namespace (CVE-2023-46254)", get(namespace(other)), Rbac),
        both("read the own namespace", get(namespace(own)), Rbac),
        both(
            "take Pod Security off the own namespace (CVE-2022-46167)",
            patch(namespace(own), json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": null } } })),
            Rbac,
        ),
        both(
            "take the owner off the own namespace (CVE-2022-46167)",
            patch(
                namespace(own),
                json!({ "metadata": { "ownerReferences": null, "labels": { "landlord-tenant-uid": null } } }),
            ),
            Rbac,
        ),
        both(
            "become the owner of kube-system (CVE-2024-39690)",
            patch(
                namespace("kube-system"),
                json!({ "metadata": { "ownerReferences": [{ "apiVersion": "v1", "kind": "Namespace", "name": own, "uid": "x" }] } }),
            ),
            Rbac,
        ),
        both("put our labels on kube-system (CVE-2025-55205)", patch(namespace("kube-system"), claimed.clone()), Rbac),
        both("put our labels on default (CVE-2025-55205)", patch(namespace("default"), claimed), Rbac),
        both(
            "write the own namespace through /status (CVE-2026-30963)",
            put(format!("{}/status", namespace(own)), object(own)),
            Rbac,
        ),
        both(
            "write the own namespace through /finalize (CVE-2026-30963, GHSA-gwxr-7h77-7777)",
            put(format!("{}/finalize", namespace(own)), object(own)),
            Rbac,
        ),
        both(
            "write kube-system through /finalize (GHSA-gwxr-7h77-7777)",
            put(format!("{}/finalize", namespace("kube-system")), object("kube-system")),
            Rbac,
        ),
        both(
            "put forbidden metadata on the own namespace (GHSA-gjw4-3v3v-rqxg)",
            patch(
                namespace(own),
                json!({ "metadata": { "annotations": { "scheduler.alpha.kubernetes.io/node-selector": "a=b" } } }),
            ),
            Rbac,
        ),
        both("make a namespace", post("/api/v1/namespaces", json!({ "metadata": { "name": "mine" } })), Rbac),
        both("delete the own namespace", delete(namespace(own)), Rbac),
    ]
}

fn own_fences(names: &Names) -> Vec<Attempt> {
    let own = &names.own;
    let core = |rest: &str| format!("/api/v1/namespaces/{own}/{rest}");
    let rbac = |rest: &str| format!("{RBAC}/namespaces/{own}/{rest}");
    let policies = format!("/apis/networking.k8s.io/v1/namespaces/{own}/networkpolicies");
    let more = json!({ "spec": { "hard": { "pods": "1000" } } });
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let subject = json!([{ "kind": "ServiceAccount", "name": "default", "namespace": own }]);
    let admin = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" });
    vec![
        both("raise the quota", patch(core("resourcequotas/landlord"), more.clone()), Rbac),
        both("write the quota's usage through /status", patch(core("resourcequotas/landlord/status"), more), Rbac),
        both("delete the quota", delete(core("resourcequotas/landlord")), Rbac),
        both("delete the limits", delete(core("limitranges/landlord")), Rbac),
        both(
            "open the network",
            post(
                &policies,
                json!({ "metadata": { "name": "open" }, "spec": { "podSelector": {}, "ingress": [{}], "egress": [{}] } }),
            ),
            Rbac,
        ),
        both("delete the default-deny policy", delete(format!("{policies}/default-deny")), Rbac),
        both(
            "open the gateway's policy",
            patch(format!("{policies}/landlord-gateway"), json!({ "spec": { "ingress": [{}] } })),
            Rbac,
        ),
        both(
            "give itself a role",
            post(rbac("roles"), json!({ "metadata": { "name": "all" }, "rules": everything.clone() })),
            Rbac,
        ),
        both("escalate the own role", patch(rbac("roles/landlord-customer"), json!({ "rules": everything })), Rbac),
        both(
            "bind cluster-admin in the own namespace",
            post(rbac("rolebindings"), json!({ "metadata": { "name": "all" }, "roleRef": admin, "subjects": subject })),
            Rbac,
        ),
        both(
            "let somebody else in",
            patch(rbac("rolebindings/landlord-customer"), json!({ "subjects": subject })),
            Rbac,
        ),
    ]
}

fn whole_cluster(names: &Names) -> Vec<Attempt> {
    let own = &names.own;
    let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
    let binding = json!({
        "metadata": { "name": "mine" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "ServiceAccount", "name": "landlord-customer", "namespace": own }],
    });
    let named = |name: &str| json!({ "metadata": { "name": name } });
    let pods_policy = "validatingadmissionpolicies/landlord-test-tenant-pods";
    vec![
        both(
            "make a cluster role (CVE-2026-22872, CVE-2026-65835)",
            post(format!("{RBAC}/clusterroles"), json!({ "metadata": { "name": "mine" }, "rules": everything })),
            Rbac,
        ),
        both("bind a cluster role", post(format!("{RBAC}/clusterrolebindings"), binding), Rbac),
        both(
            "make a validating webhook (CVE-2026-22872)",
            post(format!("{ADMISSION}/validatingwebhookconfigurations"), named("mine")),
            Rbac,
        ),
        both(
            "make a mutating webhook",
            post(format!("{ADMISSION}/mutatingwebhookconfigurations"), named("mine")),
            Rbac,
        ),
        both("delete an admission policy", delete(format!("{ADMISSION}/{pods_policy}")), Rbac),
        both(
            "stop an admission policy from denying",
            patch(
                format!("{ADMISSION}/validatingadmissionpolicybindings/landlord-test-tenant-pods"),
                json!({ "spec": { "validationActions": ["Audit"] } }),
            ),
            Rbac,
        ),
        both(
            "make a custom resource",
            post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", named("a.example.com")),
            Rbac,
        ),
        both(
            "make an aggregated API",
            post("/apis/apiregistration.k8s.io/v1/apiservices", named("v1.example.com")),
            Rbac,
        ),
        both("make a volume", post("/api/v1/persistentvolumes", named("mine")), Rbac),
        both("make a storage class", post("/apis/storage.k8s.io/v1/storageclasses", named("mine")), Rbac),
        both("make a priority class", post("/apis/scheduling.k8s.io/v1/priorityclasses", named("mine")), Rbac),
        both("list nodes", get("/api/v1/nodes"), Rbac),
        both("reach a node through the API server", get("/api/v1/nodes/shared-1/proxy/pods"), Rbac),
        both("write into kube-system", post("/api/v1/namespaces/kube-system/configmaps", named("mine")), Rbac),
        both("read the API server's metrics", get("/metrics"), Rbac),
    ]
}

fn other_nodes(names: &Names) -> Vec<Attempt> {
    let Names { own, other_pool, own_pod, .. } = names;
    let key = "landlord.dev/tenant";
    let tolerates = |value: &str| json!({ "key": key, "operator": "Equal", "value": value, "effect": "NoSchedule" });
    let affinity = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
        { "matchExpressions": [{ "key": key, "operator": "In", "values": [other_pool] }] }] } } });
    let of_others = |whose: Value| {
        let mut term = json!({
            "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app.kubernetes.io/name": "qdrant" } },
        });
        term.as_object_mut().unwrap().extend(whose.as_object().unwrap().clone());
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] })
    };
    let apart = json!({ "affinity": { "podAntiAffinity": of_others(json!({ "namespaceSelector": {} })) } });
    let beside = json!({ "affinity": { "podAffinity": of_others(json!({ "namespaces": [names.other] })) } });
    let by = Policy("tenant-pods");
    let node = json!({ "apiVersion": "v1", "kind": "Node", "name": "pool-1" });
    vec![
        both("select another tenant's nodes", pods(names, &json!({ "nodeSelector": { key: other_pool } })), by),
        both("tolerate another tenant's taint", pods(names, &json!({ "tolerations": [tolerates(other_pool)] })), by),
        both(
            "tolerate every tenant's taint",
            pods(names, &json!({ "tolerations": [{ "key": key, "operator": "Exists" }] })),
            by,
        ),
        both("tolerate every taint", pods(names, &json!({ "tolerations": [{ "operator": "Exists" }] })), by),
        both("choose another tenant's nodes by affinity", pods(names, &json!({ "affinity": affinity })), by),
        both("name another tenant's node", pods(names, &json!({ "nodeName": "pool-1" })), by),
        both("keep every tenant's vector database off its nodes", pods(names, &apart), Quota),
        both("go where another tenant's pods are", pods(names, &beside), Quota),
        both(
            "tolerate another tenant's taint afterwards",
            patch(
                format!("/api/v1/namespaces/{own}/pods/{own_pod}"),
                json!([{ "op": "add", "path": "/spec/tolerations/-", "value": { "key": key, "operator": "Exists" } }]),
            ),
            by,
        ),
        both(
            "bind a pod to another tenant's node",
            post(
                format!("/api/v1/namespaces/{own}/pods/{own_pod}/binding"),
                json!({ "metadata": { "name": own_pod }, "target": node }),
            ),
            Rbac,
        ),
        both(
            "come before the cluster's own pods",
            pods(names, &json!({ "priorityClassName": "system-node-critical" })),
            by,
        ),
        both(
            "take a node over by its label (GHSA-gjw4-3v3v-rqxg)",
            patch("/api/v1/nodes/pool-1", json!({ "metadata": { "labels": { key: "mine" } } })),
            Rbac,
        ),
    ]
}

fn pod_security(names: &Names) -> Vec<Attempt> {
    let Names { own, own_pod, .. } = names;
    let context = |what: Value| {
        let mut context = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
        for (key, value) in what.as_object().into_iter().flatten() {
            context[key.as_str()] = value.clone();
        }
        json!({ "container.securityContext": context })
    };
    let debugger = json!({ "spec": { "ephemeralContainers": [{
        "name": "debug", "image": "example.com/c:1", "securityContext": { "privileged": true } }] } });
    vec![
        both(
            "run privileged",
            pods(names, &context(json!({ "privileged": true, "allowPrivilegeEscalation": true }))),
            PodSecurity,
        ),
        both("run as root", pods(names, &context(json!({ "runAsUser": 0, "runAsNonRoot": false }))), PodSecurity),
        both(
            "gain a capability",
            pods(names, &context(json!({ "capabilities": { "drop": ["ALL"], "add": ["SYS_ADMIN"] } }))),
            PodSecurity,
        ),
        both(
            "leave seccomp",
            pods(names, &context(json!({ "seccompProfile": { "type": "Unconfined" } }))),
            PodSecurity,
        ),
        both(
            "mount the node's disk",
            pods(names, &json!({ "volumes": [{ "name": "a", "hostPath": { "path": "/" } }] })),
            PodSecurity,
        ),
        both(
            "ask a storage driver directly",
            pods(names, &json!({ "volumes": [{ "name": "a", "csi": { "driver": "disk.example.com" } }] })),
            Policy("tenant-pods"),
        ),
        both(
            "outlive the tenant",
            pods(names, &json!({ "terminationGracePeriodSeconds": 315_360_000 })),
            Policy("tenant-pods"),
        ),
        both(
            "have a node ask another address",
            pods(names, &json!({ "container.livenessProbe": { "httpGet": { "host": "10.0.3.4", "port": 10250 } } })),
            PodSecurity,
        ),
        both("use the node's network", pods(names, &json!({ "hostNetwork": true })), PodSecurity),
        both("see the node's processes", pods(names, &json!({ "hostPID": true })), PodSecurity),
        both(
            "take a port of the node",
            pods(names, &json!({ "container.ports": [{ "containerPort": 80, "hostPort": 80 }] })),
            PodSecurity,
        ),
        customer(
            "add a privileged debugger to a running pod",
            patch(format!("/api/v1/namespaces/{own}/pods/{own_pod}/ephemeralcontainers"), debugger.clone()),
            PodSecurity,
        ),
        deployer(
            "add a privileged debugger to a running pod",
            patch(format!("/api/v1/namespaces/{own}/pods/{own_pod}/ephemeralcontainers"), debugger),
            Rbac,
        ),
    ]
}

fn identities(names: &Names) -> Vec<Attempt> {
    let Names { own, other, .. } = names;
    let token = |namespace: &str, account: &str| {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
        post(path, json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} }))
    };
    let token_secret = post(
        format!("/api/v1/namespaces/{own}/secrets"),
        json!({ "metadata": { "name": "token", "annotations": { "kubernetes.io/service-account.name": "landlord-deployer" } },
                "type": "kubernetes.io/service-account-token" }),
    );
    let account = |name: &str| format!("/api/v1/namespaces/{own}/serviceaccounts/{name}");
    let list = || get(format!("/api/v1/namespaces/{own}/pods"));
    let projected = json!({
        "serviceAccountName": "landlord-customer",
        "volumes": [{ "name": "t", "projected": { "sources": [{ "serviceAccountToken": { "path": "t" } }] } }],
    });
    vec![
        both("get a token of the own deployer", token(own, "landlord-deployer"), Rbac),
        both("get a token of the own customer account", token(own, "landlord-customer"), Rbac),
        both(
            "get a token of another tenant's account of the same name (CVE-2023-46254)",
            token(other, "landlord-customer"),
            Rbac,
        ),
        both("get a token of the cluster's own parts", token("kube-system", "default"), Rbac),
        both(
            "run a pod as the deployer, with its token",
            pods(names, &json!({ "serviceAccountName": "landlord-deployer", "automountServiceAccountToken": true })),
            Policy("tenant-pods"),
        ),
        both("mount the customer account's token", pods(names, &projected), Policy("tenant-pods")),
        customer("have a token written into a secret", token_secret.clone(), Rbac),
        deployer("have a token written into a secret", token_secret, Policy("tenant-secrets")),
        customer("read the own namespace's secrets", get(format!("/api/v1/namespaces/{own}/secrets")), Rbac),
        customer(
            "change Helm's records",
            patch(format!("/api/v1/namespaces/{own}/secrets/sh.helm.release.v1.sftpgo.v1"), json!({ "data": {} })),
            Rbac,
        ),
        customer("make an account", post(account(""), json!({ "metadata": { "name": "mine" } })), Rbac),
        deployer("delete the own deployer account", delete(account("landlord-deployer")), Policy("tenant-accounts")),
        deployer(
            "change the customer's account",
            patch(account("landlord-customer"), json!({ "automountServiceAccountToken": true })),
            Policy("tenant-accounts"),
        ),
        both(
            "impersonate the administrators",
            list().header("impersonate-user", "admin").header("impersonate-group", "system:masters"),
            Rbac,
        ),
        both(
            "impersonate another tenant's deployer",
            list().header("impersonate-user", format!("system:serviceaccount:{other}:landlord-deployer")),
            Rbac,
        ),
        both(
            "review somebody's token",
            post("/apis/authentication.k8s.io/v1/tokenreviews", json!({ "spec": { "token": "t" } })),
            Rbac,
        ),
        both(
            "ask what others may do",
            post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json!({ "spec": { "user": "admin" } })),
            Rbac,
        ),
        both(
            "ask for a certificate",
            post("/apis/certificates.k8s.io/v1/certificatesigningrequests", json!({ "metadata": { "name": "mine" } })),
            Rbac,
        ),
    ]
}

fn quotas(names: &Names) -> Vec<Attempt> {
    let Names { own, own_pod, .. } = names;
    let wants = |resources: Value| json!({ "container.resources": resources });
    let claim = |spec: Value| {
        post(
            format!("/api/v1/namespaces/{own}/persistentvolumeclaims"),
            json!({ "metadata": { "name": "attempt" }, "spec": spec }),
        )
    };
    let huge = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "5Ti" } } });
    let volume = json!({ "accessModes": ["ReadWriteOnce"], "volumeName": "somebody-elses", "resources": { "requests": { "storage": "1Gi" } } });
    let small = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } });
    let (mut classless, mut chosen) = (small.clone(), small);
    classless["storageClassName"] = json!("");
    chosen["selector"] = json!({ "matchLabels": { "a": "b" } });
    let init = json!({ "initContainers": [{
        "name": "i", "image": "example.com/c:1", "resources": { "requests": { "cpu": "100" } },
        "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }] });
    vec![
        both(
            "request more processors than the quota",
            pods(names, &wants(json!({ "requests": { "cpu": "100" } }))),
            Quota,
        ),
        both(
            "request more memory than the quota",
            pods(names, &wants(json!({ "requests": { "memory": "1Ti" }, "limits": { "memory": "1Ti" } }))),
            Quota,
        ),
        both(
            "allow a container more memory than the quota",
            pods(names, &wants(json!({ "limits": { "memory": "1Ti" }, "requests": { "memory": "1Mi" } }))),
            Quota,
        ),
        both("fill the node's disk", pods(names, &wants(json!({ "limits": { "ephemeral-storage": "1Ti" } }))), Quota),
        both("request more by an init container", pods(names, &init), Quota),
        both(
            "request more for the pod as a whole",
            pods(names, &json!({ "resources": { "requests": { "cpu": "100" }, "limits": { "cpu": "100" } } })),
            Quota,
        ),
        both(
            "request more by resizing a running pod",
            patch(format!("/api/v1/namespaces/{own}/pods/{own_pod}/resize"), json!({ "spec": {} })),
            Rbac,
        ),
        both(
            "write a pod's status",
            patch(
                format!("/api/v1/namespaces/{own}/pods/{own_pod}/status"),
                json!({ "status": { "podIP": "10.0.0.1" } }),
            ),
            Rbac,
        ),
        both("claim more storage than the quota", claim(huge), Quota),
        both("claim somebody else's volume", claim(volume), Policy("tenant-claims")),
        both("claim a volume that is there already", claim(classless), Policy("tenant-claims")),
        both("choose among the volumes that are there", claim(chosen), Policy("tenant-claims")),
    ]
}

fn networks(names: &Names) -> Vec<Attempt> {
    let Names { own, other, .. } = names;
    let services = format!("/api/v1/namespaces/{own}/services");
    let service = |mut spec: Value| {
        spec["ports"] = json!([{ "port": 80 }]);
        spec["selector"] = json!({ "a": "b" });
        post(&services, json!({ "metadata": { "name": "attempt" }, "spec": spec }))
    };
    let by = Policy("tenant-services");
    let ordering = json!({
        "metadata": { "name": "attempt", "annotations": { "balancers.example.com/ipv4": "203.0.113.7" } },
        "spec": { "ports": [{ "port": 80 }] },
    });
    let routes = format!("{GATEWAY}/namespaces/{own}/httproutes");
    let route = |hostnames: Value| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "attempt" },
            "spec": { "hostnames": hostnames },
        })
    };
    let in_domain = Policy("tenant-routes");
    let mut naming = route(json!(["x.acme.example.com"]));
    naming["metadata"]["annotations"] = json!({ "names.example.com/hostname": "chat.globex.example.com" });
    let named = json!({ "metadata": { "name": "mine" } });
    let address = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.0.1" }] } } });
    vec![
        both("open a port on every node", service(json!({ "type": "NodePort" })), by),
        both(
            "open a port on every node afterwards",
            patch(format!("{services}/sftpgo"), json!({ "spec": { "type": "NodePort" } })),
            by,
        ),
        both("have a load balancer", service(json!({ "type": "LoadBalancer" })), Quota),
        both("take an address over", service(json!({ "externalIPs": ["10.0.0.1"] })), by),
        both(
            "share another tenant's address",
            service(json!({ "type": "LoadBalancer", "loadBalancerIP": "203.0.113.7" })),
            by,
        ),
        customer("give the cloud's controller an order", post(&services, ordering), by),
        customer(
            "give the names' controller an order afterwards",
            patch(
                format!("{services}/sftpgo"),
                json!({ "metadata": { "annotations": { "names.example.com/hostname": "a.globex.example.com" } } }),
            ),
            by,
        ),
        both("claim another tenant's name", post(&routes, route(json!(["chat.globex.example.com"]))), in_domain),
        both("claim a name that only ends alike", post(&routes, route(json!(["xacme.example.com"]))), in_domain),
        both("claim every name", post(&routes, route(json!([]))), in_domain),
        customer("give the names' controller an order by a route", post(&routes, naming), in_domain),
        both(
            "lead to a name inside the cluster",
            post(
                &services,
                json!({ "metadata": { "name": "attempt" }, "spec": { "type": "ExternalName", "externalName": format!("sftpgo.{other}.svc") } }),
            ),
            by,
        ),
        both("take an address over through /status", patch(format!("{services}/sftpgo/status"), address), Rbac),
        both(
            "lead a service to another tenant's pods",
            post(
                format!("/apis/discovery.k8s.io/v1/namespaces/{own}/endpointslices"),
                json!({ "metadata": { "name": "mine" }, "addressType": "IPv4", "endpoints": [] }),
            ),
            Rbac,
        ),
        both("make a Gateway", post(format!("{GATEWAY}/namespaces/{own}/gateways"), named.clone()), Rbac),
        both(
            "listen for other names on the shared Gateway",
            post(format!("{GATEWAY}/namespaces/{own}/listenersets"), named.clone()),
            Rbac,
        ),
        both("let others' routes in", post(format!("{GATEWAY}/namespaces/{own}/referencegrants"), named.clone()), Rbac),
        both(
            "route in another tenant's namespace",
            post(format!("{GATEWAY}/namespaces/{other}/httproutes"), named.clone()),
            Rbac,
        ),
        both("make an Ingress", post(format!("/apis/networking.k8s.io/v1/namespaces/{own}/ingresses"), named), Rbac),
    ]
}
