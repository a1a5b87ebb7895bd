//! Takes back what an installation put on a host cluster for all its tenants together, so that a cluster which was
//! adopted is left as it was found: the shared Gateway with its namespace, that of the checks, admission policies, custom
//! resources that were brought along.
//!
//! Ours is what carries this installation's marker, and nothing else is inspected. What others have come to use since
//! (objects in that namespace, routes of those kinds) is theirs: then it stays, and is reported. Each call does what it finds
//! to do, so one that was cut off anywhere is simply made again.

use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use landlord_core::{
    ports::{StageProgress, UninstallReport},
    stage::RemovedObject,
};

use crate::{admission, listener::HOST_ROLE};
use landlord_kube::{
    Doing as _, Result,
    absent::{exactly, gone_is_fine, known},
    content::content,
    gateway_api::{GROUP, is_brought},
    markers::{CHECKS_ROLE, LEVEL_LABEL, role_selector},
    object::DEFINITION,
    progress::pending,
};

/// Objects named in a sentence.
const NAMED_MAX: usize = 3;
/// What Kubernetes puts into every namespace, or writes about it.
const OF_EVERY_NAMESPACE: [(&str, &str); 2] = [("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];
/// The same under any name.
const ABOUT_OTHERS: [&str; 2] = ["Event", "EndpointSlice"];
/// Bindings go before what they bind.
const POLICIES: [&str; 4] = [
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "MutatingAdmissionPolicy",
];
const ADMISSION: &str = "admissionregistration.k8s.io";

struct Uninstall<'a> {
    client: &'a Client,
    installation: &'a str,
    report: UninstallReport,
}

/// One step on the way out.
pub(crate) async fn uninstall(client: &Client, installation: &str) -> crate::Result<UninstallReport> {
    refuse_if_occupied(client, installation).await?;
    let report = UninstallReport { progress: StageProgress::Done, removed: Vec::new(), kept: Vec::new() };
    let mut uninstall = Uninstall { client, installation, report };
    if let Some(detail) = uninstall.step().await? {
        uninstall.report.progress = pending(detail);
    }
    Ok(uninstall.report)
}

/// A namespace that was left behind by force would stand without its isolation.
async fn refuse_if_occupied(client: &Client, installation: &str) -> crate::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let tenants = ListParams::default().labels(&format!("landlord-installation={installation},{LEVEL_LABEL}"));
    let found = namespaces.list_metadata(&tenants).await.doing(|| "listing tenants' namespaces".into())?;
    let named: Vec<String> = found.items.iter().take(NAMED_MAX).map(|namespace| namespace.name_any()).collect();
    match found.items.len() {
        0 => Ok(()),
        count => Err(crate::Error::Occupied {
            what: format!("{count} namespaces of tenants are there: {}", named.join(", ")),
        }),
    }
}

impl Uninstall<'_> {
    /// Says what is being waited for.
    async fn step(&mut self) -> Result<Option<String>> {
        if let Some(detail) = self.gateways().await? {
            return Ok(Some(detail));
        }
        if let Some(detail) = self.namespaces().await? {
            return Ok(Some(detail));
        }
        if let Some(detail) = self.checks().await? {
            return Ok(Some(detail));
        }
        for kind in POLICIES {
            let ours = role_selector(self.installation, admission::ROLE);
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(ADMISSION, "v1", kind));
            self.remove_all(&resource, &ListParams::default().labels(&ours), &|_| true).await?;
        }
        self.custom_resources().await
    }

    fn host_gateway(&self) -> ListParams {
        ListParams::default().labels(&role_selector(self.installation, HOST_ROLE))
    }

    /// While its controller runs, which releases its load balancer.
    async fn gateways(&mut self) -> Result<Option<String>> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Gateway"));
        let ours = self.host_gateway();
        let left = self.remove_all(&resource, &ours, &|_| true).await?;
        Ok(left.map(|name| format!("waiting until Gateway {name} is gone")))
    }

    /// Requests the removal of all objects of ours of a kind. Returns which is still there, deleted but not gone.
    async fn remove_all(
        &mut self,
        resource: &ApiResource,
        ours: &ListParams,
        is_ours: &(dyn Fn(&DynamicObject) -> bool + Sync),
    ) -> Result<Option<String>> {
        let all: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let doing = || format!("listing objects of kind {}", resource.kind);
        let Some(found) = known(all.list(ours).await).doing(doing)? else { return Ok(None) };
        let mut left = None;
        for object in found.items.into_iter().filter(|object| is_ours(object)) {
            let name = object.name_any();
            let shown = object.namespace().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
            if object.metadata.deletion_timestamp.is_none() {
                let api = match object.namespace() {
                    Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, resource),
                    None => all.clone(),
                };
                self.delete(&api, &object, &shown, &resource.kind).await?;
            }
            left.get_or_insert(shown);
        }
        // Without finalizers it went at once.
        if left.is_some() {
            let again = all.list(ours).await.doing(doing)?;
            left = again.items.into_iter().find(|object| is_ours(object)).map(|object| object.name_any());
        }
        Ok(left)
    }

    /// Exactly this object: one that was recreated under its name is somebody else's.
    async fn delete(
        &mut self,
        api: &Api<DynamicObject>,
        object: &DynamicObject,
        shown: &str,
        kind: &str,
    ) -> Result<()> {
        gone_is_fine(api.delete(&object.name_any(), &exactly(object.uid())).await)
            .doing(|| format!("deleting {kind} {shown}"))?;
        tracing::info!(kind, object = shown, "taken back from the host cluster");
        let id = object.uid().unwrap_or_default();
        self.report.removed.push(RemovedObject { r#type: kind.to_owned(), id, name: shown.to_owned() });
        Ok(())
    }

    /// The Gateway's namespace, unless somebody has put something there.
    async fn namespaces(&mut self) -> Result<Option<String>> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let found = api.list(&self.host_gateway()).await.doing(|| "listing the Gateway's namespace".into())?;
        for namespace in found {
            let name = namespace.name_any();
            if namespace.metadata.deletion_timestamp.is_some() {
                return Ok(Some(format!("namespace {name} is ending")));
            }
            match self.others_in(&name).await? {
                Content::Nothing => {
                    self.delete(&api, &namespace, &name, "Namespace").await?;
                    return Ok(Some(format!("namespace {name} is ending")));
                }
                Content::Going(what) => return Ok(Some(format!("waiting until {what} is gone from namespace {name}"))),
                Content::Theirs(what) => self.report.kept.push(format!("namespace {name} holds {what}")),
            }
        }
        Ok(None)
    }

    /// The namespace that pods of checks ran in, which is landlord's alone.
    async fn checks(&mut self) -> Result<Option<String>> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        let ours = ListParams::default().labels(&role_selector(self.installation, CHECKS_ROLE));
        let left = self.remove_all(&resource, &ours, &|_| true).await?;
        Ok(left.map(|name| format!("namespace {name} is ending")))
    }

    async fn others_in(&self, namespace: &str) -> Result<Content> {
        let found = content(self.client, namespace).await?;
        if let Some(silent) = found.silent.first() {
            return Ok(Content::Theirs(format!("what can't be seen, since the API {silent} does not respond")));
        }
        let known = |kind: &str, name: &str| OF_EVERY_NAMESPACE.contains(&(kind, name)) || ABOUT_OTHERS.contains(&kind);
        let mut going = None;
        for (resource, object) in &found.objects {
            let name = object.name_any();
            if known(&resource.kind, &name) {
                continue;
            }
            let what = format!("{} {name}", resource.kind);
            // What the Gateway's controller made for it goes after it.
            let follows = object.metadata.deletion_timestamp.is_some() || !object.owner_references().is_empty();
            if !follows {
                return Ok(Content::Theirs(what));
            }
            going.get_or_insert(what);
        }
        Ok(going.map_or(Content::Nothing, Content::Going))
    }

    /// Custom resources that this installation brought along, with the policy that came with them, unless somebody has
    /// made objects of these kinds: they would go too.
    async fn custom_resources(&mut self) -> Result<Option<String>> {
        let crds: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let all = crds.list(&ListParams::default()).await.doing(|| "listing custom resources".into())?;
        let brought: Vec<&CustomResourceDefinition> =
            all.items.iter().filter(|crd| is_brought(crd.annotations(), self.installation)).collect();
        for crd in &brought {
            if let Some(what) = self.in_use(crd).await? {
                self.report.kept.push(format!("the custom resources of {}: there is {what}", crd.spec.group));
                return Ok(None);
            }
        }
        let installation = self.installation;
        let ours = |object: &DynamicObject| is_brought(object.annotations(), installation);
        for kind in POLICIES {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(ADMISSION, "v1", kind));
            self.remove_all(&resource, &ListParams::default(), &ours).await?;
        }
        let group = "apiextensions.k8s.io";
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", DEFINITION));
        let left = self.remove_all(&resource, &ListParams::default(), &ours).await?;
        Ok(left.map(|name| format!("waiting until the custom resource {name} is gone")))
    }

    /// An object of the kind.
    async fn in_use(&self, crd: &CustomResourceDefinition) -> Result<Option<String>> {
        if crd.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        let Some(version) = crd.spec.versions.iter().find(|version| version.served) else { return Ok(None) };
        let names = &crd.spec.names;
        let kind = GroupVersionKind::gvk(&crd.spec.group, &version.name, &names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &names.plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let found = known(api.list_metadata(&ListParams::default().limit(1)).await)
            .doing(|| format!("listing objects of kind {}", names.kind))?;
        Ok(found.iter().flat_map(|found| &found.items).next().map(|object| {
            let namespace = object.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            format!("{} {namespace}{}", names.kind, object.name_any())
        }))
    }
}

/// What a namespace holds besides what every one does.
enum Content {
    Nothing,
    /// Goes by itself.
    Going(String),
    /// Somebody's.
    Theirs(String),
}
