//! The provider against a real control plane: who is admitted, who is not and which error is returned then,
//! and what it sees of a cluster that it must not change.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scene;

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, SystemTime},
};

use k8s_openapi::api::{
    core::v1::{Namespace, Node},
    rbac::v1::ClusterRole,
};
use kube::{Api, api::PostParams};
use landlord_plugin_kubernetes::Kubernetes;
use landlord_provider_api::{
    Cluster as _, Dns as _, ErrorKind, Identity as _, Inventory as _, Network as _, NodePool as _, Provider as _,
    ProviderError, v1, v1::progress::Outcome,
};
use scene::{Scene, configure, scope, user_of};
use serde_json::json;

const UID: &str = "0192f0c1-5f0e-7b3a-9c51-d1a8c1b2e3f4";

async fn ensure_network(provider: &Kubernetes) -> Result<v1::EnsureNetworkResponse, ProviderError> {
    let request = v1::EnsureNetworkRequest { scope: scope(UID), ..Default::default() };
    provider.ensure_network(request).await
}

async fn ensure_cluster(provider: &Kubernetes) -> Result<v1::EnsureClusterResponse, ProviderError> {
    let request = v1::EnsureClusterRequest { scope: scope(UID), ..Default::default() };
    provider.ensure_cluster(request).await
}

async fn kube_access(
    provider: &Kubernetes,
    cluster: Option<v1::ClusterStatus>,
) -> Result<v1::KubeAccess, ProviderError> {
    provider.kube_access(v1::KubeAccessRequest { scope: scope(UID), cluster }).await
}

fn outcome(progress: Option<v1::Progress>) -> Outcome {
    progress.unwrap().outcome.unwrap()
}

fn pending(progress: Option<v1::Progress>) -> String {
    match outcome(progress) {
        Outcome::Pending(pending) => pending.detail,
        other => panic!("{other:?}"),
    }
}

/// One control plane for all: it takes seconds to start and most of a gigabyte.
mod a_cluster_is_adopted {
    use super::Scene;

    landlord_test_kube::steps! {
        scene = Scene::start().await;
        finally scene.stop().await;
        an_administrators_certificate_is_admitted: {
            super::an_administrators_certificate_is_admitted(&scene).await;
            anyhow::Ok(())
        };
        an_accounts_token_is_admitted_and_read_again: {
            super::an_accounts_token_is_admitted_and_read_again(&scene).await;
            anyhow::Ok(())
        };
        the_wrong_ones_are_distinguished: {
            super::the_wrong_ones_are_distinguished(&scene).await;
            anyhow::Ok(())
        };
        rights_that_are_lacking_are_named: {
            super::rights_that_are_lacking_are_named(&scene).await;
            anyhow::Ok(())
        };
        another_cluster_behind_the_kubeconfig_is_noticed: {
            super::another_cluster_behind_the_kubeconfig_is_noticed(&scene).await;
            anyhow::Ok(())
        };
        machines_are_counted_and_never_made: {
            super::machines_are_counted_and_never_made(&scene).await;
            anyhow::Ok(())
        };
        the_inventory_is_what_carries_our_markers: {
            super::the_inventory_is_what_carries_our_markers(&scene).await;
            anyhow::Ok(())
        };
        what_it_has_not_is_refused_and_what_is_absent_is_gone: {
            super::what_it_has_not_is_refused_and_what_is_absent_is_gone(&scene).await;
            anyhow::Ok(())
        };
    }
}

async fn an_administrators_certificate_is_admitted(scene: &Scene) {
    let provider = configure(&scene.kubeconfig(&scene.certificate_user())).await.unwrap();
    let network = ensure_network(&provider).await.unwrap();
    assert!(matches!(outcome(network.progress), Outcome::Ready(_)));
    let kube_system: Api<Namespace> = Api::all(scene.client.clone());
    let uid = kube_system.get("kube-system").await.unwrap().metadata.uid.unwrap();
    assert_eq!(network.status.unwrap().network_id, uid);

    let response = ensure_cluster(&provider).await.unwrap();
    assert!(matches!(outcome(response.progress), Outcome::Ready(_)));
    let status = response.status.unwrap();
    assert_eq!((status.name.as_str(), status.endpoint.as_str()), ("cluster", scene.plane.endpoint()));
    assert_eq!(status.kubernetes_version, scene.kubernetes_version);
    assert_eq!(status.attributes["cluster_uid"], uid);

    let access = kube_access(&provider, Some(status)).await.unwrap();
    assert!(access.token.is_empty());
    assert_eq!(access.client_certificate_pem, scene.admin_certificate);
    assert_eq!(access.client_key_pem, scene.admin_key);
    // It ends with the certificate, which was made for a day.
    let end = SystemTime::try_from(access.expire_time.unwrap()).unwrap();
    let left = end.duration_since(SystemTime::now()).unwrap();
    assert!(left > Duration::from_secs(23 * 3_600) && left <= Duration::from_secs(24 * 3_600), "{left:?}");
    // What the daemon gets admits whoever has it, and knows nobody else.
    assert_eq!(user_of(&access).await.unwrap(), "landlord-admin");
    let without_key = v1::KubeAccess { client_certificate_pem: String::new(), client_key_pem: String::new(), ..access };
    assert_ne!(user_of(&without_key).await.unwrap_or_default(), "landlord-admin");
}

async fn an_accounts_token_is_admitted_and_read_again(scene: &Scene) {
    let token = scene.account_token("landlord", Some("cluster-admin")).await;
    let provider = configure(&scene.kubeconfig(&json!({ "token": token }))).await.unwrap();
    assert!(ensure_cluster(&provider).await.unwrap().status.is_some());
    let access = kube_access(&provider, None).await.unwrap();
    assert_eq!(access.token, token);
    let end = SystemTime::try_from(access.expire_time.unwrap()).unwrap();
    assert!(end < SystemTime::now() + Duration::from_secs(3_700), "a token of an hour ends within it");
    assert_eq!(user_of(&access).await.unwrap(), "system:serviceaccount:default:landlord");

    // The same in a file that is rotated, named by a kubeconfig file that lies beside it.
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "stale\n").unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let text = scene.kubeconfig(&json!({ "tokenFile": "token" }));
    std::fs::File::create(&kubeconfig).unwrap().write_all(text.as_bytes()).unwrap();
    std::fs::set_permissions(&kubeconfig, std::fs::Permissions::from_mode(0o600)).unwrap();
    let credential = json!({ "kind": "kubeconfig_file", "path": kubeconfig });
    let provider = scene::configure_with(&credential, "").await.unwrap();
    let stale = ensure_cluster(&provider).await.unwrap_err();
    assert_eq!(stale.kind, ErrorKind::Auth, "{stale:?}");
    assert!(stale.remedy.contains("renew"), "{stale:?}");
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    assert!(ensure_cluster(&provider).await.unwrap().status.is_some());
    assert_eq!(kube_access(&provider, None).await.unwrap().token, token);
}

async fn the_wrong_ones_are_distinguished(scene: &Scene) {
    // Nothing is sent to the network before a kubeconfig is refused.
    let exec =
        json!({ "exec": { "apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "args": ["hunter2"] } });
    let refused = configure(&scene.kubeconfig(&exec)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid);
    assert!(refused.message.contains("user \"user\" has exec: the program \"aws\""), "{refused:?}");
    assert!(refused.remedy.contains("ServiceAccount"), "{refused:?}");
    let mixed = json!({ "client-certificate-data": scene::base64(&scene.admin_certificate),
        "client-key-data": scene::base64(&scene::key_pem()) });
    let refused = configure(&scene.kubeconfig(&mixed)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Invalid, "{refused:?}");

    let token = json!({ "token": scene.plane.admin_token() });
    // Somebody else's authority: the server is not trusted, and no credential was sent.
    let foreign = scene.kubeconfig_of(scene.plane.endpoint(), &scene::authority_pem(), &token);
    let provider = configure(&foreign).await.unwrap();
    let error = ensure_network(&provider).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error:?}");
    assert!(error.remedy.contains("certificate-authority-data"), "{error:?}");
    // Nobody there.
    let provider = configure(&scene.kubeconfig_of("https://127.0.0.1:1", scene.plane.ca_pem(), &token)).await.unwrap();
    let error = ensure_network(&provider).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Transient, "{error:?}");
    assert!(error.remedy.contains("reached"), "{error:?}");
    // Not let in.
    let provider = configure(&scene.kubeconfig(&json!({ "token": "wrong" }))).await.unwrap();
    let error = ensure_network(&provider).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error:?}");
    assert!(!format!("{error:?}").contains("wrong\""), "{error:?}");
    // Too old for what the settings ask.
    let credential = json!({ "kind": "kubeconfig", "kubeconfig": scene.kubeconfig(&token) });
    let provider = scene::configure_with(&credential, r#"{"minimum_version": "1.99"}"#).await.unwrap();
    let error = ensure_network(&provider).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("1.99 is the oldest adopted"), "{error:?}");
}

async fn rights_that_are_lacking_are_named(scene: &Scene) {
    let token = scene.account_token("looker", Some("view")).await;
    let provider = configure(&scene.kubeconfig(&json!({ "token": token }))).await.unwrap();
    let error = ensure_network(&provider).await;
    // `view` may read namespaces, so the observation itself works.
    assert!(error.is_ok(), "{error:?}");
    let error = ensure_cluster(&provider).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth);
    assert!(
        error.message.contains("create namespaces") && error.message.contains("create serviceaccounts/token"),
        "{error:?}"
    );
    assert!(error.remedy.contains("cluster-admin"), "{error:?}");
}

async fn another_cluster_behind_the_kubeconfig_is_noticed(scene: &Scene) {
    let provider = configure(&scene.kubeconfig(&scene.certificate_user())).await.unwrap();
    let mut status = ensure_cluster(&provider).await.unwrap().status.unwrap();
    assert!(kube_access(&provider, Some(status.clone())).await.is_ok());
    status.attributes.insert("cluster_uid".into(), "another".into());
    let error = kube_access(&provider, Some(status)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.message.contains("another"), "{error:?}");
}

async fn machines_are_counted_and_never_made(scene: &Scene) {
    let provider = configure(&scene.kubeconfig(&scene.certificate_user())).await.unwrap();
    let label = ("landlord.dev/tenant".to_owned(), UID.to_owned());
    let taint = v1::Taint { key: label.0.clone(), value: UID.into(), effect: "NoSchedule".into() };
    let ensure = async |node_count| {
        let spec = v1::NodePoolSpec {
            role: "default".into(),
            node_count,
            labels: [label.clone()].into(),
            taints: vec![taint.clone()],
            ..Default::default()
        };
        let request = v1::EnsureNodePoolRequest { scope: scope(UID), spec: Some(spec), ..Default::default() };
        provider.ensure_node_pool(request).await
    };
    let observe = async || {
        let kind = v1::ResourceKind::NodePool.into();
        let request = v1::ObserveRequest { scope: scope(UID), kind, ..Default::default() };
        outcome(provider.observe(request).await.unwrap().progress)
    };
    let none = ensure(2).await.unwrap_err();
    assert_eq!(none.kind, ErrorKind::Invalid);
    assert!(none.message.contains("0 machines for this tenant and 0 that are free, of 2 wanted"), "{none:?}");
    assert!(none.remedy.contains(&format!("kubectl label node NODE landlord.dev/tenant={UID}")), "{none:?}");
    assert!(matches!(observe().await, Outcome::Gone(_)));

    scene.add_nodes(&["one", "two", "three"]).await;
    let free = ensure(2).await.unwrap();
    let detail = pending(free.progress);
    assert!(detail.starts_with("0 of 2 machines"), "{detail}");
    assert!(detail.contains(&format!("kubectl taint node NODE landlord.dev/tenant={UID}:NoSchedule")), "{detail}");
    assert_eq!(ensure(4).await.unwrap_err().kind, ErrorKind::Invalid, "one more than there are");

    scene.give("one", &label, true).await;
    scene.give("two", &label, false).await;
    let half = pending(ensure(2).await.unwrap().progress);
    assert!(half.starts_with("1 of 2 machines") && half.contains("two lacks the taint"), "{half}");
    scene.give("two", &label, true).await;
    let whole = ensure(2).await.unwrap();
    assert!(matches!(outcome(whole.progress), Outcome::Ready(_)));
    assert_eq!(whole.status.unwrap().node_count, 2);
    assert!(matches!(observe().await, Outcome::Ready(_)));

    // Deleting forgets: the machines stay as they are.
    let kind = v1::ResourceKind::NodePool.into();
    let request = v1::DeleteRequest { scope: scope(UID), kind, ..Default::default() };
    assert!(matches!(outcome(provider.delete(request).await.unwrap().progress), Outcome::Gone(_)));
    let nodes: Api<Node> = Api::all(scene.client.clone());
    assert_eq!(nodes.list(&kube::api::ListParams::default()).await.unwrap().items.len(), 3);
}

async fn the_inventory_is_what_carries_our_markers(scene: &Scene) {
    let provider = configure(&scene.kubeconfig(&scene.certificate_user())).await.unwrap();
    let list = async |uid: &str| {
        let request = v1::ListOwnedRequest { scope: scope(uid), page_token: String::new() };
        let page = provider.list_owned(request).await.unwrap();
        assert_eq!(page.next_page_token, "");
        page.objects.into_iter().map(|object| (object.r#type, object.id, object.role)).collect::<Vec<_>>()
    };
    assert!(list(UID).await.is_empty() && list("").await.is_empty());
    let labels = |installation: &str, uid: &str| json!({ "landlord-installation": installation, "landlord-tenant-uid": uid, "landlord-role": "apps" });
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    for (name, labels) in [
        ("ours", labels("test", UID)),
        ("a-neighbours", labels("test", "another-uid")),
        ("another-installations", labels("other", UID)),
        ("nobodys", json!({})),
    ] {
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    let roles: Api<ClusterRole> = Api::all(scene.client.clone());
    let role = json!({ "metadata": { "name": "ours-too", "labels": labels("test", UID) }, "rules": [] });
    roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();

    let entry = |kind: &str, id: &str| (kind.to_owned(), id.to_owned(), "apps".to_owned());
    let own = [
        entry("Namespace", "/api/v1/namespaces/ours"),
        entry("ClusterRole", "/apis/rbac.authorization.k8s.io/v1/clusterroles/ours-too"),
    ];
    assert_eq!(list(UID).await, own);
    assert_eq!(list("").await.len(), 3, "those of all tenants of this installation");
}

async fn what_it_has_not_is_refused_and_what_is_absent_is_gone(scene: &Scene) {
    use v1::ResourceKind as Kind;
    let provider = configure(&scene.kubeconfig(&scene.certificate_user())).await.unwrap();
    let refusals = [
        provider.ensure_dns_zone(v1::EnsureDnsZoneRequest::default()).await.unwrap_err(),
        provider.ensure_dns_records(v1::EnsureDnsRecordsRequest::default()).await.unwrap_err(),
        provider.ensure_identity(v1::EnsureIdentityRequest::default()).await.unwrap_err(),
    ];
    for refused in refusals {
        assert_eq!(refused.kind, ErrorKind::Invalid);
        assert!(refused.remedy.contains("capability"), "{refused:?}");
    }
    let described = provider.describe(v1::DescribeRequest {}).await.unwrap();
    assert_eq!(described.capabilities, ["adopts-clusters"]);
    let objects = || scene.everything();
    let before = objects().await;
    for kind in [
        Kind::Network,
        Kind::Cluster,
        Kind::Addons,
        Kind::NodePool,
        Kind::DnsZone,
        Kind::DnsRecords,
        Kind::Identity,
        Kind::Leftovers,
    ] {
        let request = v1::DeleteRequest { scope: scope(UID), kind: kind.into(), ..Default::default() };
        let progress = provider.delete(request).await.unwrap().progress;
        assert!(matches!(outcome(progress), Outcome::Gone(_)), "{kind:?}");
    }
    assert_eq!(objects().await, before, "forgetting removes nothing");
    let requested = v1::ValidateRequest {
        scope: scope(UID),
        parameters_json: r#"{"nat": "none"}"#.into(),
        dns_zone: Some(v1::DnsZoneSpec { domain: "acme.example.com".into() }),
        ..Default::default()
    };
    let violations = provider.validate(requested).await.unwrap().violations;
    let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["parameters", "domain"]);
}
