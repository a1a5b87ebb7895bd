//! The template's provider with one thing wrong, so that tests can see which case of the suite finds it. What is wrong is
//! the name of the configured project (`Defect`); any other project gets the template as it is.
//!
//! The template's modules are compiled in, not linked: its library exports the symbol that this one exports.

#[path = "../../../../examples/provider-template/src/by_id.rs"]
mod by_id;
#[path = "../../../../examples/provider-template/src/cloud.rs"]
mod cloud;
#[path = "../../../../examples/provider-template/src/either.rs"]
mod either;
#[path = "../../../../examples/provider-template/src/objects.rs"]
mod objects;
#[path = "../../../../examples/provider-template/src/provider.rs"]
#[allow(unreachable_pub, reason = "public where it is at home")]
mod provider;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use landlord_provider_api::{
    Cluster, Dns, ErrorKind, Identity, Inventory, Network, NodePool, Provider, ProviderError, ProviderPlugin,
    v1::{self, progress::Outcome},
};
use provider::Nimbus;

landlord_provider_api::export_provider!(Broken);

type Result<T> = std::result::Result<T, ProviderError>;

/// Knocks so often where the cloud throttles.
const KNOCKS: usize = 10;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    /// Nothing.
    None,
    /// After a response that never came, the node pool is made under another name.
    RenamesAfterError,
    /// A process does not take what another one made for its own, and makes a node pool beside it.
    Forgetful,
    /// A throttled call is repeated at once, again and again.
    Hammers,
    /// A call does not end when it is cancelled.
    Deaf,
    /// Add-ons are ready without an object that would be them.
    Nothing,
    /// Add-ons are shown as an object that there is not.
    MadeUp,
    /// The inventory of the installation leaves out what that of a tenant shows.
    Short,
    /// Taints of a node pool never reach the cloud.
    DropsTaints,
    /// A cluster that ended in error is under way for ever.
    Buries,
}

/// The template, broken.
pub struct Broken {
    inner: Nimbus,
    defect: Defect,
    /// What the name of a tenant's node pool ends with, as this process remembers it.
    endings: Mutex<BTreeMap<String, &'static str>>,
}

impl Broken {
    async fn around<T, F: Future<Output = Result<T>>>(&self, mut call: impl FnMut() -> F) -> Result<T> {
        if self.defect == Defect::Deaf {
            return tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(call()));
        }
        let mut result = call().await;
        if self.defect == Defect::Buries && result.as_ref().is_err_and(|error| error.kind == ErrorKind::Capacity) {
            result = Err(ProviderError::new(ErrorKind::Conflict, "the object is still under way"));
        }
        for _ in 1..KNOCKS {
            match &result {
                Err(error) if error.kind == ErrorKind::Throttled && self.defect == Defect::Hammers => {
                    result = call().await;
                }
                _ => break,
            }
        }
        result
    }

    fn ending(&self, uid: &str) -> Option<&'static str> {
        self.endings.lock().unwrap_or_else(PoisonError::into_inner).get(uid).copied()
    }

    fn remember(&self, uid: &str, ending: &'static str) {
        self.endings.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), ending);
    }

    async fn has_pools(&self, scope: &Option<v1::Scope>) -> Result<bool> {
        Ok(self.pools(scope).await?.next().is_some())
    }

    async fn pools(&self, scope: &Option<v1::Scope>) -> Result<impl Iterator<Item = v1::OwnedObject>> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let page = self.inner.list_owned(v1::ListOwnedRequest { scope: scope.clone(), page_token }).await?;
            found.extend(page.objects);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(found.into_iter().filter(|object| object.r#type == "nimbus/pools"));
            }
        }
    }

    /// All pools, whatever they are called: what a test makes must go again.
    async fn delete_pools(&self, request: &v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        // A scope that is refused is refused by the template.
        let mut all = self.inner.delete(request.clone()).await?.progress.unwrap_or_default();
        for pool in self.pools(&request.scope).await? {
            let one = v1::DeleteRequest { role: pool.role.clone(), ..request.clone() };
            let progress = self.inner.delete(one).await?.progress.unwrap_or_default();
            all.removed.extend(progress.removed);
            if !matches!(progress.outcome, Some(Outcome::Gone(_))) {
                all.outcome = progress.outcome;
            }
        }
        Ok(v1::DeleteResponse { progress: Some(all) })
    }
}

macro_rules! delegated {
    ($family:ident { $($function:ident($request:ident) -> $response:ident;)* }) => {
        #[async_trait]
        impl $family for Broken {
            $(async fn $function(&self, request: v1::$request) -> Result<v1::$response> {
                self.around(|| self.inner.$function(request.clone())).await
            })*
        }
    };
}

delegated!(Network { ensure_network(EnsureNetworkRequest) -> EnsureNetworkResponse; });
delegated!(Cluster {
    ensure_cluster(EnsureClusterRequest) -> EnsureClusterResponse;
    ensure_addons(EnsureAddonsRequest) -> EnsureAddonsResponse;
    kube_access(KubeAccessRequest) -> KubeAccess;
});
delegated!(Dns {
    ensure_dns_zone(EnsureDnsZoneRequest) -> EnsureDnsZoneResponse;
    ensure_dns_records(EnsureDnsRecordsRequest) -> EnsureDnsRecordsResponse;
});
delegated!(Identity { ensure_identity(EnsureIdentityRequest) -> EnsureIdentityResponse; });
delegated!(Provider {
    describe(DescribeRequest) -> DescribeResponse;
    validate(ValidateRequest) -> ValidateResponse;
});

fn uid(scope: &Option<v1::Scope>) -> String {
    scope.as_ref().map(|scope| scope.tenant_uid.clone()).unwrap_or_default()
}

#[async_trait]
impl NodePool for Broken {
    async fn ensure_node_pool(&self, request: v1::EnsureNodePoolRequest) -> Result<v1::EnsureNodePoolResponse> {
        let uid = uid(&request.scope);
        if self.defect == Defect::Forgetful && self.ending(&uid).is_none() {
            let ending = if self.has_pools(&request.scope).await? { "-x" } else { "" };
            self.remember(&uid, ending);
        }
        let mut renamed = request;
        if let Some(spec) = &mut renamed.spec {
            if self.defect == Defect::DropsTaints {
                spec.taints.clear();
            }
            spec.role.push_str(self.ending(&uid).unwrap_or_default());
        }
        let result = self.around(|| self.inner.ensure_node_pool(renamed.clone())).await;
        let lost = result.as_ref().is_err_and(|error| error.kind == ErrorKind::Transient);
        if lost && self.defect == Defect::RenamesAfterError {
            self.remember(&uid, "-x");
        }
        result
    }
}

#[async_trait]
impl Inventory for Broken {
    async fn observe(&self, request: v1::ObserveRequest) -> Result<v1::ObserveResponse> {
        let addons = request.kind() == v1::ResourceKind::Addons;
        let mut response = self.around(|| self.inner.observe(request.clone())).await?;
        match self.defect {
            Defect::Nothing if addons => response.objects.clear(),
            Defect::MadeUp if addons => response.objects.iter_mut().for_each(|object| object.id.push_str("-x")),
            _ => {}
        }
        Ok(response)
    }

    async fn delete(&self, request: v1::DeleteRequest) -> Result<v1::DeleteResponse> {
        if request.kind() == v1::ResourceKind::NodePool {
            return self.around(|| self.delete_pools(&request)).await;
        }
        self.around(|| self.inner.delete(request.clone())).await
    }

    async fn list_owned(&self, request: v1::ListOwnedRequest) -> Result<v1::ListOwnedResponse> {
        let all = request.scope.as_ref().is_some_and(|scope| scope.tenant_uid.is_empty());
        let mut response = self.around(|| self.inner.list_owned(request.clone())).await?;
        if all && self.defect == Defect::Short {
            response.objects.retain(|object| object.r#type != "nimbus/pools");
        }
        Ok(response)
    }
}

#[async_trait]
impl ProviderPlugin for Broken {
    const NAME: &'static str = "broken";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    fn description() -> v1::DescribeResponse {
        v1::DescribeResponse { name: Self::NAME.into(), ..Nimbus::description() }
    }

    async fn configure(request: v1::ConfigureRequest) -> Result<Self> {
        let names = |defect: &str| request.config_json.contains(&format!("\"{defect}\""));
        let defect = match () {
            () if names("renames-after-error") => Defect::RenamesAfterError,
            () if names("forgetful") => Defect::Forgetful,
            () if names("hammers") => Defect::Hammers,
            () if names("deaf") => Defect::Deaf,
            () if names("nothing") => Defect::Nothing,
            () if names("made-up") => Defect::MadeUp,
            () if names("short") => Defect::Short,
            () if names("drops-taints") => Defect::DropsTaints,
            () if names("buries") => Defect::Buries,
            () => Defect::None,
        };
        Ok(Self { inner: Nimbus::configure(request).await?, defect, endings: Mutex::default() })
    }
}
