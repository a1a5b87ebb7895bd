//! What an installation puts on a shared cluster for all its tenants, against the real API server: listeners in the one
//! Gateway where the Gateway API is older than ListenerSets, and the way out: nothing of another installation, of the
//! operator or of anybody else is touched, and in the end the cluster is as it was found.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{Deployer, Scene, TIMEOUT, done, eventually, stacks};
use anyhow::{Context as _, Result, ensure};
use futures::{TryStreamExt as _, future::try_join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams,
        WatchEvent, WatchParams,
    },
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
const ISSUER: &str = "cert-manager.io/cluster-issuer";
/// How often two tenants come at the same moment. Where neither wrote to the version that it had judged, both were in at the first.
const RACES: usize = 6;

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
        let acme = tenant(&scene, "acme", &json!({ "cluster_issuer": "letsencrypt" }));
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

/// The same tenant of a class that changed.
fn again(scene: &Scene, target: &DeployTarget, gateway: &Value) -> DeployTarget {
    let mut again = with_gateway(scene, "again", gateway);
    let settings = again.cluster.shared().unwrap().settings.clone();
    (again.uid, again.name, again.spec.domain) = (target.uid, target.name.clone(), target.spec.domain.clone());
    again.cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(target.uid, settings)));
    again
}

/// Secret of a wildcard's certificate that cert-manager makes.
fn own_secret(tenant: &DeployTarget) -> String {
    format!("{}-tls", namespace(tenant))
}

fn secret_of(listener: &Value) -> &str {
    listener["tls"]["certificateRefs"][0]["name"].as_str().unwrap_or_default()
}

fn issuer_of(gateway: &DynamicObject) -> Option<&str> {
    gateway.metadata.annotations.as_ref()?.get(ISSUER).map(String::as_str)
}

/// Listeners of so many other tenants, but for names like this one, with certificates of their own.
fn of_others(count: usize, like: &Value) -> Vec<Value> {
    let other = |number: usize| {
        let mut listener = like.clone();
        let name = format!("tenant-{}", uuid::Uuid::from_u128(number as u128).simple());
        listener["tls"]["certificateRefs"][0]["name"] = json!(format!("{name}-tls"));
        listener["name"] = json!(name);
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
    certificates_of_two_kinds_do_not_meet: world.certificates_of_two_kinds_do_not_meet(&world.acme, &world.globex).await;
    nor_at_the_same_moment: world.nor_at_the_same_moment(&world.acme, &world.globex).await;
    who_is_in_already_stays: world.who_is_in_already_stays(&world.acme, &world.globex).await;
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
        for tenant in [acme, globex] {
            let (name, secret) = (namespace(tenant), own_secret(tenant));
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
        ensure!(issuer_of(&gateway) == Some("letsencrypt"), "{:?}", gateway.metadata.annotations);
        let version = gateway.metadata.resource_version;
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
        let mut twin = self.tenant("acme", &json!({ "cluster_issuer": "letsencrypt" }));
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
        let late = self.tenant("late", &json!({ "cluster_issuer": "letsencrypt" }));
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
        let listed = json!({ "class": "example", "certificate": { "secret": "wildcard" }, "names": "listed" });
        // Its issuer would keep everybody from the operator's Secret. What it leaves is globex's.
        isolated(deployer, &again(&self.scene, acme, &Value::Null)).await?;
        let gateway = self.gateways().get(GATEWAY.1).await?;
        ensure!(issuer_of(&gateway) == Some("letsencrypt"), "globex's issuer went, too");
        let left = self.listeners().await?;
        ensure!(left.len() == before.len() - 1 && left[namespace(globex)] == before[namespace(globex)], "{left:#?}");
        let many = again(&self.scene, globex, &listed);
        // What cert-manager wrote for the wildcard.
        let secrets: Api<Secret> = Api::namespaced(self.scene.client.clone(), GATEWAY.0);
        let name = own_secret(globex);
        let secret = json!({ "metadata": { "name": name }, "stringData": { "tls.crt": "" } });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        let from = gateway.metadata.resource_version.context("no version")?;
        isolated(deployer, &many).await?;
        ensure!(secrets.get_opt(&name).await?.is_none(), "the wildcard's certificate is left");
        let after = self.listeners().await?;
        for record in ["chat", "files", "webdav"] {
            let listener = &after[&format!("{}.{record}", namespace(globex))];
            ensure!(listener["hostname"] == format!("{record}.globex.example.com"), "{listener}");
            ensure!(secret_of(listener) == "wildcard", "{listener}");
        }
        ensure!(after.len() == left.len() + 2, "{after:#?}");
        let gateway = self.gateways().get(GATEWAY.1).await?;
        ensure!(gateway.metadata.annotations.clone().unwrap_or_default().is_empty(), "its issuer is left");
        let version = gateway.metadata.resource_version;
        ensure!(deployer.isolation.ensure(&many).await? == StageProgress::Done, "a second time");
        ensure!(self.gateways().get(GATEWAY.1).await?.metadata.resource_version == version, "written again");
        // A neighbour's pass leaves them, and it stands on the operator's Secret, too.
        let neighbour =
            again(&self.scene, acme, &json!({ "class": "example", "certificate": { "secret": "wildcard" } }));
        isolated(deployer, &neighbour).await?;
        let mut both = self.listeners().await?;
        let mut expected = before[namespace(acme)].clone();
        expected["tls"]["certificateRefs"][0]["name"] = json!("wildcard");
        ensure!(both[namespace(acme)] == expected, "{both:#?}");
        ensure!(both.remove(namespace(acme)).is_some() && both == after, "{both:#?}");

        // Two places are not enough for three names.
        self.occupy(&of_others(LISTENERS_MAX - after.len() - 3, &expected)).await?;
        let late = with_gateway(&self.scene, "late", &listed);
        let failure = refused(deployer, &late).await?;
        ensure!(failure.kind == ErrorKind::Capacity && failure.message.contains("the 3 of"), "{failure:?}");
        removed(deployer, &late).await?;
        self.occupy(&[]).await?;

        // Back to the issuer, each with the operator's Secret until then: it is away before the annotation comes.
        isolated(deployer, &again(&self.scene, acme, &Value::Null)).await?;
        isolated(deployer, globex).await?;
        ensure!(self.listeners().await? == left, "{:#?}", self.listeners().await?);
        let met = self.met(&from).await?;
        ensure!(met.is_empty(), "an operator's Secret was with an annotation: {met:?}");
        isolated(deployer, acme).await?;
        ensure!(self.listeners().await? == before, "{:#?}", self.listeners().await?);
        Ok(())
    }

    /// Versions of the Gateway since `from` that are annotated and have a listener with the operator's Secret.
    async fn met(&self, from: &str) -> Result<Vec<String>> {
        // Changes are reported in their order, so that whoever has the last one has all.
        let last = self.gateways().get(GATEWAY.1).await?.metadata.resource_version;
        ensure!(last.as_deref() != Some(from), "nothing changed");
        let watched = WatchParams::default().fields(&format!("metadata.name={}", GATEWAY.1));
        let mut changes = std::pin::pin!(self.gateways().watch(&watched, from).await?);
        let mut met = Vec::new();
        while let Some(change) = tokio::time::timeout(TIMEOUT, changes.try_next()).await.context("no change")?? {
            let (WatchEvent::Added(gateway) | WatchEvent::Modified(gateway)) = change else { continue };
            let listeners = gateway.data["spec"]["listeners"].as_array().cloned().unwrap_or_default();
            let version = gateway.metadata.resource_version.clone();
            if issuer_of(&gateway).is_some() && listeners.iter().any(|listener| secret_of(listener) == "wildcard") {
                met.push(version.clone().unwrap_or_default());
            }
            if version == last {
                return Ok(met);
            }
        }
        anyhow::bail!("the watch ended before the last change")
    }

    /// Gets to know Gateway, issuer, Secret and remedy, and nothing was written.
    async fn is_kept_out(&self, tenant: &DeployTarget, gateway: &str) -> Result<()> {
        let from = self.gateways().get(GATEWAY.1).await?;
        let failure = refused(&self.scene.deployer, tenant).await?;
        let said = [gateway, "issuer letsencrypt", "the operator's Secret wildcard"];
        let remedies = ["names = \"listed\"", "1.5"];
        ensure!(
            said.iter().all(|part| failure.message.contains(part))
                && remedies.iter().all(|part| failure.remedy.contains(part)),
            "{failure:?}"
        );
        let after = self.gateways().get(GATEWAY.1).await?;
        ensure!(after.metadata.resource_version == from.metadata.resource_version, "it was written to");
        Ok(())
    }

    /// cert-manager would write over the operator's Secret: whoever comes second is refused with a remedy, and comes in by itself once the first is gone.
    async fn certificates_of_two_kinds_do_not_meet(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        let deployer = &self.scene.deployer;
        let before = self.listeners().await?;
        let operators = self.tenant("initech", &json!({ "secret": "wildcard" }));
        self.is_kept_out(&operators, "Gateway landlord-gateway/landlord is annotated").await?;
        // Nor one that is in, by a change of its class; it is served as before.
        let changed =
            again(&self.scene, globex, &json!({ "class": "example", "certificate": { "secret": "wildcard" } }));
        let failure = refused(deployer, &changed).await?;
        ensure!(failure.message.contains("the operator's Secret wildcard"), "{failure:?}");
        ensure!(self.listeners().await? == before, "{:#?}", self.listeners().await?);

        for tenant in [acme, globex] {
            isolated(deployer, &again(&self.scene, tenant, &Value::Null)).await?;
        }
        isolated(deployer, &operators).await?;
        self.is_kept_out(globex, "Gateway landlord-gateway/landlord has a listener of another tenant").await?;
        removed(deployer, &operators).await?;
        isolated(deployer, globex).await?;
        isolated(deployer, acme).await?;
        ensure!(self.listeners().await? == before, "{:#?}", self.listeners().await?);
        Ok(())
    }

    /// One of the two gets in, and never both, not even for a moment.
    async fn nor_at_the_same_moment(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        let deployer = &self.scene.deployer;
        for tenant in [acme, globex] {
            isolated(deployer, &again(&self.scene, tenant, &Value::Null)).await?;
        }
        let operators = json!({ "class": "example", "certificate": { "secret": "wildcard" } });
        let operators = again(&self.scene, acme, &operators);
        let from = self.gateways().get(GATEWAY.1).await?.metadata.resource_version.context("no version")?;
        for race in 0..RACES {
            let (one, other) = tokio::join!(isolated(deployer, &operators), isolated(deployer, globex));
            ensure!(one.is_ok() != other.is_ok(), "{race}: {one:?}, {other:?}");
            let failure = format!("{:#}", one.and(other).err().context("nobody was refused")?);
            ensure!(failure.contains("the operator's Secret wildcard"), "{race}: {failure}");
            ensure!(self.listeners().await?.len() == 2, "{race}: {:#?}", self.listeners().await?);
            for tenant in [acme, globex] {
                isolated(deployer, &again(&self.scene, tenant, &Value::Null)).await?;
            }
        }
        let met = self.met(&from).await?;
        ensure!(met.is_empty(), "both were in: {met:?}");
        isolated(deployer, globex).await?;
        isolated(deployer, acme).await
    }

    /// Two whom an earlier release let in are served as before, and nobody joins them.
    async fn who_is_in_already_stays(&self, acme: &DeployTarget, globex: &DeployTarget) -> Result<()> {
        let deployer = &self.scene.deployer;
        let operators = json!({ "class": "example", "certificate": { "secret": "wildcard" } });
        let operators = again(&self.scene, acme, &operators);
        let mut gateway = self.gateways().get(GATEWAY.1).await?;
        let all = gateway.data["spec"]["listeners"].as_array_mut().unwrap();
        for listener in all.iter_mut().filter(|listener| listener["name"] == namespace(acme)) {
            listener["tls"]["certificateRefs"][0]["name"] = json!("wildcard");
        }
        self.gateways().replace(GATEWAY.1, &PostParams::default(), &gateway).await?;
        let before = self.listeners().await?;
        for tenant in [&operators, globex, &operators] {
            isolated(deployer, tenant).await?;
            let gateway = self.gateways().get(GATEWAY.1).await?;
            ensure!(issuer_of(&gateway) == Some("letsencrypt"), "{:?}", gateway.metadata.annotations);
            ensure!(self.listeners().await? == before, "{:#?}", self.listeners().await?);
        }
        for certificate in [json!({ "secret": "wildcard" }), json!({ "cluster_issuer": "letsencrypt" })] {
            let third = self.tenant("third", &certificate);
            let failure = refused(deployer, &third).await?;
            ensure!(failure.message.contains("the operator's Secret wildcard"), "{failure:?}");
            removed(deployer, &third).await?;
        }
        ensure!(self.listeners().await? == before, "{:#?}", self.listeners().await?);
        isolated(deployer, &again(&self.scene, acme, &Value::Null)).await?;
        isolated(deployer, acme).await
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
        expected.remove(namespace(acme)).context("no listener")?;
        isolated(&self.scene.deployer, &again(&self.scene, acme, &Value::Null)).await?;
        let gateway = self.gateways().get(GATEWAY.1).await?;
        ensure!(issuer_of(&gateway) == Some("letsencrypt"), "a neighbour took its issuer along");
        // What cert-manager writes for the listener.
        let secrets: Api<Secret> = Api::namespaced(self.scene.client.clone(), GATEWAY.0);
        let name = own_secret(globex);
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
