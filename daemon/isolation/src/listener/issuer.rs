//! The annotation that has cert-manager make the certificates of a Gateway's listeners, and whose Secret must not be beside it.
//!
//! cert-manager makes a Certificate for the Secret of every listener with TLS of an annotated Gateway, whoever put that Secret there, and
//! so writes over it; a Certificate of that name that is not the Gateway's it leaves alone
//! (<https://cert-manager.io/docs/usage/gateway/>; `buildCertificates` and `handleGatewayAPIListeners` of its
//! `pkg/controller/certificate-shim/sync.go`). Right for a tenant's own Secret, harmless for that of listed names, whose Certificate is
//! landlord's own object; an operator's Secret (`certificate.secret`) would be lost. So the two are not let into one Gateway.
//!
//! # Two at the same moment
//! A Certificate stays when the annotation goes again, so that taking one's own part back out would come too late. Therefore what
//! brings either of the two in is written to the very version of the Gateway that was judged (`resourceVersion`): the API server takes the
//! first, and the second reads again, finds the first's and is refused. Nobody who is in ever yields, and there is no version that has both.
//!
//! # Who is in already
//! Earlier releases let both in. Such tenants stay as they are, and each of their passes says so in the log: to take the annotation out would
//! let certificates end that customers are served with, and without its listener a tenant has no names at all, while what happened to the
//! operator's Secret is not undone by either. Nobody joins them, and who changes to listed names, which everybody may, is out of it.

use kube::{
    ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
    core::Status,
};
use landlord_core::isolation::{Certificate, GatewayNames, GatewayRef, SharedGateway};
use serde_json::{Value, json};

use super::{Part, Written, applied, is_of, listeners, tenant_of};
use crate::served::is_made;
use landlord_kube::{Doing as _, Error, Result};

/// <https://cert-manager.io/docs/usage/gateway/>
pub(super) const ISSUER_ANNOTATION: &str = "cert-manager.io/cluster-issuer";
/// The same as in a path of `fieldsV1`, where a slash within a key is `~1` (RFC 6901).
const ISSUER_FIELD: &str = "/f:metadata/f:annotations/f:cert-manager.io~1cluster-issuer";

const ONE_ISSUER: &str = "let all classes of this host cluster name the same cluster issuer, or bring the Gateway API 1.5 \
                          or newer along";
const ONE_KIND: &str = "the operator gives all classes of this host cluster the same kind of certificate \
                        (guardrails.gateway.certificate: cluster_issuer or secret), or has those with a cluster_issuer list \
                        their names (guardrails.gateway.names = \"listed\") and updates their tenants, or whoever operates the \
                        host cluster brings the Gateway API 1.5 or newer along; landlord tries again by itself";

/// The issuer that a tenant's listeners have the Gateway annotated with.
pub(super) fn annotated(shared: &SharedGateway) -> Option<&str> {
    match (&shared.certificate, shared.names) {
        (Certificate::ClusterIssuer(issuer), GatewayNames::Wildcard) => Some(issuer.as_str()),
        (Certificate::ClusterIssuer(_), GatewayNames::Listed) | (Certificate::Secret(_), _) => None,
    }
}

/// Whom the API server takes a tenant's pass for that annotates.
pub(super) fn manager(namespace: &str) -> String {
    format!("{}-issuer", super::manager(namespace))
}

/// A Secret of a listener's that is the operator's: nobody had it made for the tenant whose listener it is.
pub(super) fn operators(listener: &Value) -> Option<&str> {
    let tenant = tenant_of(listener);
    let all = listener.pointer("/tls/certificateRefs").and_then(Value::as_array).into_iter().flatten();
    let mut names = all.filter_map(|secret| secret["name"].as_str());
    names.find(|name| tenant.as_ref().is_none_or(|tenant| !is_made(name, tenant)))
}

/// Who has the Gateway annotated.
#[derive(Debug, Clone, Copy)]
struct Annotation<'a> {
    /// Its issuer; `None`: it has none.
    issuer: Option<&'a str>,
    /// This tenant is among them.
    own: bool,
    /// It is there also without this tenant.
    others: bool,
}

impl<'a> Annotation<'a> {
    fn of(gateway: &'a DynamicObject, own: &str) -> Self {
        let issuer = gateway.annotations().get(ISSUER_ANNOTATION).map(String::as_str);
        let fields = gateway.managed_fields().iter();
        let has =
            fields.filter(|field| field.fields_v1.as_ref().is_some_and(|all| all.0.pointer(ISSUER_FIELD).is_some()));
        let managers: Vec<&str> = has.map(|field| field.manager.as_deref().unwrap_or_default()).collect();
        let alone = managers == [own];
        Self { issuer, own: managers.contains(&own), others: issuer.is_some() && !alone }
    }
}

/// Refuses a tenant that would bring the annotation to an operator's Secret, or an operator's Secret to the annotation.
pub(super) fn refuse(part: &Part<'_>, gateway: &DynamicObject) -> Result<()> {
    let annotation = Annotation::of(gateway, &manager(part.tenant.as_str()));
    let (own, others): (Vec<&Value>, Vec<&Value>) =
        listeners(&gateway.data).iter().partition(|listener| is_of(listener, part.tenant));
    match part.issuer {
        Some(issuer) => {
            if let Some(secret) = others.into_iter().find_map(operators) {
                if !annotation.own {
                    return Err(secret_is_there(part.at, secret, issuer));
                }
                warn(part, secret);
            }
            match annotation.issuer {
                Some(other) if other != issuer && annotation.others => Err(another(part.at, issuer)),
                _ => Ok(()),
            }
        }
        None => {
            let Some(secret) = part.listeners.iter().find_map(operators) else { return Ok(()) };
            let Some(issuer) = annotation.issuer.filter(|_| annotation.others) else { return Ok(()) };
            if !own.into_iter().any(|listener| operators(listener) == Some(secret)) {
                return Err(issuer_is_there(part.at, secret, issuer));
            }
            warn(part, secret);
            Ok(())
        }
    }
}

fn warn(part: &Part<'_>, secret: &str) {
    tracing::warn!(
        gateway = %format_args!("{}/{}", part.at.namespace, part.at.name),
        secret,
        tenant = %part.tenant,
        "cert-manager writes over the operator's Secret, which is with the annotation of another class's issuer in one Gateway: {ONE_KIND}"
    );
}

fn secret_is_there(at: &GatewayRef, secret: &str, issuer: &str) -> Error {
    let what = format!(
        "Gateway {}/{} has a listener of another tenant with the operator's Secret {secret}, and can't be annotated for the cluster issuer \
         {issuer}: cert-manager would write over that Secret",
        at.namespace, at.name
    );
    Error::Lacking { what, remedy: ONE_KIND }
}

fn issuer_is_there(at: &GatewayRef, secret: &str, issuer: &str) -> Error {
    let what = format!(
        "Gateway {}/{} is annotated for the cluster issuer {issuer}, and can't have a listener with the operator's Secret {secret}: \
         cert-manager would write over that Secret",
        at.namespace, at.name
    );
    Error::Lacking { what, remedy: ONE_KIND }
}

fn another(at: &GatewayRef, issuer: &str) -> Error {
    let what =
        format!("Gateway {}/{} has another cluster issuer than {issuer}, and can have only one", at.namespace, at.name);
    Error::Lacking { what, remedy: ONE_ISSUER }
}

/// One issuer for all of a Gateway: it is an annotation. Not forced, so that another's is reported instead of replaced.
pub(super) async fn ensure(part: &Part<'_>, gateway: &DynamicObject, issuer: &str) -> Result<Written> {
    let manager = manager(part.tenant.as_str());
    let annotation = Annotation::of(gateway, &manager);
    if annotation.own && annotation.issuer == Some(issuer) {
        return Ok(Written::All);
    }
    let metadata =
        json!({ "annotations": { ISSUER_ANNOTATION: issuer }, "resourceVersion": gateway.resource_version() });
    let body = applied(part.at, &json!({ "metadata": metadata }));
    match part.api.patch(&part.at.name, &PatchParams::apply(&manager), &Patch::Apply(&body)).await {
        Err(kube::Error::Api(status)) if status.code == 409 && status.message.contains(ISSUER_ANNOTATION) => {
            Err(another(part.at, issuer))
        }
        Err(kube::Error::Api(status)) if has_changed(&status) => Ok(Written::ReadAgain),
        other => other
            .map(|_| Written::All)
            .doing(|| format!("naming the issuer {issuer} for the listener of {}", part.tenant)),
    }
}

/// Whether a write was to a version that is no longer the present one: `OptimisticLockErrorMsg` of Kubernetes' `generic/registry/store.go`.
pub(super) fn has_changed(status: &Status) -> bool {
    status.code == 409 && status.message.contains("the object has been modified")
}

#[cfg(test)]
mod tests {
    use kube::{Client, Config};
    use landlord_core::isolation::TenantNamespace;

    use super::*;

    const OWN: &str = "tenant-00000000000000000000000000000007";
    const OTHER: &str = "tenant-00000000000000000000000000000008";

    /// A listener of the Gateway with that Secret.
    fn listener(name: &str, secret: &str) -> Value {
        json!({ "name": name, "tls": { "certificateRefs": [{ "name": secret }] } })
    }

    /// Annotated with "le" by these managers; by none: not at all.
    fn gateway(listeners: &[Value], managers: &[&str]) -> DynamicObject {
        let fields = |manager: &&str| {
            json!({
                "manager": manager, "operation": "Apply",
                "fieldsV1": { "f:metadata": { "f:annotations": { "f:cert-manager.io/cluster-issuer": {} } } },
            })
        };
        let mut body = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": { "managedFields": managers.iter().map(fields).collect::<Vec<_>>() },
            "spec": { "listeners": [{ "name": "http", "port": 80 }] },
        });
        body["spec"]["listeners"].as_array_mut().unwrap().extend_from_slice(listeners);
        if !managers.is_empty() {
            body["metadata"]["annotations"] = json!({ ISSUER_ANNOTATION: "le" });
        }
        serde_json::from_value(body).unwrap()
    }

    /// What is said to the tenant OWN, which wants a listener with that Secret; empty: it gets in.
    fn said(found: &DynamicObject, secret: &str, issuer: Option<&str>) -> String {
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let at = GatewayRef { name: "landlord".into(), namespace: "gateways".into() };
        let tenant: TenantNamespace = OWN.parse().unwrap();
        let part = Part {
            api: super::super::gateways(&client, &at.namespace),
            at: &at,
            tenant: &tenant,
            names: &[],
            listeners: vec![listener(OWN, secret)],
            issuer,
        };
        refuse(&part, found).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[tokio::test]
    async fn an_operators_secret_and_the_annotation_do_not_meet() {
        let (made, listed) = (format!("{OTHER}-tls"), format!("{OTHER}-listed"));
        let (own, own_manager, other_manager) = (format!("{OWN}-tls"), manager(OWN), manager(OTHER));
        let by_own = own_manager.as_str();
        let by_other = other_manager.as_str();
        let of_other = |secret: &str| listener(OTHER, secret);
        let of_listed = |secret: &str| listener(&format!("{OTHER}.chat"), secret);
        let of_own = |secret: &str| listener(OWN, secret);
        let annotates = |found: &DynamicObject| said(found, &own, Some("le"));
        let brings = |found: &DynamicObject| said(found, "wildcard", None);

        for secret in [of_other("wildcard"), of_listed("wildcard"), of_other(&own), listener("theirs", &own)] {
            let message = annotates(&gateway(std::slice::from_ref(&secret), &[]));
            let name = secret["tls"]["certificateRefs"][0]["name"].as_str().unwrap();
            assert!(
                message.contains(&format!(
                    "Gateway gateways/landlord has a listener of another tenant with the operator's Secret {name},"
                )),
                "{message}"
            );
            // In already.
            assert_eq!(annotates(&gateway(&[secret], &[by_own])), "");
        }
        for fine in [of_other(&made), of_listed(&listed), of_own("wildcard")] {
            assert_eq!(annotates(&gateway(&[fine], &[])), "");
        }

        for managers in [&[by_other][..], &[by_own, by_other], &["kubectl"]] {
            let message = brings(&gateway(&[of_other(&made), of_own(&own)], managers));
            assert!(message.contains("Gateway gateways/landlord is annotated for the cluster issuer le, and can't have a listener with the operator's Secret wildcard:"), "{message}");
            // In already, but not with another Secret.
            assert_eq!(brings(&gateway(&[of_own("wildcard")], managers)), "");
            assert_ne!(brings(&gateway(&[of_own("another")], managers)), "");
            // Listed names go with everything.
            assert_eq!(said(&gateway(&[of_other("wildcard")], managers), &format!("{OWN}-listed"), None), "");
        }
        // Its own annotation goes before.
        assert_eq!(brings(&gateway(&[of_own(&own)], &[by_own])), "");
        assert_eq!(brings(&gateway(&[of_other("wildcard")], &[])), "");
    }

    #[tokio::test]
    async fn a_gateway_has_one_issuer() {
        let (own, own_manager, other_manager) = (format!("{OWN}-tls"), manager(OWN), manager(OTHER));
        let both = gateway(&[], &[&own_manager, &other_manager]);
        assert!(said(&both, &own, Some("another")).contains("another cluster issuer than another"));
        assert_eq!(said(&both, &own, Some("le")), "");
        assert_eq!(said(&gateway(&[], &[&own_manager]), &own, Some("another")), "");
    }
}
