//! Services of type LoadBalancer, as a cloud controller manager treats them.

use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    backend::{LoadBalancerPort, LoadBalancerRequest},
    context::{Context, FIELD_MANAGER, Observation},
    event,
};

/// Keeps a Service until its load balancer is gone; the name is Kubernetes' own.
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// What a load balancer's name leads to on real nodes: one of the addresses that are kept for tests of networks,
/// <https://www.rfc-editor.org/rfc/rfc2544>.
#[must_use]
pub fn address_of(hostname: &str) -> Ipv4Addr {
    let digest = Sha256::digest(hostname.to_lowercase());
    Ipv4Addr::new(198, 18 | (digest[0] & 1), digest[1], digest[2])
}

/// Whether the backend has to be requested again.
type Waiting = bool;

/// Inspects every Service once.
pub(super) async fn observe(context: &Context) -> Result<Observation, kube::Error> {
    let services: Api<Service> = Api::all(context.client.clone());
    let list = services.list(&ListParams::default()).await?;
    let mut waiting = false;
    for service in &list.items {
        match treat(context, service).await {
            Ok(again) => waiting |= again,
            // Changed or gone meanwhile: the watch has news.
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => waiting = true,
            Err(error) => return Err(error),
        }
    }
    Ok(Observation { waiting, versions: vec![list.metadata.resource_version.unwrap_or_default()] })
}

async fn treat(context: &Context, service: &Service) -> Result<Waiting, kube::Error> {
    let spec = service.spec.clone().unwrap_or_default();
    // A Service with a class of its own is somebody else's.
    let wanted = spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none();
    let ours = service.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if wanted && service.metadata.deletion_timestamp.is_none() {
        if !ours {
            let finalizers = [service.finalizers(), &[FINALIZER.to_owned()]].concat();
            set_finalizers(context, service, &finalizers).await?;
        }
        return ensure(context, service).await;
    }
    if ours { delete(context, service).await } else { Ok(false) }
}

async fn ensure(context: &Context, service: &Service) -> Result<Waiting, kube::Error> {
    let address = match context.backend.ensure_load_balancer(&request(service)).await {
        Ok(Some(address)) => address,
        Ok(None) => return Ok(true),
        Err(problem) => {
            event::warn(&context.client, service, "SyncLoadBalancerFailed", &problem).await;
            return Ok(true);
        }
    };
    if shown_address(service) != Some(address.as_str()) {
        // Some clouds give a load balancer a name, others an address: the API server takes each in its own field.
        let field = if address.parse::<IpAddr>().is_ok() { "ip" } else { "hostname" };
        let mut ingress = json!({ field: address });
        // A real node's kube-proxy leads addresses to a Service, and no names.
        if field == "hostname" && context.local.is_some() {
            ingress["ip"] = json!(address_of(&address));
        }
        set_ingress(context, service, &json!([ingress])).await?;
    }
    Ok(false)
}

async fn delete(context: &Context, service: &Service) -> Result<Waiting, kube::Error> {
    match context.backend.delete_load_balancer(&service.uid().unwrap_or_default()).await {
        Ok(true) => {}
        Ok(false) => return Ok(true),
        Err(problem) => {
            event::warn(&context.client, service, "SyncLoadBalancerFailed", &problem).await;
            return Ok(true);
        }
    }
    if service.metadata.deletion_timestamp.is_none() && shown_address(service).is_some() {
        // The Service stays, with another type.
        set_ingress(context, service, &json!(null)).await?;
        return Ok(true);
    }
    let others: Vec<String> =
        service.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    set_finalizers(context, service, &others).await?;
    Ok(false)
}

fn request(service: &Service) -> LoadBalancerRequest {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    LoadBalancerRequest {
        namespace: service.namespace().unwrap_or_default(),
        name: service.name_any(),
        uid: service.uid().unwrap_or_default(),
        annotations: service.annotations().clone(),
        ports: ports
            .map(|port| LoadBalancerPort {
                name: port.name.clone(),
                port: port.port,
                node_port: port.node_port,
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            })
            .collect(),
    }
}

fn shown_address(service: &Service) -> Option<&str> {
    let ingress = service.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?;
    let first = ingress.first()?;
    first.hostname.as_deref().or(first.ip.as_deref())
}

async fn set_ingress(context: &Context, service: &Service, ingress: &serde_json::Value) -> Result<(), kube::Error> {
    let patch = json!({ "status": { "loadBalancer": { "ingress": ingress } } });
    api(context, service).patch_status(&service.name_any(), &parameters(), &Patch::Merge(patch)).await.map(drop)
}

/// Refused as a conflict if somebody else changed the Service meanwhile, since the list is replaced as a whole.
async fn set_finalizers(context: &Context, service: &Service, finalizers: &[String]) -> Result<(), kube::Error> {
    let version = service.resource_version();
    let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
    api(context, service).patch(&service.name_any(), &parameters(), &Patch::Merge(patch)).await.map(drop)
}

fn api(context: &Context, service: &Service) -> Api<Service> {
    Api::namespaced(context.client.clone(), &service.namespace().unwrap_or_default())
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() }
}
