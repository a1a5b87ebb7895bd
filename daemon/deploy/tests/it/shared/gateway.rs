//! One Gateway for all tenants, each with listeners for its own names only. The custom resources are the Gateway API's
//! own; its controller is not there, so the Gateway's address is written by the test.

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use landlord_core::ports::{Apps as _, Verified};
use serde_json::json;

use super::world::{World, place};

const GROUP: &str = "gateway.networking.k8s.io";

impl World {
    fn routing(&self, version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, version, kind));
        Api::namespaced_with(self.scene.client.clone(), namespace, &resource)
    }

    pub(crate) async fn tenants_share_a_gateway(&self) -> Result<()> {
        let [acme, globex, initech] = &self.tenants;
        let gateways = self.routing("v1", "Gateway", "landlord-gateway");
        let all = gateways.list(&ListParams::default()).await?.items;
        ensure!(all.len() == 1, "{} Gateways", all.len());
        let from = &all[0].data["spec"]["allowedListeners"]["namespaces"];
        ensure!(
            from["from"] == "Selector" && from["selector"]["matchLabels"]["landlord-installation"] == "test",
            "{from}"
        );
        ensure!(
            all[0].data["spec"]["listeners"][0]["allowedRoutes"]["namespaces"]["from"] == "Same",
            "{}",
            all[0].data
        );

        for (tenant, own) in [(acme, true), (globex, false)] {
            let namespace = place(tenant).namespace.as_str();
            let set = self.routing("v1", "ListenerSet", namespace).get("landlord").await?;
            let listener = &set.data["spec"]["listeners"][0];
            ensure!(listener["hostname"] == json!(format!("*.{}", tenant.spec.domain.as_str())), "{listener}");
            ensure!(listener["allowedRoutes"]["namespaces"]["from"] == "Same", "{listener}");
            let certificate = &listener["tls"]["certificateRefs"][0];
            let issuer = set.metadata.annotations.and_then(|mut all| all.remove("cert-manager.io/cluster-issuer"));
            let grants = self.routing("v1beta1", "ReferenceGrant", "landlord-gateway").get_opt(namespace).await?;
            if own {
                ensure!(
                    issuer.as_deref() == Some("letsencrypt") && certificate["name"] == "landlord-tls",
                    "{certificate}"
                );
                ensure!(certificate.get("namespace").is_none() && grants.is_none(), "{certificate}");
            } else {
                ensure!(issuer.is_none() && certificate["namespace"] == "landlord-gateway", "{certificate}");
                let grant = grants.context("no grant")?.data["spec"].clone();
                ensure!(
                    grant["from"] == json!([{ "group": GROUP, "kind": "ListenerSet", "namespace": namespace }]),
                    "{grant}"
                );
                ensure!(grant["to"] == json!([{ "group": "", "kind": "Secret", "name": "wildcard" }]), "{grant}");
            }
            for route in self.routing("v1", "HTTPRoute", namespace).list(&ListParams::default()).await? {
                let parent = &route.data["spec"]["parentRefs"][0];
                ensure!(parent["kind"] == "ListenerSet" && parent["namespace"] == namespace, "{parent}");
            }
        }
        let none =
            self.routing("v1", "ListenerSet", place(initech).namespace.as_str()).list(&ListParams::default()).await?;
        ensure!(none.items.is_empty(), "a ListenerSet where the class has no Gateway");

        let records = self.scene.deployer.apps.entry_points(acme).await?.context("entry points")?;
        ensure!(records.is_empty(), "addresses without a Gateway's: {records:?}");
        let address = json!({ "status": { "addresses": [{ "type": "IPAddress", "value": "203.0.113.9" }] } });
        gateways.patch_status("landlord", &PatchParams::default(), &Patch::Merge(address)).await?;
        let records = self.scene.deployer.apps.entry_points(acme).await?.context("entry points")?;
        let named = |record: &str| format!("{record}.{}", acme.spec.domain.as_str());
        let expected = ["chat", "files", "webdav"].map(|record| (named(record), "203.0.113.9".to_owned()));
        ensure!(records == expected.into(), "{records:?}");
        let verified = self.scene.deployer.apps.verify(acme).await?;
        let has = |verified: &Verified| verified.endpoints.iter().any(|endpoint| endpoint.name == "chat");
        ensure!(!has(&verified), "an endpoint whose route no Gateway accepted: {verified:?}");
        ensure!(verified.pending.iter().any(|why| why.contains("chat") && why.contains("accepted")), "{verified:?}");
        self.accept_routes(place(acme).namespace.as_str()).await?;
        let verified = self.scene.deployer.apps.verify(acme).await?;
        ensure!(has(&verified) && verified.pending.iter().all(|why| !why.contains("chat")), "{verified:?}");
        Ok(())
    }

    /// What the Gateway's controller writes of routes that it serves.
    async fn accept_routes(&self, namespace: &str) -> Result<()> {
        let routes = self.routing("v1", "HTTPRoute", namespace);
        for route in routes.list(&ListParams::default()).await? {
            let accepted = json!({
                "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                "observedGeneration": route.metadata.generation, "lastTransitionTime": "2026-11-29T00:00:00Z",
            });
            let parent = json!({
                "parentRef": route.data["spec"]["parentRefs"][0], "controllerName": "example.com/gateway",
                "conditions": [accepted],
            });
            let status = json!({ "status": { "parents": [parent] } });
            let name = route.metadata.name.unwrap_or_default();
            routes.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
        }
        Ok(())
    }
}
