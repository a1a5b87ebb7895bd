//! The shipped stack on a real control plane, from nothing to ready to nothing. Pods don't run on
//! simulated nodes, they only become Ready: what is tested is the state of Kubernetes objects.

use std::{collections::BTreeMap, time::Duration};

use crate::support::{self, NAMESPACE, Scene, client_of, done, eventually};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use landlord_core::{
    CustomerRole, ErrorKind, TenantUid,
    ports::{Apps as _, CUSTOMER_ACCESS_MIN, CloudAccount, Isolation as _, StageProgress},
};
use landlord_kube::{markers::CUSTOMER, object::Wanted};
use landlord_test_kube::cloud::{CloudControllers, NodeSpec, add_nodes};
use serde_json::{Value, json};

/// The cluster, once it has a storage class.
struct World {
    scene: Scene,
    controllers: CloudControllers,
}

impl World {
    async fn start() -> Result<Self> {
        let scene = Scene::start(landlord_isolation::REMOVAL_TIMEOUT).await?;
        let target = scene.target(25, &json!({}));
        let lacking = scene.deployer.apps.ensure_base(&target).await.unwrap_err();
        ensure!(lacking.message.contains("no default storage class") && !lacking.remedy.is_empty(), "{lacking:?}");
        let controllers = scene.controllers().await?;
        Ok(Self { scene, controllers })
    }

    async fn stop(self) {
        self.controllers.stop().await;
        self.scene.control_plane.stop().await;
    }
}

mod from_nothing_to_ready_to_nothing {
    use super::World;

    landlord_test_kube::steps! {
        world = World::start().await?;
        finally world.stop().await;
        base_is_made_once: super::base_is_made_once(&world.scene).await;
        charts_pass_a_server_side_dry_run: world.scene.charts_pass_a_server_side_dry_run();
        what_blocks_is_named: super::what_blocks_is_named(&world.scene).await;
        apps_become_ready: super::apps_become_ready(&world.scene).await;
        the_namespace_is_guarded: super::the_namespace_is_guarded(&world.scene).await;
        accounts_carry_what_their_identities_need: super::accounts_carry_what_their_identities_need(&world.scene).await;
        a_withdrawn_role_is_taken_back: super::a_withdrawn_role_is_taken_back(&world.scene).await;
        secrets_stay_secret: super::secrets_stay_secret(&world.scene).await;
        applying_again_changes_nothing: super::applying_again_changes_nothing(&world.scene).await;
        growing_changes_one_release: super::growing_changes_one_release(&world.scene).await;
        what_is_missing_is_made_again: super::what_is_missing_is_made_again(&world.scene).await;
        bad_values_are_refused: super::bad_values_are_refused(&world.scene).await;
        a_killed_helm_is_recovered: super::a_killed_helm_is_recovered(&world.scene).await;
        calls_may_be_dropped_anywhere: super::calls_may_be_dropped_anywhere(&world.scene).await;
        an_unreachable_server_is_transient: super::an_unreachable_server_is_transient(&world.scene).await;
        teardown_leaves_nothing: super::teardown_leaves_nothing(&world.scene).await;
    }
}

async fn base_is_made_once(scene: &Scene) -> Result<()> {
    let target = scene.target(25, &json!({}));
    done("base", async || Ok(scene.deployer.apps.ensure_base(&target).await?)).await?;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let data = async || -> Result<_> {
        Ok(secrets
            .list(&ListParams::default())
            .await?
            .items
            .into_iter()
            .map(|s| (s.name_any(), s.data))
            .collect::<Vec<_>>())
    };
    let first = data().await?;
    ensure!(first.len() == 3, "{} secrets", first.len());
    ensure!(scene.deployer.apps.ensure_base(&target).await? == StageProgress::Done, "a second time");
    ensure!(data().await? == first, "secrets were changed");

    // A lost key comes back, the others stay.
    let patch = json!({ "data": { "admin-password": null } });
    secrets.patch("open-webui", &PatchParams::default(), &Patch::Merge(patch)).await?;
    scene.deployer.apps.ensure_base(&target).await?;
    let mended = data().await?;
    let key = |all: &[(String, Option<_>)], key: &str| {
        let of: &(String, Option<std::collections::BTreeMap<String, k8s_openapi::ByteString>>) =
            all.iter().find(|(name, _)| name == "open-webui").unwrap();
        of.1.as_ref().unwrap()[key].clone()
    };
    ensure!(key(&mended, "secret-key") == key(&first, "secret-key"), "an existing key was changed");
    ensure!(key(&mended, "admin-password") != key(&first, "admin-password"), "the lost key came back as it was?");

    let mut other = target.clone();
    other.uid = TenantUid(uuid::Uuid::from_u128(8));
    let taken = scene.deployer.apps.ensure_base(&other).await.unwrap_err();
    ensure!(taken.kind == ErrorKind::NameTaken, "{taken:?}");
    Ok(())
}

async fn what_blocks_is_named(scene: &Scene) -> Result<()> {
    let target = scene.target(25, &json!({}));
    let app = "qdrant".parse()?;
    eventually("a pod that can't be scheduled is named", async || {
        Ok(match scene.deployer.apps.ensure_release(&target, &app).await? {
            StageProgress::Pending { detail, .. }
                if detail.contains("can't be scheduled") && detail.contains("qdrant") =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    let verified = scene.deployer.apps.verify(&target).await?;
    ensure!(matches!(&verified.progress, StageProgress::Pending { .. }), "{verified:?}");
    add_nodes(&scene.client, &["node-1", "node-2"].map(NodeSpec::named)).await?;
    Ok(())
}

async fn apps_become_ready(scene: &Scene) -> Result<()> {
    let target = scene.target(25, &json!({}));
    scene.releases_ready(&target).await?;
    done("verified", async || Ok(scene.deployer.apps.verify(&target).await?.progress)).await?;
    let verified = scene.deployer.apps.verify(&target).await?;
    let names: Vec<&str> = verified.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
    ensure!(names == ["sftp://acme@sftp.acme.example.com"], "without a Gateway there is SFTP only: {names:?}");
    let records = scene.deployer.apps.entry_points(&target).await?.context("entry points")?;
    ensure!(
        records == [("sftp.acme.example.com".to_owned(), "sftpgo-sftp.lb.example.com".to_owned())].into(),
        "{records:?}"
    );
    Ok(())
}

/// One account is there already and keeps what others gave it; the other comes with its namespace.
async fn accounts_carry_what_their_identities_need(scene: &Scene) -> Result<()> {
    let pairs = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let account = |namespace: &str, client: &str| CloudAccount {
        namespace: namespace.to_owned(),
        name: namespace.to_owned(),
        annotations: pairs("identity.example.com/client-id", client),
        pod_labels: pairs("identity.example.com/use", "true"),
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let there = json!({ "metadata": { "name": NAMESPACE, "annotations": { "team": "blue" } } });
    accounts.create(&PostParams::default(), &serde_json::from_value(there)?).await?;
    let target = scene.target(25, &json!({}));
    for client in ["one", "two", "two"] {
        let wanted = [account(NAMESPACE, client), account("names", client)];
        let progress =
            scene.deployer.apps.ensure_accounts(&target, &wanted).await.map_err(|f| anyhow::anyhow!("{f:?}"))?;
        ensure!(progress == StageProgress::Done, "{progress:?}");
    }
    for (namespace, team) in [(NAMESPACE, Some("blue")), ("names", None)] {
        let accounts: Api<ServiceAccount> = Api::namespaced(scene.client.clone(), namespace);
        let annotations = accounts.get(namespace).await?.metadata.annotations.unwrap_or_default();
        let get = |key: &str| annotations.get(key).map(String::as_str);
        ensure!(get("identity.example.com/client-id") == Some("two") && get("team") == team, "{annotations:?}");
        ensure!(get("landlord.dev/pod-labels") == Some("identity.example.com/use=true"), "{annotations:?}");
    }
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let labels = namespaces.get("names").await?.metadata.labels.unwrap_or_default();
    ensure!(labels["landlord-role"] == "identity" && labels["landlord-installation"] == "test", "{labels:?}");
    accounts.delete(NAMESPACE, &DeleteParams::default()).await?;
    Ok(())
}

async fn the_namespace_is_guarded(scene: &Scene) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let labels = namespaces.get(NAMESPACE).await?.metadata.labels.unwrap_or_default();
    for mode in ["enforce", "audit", "warn"] {
        ensure!(labels[&format!("pod-security.kubernetes.io/{mode}")] == "restricted", "{labels:?}");
        // Pinned: what a newer Kubernetes adds stops no pod.
        ensure!(labels[&format!("pod-security.kubernetes.io/{mode}-version")].starts_with("v1."), "{labels:?}");
    }
    ensure!(labels.contains_key("landlord-tenant-uid") && labels["landlord-installation"] == "test", "{labels:?}");
    ensure!(labels.get("landlord.dev/customer").is_some_and(|customer| customer == "acme"), "{labels:?}");

    let policies: Api<NetworkPolicy> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let policies: Vec<String> =
        policies.list(&ListParams::default()).await?.iter().map(|policy| policy.name_any()).collect();
    ensure!(policies == ["default-deny", "ollama", "open-webui", "qdrant", "sftpgo"], "{policies:?}");

    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let pods = pods.list(&ListParams::default()).await?.items;
    ensure!(pods.len() == 4, "{} pods", pods.len());
    for pod in pods {
        let spec = pod.spec.context("spec")?;
        ensure!(spec.automount_service_account_token == Some(false), "a token is mounted");
        for container in spec.containers {
            ensure!(
                container.resources.is_some() && container.image.is_some_and(|image| !image.ends_with(":latest")),
                "{}",
                container.name
            );
        }
    }
    let privileged = json!({ "metadata": { "name": "bad" }, "spec": { "containers": [{ "name": "c", "image": "i", "securityContext": { "privileged": true } }] } });
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let refused = pods.create(&PostParams::default(), &serde_json::from_value(privileged)?).await.unwrap_err();
    ensure!(refused.to_string().contains("PodSecurity"), "{refused}");

    let routes = scene.helm_output(&["get", "manifest", "open-webui", "-n", NAMESPACE])?;
    ensure!(routes.contains("kind: HTTPRoute"), "routes are rendered where the Gateway API is known");
    Ok(())
}

/// What a class gives the customer of a cluster of its own, against the API server; and what is left once it gives nothing.
async fn a_withdrawn_role_is_taken_back(scene: &Scene) -> Result<()> {
    let target = scene.target(25, &json!({}));
    let isolation = &scene.deployer.isolation;
    isolation.ensure_customer(&target, CustomerRole::None).await?;
    ensure!(of_customer(scene).await?.is_empty(), "nobody got a role");

    let access = isolation.own_cluster_kubeconfig(&target, CustomerRole::View, CUSTOMER_ACCESS_MIN).await?;
    ensure!(access.namespace == NAMESPACE, "{}", access.namespace);
    let customer = client_of(&access.kube)?;
    let (maps, secrets) = (configs(&customer), Api::<Secret>::namespaced(customer.clone(), NAMESPACE));
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "own" } }))?;
    eventually("it reads", async || Ok(refused(maps.list(&ListParams::default()).await)?.map_or(Ok(()), Err))).await?;
    ensure!(refused(secrets.list(&ListParams::default()).await)?.is_some(), "it reads Secrets");
    ensure!(refused(maps.create(&PostParams::default(), &map).await)?.is_some(), "a viewer writes");
    let elsewhere: Api<ConfigMap> = Api::namespaced(customer, "default");
    ensure!(refused(elsewhere.list(&ListParams::default()).await)?.is_some(), "it reads elsewhere");

    let access = isolation.own_cluster_kubeconfig(&target, CustomerRole::Edit, CUSTOMER_ACCESS_MIN).await?;
    let editor = client_of(&access.kube)?;
    let create = async || refused(configs(&editor).create(&PostParams::default(), &map).await);
    eventually("it writes", async || Ok(create().await?.map_or(Ok(()), Err))).await?;
    let pods: Api<Pod> = Api::namespaced(editor.clone(), NAMESPACE);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let pod: Pod = serde_json::from_value(restricted_pod(CUSTOMER))?;
    eventually("no pod runs as the customer", async || {
        let why = refused(pods.create(&dry_run, &pod).await)?.unwrap_or_default();
        Ok(if why.contains("must not run as") { Ok(()) } else { Err(format!("not refused: {why}")) })
    })
    .await?;
    let other: Pod = serde_json::from_value(restricted_pod("default"))?;
    ensure!(refused(pods.create(&dry_run, &other).await)?.is_none(), "other pods may run");
    // Calling again changes nothing.
    let before = of_customer(scene).await?;
    ensure!(before.len() == 5, "{before:?}");
    isolation.ensure_customer(&target, CustomerRole::Edit).await?;
    ensure!(of_customer(scene).await? == before, "a second time");

    isolation.ensure_customer(&target, CustomerRole::None).await?;
    ensure!(of_customer(scene).await?.is_empty(), "{:?}", of_customer(scene).await?);
    eventually("its token is worth nothing", async || {
        let listed = configs(&editor).list(&ListParams::default()).await;
        let status = listed.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(if status.is_empty() { Err("it still reads".to_owned()) } else { Ok(()) })
    })
    .await?;
    configs(&scene.client).delete("own", &DeleteParams::default()).await?;
    // Given a role again, which teardown shall find.
    isolation.ensure_customer(&target, CustomerRole::View).await?;
    Ok(())
}

fn configs(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), NAMESPACE)
}

/// The API server's refusal; `None`: it was allowed.
fn refused<T>(result: kube::Result<T>) -> Result<Option<String>> {
    match result {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(status.message.clone())),
        Err(other) => Err(other.into()),
    }
}

fn restricted_pod(account: &str) -> Value {
    json!({ "metadata": { "name": "as-somebody" }, "spec": {
        "serviceAccountName": account,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{ "name": "c", "image": "example.com/c:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } } }],
    } })
}

/// Every object of the customer's account, with its version.
async fn of_customer(scene: &Scene) -> Result<BTreeMap<String, String>> {
    let kinds = [
        ("v1", "ServiceAccount", true),
        ("rbac.authorization.k8s.io/v1", "Role", true),
        ("rbac.authorization.k8s.io/v1", "RoleBinding", true),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", false),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", false),
    ];
    let mut all = BTreeMap::new();
    for (version, kind, namespaced) in kinds {
        let resource = landlord_kube::object::resource(version, kind);
        let api: Api<DynamicObject> = match namespaced {
            true => Api::namespaced_with(scene.client.clone(), NAMESPACE, &resource),
            false => Api::all_with(scene.client.clone(), &resource),
        };
        let found = api.list(&ListParams::default().labels("landlord-role=rights")).await?;
        all.extend(found.items.into_iter().map(|object| {
            let version = object.resource_version().unwrap_or_default();
            (format!("{kind} {}", object.name_any()), version)
        }));
    }
    Ok(all)
}

/// Generated secrets and the token are in no argument, no environment, no values and no release.
async fn secrets_stay_secret(scene: &Scene) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let mut hidden = vec![scene.control_plane.admin_token().to_owned()];
    for name in ["sftpgo", "qdrant", "open-webui"] {
        let data = secrets.get(name).await?.data.unwrap_or_default();
        hidden.extend(data.into_values().map(|value| String::from_utf8_lossy(&value.0).into_owned()));
    }
    ensure!(hidden.len() >= 7 && hidden.iter().all(|secret| secret.len() >= 16), "{} secrets", hidden.len());
    let mut seen = scene.recorded()?;
    ensure!(seen.contains("--values") && seen.contains("acme.example.com"), "nothing was recorded");
    for release in ["sftpgo", "qdrant", "ollama", "open-webui"] {
        seen += &scene.helm_output(&["get", "all", release, "-n", NAMESPACE])?;
    }
    ensure!(!hidden.iter().any(|secret| seen.contains(secret)), "a secret was seen");
    let left = std::fs::read_dir(scene.folder.path().join("state/runs"))?.count();
    ensure!(left == 0, "{left} folders of Helm runs are left");
    Ok(())
}

async fn applying_again_changes_nothing(scene: &Scene) -> Result<()> {
    let (before, runs) = (scene.records().await?, scene.recorded()?.len());
    scene.releases_ready(&scene.target(25, &json!({}))).await?;
    ensure!(scene.records().await? == before, "revisions grew from {before:?}");
    ensure!(scene.recorded()?.len() == runs, "Helm was run for nothing");
    Ok(())
}

async fn growing_changes_one_release(scene: &Scene) -> Result<()> {
    let before = scene.records().await?;
    let target = scene.target(30, &json!({}));
    scene.releases_ready(&target).await?;
    let after = scene.records().await?;
    ensure!(after["sftpgo"].0 == before["sftpgo"].0 + 1, "{before:?} {after:?}");
    ensure!(after["qdrant"] == before["qdrant"] && after["open-webui"] == before["open-webui"], "{before:?} {after:?}");
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let requests =
        claims.get("sftpgo").await?.spec.and_then(|spec| spec.resources).and_then(|r| r.requests).unwrap_or_default();
    ensure!(requests["storage"].0 == "30Gi", "{requests:?}");
    Ok(())
}

async fn what_is_missing_is_made_again(scene: &Scene) -> Result<()> {
    let services: Api<Service> = Api::namespaced(scene.client.clone(), NAMESPACE);
    services.delete("qdrant", &DeleteParams::default()).await?;
    let target = scene.target(30, &json!({}));
    let verified = scene.deployer.apps.verify(&target).await?;
    ensure!(
        matches!(&verified.progress, StageProgress::Pending { detail, .. } if detail.contains("Service qdrant is missing")),
        "{verified:?}"
    );
    scene.releases_ready(&target).await?;
    services.get("qdrant").await?;
    Ok(())
}

async fn bad_values_are_refused(scene: &Scene) -> Result<()> {
    let before = scene.records().await?;
    let cases = [
        json!({ "sftpgo": { "sftp": { "sourceRanges": "everybody" } } }),
        json!({ "sftpgo": { "image": { "tag": "mine" } } }),
        json!({ "ollama": { "models": [] } }),
        json!({ "ollama": { "mode": "cloud" } }),
    ];
    for case in cases {
        let target = scene.target(30, &case);
        for app in case.as_object().into_iter().flatten().map(|(app, _)| app) {
            let refused = match scene.deployer.apps.ensure_release(&target, &app.parse()?).await {
                Err(failure) => failure,
                Ok(progress) => bail!("{case} was taken: {progress:?}"),
            };
            ensure!(refused.kind == ErrorKind::Invalid && !refused.remedy.is_empty(), "{case}: {refused:?}");
        }
    }
    ensure!(scene.records().await? == before, "a refused release left a record");
    Ok(())
}

/// A real Helm is killed while its revision is pending: it waits for a pod that never comes.
async fn a_killed_helm_is_recovered(scene: &Scene) -> Result<()> {
    let target = scene.target(30, &json!({}));
    let before = scene.records().await?["qdrant"].0;
    let chart = support::stacks().join("ai-fileserver/charts/qdrant").display().to_string();
    let mut helm = scene
        .helm()
        .args(["upgrade", "qdrant", &chart, "-n", NAMESPACE, "--reuse-values", "--wait=watcher", "--timeout=5m"])
        .args(["--set", "nodeSelector.no=such", "--server-side=true", "--force-conflicts"])
        .spawn()?;
    let pending = eventually("the revision is pending", async || {
        let record = scene.records().await?["qdrant"].clone();
        Ok(if record.0 > before && record.1 == "pending-upgrade" { Ok(()) } else { Err(format!("{record:?}")) })
    })
    .await;
    helm.kill()?;
    helm.wait()?;
    pending?;
    scene.releases_ready(&target).await?;
    let record = scene.records().await?["qdrant"].clone();
    ensure!(record.1 == "deployed", "{record:?}");
    done("verified", async || Ok(scene.deployer.apps.verify(&target).await?.progress)).await
}

/// The engine drops a call that loses its fence or its time; Helm dies with it, wherever it is.
async fn calls_may_be_dropped_anywhere(scene: &Scene) -> Result<()> {
    let app = "open-webui".parse()?;
    for (number, delay_ms) in [50_u64, 200, 350, 500, 700, 900, 1_200].into_iter().enumerate() {
        let wanted = json!({ "open-webui": { "files": { "intervalSeconds": 60 + number } } });
        let target = scene.target(30, &wanted);
        let _ =
            tokio::time::timeout(Duration::from_millis(delay_ms), scene.deployer.apps.ensure_release(&target, &app))
                .await;
        done(&format!("after a call dropped at {delay_ms} ms"), async || {
            Ok(scene.deployer.apps.ensure_release(&target, &app).await?)
        })
        .await?;
        let values: Value = serde_json::from_str(&scene.helm_output(&[
            "get",
            "values",
            "open-webui",
            "-n",
            NAMESPACE,
            "-o",
            "json",
        ])?)?;
        ensure!(values["files"]["intervalSeconds"] == json!(60 + number), "{values}");
        ensure!(scene.records().await?["open-webui"].1 == "deployed", "{delay_ms} ms");
    }
    Ok(())
}

async fn an_unreachable_server_is_transient(scene: &Scene) -> Result<()> {
    let mut target = scene.target(30, &json!({}));
    // Nobody listens on port 1.
    target.kube.endpoint = "https://127.0.0.1:1".into();
    let failure = scene.deployer.apps.teardown(&target).await.unwrap_err();
    ensure!(failure.kind == ErrorKind::Transient, "{failure:?}");
    let mut target = scene.target(30, &json!({}));
    target.kube.identity = landlord_core::ports::KubeIdentity::Token("wrong".to_owned().into());
    let failure = scene.deployer.apps.verify(&target).await.unwrap_err();
    ensure!(failure.kind == ErrorKind::Auth, "{failure:?}");
    Ok(())
}

/// What a customer made in a namespace of its own: a load balancer, and a volume that is held by a pod and to be retained.
async fn customers_own_namespace(scene: &Scene) -> Result<()> {
    let (client, namespace) = (&scene.client, json!({ "metadata": { "name": "shop" } }));
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &serde_json::from_value(namespace)?).await?;
    eventually("the service account of the new namespace", async || {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "shop");
        Ok(accounts.get_opt("default").await?.map(drop).ok_or("missing".to_owned()))
    })
    .await?;
    let spec = json!({ "type": "LoadBalancer", "selector": { "app": "shop" }, "ports": [{ "port": 80 }] });
    make_in_shop(client, "Service", spec).await?;
    let resources = json!({ "requests": { "storage": "1Gi" } });
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "resources": resources });
    make_in_shop(client, "PersistentVolumeClaim", spec).await?;
    let mounts = json!([{ "name": "data", "mountPath": "/data" }]);
    let spec = json!({
        "containers": [{ "name": "c", "image": "example.com/shop:1", "volumeMounts": mounts }],
        "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "shop" } }],
    });
    make_in_shop(client, "Pod", spec).await?;
    eventually("the customer's own load balancer and volume", async || {
        let left = scene.cloud.left();
        Ok(if left.iter().filter(|name| *name == "shop").count() == 2 { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await?;
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let retain = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
    eventually("a volume to be retained", async || {
        let all = volumes.list(&ListParams::default()).await?.items;
        let own = all.iter().find(|volume| {
            volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref()).and_then(|c| c.namespace.as_deref()) == Some("shop")
        });
        let Some(own) = own else { return Ok(Err("no volume".into())) };
        volumes.patch(&own.name_any(), &PatchParams::default(), &Patch::Merge(&retain)).await?;
        Ok(Ok(()))
    })
    .await
}

async fn make_in_shop(client: &Client, kind: &str, spec: Value) -> Result<()> {
    let metadata = json!({ "name": "shop", "namespace": "shop", "labels": { "app": "shop" } });
    let wanted = Wanted::new(json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec }));
    wanted.api(client).create(&PostParams::default(), &serde_json::from_value(wanted.body.clone())?).await?;
    Ok(())
}

/// Also what the customer made in a namespace of its own.
async fn teardown_leaves_nothing(scene: &Scene) -> Result<()> {
    customers_own_namespace(scene).await?;
    scene.deployer.isolation.remove(&scene.target(25, &json!({}))).await?;
    let customers = of_customer(scene).await?;
    ensure!(customers.keys().all(|name| !name.contains("Policy")), "outside of namespaces: {customers:?}");
    let target = scene.target(30, &json!({}));
    let mut removed = Vec::new();
    done("teardown", async || {
        let (progress, objects) = scene.deployer.apps.teardown(&target).await?;
        removed.extend(objects);
        Ok(progress)
    })
    .await?;
    ensure!(scene.cloud.left().is_empty(), "left in the cloud: {:?}", scene.cloud.left());
    let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
    ensure!(volumes.list(&ListParams::default()).await?.items.is_empty(), "volumes are left");
    for (kind, name) in [
        ("Service", "shop/shop"),
        ("Service", "ai-fileserver/sftpgo-sftp"),
        ("PersistentVolumeClaim", "shop/shop"),
        ("HelmRelease", "open-webui"),
        ("Namespace", NAMESPACE),
    ] {
        ensure!(
            removed.iter().any(|object| object.r#type == kind && object.name == name),
            "{kind} {name} is not in {removed:?}"
        );
    }
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    eventually("the namespace is gone", async || {
        Ok(match namespaces.get_opt(NAMESPACE).await? {
            None => Ok(()),
            Some(namespace) => Err(format!("{:?}", namespace.status)),
        })
    })
    .await?;
    let (progress, removed) = scene.deployer.apps.teardown(&target).await?;
    ensure!(progress == StageProgress::Done && removed.is_empty(), "a second time: {progress:?} {removed:?}");
    Ok(())
}
