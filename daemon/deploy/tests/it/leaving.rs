//! What an installation puts on a shared cluster for all its tenants, against the real API server: listeners in the one
//! Gateway where the Gateway API is older than ListenerSets, and the way out: nothing of another installation, of the
//! operator or of anybody else is touched, and in the end the cluster is as it was found.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{Deployer, Scene, done, eventually, stacks};
use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    ErrorKind, Failure, TenantUid,
    isolation::{IsolationSettings, SharedTarget},
    ports::{
        Apps as _, DeployTarget, HostClusters as _, Isolation as _, StageProgress, TargetCluster, UninstallReport,
    },
};
use landlord_isolation::LISTENERS_MAX;
use landlord_test_kube::{
    cloud::{CloudControllers, NodeSpec, add_nodes},
    differences, everything, older_gateway_crds,
};
use serde_json::{Value, json};

const GROUP: &str = "gateway.networking.k8s.io";
/// As the shipped stack names it.
const GATEWAY: (&str, &str) = ("landlord-gateway", "landlord");

struct World {
    scene: Scene,
    controllers: CloudControllers,
    /// What was there before landlord came.
    found: BTreeMap<String, Value>,
    acme: DeployTarget,
    globex: DeployTarget,
}

impl World {
    async fn start() -> Result<Self> {
        let scene = Scene::start_with(Duration::from_secs(20), older_gateway_crds()?).await?;
        let controllers = scene.controllers().await?;
        add_nodes(&scene.client, &[NodeSpec::named("shared-1")]).await?;
        let found = everything(&scene.client, &[], |_, _| false).await?;
        let acme = tenant(&scene, "acme", &json!({ "secret": "wildcard" }));
        let globex = tenant(&scene, "globex", &json!({ "cluster_issuer": "letsencrypt" }));
        Ok(Self { scene, controllers, found, acme, globex })
    }

    /// What works on the same cluster with the newer Gateway API.
    async fn newer(&self) -> Result<Deployer> {
        self.scene.another_deployer("newer", stacks(), self.scene.artifacts.gateway_crds.clone()).await
    }

    async fn stop(self) {
        self.controllers.stop().await;
        self.scene.control_plane.stop().await;
    }

    fn tenant(&self, customer: &str, certificate: &Value) -> DeployTarget {
        tenant(&self.scene, customer, certificate)
    }

    fn routing(&self, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", kind));
        Api::namespaced_with(self.scene.client.clone(), namespace, &resource)
    }

    fn gateways(&self) -> Api<DynamicObject> {
        self.routing("Gateway", GATEWAY.0)
    }

    async fn listeners(&self) -> Result<BTreeMap<String, Value>> {
        let gateway = self.gateways().get(GATEWAY.1).await?;
        let all = gateway.data["spec"]["listeners"].as_array().context("no listeners")?.clone();
        Ok(all.into_iter().map(|listener| (listener["name"].as_str().unwrap().to_owned(), listener)).collect())
    }
}

/// A tenant whose names are on the Gateway with this certificate; none: it has no names there.
fn tenant(scene: &Scene, customer: &str, certificate: &Value) -> DeployTarget {
    let gateway =
        if certificate.is_null() { Value::Null } else { json!({ "class": "example", "certificate": certificate }) };
    with_gateway(scene, customer, &gateway)
}

fn with_gateway(scene: &Scene, customer: &str, gateway: &Value) -> DeployTarget {
    let settings: IsolationSettings = serde_json::from_value(json!({ "gateway": gateway })).unwrap();
    let uid = TenantUid(uuid::Uuid::new_v4());
    let mut target = scene.target(10, &json!({}));
    target.uid = uid;
    target.spec.domain = format!("{customer}.example.com").try_into().unwrap();
    target.name = format!("customers/{customer}/tenants/prod").parse().unwrap();
    target.cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(uid, settings)));
    target
}

fn namespace(target: &DeployTarget) -> &str {
    target.cluster.shared().unwrap().namespace.as_str()
}

/// Listeners of so many other tenants, but for names like this one.
fn of_others(count: usize, like: &Value) -> Vec<Value> {
    let other = |number: usize| {
        let mut listener = like.clone();
        listener["name"] = json!(format!("tenant-{}", uuid::Uuid::from_u128(number as u128).simple()));
        listener["hostname"] = json!(format!("*.n{number}.example.com"));
        listener
    };
    (0..count).map(other).collect()
}

async fn isolated(deployer: &Deployer, target: &DeployTarget) -> Result<()> {
    done("isolation", async || Ok(deployer.isolation.ensure(target).await?)).await
}

async fn refused(deployer: &Deployer, target: &DeployTarget) -> Result<Failure> {
    failed("it is refused", async || {
        let progress = deployer.isolation.ensure(target).await?;
        if progress == StageProgress::Done { Ok("it is isolated".into()) } else { Ok(format!("{progress:?}")) }
    })
    .await
}

/// The failure that a call has in the end; being throttled is none.
async fn failed(what: &str, mut call: impl AsyncFnMut() -> Result<String, Failure>) -> Result<Failure> {
    let mut failure = None;
    eventually(what, async || match call().await {
        Ok(instead) => Ok(Err(instead)),
        Err(found) if found.kind == ErrorKind::Throttled => Ok(Err(found.to_string())),
        Err(found) => {
            failure = Some(found);
            Ok(Ok(()))
        }
    })
    .await?;
    failure.context("no failure")
}

async fn removed(deployer: &Deployer, target: &DeployTarget) -> Result<()> {
    done("removed", async || Ok(deployer.isolation.remove(target).await?.0)).await
}

/// Until it is done; everything that was reported on the way.
async fn left(deployer: &Deployer, target: &DeployTarget) -> Result<UninstallReport> {
    let mut all = Vec::new();
    let mut last = None;
    done("left", async || {
        let left = deployer.isolation.uninstall(&target.kube, &target.installation).await?;
        all.extend(left.removed.clone());
        let progress = left.progress.clone();
        last = Some(left);
        Ok(progress)
    })
    .await?;
    let last = last.context("no response")?;
    Ok(UninstallReport { removed: all, ..last })
}

// In this order: what comes later stands on what the earlier ones made.
landlord_test_kube::steps! {
    world = World::start().await?;
    finally world.stop().await;
    each_tenant_has_a_listener: world.each_tenant_has_a_listener(&world.acme, &world.globex).await;
    routes_attach_to_the_gateway: world.routes_attach_to_the_gateway(&world.acme).await;
    clashes_are_reported: world.clashes_are_reported().await;
    a_full_gateway_is_reported: world.a_full_gateway_is_reported(&world.acme).await;
    listed_names_have_a_listener_each: world.listed_names_have_a_listener_each(&world.acme, &world.globex).await;
    listeners_are_reconciled: world.listeners_are_reconciled(&world.acme, &world.globex).await;
    a_listener_goes_with_its_tenant: world.a_listener_goes_with_its_tenant(&world.acme, &world.globex).await;
    a_newer_gateway_api_takes_over: world.a_newer_gateway_api_takes_over(&world.newer().await?, &world.acme).await;
    a_shared_cluster_is_left_as_it_was_found: world.an_installation_leaves(&world.newer().await?, &world.acme).await;
}

impl World {
    async fn each_tenant_has_a_listener(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        // At the same moment: neither may cost the other its listener.
        let deployer = &self.scene.deployer;
        try_join_all([acme, globex].map(|tenant| isolated(deployer, tenant))).await?;
        let listeners = self.listeners().await?;
        let names: Vec<&str> = listeners.keys().map(String::as_str).collect();
        ensure!(names.len() == 3 && names.contains(&"http"), "{names:?}");
        for (tenant, secret) in [(acme, "wildcard".to_owned()), (globex, format!("{}-tls", namespace(globex)))] {
            let name = namespace(tenant);
            let expected = json!({
                "name": name, "hostname": format!("*.{}", tenant.spec.domain.as_str()), "port": 443, "protocol": "HTTPS",
                "allowedRoutes": { "namespaces": { "from": "Selector", "selector": {
                    "matchLabels": { "kubernetes.io/metadata.name": name },
                } } },
                "tls": { "mode": "Terminate", "certificateRefs": [{ "group": "", "kind": "Secret", "name": secret }] },
            });
            ensure!(listeners[name] == expected, "{:#}", listeners[name]);
        }
        let gateway = self.gateways().get(GATEWAY.1).await?;
        let issuer = gateway.metadata.annotations.unwrap_or_default().remove("cert-manager.io/cluster-issuer");
        ensure!(issuer.as_deref() == Some("letsencrypt"), "{issuer:?}");
        let version = self.gateways().get(GATEWAY.1).await?.metadata.resource_version;
        for tenant in [acme, globex] {
            ensure!(deployer.isolation.ensure(tenant).await? == StageProgress::Done, "a second time");
        }
        ensure!(self.gateways().get(GATEWAY.1).await?.metadata.resource_version == version, "written again");
        Ok(())
    }

    async fn routes_attach_to_the_gateway(&self, tenant: &DeployTarget) -> Result<()> {
        let deployer = &self.scene.deployer;
        done("base", async || Ok(deployer.apps.ensure_base(tenant).await?)).await?;
        let app = "sftpgo".parse().unwrap();
        done("release", async || Ok(deployer.apps.ensure_release(tenant, &app).await?)).await?;
        let routes = self.routing("HTTPRoute", namespace(tenant)).list(&ListParams::default()).await?.items;
        ensure!(routes.len() == 2, "{} routes", routes.len());
        for route in routes {
            let parent = &route.data["spec"]["parentRefs"][0];
            let leads = parent["kind"] == "Gateway" && parent["name"] == GATEWAY.1 && parent["namespace"] == GATEWAY.0;
            ensure!(leads, "{parent}");
        }
        Ok(())
    }

    async fn clashes_are_reported(&self) -> Result<()> {
        let mut twin = self.tenant("acme", &json!({ "secret": "wildcard" }));
        let failure = refused(&self.scene.deployer, &twin).await?;
        let reported = failure.kind == ErrorKind::NameTaken && failure.message.contains("*.acme.example.com");
        ensure!(reported, "{failure:?}");
        twin.spec.domain = "twin.example.com".to_owned().try_into().unwrap();
        isolated(&self.scene.deployer, &twin).await?;
        removed(&self.scene.deployer, &twin).await?;
        let tenant = self.tenant("initech", &json!({ "cluster_issuer": "own" }));
        let failure = refused(&self.scene.deployer, &tenant).await?;
        ensure!(failure.message.contains("another cluster issuer than own"), "{failure:?}");
        removed(&self.scene.deployer, &tenant).await
    }

    /// Has the Gateway these listeners of others, and no more of them.
    async fn occupy(&self, others: &[Value]) -> Result<()> {
        let body = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
            "metadata": { "name": GATEWAY.1, "namespace": GATEWAY.0 }, "spec": { "listeners": others },
        });
        let manager = PatchParams::apply("landlord-others").force();
        self.gateways().patch(GATEWAY.1, &manager, &Patch::Apply(body)).await?;
        Ok(())
    }

    async fn a_full_gateway_is_reported(&self, acme: &DeployTarget) -> Result<()> {
        let before = self.listeners().await?;
        let others = of_others(64 - before.len(), &before[namespace(acme)]);
        self.occupy(&others).await?;
        let late = self.tenant("late", &json!({ "secret": "wildcard" }));
        let failure = refused(&self.scene.deployer, &late).await?;
        ensure!(failure.kind == ErrorKind::Capacity && failure.remedy.contains("maxTenants"), "{failure:?}");
        // Whoever has a place keeps it.
        isolated(&self.scene.deployer, acme).await?;
        self.occupy(&others[1..]).await?;
        isolated(&self.scene.deployer, &late).await?;
        ensure!(self.listeners().await?.len() == 64, "not full again");
        removed(&self.scene.deployer, &late).await?;
        self.occupy(&[]).await?;
        ensure!(self.listeners().await? == before, "{:?}", self.listeners().await?);
        Ok(())
    }

    /// Who lists names takes a listener for each, and no issuer of the Gateway's.
    async fn listed_names_have_a_listener_each(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        let before = self.listeners().await?;
        let deployer = &self.scene.deployer;
        let mut listed = json!({ "class": "example", "certificate": { "secret": "wildcard" }, "names": "listed" });
        let again = |target: &DeployTarget, customer: &str, gateway: &Value| {
            let mut again = with_gateway(&self.scene, customer, gateway);
            let settings = again.cluster.shared().unwrap().settings.clone();
            again.uid = target.uid;
            again.cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(target.uid, settings)));
            again
        };
        let many = again(globex, "globex", &listed);
        // What cert-manager wrote for the wildcard.
        let secrets: Api<Secret> = Api::namespaced(self.scene.client.clone(), GATEWAY.0);
        let name = format!("{}-tls", namespace(globex));
        let secret = json!({ "metadata": { "name": name }, "stringData": { "tls.crt": "" } });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        isolated(deployer, &many).await?;
        ensure!(secrets.get_opt(&name).await?.is_none(), "the wildcard's certificate is left");
        let after = self.listeners().await?;
        for record in ["chat", "files", "webdav"] {
            let listener = &after[&format!("{}.{record}", namespace(globex))];
            ensure!(listener["hostname"] == format!("{record}.globex.example.com"), "{listener}");
            ensure!(listener["tls"]["certificateRefs"][0]["name"] == "wildcard", "{listener}");
        }
        ensure!(after.len() == before.len() + 2 && after[namespace(acme)] == before[namespace(acme)], "{after:#?}");
        let gateway = self.gateways().get(GATEWAY.1).await?;
        ensure!(gateway.metadata.annotations.unwrap_or_default().is_empty(), "its issuer is left");
        let version = gateway.metadata.resource_version;
        ensure!(deployer.isolation.ensure(&many).await? == StageProgress::Done, "a second time");
        ensure!(self.gateways().get(GATEWAY.1).await?.metadata.resource_version == version, "written again");
        // A neighbour's pass leaves them.
        isolated(deployer, acme).await?;
        ensure!(self.listeners().await? == after, "{:#?}", self.listeners().await?);

        // Two places are not enough for three names.
        self.occupy(&of_others(LISTENERS_MAX - after.len() - 2, &after[namespace(acme)])).await?;
        let late = with_gateway(&self.scene, "late", &listed);
        let failure = refused(deployer, &late).await?;
        ensure!(failure.kind == ErrorKind::Capacity && failure.message.contains("the 3 of"), "{failure:?}");
        removed(deployer, &late).await?;
        self.occupy(&[]).await?;

        listed["names"] = json!("wildcard");
        listed["certificate"] = json!({ "cluster_issuer": "letsencrypt" });
        isolated(deployer, &again(globex, "globex", &listed)).await?;
        ensure!(self.listeners().await? == before, "{:#?}", self.listeners().await?);
        Ok(())
    }

    /// A door that somebody opened is closed, and a name that somebody changed is reconciled.
    async fn listeners_are_reconciled(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        let before = self.listeners().await?;
        let mut gateway = self.gateways().get(GATEWAY.1).await?;
        let all = gateway.data["spec"]["listeners"].as_array_mut().unwrap();
        for listener in all.iter_mut().filter(|listener| listener["name"] == namespace(acme)) {
            listener["hostname"] = json!("*.evil.example.com");
            listener["allowedRoutes"] = json!({ "namespaces": { "from": "All" } });
        }
        all.push(json!({
            "name": "open", "port": 8080, "protocol": "HTTP", "allowedRoutes": { "namespaces": { "from": "All" } },
        }));
        self.gateways().replace(GATEWAY.1, &PostParams::default(), &gateway).await?;
        isolated(&self.scene.deployer, acme).await?;
        let after = self.listeners().await?;
        ensure!(after == before, "{after:#?}");
        isolated(&self.scene.deployer, globex).await
    }

    async fn a_listener_goes_with_its_tenant(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        let mut expected = self.listeners().await?;
        expected.remove(namespace(globex)).context("no listener")?;
        // What cert-manager writes for the listener.
        let secrets: Api<Secret> = Api::namespaced(self.scene.client.clone(), GATEWAY.0);
        let name = format!("{}-tls", namespace(globex));
        let secret = json!({ "metadata": { "name": name }, "stringData": { "tls.crt": "" } });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        removed(&self.scene.deployer, globex).await?;
        ensure!(self.listeners().await? == expected, "{:#?}", self.listeners().await?);
        ensure!(secrets.get_opt(&name).await?.is_none(), "its certificate is left");
        let gateway = self.gateways().get(GATEWAY.1).await?;
        ensure!(gateway.metadata.annotations.unwrap_or_default().is_empty(), "its issuer is left");
        isolated(&self.scene.deployer, acme).await
    }

    async fn a_newer_gateway_api_takes_over(&self, newer: &Deployer, acme: &DeployTarget) -> Result<()> {
        isolated(newer, acme).await?;
        let set = self.routing("ListenerSet", namespace(acme)).get("landlord").await?;
        ensure!(set.data["spec"]["parentRef"]["name"] == GATEWAY.1, "{}", set.data);
        let names: Vec<String> = self.listeners().await?.into_keys().collect();
        ensure!(names == ["http"], "{names:?}");
        let app = "sftpgo".parse().unwrap();
        done("release", async || Ok(newer.apps.ensure_release(acme, &app).await?)).await?;
        for route in self.routing("HTTPRoute", namespace(acme)).list(&ListParams::default()).await? {
            ensure!(route.data["spec"]["parentRefs"][0]["kind"] == "ListenerSet", "{}", route.data);
        }
        Ok(())
    }

    async fn an_installation_leaves(&self, newer: &Deployer, acme: &DeployTarget) -> Result<()> {
        // A neighbour that is another landlord.
        let mut hooli = self.tenant("hooli", &Value::Null);
        hooli.installation = "second".into();
        let second = self.scene.another_deployer("second", stacks(), self.scene.artifacts.gateway_crds.clone()).await?;
        isolated(&second, &hooli).await?;
        let mut shared = self.tenant("pied", &json!({ "secret": "wildcard" }));
        shared.installation = "second".into();
        let failure = refused(&second, &shared).await?;
        ensure!(failure.kind == ErrorKind::NameTaken && failure.message.contains("test"), "{failure:?}");
        removed(&second, &shared).await?;

        let failure = failed("it is occupied", async || {
            let left = newer.isolation.uninstall(&acme.kube, &acme.installation).await?;
            Ok(format!("{left:?}"))
        })
        .await?;
        let reported = failure.kind == ErrorKind::Conflict && failure.message.contains(namespace(acme));
        ensure!(reported, "{failure:?}");
        removed(newer, acme).await?;

        // The operator's certificate beside the Gateway, and somebody's route.
        let configs: Api<ConfigMap> = Api::namespaced(self.scene.client.clone(), GATEWAY.0);
        let note = json!({ "metadata": { "name": "note" } });
        configs.create(&PostParams::default(), &serde_json::from_value(note)?).await?;
        let routes = self.routing("HTTPRoute", "default");
        let route = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "HTTPRoute", "metadata": { "name": "theirs" }, "spec": {},
        });
        routes.create(&PostParams::default(), &serde_json::from_value(route)?).await?;
        let ours = |kind: &str, object: &DynamicObject| {
            let labels = object.metadata.labels.clone().unwrap_or_default();
            labels.get("landlord-installation").is_some_and(|of| of == "test") || kind == "CustomResourceDefinition"
        };
        let others = everything(&self.scene.client, &[], ours).await?;
        let reported = left(newer, acme).await?;
        let kept = reported.kept.join("; ");
        ensure!(kept.contains("ConfigMap note") && kept.contains("HTTPRoute default/theirs"), "{kept}");
        let count = |kind: &str| reported.removed.iter().filter(|object| object.r#type == kind).count();
        ensure!(count("ValidatingAdmissionPolicy") == 7 && count("Gateway") == 1, "{:?}", reported.removed);
        let changed = differences(&others, &everything(&self.scene.client, &[], ours).await?);
        ensure!(changed.is_empty(), "leaving changed what is others': {changed:#?}");

        configs.delete("note", &DeleteParams::default()).await?;
        routes.delete("theirs", &DeleteParams::default()).await?;
        // Where checks ran pods.
        let namespaces: Api<Namespace> = Api::all(self.scene.client.clone());
        let labels = json!({ "landlord-installation": "test", "landlord-role": "checks" });
        let checks = json!({ "metadata": { "name": "landlord-test-checks", "labels": labels } });
        namespaces.create(&PostParams::default(), &serde_json::from_value(checks)?).await?;
        let reported = left(newer, acme).await?;
        let gone = |name: &str| reported.removed.iter().any(|object| object.name == name);
        ensure!(gone("landlord-test-checks"), "{:?}", reported.removed);
        ensure!(reported.kept.is_empty(), "{:?}", reported.kept);
        let again = left(newer, acme).await?;
        ensure!(again.removed.is_empty() && again.kept.is_empty(), "a second time: {again:?}");
        // It brings along what it needs, now that nobody else does; counting routes would take half a minute.
        second.isolation.ensure(&hooli).await?;
        removed(&second, &hooli).await?;
        let reported = left(&second, &hooli).await?;
        ensure!(reported.kept.is_empty(), "{:?}", reported.kept);
        let changed = differences(&self.found, &everything(&self.scene.client, &[], |_, _| false).await?);
        ensure!(changed.is_empty(), "it is not as it was found: {changed:#?}");
        Ok(())
    }
}
