//! The Gateway that tenants share: one a host cluster, with a ListenerSet for each tenant's names in its own namespace.
//!
//! The ListenerSet is ours: a tenant attaches routes to it, and can't listen for names that are not its own. Routes of
//! other namespaces are not let in, and the Gateway admits no other namespaces' ListenerSets than tenants'. Where the
//! cluster's Gateway API knows no ListenerSet, the tenant's listeners are in the Gateway itself (`listener`).

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use landlord_core::{
    isolation::{Certificate, GatewayNames, GatewayRef, SharedGateway, SharedTarget},
    ports::DeployTarget,
    stage::RemovedObject,
};
use serde_json::{Value, json};

use crate::{
    issue::{self, Issue},
    listener::{self, ENTRANCE, HOST_ROLE, Keeper},
    marked::metadata,
    served::{LISTENERS_MAX, Name, Served, listed_secret, own_secret, secret_beside},
};
use landlord_kube::{
    Doing as _, Error, Result,
    absent::{exactly, gone_is_fine, known},
    apply::apply_all,
    gateway_api::{GROUP, Routing, accepted},
    markers::{self, LEVEL_LABEL, LISTENERS},
    object::Wanted,
};

/// Secret that cert-manager writes the tenant's certificate into.
const TLS_SECRET: &str = "landlord-tls";

/// Makes the Gateway, the tenant's listeners and what lets them read the certificate exist. Says what is waited for while the
/// tenant's names are served as another setting has them.
pub(crate) async fn ensure(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    (shared, served): (&SharedGateway, &Served),
    routing: Routing,
) -> crate::Result<Option<String>> {
    let gateway = &served.gateway;
    if routing == Routing::Unknown {
        return Err(Error::Lacking {
            what: "the host cluster knows no Gateway API".into(),
            remedy: "bring it along (deploy.gateway_api_crds), or leave gateway out of the class's guardrails",
        }
        .into());
    }
    let names = served.names(target, shared);
    if names.is_empty() {
        // A ListenerSet has at least one listener.
        remove(client, target, place).await?;
        return Ok(None);
    }
    refuse_too_many(&names)?;
    ensure_namespace(client, target, &gateway.namespace).await?;
    let sets = routing == Routing::ListenerSets;
    let keeper = listener::ensure_gateway(client, target, &shared_gateway(target, shared, gateway, sets)).await?;
    if !sets && matches!(keeper, Keeper::Operator) {
        return Err(not_ours(gateway).into());
    }
    let issue = issue::ensure(client, target, place, shared, served).await?;
    if let Issue::Pending(detail) = &issue
        && serves_others(client, place, gateway, sets, &names).await?
    {
        return Ok(Some(detail.clone()));
    }
    if sets {
        if let Keeper::Us(Some(found)) = keeper
            && listener::has_any(&found, &place.namespace)
        {
            // The Gateway API has been renewed since.
            listener::remove(client, target, place).await?;
        }
        let mut wanted = vec![listeners(target, place, shared, gateway, &names)];
        wanted.extend(grant(target, place, shared, gateway));
        apply_all(client, &wanted, &markers::selector(target), true).await?;
        refuse_conflict(client, place, &issue).await?;
    } else {
        listener::ensure(client, place, shared, gateway, &names).await?;
    }
    if issue == Issue::There {
        remove_former(client, target, place, shared, gateway).await?;
    }
    Ok(None)
}

fn not_ours(gateway: &GatewayRef) -> Error {
    Error::Lacking {
        what: format!(
            "Gateway {}/{} is not landlord's to change, and its Gateway API knows no ListenerSet",
            gateway.namespace, gateway.name
        ),
        remedy: "bring the Gateway API 1.5 or newer along, leave gateway out of the class's guardrails, or name \
                 another gateway in the stack, which landlord then makes",
    }
}

/// Before the API server does, in its own words about `spec.listeners`.
fn refuse_too_many(names: &[Name]) -> Result<()> {
    if names.len() <= LISTENERS_MAX {
        return Ok(());
    }
    Err(Error::Lacking {
        what: format!("the stack serves {} names, and a tenant can have {LISTENERS_MAX} listeners", names.len()),
        remedy: "the operator has the class listen for a wildcard (guardrails.gateway.names), or shortens the stack's entryPoints",
    })
}

/// Whether the tenant is served by now as another setting has it: there is a listener for other names, or with another certificate, and
/// that one is there.
async fn serves_others(
    client: &Client,
    place: &SharedTarget,
    gateway: &GatewayRef,
    sets: bool,
    names: &[Name],
) -> Result<bool> {
    let (found, namespace) = if sets {
        let doing = || format!("reading ListenerSet {}/{LISTENERS}", place.namespace);
        (listener_sets(client, place).get_opt(LISTENERS).await.doing(doing)?, place.namespace.as_str())
    } else {
        let doing = || format!("reading Gateway {}/{}", gateway.namespace, gateway.name);
        let gateways = listener::gateways(client, &gateway.namespace);
        (gateways.get_opt(&gateway.name).await.doing(doing)?, gateway.namespace.as_str())
    };
    let all = found.iter().flat_map(|found| listener::listeners(&found.data));
    let own = all.filter(|listener| sets || listener::is_of(listener, &place.namespace));
    let wanted = listed_secret(place);
    for listener in own {
        let certificate = &listener["tls"]["certificateRefs"][0];
        let Some(name) = certificate["name"].as_str() else { continue };
        if name == wanted && names.iter().any(|name| listener["hostname"] == *name.host) {
            continue;
        }
        let secrets: Api<Secret> =
            Api::namespaced(client.clone(), certificate["namespace"].as_str().unwrap_or(namespace));
        if secrets.get_metadata_opt(name).await.doing(|| format!("reading the certificate {name}"))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Certificates that another setting of the class had ordered, once nothing uses them any more.
async fn remove_former(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    shared: &SharedGateway,
    gateway: &GatewayRef,
) -> Result<()> {
    let ordered = matches!(shared.certificate, Certificate::ClusterIssuer(_));
    let listed = ordered && shared.names == GatewayNames::Listed;
    issue::remove_unwanted(client, target, place, listed.then_some(gateway)).await?;
    if listed || !ordered {
        issue::remove(client, place.namespace.as_str(), TLS_SECRET).await?;
        // Of a listener in the Gateway itself.
        issue::remove(client, &gateway.namespace, &own_secret(&place.namespace)).await?;
    }
    let granted = secret_beside(place, shared).map(|_| gateway.namespace.as_str());
    remove_grants(client, target, granted).await.map(drop)
}

fn listener_sets(client: &Client, place: &SharedTarget) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "ListenerSet"));
    Api::namespaced_with(client.clone(), place.namespace.as_str(), &resource)
}

/// A controller that refuses the tenant's listeners, or gives their names to another's, shows it with the set. While the certificate of listed
/// names is not there it accepts none of them, and that ends only when the names lead to the Gateway, which they do once the apps are
/// there: what is wrong with the certificate then is for the checks to say.
async fn refuse_conflict(client: &Client, place: &SharedTarget, issue: &Issue) -> crate::Result<()> {
    let api = listener_sets(client, place);
    let what = || format!("ListenerSet {}/{LISTENERS}", place.namespace);
    let found = api.get_opt(LISTENERS).await.doing(|| format!("reading {}", what()))?;
    let judge = if *issue == Issue::There { accepted::listeners_refusal } else { accepted::listeners_conflict };
    let refusal = found.and_then(|set| judge(&serde_json::to_value(&set).unwrap_or_default()));
    match refusal {
        None => Ok(()),
        Some(why) => Err(crate::Error::Refused { what: format!("{} is refused: {why}", what()) }),
    }
}

/// Made if it is missing, never changed: the Gateway's controller may have made it.
async fn ensure_namespace(client: &Client, target: &DeployTarget, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    if namespaces.get_metadata_opt(name).await.doing(|| format!("reading namespace {name}"))?.is_some() {
        return Ok(());
    }
    let body = json!({ "metadata": { "name": name, "labels": host_labels(target) } });
    let body: Namespace = serde_json::from_value(body).unwrap_or_default();
    match namespaces.create(&PostParams::default(), &body).await {
        // Another tenant's pass was first.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(drop).doing(|| format!("making namespace {name}")),
    }
}

fn host_labels(target: &DeployTarget) -> Value {
    json!({ "landlord-installation": target.installation, "landlord-role": HOST_ROLE })
}

/// The Gateway without any tenant's part.
fn shared_gateway(target: &DeployTarget, shared: &SharedGateway, gateway: &GatewayRef, sets: bool) -> Wanted {
    let mut body = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway",
        "metadata": { "name": gateway.name, "namespace": gateway.namespace, "labels": host_labels(target) },
        "spec": {
            "gatewayClassName": shared.class,
            // A Gateway must have one; no tenant's route attaches to it. Challenges by HTTP-01 are answered there, from routes
            // beside the Gateway.
            "listeners": [{
                "name": ENTRANCE, "port": 80, "protocol": "HTTP", "allowedRoutes": { "namespaces": { "from": "Same" } },
            }],
        },
    });
    if sets {
        body["spec"]["allowedListeners"] = json!({ "namespaces": { "from": "Selector", "selector": {
            "matchLabels": { "landlord-installation": target.installation },
            "matchExpressions": [{ "key": LEVEL_LABEL, "operator": "Exists" }],
        } } });
    }
    Wanted::new(body)
}

/// The tenant's names.
fn listeners(
    target: &DeployTarget,
    place: &SharedTarget,
    shared: &SharedGateway,
    gateway: &GatewayRef,
    names: &[Name],
) -> Wanted {
    let mut metadata = metadata(target, place, LISTENERS, "listeners");
    let mut certificate = json!({ "group": "", "kind": "Secret", "name": TLS_SECRET });
    match (secret_beside(place, shared), &shared.certificate) {
        (Some(secret), _) => {
            certificate["name"] = json!(secret);
            certificate["namespace"] = json!(gateway.namespace);
        }
        // <https://cert-manager.io/docs/usage/gateway/>
        (None, Certificate::ClusterIssuer(issuer)) => {
            metadata["annotations"] = json!({ "cert-manager.io/cluster-issuer": issuer });
        }
        (None, Certificate::Secret(_)) => {}
    }
    let listener = |name: &Name| {
        json!({
            "name": name.listener, "hostname": name.host, "port": 443, "protocol": "HTTPS",
            "allowedRoutes": { "namespaces": { "from": "Same" } },
            "tls": { "mode": "Terminate", "certificateRefs": [certificate] },
        })
    };
    Wanted::new(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ListenerSet",
        "metadata": metadata,
        "spec": {
            "parentRef": { "group": GROUP, "kind": "Gateway", "name": gateway.name, "namespace": gateway.namespace },
            "listeners": names.iter().map(listener).collect::<Vec<Value>>(),
        },
    }))
}

/// Lets the tenant's listeners use the certificate beside the Gateway; the tenant itself can't read it.
fn grant(target: &DeployTarget, place: &SharedTarget, shared: &SharedGateway, gateway: &GatewayRef) -> Option<Wanted> {
    let secret = secret_beside(place, shared)?;
    Some(Wanted::new(json!({
        "apiVersion": format!("{GROUP}/v1beta1"), "kind": "ReferenceGrant",
        "metadata": {
            "name": place.namespace, "namespace": gateway.namespace, "labels": markers::labels(target, "listeners"),
        },
        "spec": {
            "from": [{ "group": GROUP, "kind": "ListenerSet", "namespace": place.namespace }],
            "to": [{ "group": "", "kind": "Secret", "name": secret }],
        },
    })))
}

/// Takes a tenant off the Gateway again, whose class keeps none any more.
pub(crate) async fn remove(client: &Client, target: &DeployTarget, place: &SharedTarget) -> Result<()> {
    let api = listener_sets(client, place);
    let ours = markers::selector(target);
    let found = known(api.list(&ListParams::default().labels(&ours)).await).doing(|| "listing listener sets".into())?;
    // A cluster that knows no ListenerSets has the tenant's listeners in the Gateway itself.
    for set in found.into_iter().flatten() {
        gone_is_fine(api.delete(&set.name_any(), &exactly(set.uid())).await)
            .doing(|| format!("deleting ListenerSet {}/{}", place.namespace, set.name_any()))?;
    }
    remove_elsewhere(client, target, place).await.map(drop)
}

/// Removes what is kept for a tenant outside of its namespace.
pub(crate) async fn remove_elsewhere(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
) -> Result<Vec<RemovedObject>> {
    listener::remove(client, target, place).await?;
    let mut removed = issue::remove_all(client, target, place).await?;
    removed.extend(remove_grants(client, target, None).await?);
    Ok(removed)
}

/// Removes what lets listeners read a certificate, but for that in one namespace.
async fn remove_grants(client: &Client, target: &DeployTarget, but: Option<&str>) -> Result<Vec<RemovedObject>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1beta1", "ReferenceGrant"));
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let ours = markers::selector(target);
    let found =
        known(all.list(&ListParams::default().labels(&ours)).await).doing(|| "listing reference grants".into())?;
    let mut removed = Vec::new();
    for grant in found.into_iter().flatten().filter(|grant| but.is_none() || grant.namespace().as_deref() != but) {
        let (namespace, name) = (grant.namespace().unwrap_or_default(), grant.name_any());
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource);
        gone_is_fine(api.delete(&name, &exactly(grant.uid())).await)
            .doing(|| format!("deleting ReferenceGrant {namespace}/{name}"))?;
        let id = grant.uid().unwrap_or_default();
        removed.push(RemovedObject { r#type: "ReferenceGrant".into(), id, name: format!("{namespace}/{name}") });
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use http::{Method, Request, Response};
    use kube::client::Body;
    use landlord_core::{
        ChecksFrom, TenantSpec, TenantUid,
        environment::SpecInput,
        isolation::IsolationSettings,
        ports::{KubeCredentials, KubeIdentity, TargetCluster},
    };

    use super::*;

    /// An API server with these objects and lists, by path; it knows nothing else. What was requested of it.
    fn cluster(objects: Vec<(String, Value)>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let service = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            seen.lock().unwrap().push(format!("{} {path}", request.method()));
            let found = objects.iter().find(|(known, _)| *known == path).map(|(_, object)| object.clone());
            let (status, value) = match found {
                _ if *request.method() == Method::DELETE => (200, json!({ "kind": "Status", "status": "Success" })),
                Some(object) => (200, object),
                None => (404, json!({ "code": 404, "reason": "NotFound", "message": path, "status": "Failure" })),
            };
            let response = Response::builder().status(status).body(Body::from(value.to_string().into_bytes())).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        (Client::new(service, "default"), requests)
    }

    fn target(gateway: Value) -> DeployTarget {
        let uid = TenantUid(uuid::Uuid::from_u128(7));
        let settings: IsolationSettings = serde_json::from_value(json!({ "gateway": gateway })).unwrap();
        let place = SharedTarget::namespace(uid, settings);
        let spec = SpecInput { domain: "acme.example.com".into(), storage_gib: 1, ..SpecInput::default() };
        DeployTarget {
            kube: KubeCredentials {
                endpoint: "https://127.0.0.1:1".into(),
                ca_pem: String::new(),
                identity: KubeIdentity::Token("none".to_owned().into()),
                expire_time: None,
            },
            cluster: TargetCluster::Shared(Box::new(place)),
            installation: "test".into(),
            uid,
            name: "customers/acme/tenants/prod".parse().unwrap(),
            spec: TenantSpec::parse(spec).unwrap(),
            generation: 1,
            was_ready: false,
            stack: None,
            name_servers: Vec::new(),
            skip_checks: Vec::new(),
            checks_from: ChecksFrom::default(),
            revision: None,
        }
    }

    #[tokio::test]
    async fn a_tenant_leaves_a_gateway_also_where_no_listener_sets_are_known() {
        let target = target(Value::Null);
        let (uid, namespace) = (target.uid.to_string(), target.cluster.shared().unwrap().namespace.to_string());
        let list = |items: Value| json!({ "metadata": {}, "items": items });
        let gateway = json!({ "metadata": {
            "name": "landlord", "namespace": "edge",
            "managedFields": [{ "manager": format!("landlord-{namespace}"), "operation": "Apply" }],
        } });
        let grant = json!({ "metadata": { "name": namespace, "namespace": "edge", "uid": uid } });
        let (client, requests) = cluster(vec![
            (format!("/apis/{GROUP}/v1/gateways"), list(json!([gateway.clone()]))),
            (format!("/apis/{GROUP}/v1/namespaces/edge/gateways/landlord"), gateway),
            (format!("/apis/{GROUP}/v1beta1/referencegrants"), list(json!([grant]))),
            ("/api/v1/secrets".into(), list(json!([]))),
        ]);
        remove(&client, &target, target.cluster.shared().unwrap()).await.unwrap();
        let requests = requests.lock().unwrap();
        for expected in [
            format!("PATCH /apis/{GROUP}/v1/namespaces/edge/gateways/landlord"),
            format!("DELETE /apis/{GROUP}/v1beta1/namespaces/edge/referencegrants/{namespace}"),
        ] {
            assert!(requests.contains(&expected), "{expected} is not among {requests:?}");
        }
    }

    /// Names that are listed, of a cluster issuer.
    fn listed() -> (DeployTarget, Served) {
        let target =
            target(json!({ "class": "example", "certificate": { "cluster_issuer": "acme" }, "names": "listed" }));
        let gateway = GatewayRef { name: "landlord".into(), namespace: "edge".into() };
        (target, Served { gateway, records: ["chat".to_owned()].into() })
    }

    #[tokio::test]
    async fn what_is_served_with_another_certificate_stays_until_its_own_is_there() {
        let (target, served) = listed();
        let place = target.cluster.shared().unwrap();
        let (namespace, own) = (place.namespace.to_string(), listed_secret(place));
        let names = served.names(&target, place.settings.gateway().unwrap());
        for (host, certificate, is_there, expected) in [
            ("*.acme.example.com", "landlord-tls", true, true),
            ("*.acme.example.com", "landlord-tls", false, false),
            ("chat.acme.example.com", "operators", true, true),
            ("chat.acme.example.com", "operators", false, false),
            ("chat.acme.example.com", own.as_str(), true, false),
        ] {
            let certificates = json!([{ "name": certificate, "namespace": "edge" }]);
            let set = json!({ "metadata": { "name": LISTENERS }, "spec": {
                "listeners": [{ "hostname": host, "tls": { "certificateRefs": certificates } }],
            } });
            let mut objects = vec![(format!("/apis/{GROUP}/v1/namespaces/{namespace}/listenersets/{LISTENERS}"), set)];
            if is_there {
                let secret = json!({ "metadata": { "name": certificate } });
                objects.push((format!("/api/v1/namespaces/edge/secrets/{certificate}"), secret));
            }
            let found = serves_others(&cluster(objects).0, place, &served.gateway, true, &names).await.unwrap();
            assert_eq!(found, expected, "{host} {certificate} {is_there}");
        }
    }

    #[tokio::test]
    async fn only_who_was_never_ready_goes_on_without_its_certificate() {
        let (mut target, served) = listed();
        let name = listed_secret(target.cluster.shared().unwrap());
        let all = "/apis/cert-manager.io/v1/namespaces/edge/certificates";
        let old = json!({ "metadata": {
            "name": name, "namespace": "edge", "creationTimestamp": "2020-01-01T00:00:00Z",
        } });
        let empty = json!({ "metadata": {}, "items": [] });
        let (client, _) = cluster(vec![(all.to_owned(), empty), (format!("{all}/{name}"), old)]);
        for was_ready in [false, true] {
            target.was_ready = was_ready;
            let place = target.cluster.shared().unwrap();
            let issue = issue::ensure(&client, &target, place, place.settings.gateway().unwrap(), &served).await;
            match issue.unwrap() {
                Issue::Late => assert!(!was_ready),
                Issue::Pending(detail) => assert!(was_ready && detail.contains(&name), "{detail}"),
                Issue::There => panic!("{was_ready}: there is none"),
            }
        }
    }
}
