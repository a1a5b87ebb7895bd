//! A real control plane that also takes client certificates, and kubeconfigs for it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use k8s_openapi::api::{
    authentication::v1::{SelfSubjectReview, TokenRequest},
    core::v1::{Namespace, Node, ServiceAccount},
    rbac::v1::ClusterRoleBinding,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::AuthInfo,
};
use landlord_plugin_kubernetes::Kubernetes;
use landlord_provider_api::{ProviderError, ProviderPlugin as _, v1};
use landlord_test_kube::{
    Artifacts, ControlPlane, ControlPlaneOptions, client_config,
    cloud::{NodeSpec, add_nodes},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};

/// What the tests work with.
pub(crate) struct Scene {
    folder: tempfile::TempDir,
    pub(crate) plane: ControlPlane,
    pub(crate) client: Client,
    pub(crate) kubernetes_version: String,
    pub(crate) admin_certificate: String,
    pub(crate) admin_key: String,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The first run on a machine builds them, which takes minutes: say so.
        let artifacts = Artifacts::ensure(&mut |line| {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "{line}");
        })
        .unwrap();
        let authority = authority();
        let authority_file = folder.path().join("clients.crt");
        std::fs::write(&authority_file, authority.pem()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        params.distinguished_name.push(DnType::CommonName, "landlord-admin");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = std::time::SystemTime::now();
        params.not_before = now.into();
        params.not_after = (now + std::time::Duration::from_secs(24 * 3_600)).into();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();

        let kubernetes_version = artifacts.kubernetes_version.clone();
        let mut options = ControlPlaneOptions::new(artifacts, folder.path().join("cluster"));
        options.extra_apiserver_args = vec![format!("--client-ca-file={}", authority_file.display())];
        let plane = ControlPlane::start(options).await.unwrap();
        let client = plane.kube_client().unwrap();
        let (admin_certificate, admin_key) = (certificate.pem(), key.serialize_pem());
        Self { folder, plane, client, kubernetes_version, admin_certificate, admin_key }
    }

    pub(crate) async fn stop(self) {
        self.plane.stop().await;
        drop(self.folder);
    }

    pub(crate) fn certificate_user(&self) -> Value {
        json!({
            "client-certificate-data": base64(&self.admin_certificate),
            "client-key-data": base64(&self.admin_key),
        })
    }

    /// A kubeconfig of this cluster with a user of this form.
    pub(crate) fn kubeconfig(&self, user: &Value) -> String {
        self.kubeconfig_of(self.plane.endpoint(), self.plane.ca_pem(), user)
    }

    pub(crate) fn kubeconfig_of(&self, endpoint: &str, ca_pem: &str, user: &Value) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "context",
            "contexts": [{ "name": "context", "context": { "cluster": "cluster", "user": "user" } }],
            "clusters": [{ "name": "cluster", "cluster": {
                "server": endpoint, "certificate-authority-data": base64(ca_pem),
            } }],
            "users": [{ "name": "user", "user": user }],
        })
        .to_string()
    }

    /// An hour's token of a new account in `default`, bound to a ClusterRole.
    pub(crate) async fn account_token(&self, name: &str, role: Option<&str>) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let account = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        if let Some(role) = role {
            let bindings: Api<ClusterRoleBinding> = Api::all(self.client.clone());
            let binding = json!({
                "metadata": { "name": name },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": "default" }],
            });
            bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
        }
        let requested: TokenRequest =
            serde_json::from_value(json!({ "spec": { "audiences": [], "expirationSeconds": 3_600 } })).unwrap();
        let made = accounts.create_token_request(name, &PostParams::default(), &requested).await.unwrap();
        made.status.unwrap().token.unwrap()
    }

    pub(crate) async fn add_nodes(&self, names: &[&str]) {
        let nodes: Vec<NodeSpec> = names.iter().map(|name| NodeSpec::named(name)).collect();
        add_nodes(&self.client, &nodes).await.unwrap();
        let api: Api<Node> = Api::all(self.client.clone());
        for _ in 0..600 {
            let all = api.list(&ListParams::default()).await.unwrap().items;
            let ready = |node: &Node| {
                let conditions = node.status.clone().unwrap_or_default().conditions.unwrap_or_default();
                conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
            };
            if all.len() == names.len() && all.iter().all(ready) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the nodes are not Ready after a minute");
    }

    /// What an operator does with kubectl.
    pub(crate) async fn give(&self, name: &str, label: &(String, String), tainted: bool) {
        let api: Api<Node> = Api::all(self.client.clone());
        let taints =
            if tainted { json!([{ "key": label.0, "value": label.1, "effect": "NoSchedule" }]) } else { json!([]) };
        let patch = json!({ "metadata": { "labels": { &label.0: label.1 } }, "spec": { "taints": taints } });
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Names of the namespaces and nodes that are not on their way out.
    pub(crate) async fn everything(&self) -> Vec<String> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let nodes: Api<Node> = Api::all(self.client.clone());
        let all = ListParams::default();
        let namespaces = namespaces.list(&all).await.unwrap().items.into_iter().map(|object| object.metadata);
        let nodes = nodes.list(&all).await.unwrap().items.into_iter().map(|object| object.metadata);
        let staying = namespaces.chain(nodes).filter(|metadata| metadata.deletion_timestamp.is_none());
        staying.filter_map(|metadata| metadata.name).collect()
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "clients");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An authority that signed nothing.
pub(crate) fn authority_pem() -> String {
    authority().pem()
}

/// A key that belongs to no certificate.
pub(crate) fn key_pem() -> String {
    KeyPair::generate().unwrap().serialize_pem()
}

pub(crate) fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

pub(crate) fn scope(uid: &str) -> Option<v1::Scope> {
    Some(v1::Scope {
        installation: "test".into(),
        tenant_uid: uid.into(),
        region: "cellar".into(),
        ..v1::Scope::default()
    })
}

pub(crate) async fn configure(kubeconfig: &str) -> Result<Kubernetes, ProviderError> {
    configure_with(&json!({ "kind": "kubeconfig", "kubeconfig": kubeconfig }), "").await
}

pub(crate) async fn configure_with(credential: &Value, config_json: &str) -> Result<Kubernetes, ProviderError> {
    Kubernetes::configure(v1::ConfigureRequest {
        installation: "test".into(),
        config_json: config_json.into(),
        credential_json: credential.to_string().into_bytes(),
        endpoint_override: String::new(),
    })
    .await
}

/// Whom the API server sees when this access is used, as the daemon would use it.
pub(crate) async fn user_of(access: &v1::KubeAccess) -> Result<String, kube::Error> {
    let mut config = client_config(&access.endpoint, &access.ca_pem).unwrap();
    if !access.token.is_empty() {
        config.auth_info.token = Some(access.token.clone().into());
    }
    if !access.client_key_pem.is_empty() {
        config.auth_info = AuthInfo {
            client_certificate_data: Some(base64(&access.client_certificate_pem)),
            client_key_data: Some(base64(&access.client_key_pem).into()),
            ..AuthInfo::default()
        };
    }
    let reviews: Api<SelfSubjectReview> = Api::all(Client::try_from(config)?);
    let review = reviews.create(&PostParams::default(), &SelfSubjectReview::default()).await?;
    Ok(review.status.unwrap_or_default().user_info.unwrap_or_default().username.unwrap_or_default())
}
