//! Runs the tables of what must be refused and of what must work, and records which rule refused what.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use landlord_core::{
    ErrorKind,
    ports::{DeployTarget, Isolation as _},
};
use serde_json::{Value, json};

use super::{
    asking::{Ask, Response, Rule, ask, delete, get, patch, post},
    refused::{self, Names, Who, pod},
    support::{client_with, eventually},
    world::{World, place},
};

impl World {
    async fn a_pod(&self, tenant: &DeployTarget) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), place(tenant).namespace.as_str());
        let pods = pods.list(&ListParams::default().labels("app.kubernetes.io/name=sftpgo")).await?;
        Ok(pods.items.first().context("no pod")?.name_any())
    }

    async fn names(&self, own: &DeployTarget, other: &DeployTarget) -> Result<Names> {
        Ok(Names {
            own: place(own).namespace.to_string(),
            other: place(other).namespace.to_string(),
            other_pool: place(other).pool().context("no pool")?.to_string(),
            own_pod: self.a_pod(own).await?,
            other_pod: self.a_pod(other).await?,
        })
    }

    /// A tenant with nodes of its own, and one without, each against a tenant with nodes.
    pub(crate) async fn nothing_foreign_is_reached(&self) -> Result<()> {
        let [node, other, namespace] = &self.tenants;
        let mut record = String::new();
        let mut wrong = Vec::new();
        let mut count = 0;
        for (level, own) in [("NODE", node), ("NAMESPACE", namespace)] {
            let names = self.names(own, other).await?;
            let (customer, deployer) = (self.customer(own).await?, self.deployer(own).await?);
            for attempt in refused::all(&names) {
                let accounts: &[(&str, &Client)] = match attempt.who {
                    Who::Customer => &[("customer", &customer)],
                    Who::Deployer => &[("deployer", &deployer)],
                    Who::Both => &[("customer", &customer), ("deployer", &deployer)],
                };
                for (who, client) in accounts {
                    count += 1;
                    let response = ask(client, &attempt.ask).await?;
                    if !matches!(&response, Response::Refused(rule) if *rule == attempt.by) {
                        wrong.push(format!("{level} {who}: {}: {response:?}, not {:?}", attempt.what, attempt.by));
                    }
                    writeln!(record, "{level:9}  {who}  {:?}  {}", attempt.by, attempt.what)?;
                }
            }
        }
        ensure!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
        insta::assert_snapshot!("refusals", record);
        Ok(())
    }

    /// No token, an empty one, and one that nobody issued (CVE-2023-48312).
    pub(crate) async fn unknown_accounts_are_nobody(&self) -> Result<()> {
        let tenant = &self.tenants[0];
        let path = format!("/api/v1/namespaces/{}/pods", place(tenant).namespace);
        for (token, expected) in [(None, Rule::Rbac), (Some("x"), Rule::Authentication)] {
            let response = ask(&client_with(&tenant.kube, token)?, &get(&path)).await?;
            ensure!(matches!(&response, Response::Refused(rule) if *rule == expected), "{token:?}: {response:?}");
        }
        let empty = client_with(&tenant.kube, None)?;
        let response = ask(&empty, &get(&path).header("authorization", "Bearer ")).await?;
        ensure!(matches!(response, Response::Refused(Rule::Rbac | Rule::Authentication)), "{response:?}");
        // An account of the other tenant is somebody else here, whatever its name.
        let other = self.customer(&self.tenants[1]).await?;
        let response = ask(&other, &get(&path)).await?;
        ensure!(matches!(response, Response::Refused(Rule::Rbac)), "{response:?}");
        Ok(())
    }

    /// Whatever is requested, between ten minutes and an hour.
    pub(crate) async fn access_is_short(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
        for (requested, expected) in [(1, 600), (1_800, 1_800), (1_000_000, 3_600)] {
            let lifetime = Duration::from_secs(requested);
            let access = self.scene.deployer.isolation.customer_kubeconfig(&self.tenants[0], lifetime).await?;
            let lives = (u128::try_from(access.expire_time.context("no end")?.0)?.saturating_sub(now) + 500) / 1_000;
            ensure!((expected - 5..=expected + 60).contains(&lives), "{requested} s: {lives} s");
        }
        let own = self.scene.target(10, &json!({}));
        let refused =
            self.scene.deployer.isolation.customer_kubeconfig(&own, Duration::from_secs(600)).await.unwrap_err();
        ensure!(refused.kind == ErrorKind::Invalid && !refused.remedy.is_empty(), "{refused:?}");
        Ok(())
    }

    /// Nodes of tenants are for nobody else, not even by an administrator's mistake.
    pub(crate) async fn operators_keep_off_tenants_nodes(&self) -> Result<()> {
        let pool = place(&self.tenants[0]).pool().context("no pool")?;
        let requested = [
            json!({ "nodeSelector": { "landlord.dev/tenant": pool } }),
            json!({ "tolerations": [{ "key": "landlord.dev/tenant", "operator": "Exists" }] }),
        ];
        for what in requested {
            let response = ask(&self.scene.client, &post("/api/v1/namespaces/default/pods", pod(&what))).await?;
            ensure!(matches!(response, Response::Refused(Rule::Policy("others-pods"))), "{what}: {response:?}");
        }
        // What runs on every node, such as a log collector, still does.
        let agent = pod(&json!({ "tolerations": [{ "operator": "Exists" }] }));
        let response = ask(&self.scene.client, &post("/api/v1/namespaces/default/pods?dryRun=All", agent)).await?;
        ensure!(matches!(response, Response::Allowed(_)), "{response:?}");
        Ok(())
    }

    /// What no quota counts is for those who have the nodes for themselves.
    pub(crate) async fn devices_of_shared_nodes_are_not_taken(&self) -> Result<()> {
        let wanted = |device: &str| pod(&json!({ "container.resources": { "limits": { device: "2Mi" } } }));
        for (tenant, shared) in [(&self.tenants[0], false), (&self.tenants[2], true)] {
            let path = format!("/api/v1/namespaces/{}/pods?dryRun=All", place(tenant).namespace);
            for device in ["gpu.example.com/large", "hugepages-2Mi"] {
                let response = ask(&self.customer(tenant).await?, &post(&path, wanted(device))).await?;
                let refused = matches!(response, Response::Refused(Rule::Policy("tenant-pods")));
                ensure!(refused == shared, "{device}: {response:?}");
            }
        }
        Ok(())
    }

    /// Objects without a figure of their own are counted too, whichever account makes them.
    pub(crate) async fn floods_end_at_the_quota(&self) -> Result<()> {
        let tenant = &self.tenants[0];
        let own = place(tenant).namespace.as_str();
        let (customer, deployer) = (self.customer(tenant).await?, self.deployer(tenant).await?);
        let job = json!({ "suspend": true, "template": { "spec": pod(&json!({ "restartPolicy": "Never" }))["spec"] } });
        let selector = json!({ "matchLabels": { "a": "b" } });
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "sftpgo" });
        let port = json!([{ "port": 80 }]);
        let kinds: [(&str, Value); 8] = [
            ("/api/v1/namespaces/NS/configmaps", json!({ "data": {} })),
            ("/api/v1/namespaces/NS/services", json!({ "spec": { "ports": port } })),
            ("/apis/batch/v1/namespaces/NS/jobs", json!({ "spec": job })),
            (
                "/apis/batch/v1/namespaces/NS/cronjobs",
                json!({ "spec": { "schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": { "spec": job } } }),
            ),
            (
                "/apis/policy/v1/namespaces/NS/poddisruptionbudgets",
                json!({ "spec": { "selector": selector, "minAvailable": 1 } }),
            ),
            (
                "/apis/autoscaling/v2/namespaces/NS/horizontalpodautoscalers",
                json!({ "spec": { "scaleTargetRef": target, "maxReplicas": 1 } }),
            ),
            (
                "/apis/gateway.networking.k8s.io/v1/namespaces/NS/httproutes",
                json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": { "hostnames": ["a.acme.example.com"] } }),
            ),
            ("/api/v1/namespaces/NS/serviceaccounts", json!({})),
        ];
        for (path, object) in kinds {
            let path = path.replace("NS", own);
            let client = if path.ends_with("serviceaccounts") { &deployer } else { &customer };
            let (mut made, mut in_vain) = (Vec::new(), 0);
            let end = loop {
                let mut object = object.clone();
                let name = format!("flood-{}", made.len());
                object["metadata"] = json!({ "name": name });
                match ask(client, &post(&path, object)).await? {
                    Response::Allowed(_) if made.len() < 40 => made.push(name),
                    // Its controller wrote down what is used meanwhile, again and again: the API server says to try again.
                    Response::Other(why) if why.contains("the object has been modified") && in_vain < 20 => {
                        in_vain += 1
                    }
                    other => break other,
                }
            };
            for name in made {
                ask(client, &delete(format!("{path}/{name}"))).await?;
            }
            ensure!(matches!(end, Response::Refused(Rule::Quota)), "{path}: {end:?}");
        }
        Ok(())
    }

    /// What goes around the pods' owner: a workload may say what it likes, its pods are judged all the same.
    pub(crate) async fn workloads_are_judged_by_their_pods(&self) -> Result<()> {
        let tenant = &self.tenants[0];
        let customer = self.customer(tenant).await?;
        let pool = place(&self.tenants[1]).pool().context("no pool")?;
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", place(tenant).namespace);
        let cases = [
            ("astray", json!({ "nodeSelector": { "landlord.dev/tenant": pool } }), "tenant-pods"),
            ("greedy", json!({ "container.resources": { "requests": { "cpu": "100" } } }), "exceeded quota"),
            ("loose", json!({ "hostNetwork": true }), "violates PodSecurity"),
        ];
        for (name, what, by) in cases {
            let body = deployment(name, &what);
            let response = ask(&customer, &post(&path, body)).await?;
            ensure!(matches!(response, Response::Allowed(_)), "{name}: {response:?}");
            eventually("the pods are refused", async || {
                let Response::Allowed(text) = ask(&customer, &get(format!("{path}/{name}"))).await? else {
                    bail!("{name} can't be read")
                };
                Ok(if text.contains(by) { Ok(()) } else { Err(text) })
            })
            .await?;
            ask(&customer, &delete(format!("{path}/{name}"))).await?;
        }
        Ok(())
    }

    /// What a customer orders a namespace for.
    pub(crate) async fn customers_can_work(&self) -> Result<()> {
        for (tenant, node) in [(&self.tenants[0], Some("pool-0")), (&self.tenants[2], Some("shared-1"))] {
            let customer = self.customer(tenant).await?;
            let own = place(tenant).namespace.as_str();
            for (what, request) in workday(own, &self.a_pod(tenant).await?) {
                let response = ask(&customer, &request).await?;
                // Nothing runs behind a simulated node: that it was let through is what counts.
                let passed = match &response {
                    Response::Allowed(_) => true,
                    Response::Other(reported) => {
                        request.path.contains("/exec") || request.path.contains("/log") && !reported.is_empty()
                    }
                    Response::Refused(_) => false,
                };
                ensure!(passed, "{what}: {response:?}");
            }
            self.own_pods_run_on(tenant, node).await?;
            for path in [format!("/apis/apps/v1/namespaces/{own}/deployments/shop")] {
                ensure!(matches!(ask(&customer, &delete(path)).await?, Response::Allowed(_)), "delete");
            }
        }
        Ok(())
    }

    /// Customers need not say where their pods go.
    async fn own_pods_run_on(&self, tenant: &DeployTarget, node: Option<&str>) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.scene.client.clone(), place(tenant).namespace.as_str());
        eventually("the customer's pod runs on the right node", async || {
            let found = pods.list(&ListParams::default().labels("app=shop")).await?.items;
            let on = found.first().and_then(|pod| pod.spec.as_ref()?.node_name.clone());
            Ok(if on.is_some() && on.as_deref() == node { Ok(()) } else { Err(format!("{on:?}")) })
        })
        .await
    }
}

fn deployment(name: &str, what: &Value) -> Value {
    let labels = json!({ "app": name });
    json!({ "metadata": { "name": name }, "spec": {
        "replicas": 1, "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": pod(what)["spec"] },
    } })
}

fn workday(own: &str, a_pod: &str) -> Vec<(&'static str, Ask)> {
    let core = |rest: &str| format!("/api/v1/namespaces/{own}/{rest}");
    let apps = |rest: &str| format!("/apis/apps/v1/namespaces/{own}/{rest}");
    let named = |name: &str, mut object: Value| {
        object["metadata"] = json!({ "name": name });
        object
    };
    let claim =
        json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
    let service = json!({ "spec": { "selector": { "app": "shop" }, "ports": [{ "port": 80 }] } });
    let route = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": { "hostnames": ["acme.example.com"], "rules": [{ "backendRefs": [{ "name": "shop", "port": 80 }] }] } });
    let review = json!({ "spec": { "resourceAttributes": { "namespace": own, "verb": "list", "resource": "pods" } } });
    let put_away = |path: String| Ask { method: Method::DELETE, ..get(path) };
    vec![
        ("discover", get("/apis")),
        ("see the version", get("/version")),
        ("ask what it may", post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)),
        ("list pods", get(core("pods"))),
        ("watch pods", get(core("pods?watch=1&timeoutSeconds=1"))),
        ("read events", get(core("events"))),
        ("read logs", get(core(&format!("pods/{a_pod}/log")))),
        ("enter a pod", post(core(&format!("pods/{a_pod}/exec?command=sh&container=sftpgo&stdout=true")), Value::Null)),
        ("make a workload", post(apps("deployments"), deployment("shop", &json!({})))),
        ("change it", patch(apps("deployments/shop"), json!({ "metadata": { "labels": { "a": "b" } } }))),
        ("scale it", patch(apps("deployments/shop/scale"), json!({ "spec": { "replicas": 1 } }))),
        ("see its replica sets", get(apps("replicasets"))),
        ("make a service", post(core("services"), named("shop", service))),
        ("see its endpoints", get(format!("/apis/discovery.k8s.io/v1/namespaces/{own}/endpointslices"))),
        ("remove the service", put_away(core("services/shop"))),
        ("claim a volume", post(core("persistentvolumeclaims"), named("shop", claim))),
        ("give it back", put_away(core("persistentvolumeclaims/shop"))),
        ("write settings", post(core("configmaps"), named("shop", json!({ "data": { "a": "b" } })))),
        ("remove them", put_away(core("configmaps/shop"))),
        (
            "make a route",
            post(format!("/apis/gateway.networking.k8s.io/v1/namespaces/{own}/httproutes"), named("shop", route)),
        ),
        ("remove it", put_away(format!("/apis/gateway.networking.k8s.io/v1/namespaces/{own}/httproutes/shop"))),
        ("run a pod", post(core("pods?dryRun=All"), pod(&json!({})))),
        ("end a pod", put_away(core(&format!("pods/{a_pod}?dryRun=All")))),
    ]
}
