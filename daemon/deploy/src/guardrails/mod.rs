//! What fences a tenant on a shared cluster, as Kubernetes objects: observed, compared, applied.
//!
//! The leaves say what is wanted and are pure: `namespace` (namespace, limits, accounts), `network`, `rights` and
//! `admission` (what the host cluster needs once for all its tenants). `gateway` and `listener` give the tenant its names on the shared Gateway. `drift` compares, `enforce` applies and looks
//! whether the API server really refuses, `remove` takes a tenant away, `leave` takes back what is all tenants', `access` issues tokens, `charts` keeps charts
//! within a tenant's rights. Nothing here knows Helm or a cloud.

pub(crate) mod access;
mod admission;
pub(crate) mod charts;
mod drift;
pub(crate) mod enforce;
pub(crate) mod gateway;
pub(crate) mod leave;
mod listener;
mod namespace;
mod network;
pub(crate) mod remove;
mod rights;

use kube::api::{ApiResource, GroupVersionKind};
use std::time::{Duration, SystemTime};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use remove::REMOVAL_PATIENCE;
use serde_json::Value;

/// Key of the label and taint of a tenant's own nodes, and of the label of its namespace that says which they are.
pub(crate) const POOL_KEY: &str = "landlord.dev/tenant";
/// Label of a tenant's namespace: its isolation level. The policies know tenants' namespaces by it.
const LEVEL_LABEL: &str = "landlord.dev/level";
/// Annotation of a tenant's namespace: the domain that its names lie in.
const DOMAIN_ANNOTATION: &str = "landlord.dev/domain";
/// The account that releases are applied with.
pub(crate) const DEPLOYER: &str = "landlord-deployer";
/// The account that a customer's access belongs to.
pub(crate) const CUSTOMER: &str = "landlord-customer";
/// What the accounts above begin with; no pod may run as one of them.
const RESERVED_PREFIX: &str = "landlord-";

/// How long ago it was by our clock; zero for what is still to come.
fn since(time: &Time) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(u64::try_from(time.0.as_second()).unwrap_or_default()))
}

/// One object as it shall be.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Its kind.
    pub(crate) resource: ApiResource,
    /// Where; `None`: cluster-scoped.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// All of it that is ours to say.
    pub(crate) body: Value,
}

impl Wanted {
    /// From a manifest with `apiVersion`, `kind` and `metadata.name`, all of which are constants of this crate.
    fn new(body: Value) -> Self {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let namespace = Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty());
        Self { resource, namespace, name: text("/metadata/name"), body }
    }

    /// For messages.
    pub(crate) fn what(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.resource.kind, self.name),
            None => format!("{} {}", self.resource.kind, self.name),
        }
    }
}
