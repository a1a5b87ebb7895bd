//! A tenant whose class lists its names: a listener for each, one certificate beside the Gateway, and nothing of its challenges in its own
//! namespace. No cert-manager is here: its kinds are known by their names, and what it writes is written by the test.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    CertificateOrder, Failure, StackName, TenantUid,
    isolation::{GatewayRef, SharedTarget},
    ports::{DeployTarget, Isolation, StackPlaces, StageProgress, TargetCluster},
    revision::RevisionId,
};
use landlord_isolation::{IsolationOptions, KubeIsolation, REMOVAL_TIMEOUT};
use landlord_kube::client::Clients;
use serde_json::{Value, json};

use super::{
    asking::{Response, Rule, ask, get, post},
    issuers::SERVER,
    refused::pod,
    support::{done, eventually},
    world::{World, place},
};

const GATEWAY: &str = "landlord-gateway";
const ROUTING: &str = "gateway.networking.k8s.io";
const CERTIFICATES: &str = "cert-manager.io";

/// A revision of the stack that serves these names.
#[derive(Debug)]
struct Revised(&'static [&'static str]);

impl StackPlaces for Revised {
    fn gateway(&self, _: &StackName, _: Option<&RevisionId>) -> Result<Option<GatewayRef>, Failure> {
        Ok(Some(GatewayRef { name: "landlord".into(), namespace: GATEWAY.into() }))
    }

    fn gateway_records(&self, _: &StackName, _: Option<&RevisionId>) -> Result<Vec<String>, Failure> {
        Ok(self.0.iter().map(|record| (*record).to_owned()).collect())
    }

    fn namespace(&self, _: &StackName, _: Option<&RevisionId>) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

fn revised(records: &'static [&'static str]) -> KubeIsolation {
    let stacks: Arc<dyn StackPlaces> = Arc::new(Revised(records));
    let options = IsolationOptions { stacks: Some(stacks), gateway_api_crds: None, removal_timeout: REMOVAL_TIMEOUT };
    KubeIsolation::new(options, Arc::new(Clients::default()))
}

fn hosts(records: &[&str]) -> Vec<String> {
    records.iter().map(|record| format!("{record}.hooli.example.com")).collect()
}

/// What cert-manager's solver by HTTP-01 leads its routes to.
fn through(section: &str) -> Value {
    let parent = json!({ "name": "landlord", "namespace": GATEWAY, "kind": "Gateway", "sectionName": section });
    let solvers = json!([{ "http01": { "gatewayHTTPRoute": { "parentRefs": [parent] } } }]);
    json!({ "acme": { "server": SERVER, "solvers": solvers } })
}

impl World {
    fn of_kind(&self, group: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let version = if kind == "ReferenceGrant" { "v1beta1" } else { "v1" };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.scene.client.clone(), namespace, &resource)
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.scene.client.clone(), namespace)
    }

    fn hooli(&self, uid: TenantUid, names: &str) -> DeployTarget {
        let gateway = json!({ "class": "example", "certificate": { "cluster_issuer": "letsencrypt" }, "names": names });
        let settings = serde_json::from_value(json!({ "gateway": gateway })).unwrap();
        let mut target = self.scene.target(10, &json!({}));
        target.uid = uid;
        target.name = "customers/hooli/tenants/prod".parse().unwrap();
        target.spec.domain = "hooli.example.com".to_owned().try_into().unwrap();
        target.cluster = TargetCluster::Shared(Box::new(SharedTarget::namespace(uid, settings)));
        target
    }

    pub(crate) async fn a_tenant_may_list_its_names(&self) -> Result<()> {
        self.define("Certificate", "Namespaced").await?;
        let uid = TenantUid(uuid::Uuid::new_v4());
        let (listed, wildcard) = (self.hooli(uid, "listed"), self.hooli(uid, "wildcard"));
        self.a_solver_through_the_gateway_will_do(&listed).await.context("solvers")?;
        // Nothing is served yet that could wait for the certificate; its challenge waits for the names to lead here.
        self.isolated(&self.scene.deployer.isolation, &listed).await.context("listed")?;
        self.each_name_has_a_listener(&listed).await.context("listeners")?;
        self.challenges_are_answered_beside_the_gateway(&listed).await.context("challenges")?;
        self.names_follow_the_revision(&listed).await.context("revisions")?;
        self.a_changed_setting_closes_nothing(&listed, &wildcard).await.context("settings")?;
        self.listed_names_go(&listed).await.context("removal")?;
        for kind in ["Certificate", "ClusterIssuer"] {
            self.undefine(kind).await?;
        }
        Ok(())
    }

    async fn isolated(&self, isolation: &KubeIsolation, tenant: &DeployTarget) -> Result<()> {
        done("isolation", async || Ok(isolation.ensure(tenant).await?)).await
    }

    async fn a_solver_through_the_gateway_will_do(&self, listed: &DeployTarget) -> Result<()> {
        let ordered = async || self.scene.deployer.isolation.certificate(listed).await;
        self.issuer(through("https")).await?;
        let failure = ordered().await.err().context("at a listener that is not there")?;
        let names = hosts(&["chat", "files", "webdav"]);
        ensure!(
            failure.message.contains(&names.join(", "))
                && failure.message.contains("Gateway landlord-gateway/landlord"),
            "{failure:?}"
        );
        ensure!(failure.remedy.contains("parentRefs") && failure.remedy.contains("port 80"), "{failure:?}");
        self.issuer(through("http")).await?;
        let expected = CertificateOrder { authority: SERVER.into(), names: names.into_iter().collect() };
        ensure!(ordered().await? == Some(expected), "not all names in one order");
        ensure!(revised(&[]).certificate(listed).await?.is_none(), "a stack without names orders a certificate");
        Ok(())
    }

    /// Host names of the tenant's listeners; none without a ListenerSet.
    async fn listened(&self, tenant: &DeployTarget) -> Result<Vec<String>> {
        let set = self.of_kind(ROUTING, "ListenerSet", place(tenant).namespace.as_str()).get_opt("landlord").await?;
        let all = set.and_then(|set| set.data["spec"]["listeners"].as_array().cloned()).unwrap_or_default();
        Ok(all.iter().filter_map(|listener| listener["hostname"].as_str()).map(str::to_owned).collect())
    }

    /// Names in the certificate that is ordered beside the Gateway.
    async fn certified(&self, tenant: &DeployTarget) -> Result<Vec<String>> {
        let name = secret_name(tenant);
        let found = self.of_kind(CERTIFICATES, "Certificate", GATEWAY).get_opt(&name).await?;
        let names = found.and_then(|found| found.data["spec"]["dnsNames"].as_array().cloned()).unwrap_or_default();
        Ok(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Versions of what is made for the names.
    async fn made(&self, tenant: &DeployTarget) -> Result<Vec<Option<String>>> {
        let namespace = place(tenant).namespace.as_str();
        let certificate = self.of_kind(CERTIFICATES, "Certificate", GATEWAY).get(&secret_name(tenant)).await?;
        let set = self.of_kind(ROUTING, "ListenerSet", namespace).get("landlord").await?;
        let grant = self.of_kind(ROUTING, "ReferenceGrant", GATEWAY).get(namespace).await?;
        let gateway = self.of_kind(ROUTING, "Gateway", GATEWAY).get("landlord").await?;
        Ok([certificate, set, grant, gateway].map(|object| object.metadata.resource_version).into())
    }

    async fn each_name_has_a_listener(&self, tenant: &DeployTarget) -> Result<()> {
        let namespace = place(tenant).namespace.as_str();
        let (names, secret) = (hosts(&["chat", "files", "webdav"]), secret_name(tenant));
        ensure!(self.listened(tenant).await? == names, "{:?}", self.listened(tenant).await?);
        let set = self.of_kind(ROUTING, "ListenerSet", namespace).get("landlord").await?;
        ensure!(set.annotations().is_empty(), "cert-manager would order another one: {:?}", set.annotations());
        for listener in set.data["spec"]["listeners"].as_array().into_iter().flatten() {
            let certificate = json!([{ "group": "", "kind": "Secret", "name": secret, "namespace": GATEWAY }]);
            ensure!(listener["tls"]["certificateRefs"] == certificate, "{listener}");
            ensure!(listener["allowedRoutes"]["namespaces"]["from"] == "Same", "{listener}");
        }
        let grant = self.of_kind(ROUTING, "ReferenceGrant", GATEWAY).get(namespace).await?.data["spec"].clone();
        ensure!(grant["to"] == json!([{ "group": "", "kind": "Secret", "name": secret }]), "{grant}");
        let certificate = self.of_kind(CERTIFICATES, "Certificate", GATEWAY).get(&secret).await?;
        let issuer = json!({ "group": CERTIFICATES, "kind": "ClusterIssuer", "name": "letsencrypt" });
        let spec = &certificate.data["spec"];
        ensure!(
            spec["issuerRef"] == issuer && spec["secretName"] == secret && spec["dnsNames"] == json!(names),
            "{spec}"
        );
        ensure!(spec["secretTemplate"]["labels"] == json!(certificate.labels()), "{spec}");

        let before = self.made(tenant).await?;
        let calls = self.apply_calls().await?;
        self.isolated(&self.scene.deployer.isolation, tenant).await?;
        ensure!(self.made(tenant).await? == before, "written again");
        ensure!(self.apply_calls().await? - calls < 1.0, "applied again");
        // Who changes it finds it changed back.
        let patch = json!({ "spec": { "dnsNames": ["chat.globex.example.com"] } });
        let certificates = self.of_kind(CERTIFICATES, "Certificate", GATEWAY);
        certificates.patch(&secret, &PatchParams::default(), &Patch::Merge(patch)).await?;
        self.isolated(&self.scene.deployer.isolation, tenant).await?;
        ensure!(self.certified(tenant).await? == names, "{:?}", self.certified(tenant).await?);
        Ok(())
    }

    /// What cert-manager makes for a challenge passes there, and would not in a tenant's namespace.
    async fn challenges_are_answered_beside_the_gateway(&self, tenant: &DeployTarget) -> Result<()> {
        // Port 80 takes routes of the Gateway's own namespace, and no tenant's.
        let gateway = self.of_kind(ROUTING, "Gateway", GATEWAY).get("landlord").await?;
        let at_80 = gateway.data["spec"]["listeners"].as_array().context("no listeners")?.clone();
        ensure!(at_80.len() == 1 && at_80[0]["port"] == 80, "{at_80:?}");
        ensure!(at_80[0]["allowedRoutes"] == json!({ "namespaces": { "from": "Same" } }), "{at_80:?}");
        // <https://github.com/cert-manager/cert-manager/blob/v1.21.2/pkg/issuer/acme/http/pod.go>, service.go
        let solver = pod(&json!({ "nodeSelector": { "kubernetes.io/os": "linux" } }));
        let service = json!({ "metadata": { "generateName": "cm-acme-http-solver-" }, "spec": {
            "type": "NodePort", "ports": [{ "port": 8089 }], "selector": { "acme.cert-manager.io/http01-solver": "true" },
        } });
        let own = place(tenant).namespace.as_str();
        for (namespace, kind, object, refused_by) in [
            (GATEWAY, "pods", &solver, None),
            (GATEWAY, "services", &service, None),
            (own, "services", &service, Some("tenant-services")),
        ] {
            let path = format!("/api/v1/namespaces/{namespace}/{kind}?dryRun=All");
            let response = ask(&self.scene.client, &post(&path, object.clone())).await?;
            let expected = match refused_by {
                None => matches!(response, Response::Allowed(_)),
                Some(policy) => matches!(&response, Response::Refused(Rule::Policy(by)) if *by == policy),
            };
            ensure!(expected, "{path}: {response:?}, not {refused_by:?}");
        }
        // Nor may the tenant's own accounts do any of it there, or read what stands there.
        let challenge = format!("/apis/acme.cert-manager.io/v1/namespaces/{own}/challenges");
        let route = json!({
            "apiVersion": format!("{ROUTING}/v1"), "kind": "HTTPRoute", "metadata": { "name": "attempt" },
            "spec": { "parentRefs": [{ "name": "landlord", "sectionName": "http" }], "hostnames": hosts(&["chat"]) },
        });
        for client in [self.customer(tenant).await?, self.deployer(tenant).await?] {
            for request in [
                post(format!("/apis/{ROUTING}/v1/namespaces/{GATEWAY}/httproutes"), route.clone()),
                post(format!("/api/v1/namespaces/{GATEWAY}/pods"), solver.clone()),
                get(format!("/api/v1/namespaces/{GATEWAY}/secrets/{}", secret_name(tenant))),
                get(format!("/apis/{CERTIFICATES}/v1/namespaces/{GATEWAY}/certificates/{}", secret_name(tenant))),
                post(format!("/apis/{CERTIFICATES}/v1/namespaces/{own}/certificates"), json!({})),
                get(challenge.clone()),
            ] {
                let response = ask(&client, &request).await?;
                ensure!(
                    matches!(response, Response::Refused(Rule::Rbac)),
                    "{} {}: {response:?}",
                    request.method,
                    request.path
                );
            }
        }
        Ok(())
    }

    async fn names_follow_the_revision(&self, tenant: &DeployTarget) -> Result<()> {
        self.written_by_cert_manager(GATEWAY, &secret_name(tenant)).await?;
        for records in [&["chat", "files"][..], &["chat", "files", "tickets"]] {
            self.isolated(&revised(records), tenant).await?;
            ensure!(self.listened(tenant).await? == hosts(records), "{:?}", self.listened(tenant).await?);
            ensure!(self.certified(tenant).await? == hosts(records), "{:?}", self.certified(tenant).await?);
            // What is served stays served meanwhile.
            ensure!(self.secrets(GATEWAY).get_opt(&secret_name(tenant)).await?.is_some(), "its certificate is gone");
        }
        self.isolated(&revised(&[]), tenant).await?;
        ensure!(self.listened(tenant).await?.is_empty(), "{:?}", self.listened(tenant).await?);
        ensure!(self.left_of(tenant).await?.is_empty(), "{:?}", self.left_of(tenant).await?);
        Ok(())
    }

    /// What cert-manager makes: of a listener's annotation also the Certificate.
    async fn written_by_cert_manager(&self, namespace: &str, name: &str) -> Result<()> {
        let certificates = self.of_kind(CERTIFICATES, "Certificate", namespace);
        let mut labels = Value::Null;
        match certificates.get_opt(name).await? {
            Some(found) => labels = found.data["spec"]["secretTemplate"]["labels"].clone(),
            None => {
                let body = json!({
                    "apiVersion": format!("{CERTIFICATES}/v1"), "kind": "Certificate", "metadata": { "name": name }, "spec": {},
                });
                certificates.create(&PostParams::default(), &serde_json::from_value(body)?).await?;
            }
        }
        let secret = json!({ "metadata": { "name": name, "labels": labels }, "stringData": { "tls.crt": "" } });
        self.secrets(namespace).create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        Ok(())
    }

    /// The class's setting is another one, with a tenant that is served.
    async fn a_changed_setting_closes_nothing(&self, listed: &DeployTarget, wildcard: &DeployTarget) -> Result<()> {
        let isolation = &self.scene.deployer.isolation;
        let (namespace, all) = (place(listed).namespace.as_str(), vec!["*.hooli.example.com".to_owned()]);
        self.isolated(isolation, listed).await?;
        self.written_by_cert_manager(GATEWAY, &secret_name(listed)).await?;
        self.isolated(isolation, wildcard).await?;
        ensure!(self.listened(wildcard).await? == all, "{:?}", self.listened(wildcard).await?);
        ensure!(self.left_of(wildcard).await?.is_empty(), "{:?}", self.left_of(wildcard).await?);
        let sets = self.of_kind(ROUTING, "ListenerSet", namespace);
        let issuer = sets.get("landlord").await?.annotations().get("cert-manager.io/cluster-issuer").cloned();
        ensure!(issuer.as_deref() == Some("letsencrypt"), "{issuer:?}");
        self.written_by_cert_manager(namespace, "landlord-tls").await?;

        // Back: the wildcard is served until the certificate for the names is there.
        let mut waited = String::new();
        eventually("it waits for the certificate", async || {
            Ok(match isolation.ensure(listed).await? {
                StageProgress::Pending { detail, .. } if detail.contains("is being issued") => {
                    waited = detail;
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            })
        })
        .await?;
        ensure!(waited.contains(&secret_name(listed)), "{waited}");
        ensure!(self.listened(listed).await? == all, "{:?}", self.listened(listed).await?);
        ensure!(self.secrets(namespace).get_opt("landlord-tls").await?.is_some(), "the wildcard's certificate is gone");
        self.written_by_cert_manager(GATEWAY, &secret_name(listed)).await?;
        self.isolated(isolation, listed).await?;
        let names = hosts(&["chat", "files", "webdav"]);
        ensure!(self.listened(listed).await? == names, "{:?}", self.listened(listed).await?);
        ensure!(sets.get("landlord").await?.annotations().is_empty(), "the issuer is left");
        let certificates = self.of_kind(CERTIFICATES, "Certificate", namespace);
        ensure!(certificates.get_opt("landlord-tls").await?.is_none(), "the wildcard is renewed for ever");
        ensure!(self.secrets(namespace).get_opt("landlord-tls").await?.is_none(), "the wildcard's key is left");
        Ok(())
    }

    /// What is beside the Gateway for a tenant.
    async fn left_of(&self, tenant: &DeployTarget) -> Result<BTreeSet<String>> {
        let ours = ListParams::default().labels(&format!("landlord-tenant-uid={}", tenant.uid));
        let mut all = BTreeSet::new();
        for (group, kind) in [(CERTIFICATES, "Certificate"), (ROUTING, "ReferenceGrant"), ("", "Secret")] {
            for object in self.of_kind(group, kind, GATEWAY).list(&ours).await? {
                all.insert(format!("{kind} {}", object.name_any()));
            }
        }
        Ok(all)
    }

    async fn listed_names_go(&self, tenant: &DeployTarget) -> Result<()> {
        let (isolation, secret) = (&self.scene.deployer.isolation, secret_name(tenant));
        let mut expected: BTreeSet<String> = ["Certificate", "Secret"].map(|kind| format!("{kind} {secret}")).into();
        expected.insert(format!("ReferenceGrant {}", place(tenant).namespace));
        ensure!(self.left_of(tenant).await? == expected, "{:?}", self.left_of(tenant).await?);
        // Killed between the two: the Certificate is gone, its Secret is not.
        self.of_kind(CERTIFICATES, "Certificate", GATEWAY).delete(&secret, &DeleteParams::default()).await?;
        done("removed", async || Ok(isolation.remove(tenant).await?.0)).await?;
        ensure!(self.left_of(tenant).await?.is_empty(), "{:?}", self.left_of(tenant).await?);
        Ok(())
    }
}

/// Name of the Certificate for the listed names and of its Secret.
fn secret_name(tenant: &DeployTarget) -> String {
    format!("{}-listed", place(tenant).namespace)
}
