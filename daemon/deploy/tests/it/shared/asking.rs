//! Asking the API server as one of a tenant's accounts, in plain requests, and what it says.

use anyhow::{Context as _, Result};
use http::{Method, Request, header::CONTENT_TYPE};
use kube::Client;
use landlord_core::ports::{DeployTarget, Isolation as _, KubeIdentity};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::world::{World, place};
use crate::support::{client_of, client_with};

/// Why something was refused, as reported by the API server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// No role allows it.
    Rbac,
    /// The token is none.
    Authentication,
    /// One of our policies, by the end of its name.
    Policy(&'static str),
    /// Pod Security `restricted`.
    PodSecurity,
    /// A quota.
    Quota,
}

impl Rule {
    /// What the API server's words stand for.
    fn of(message: &str, code: u16) -> Option<Self> {
        const POLICIES: [&str; 7] = [
            "tenant-pods",
            "others-pods",
            "tenant-services",
            "tenant-routes",
            "tenant-secrets",
            "tenant-claims",
            "tenant-accounts",
        ];
        let policy = |name: &&&str| message.contains(&format!("ValidatingAdmissionPolicy 'landlord-test-{name}'"));
        match code {
            401 => Some(Self::Authentication),
            403 if message.contains("exceeded quota") => Some(Self::Quota),
            403 if message.contains("violates PodSecurity \"restricted:v1.34\"") => Some(Self::PodSecurity),
            403 if message.contains("denied request") => POLICIES.iter().find(policy).map(|name| Self::Policy(name)),
            403 if message.contains("is forbidden: User") || message.contains("forbidden: User") => Some(Self::Rbac),
            _ => None,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Response {
    Allowed(String),
    Refused(Rule),
    /// Neither: an error that proves nothing.
    Other(String),
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

pub(crate) fn get(path: impl Into<String>) -> Ask {
    Ask { method: Method::GET, path: path.into(), body: Value::Null, headers: Vec::new() }
}

pub(crate) fn post(path: impl Into<String>, body: Value) -> Ask {
    Ask { method: Method::POST, body, ..get(path) }
}

pub(crate) fn put(path: impl Into<String>, body: Value) -> Ask {
    Ask { method: Method::PUT, body, ..get(path) }
}

pub(crate) fn delete(path: impl Into<String>) -> Ask {
    Ask { method: Method::DELETE, ..get(path) }
}

/// A merge patch, or a JSON patch if it is a list.
pub(crate) fn patch(path: impl Into<String>, body: Value) -> Ask {
    Ask { method: Method::PATCH, body, ..get(path) }
}

impl Ask {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Sends it.
pub(crate) async fn ask(client: &Client, ask: &Ask) -> Result<Response> {
    let content = match (&ask.method, &ask.body) {
        (&Method::PATCH, Value::Array(_)) => "application/json-patch+json",
        (&Method::PATCH, _) => "application/merge-patch+json",
        _ => "application/json",
    };
    let mut request = Request::builder().method(ask.method.clone()).uri(&ask.path).header(CONTENT_TYPE, content);
    for (name, value) in &ask.headers {
        request = request.header(*name, value);
    }
    let body = if ask.body.is_null() { Vec::new() } else { ask.body.to_string().into_bytes() };
    Ok(match client.request_text(request.body(body)?).await {
        Ok(text) => Response::Allowed(text),
        Err(kube::Error::Api(status)) => match Rule::of(&status.message, status.code) {
            Some(rule) => Response::Refused(rule),
            None => Response::Other(format!("{} {}", status.code, status.message)),
        },
        Err(other) => return Err(other).context(format!("{} {}", ask.method, ask.path)),
    })
}

/// The token of an identity that is one.
pub(crate) fn token(identity: &KubeIdentity) -> Result<&str> {
    match identity {
        KubeIdentity::Token(token) => Ok(token.expose_secret()),
        KubeIdentity::ClientCertificate { .. } => anyhow::bail!("a certificate is no token"),
    }
}

impl World {
    /// With the access that the customer would get.
    pub(crate) async fn customer(&self, tenant: &DeployTarget) -> Result<Client> {
        let access =
            self.scene.deployer.isolation.customer_kubeconfig(tenant, std::time::Duration::from_secs(600)).await?;
        client_of(&access)
    }

    /// With a token of the tenant's deployer, as Helm gets it.
    pub(crate) async fn deployer(&self, tenant: &DeployTarget) -> Result<Client> {
        let namespace = &place(tenant).namespace;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/landlord-deployer/token");
        let request =
            post(path, json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} }));
        let Response::Allowed(text) = ask(&self.scene.client, &request).await? else {
            anyhow::bail!("no token of the deployer")
        };
        let issued: Value = serde_json::from_str(&text)?;
        client_with(&tenant.kube, issued["status"]["token"].as_str())
    }
}
