//! The certificate that a tenant's listeners have an ACME server asked for, and whether that can ever be issued: a wildcard is proven by
//! a record in the tenant's zone, so its issuer needs a solver by DNS-01. What its credentials may do, nobody sees here.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use landlord_core::{
    CertificateOrder,
    isolation::{Certificate, SharedTarget},
    ports::DeployTarget,
};
use landlord_kube::{Doing as _, Error, Result, absent::known};
use serde_json::Value;

const NO_ISSUER: &str = "whoever operates the host cluster makes the issuer, or the operator names one that is there in \
                         guardrails.gateway.certificate, or the Secret of a certificate that covers all tenants' names";
const NO_SOLVER: &str = "the operator gives the issuer a solver by DNS-01 for the tenants' zones \
                         (edge.issuer.acme.solvers of the host cluster's platform, with credentials that may change them: landlord \
                         makes no identity for them), or names the Secret of a certificate in guardrails.gateway.certificate";

/// What is ordered; `None`: nothing of an ACME server.
pub(crate) async fn ordered(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
) -> Result<Option<CertificateOrder>> {
    let Some(Certificate::ClusterIssuer(name)) = place.settings.gateway().map(|gateway| &gateway.certificate) else {
        return Ok(None);
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"));
    let issuers: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let found = known(issuers.get(name.as_str()).await).doing(|| format!("reading ClusterIssuer {name}"))?;
    let Some(found) = found else {
        let what =
            format!("the host cluster has no ClusterIssuer {name}, which the class names for the tenant's certificate");
        return Err(Error::Lacking { what, remedy: NO_ISSUER });
    };
    let wildcard = format!("*.{}", target.spec.domain.as_str());
    let acme = &found.data["spec"]["acme"];
    let Some(server) = acme["server"].as_str() else { return Ok(None) };
    if !solves(&acme["solvers"], target.spec.domain.as_str()) {
        let what =
            format!("ClusterIssuer {name} has no solver by DNS-01 for {wildcard}, and proves wildcards by no other");
        return Err(Error::Lacking { what, remedy: NO_SOLVER });
    }
    Ok(Some(CertificateOrder::of(server, [wildcard].into())))
}

/// Whether a solver by DNS-01 may be chosen for `*.domain`. <https://cert-manager.io/docs/configuration/acme/#adding-multiple-solver-types>:
/// one without a selector is for all names; what labels a certificate has is its maker's to decide.
fn solves(solvers: &Value, domain: &str) -> bool {
    let listed = |selector: &Value, key: &str, fits: &dyn Fn(&str) -> bool| {
        let list = selector[key].as_array().filter(|list| !list.is_empty());
        list.is_none_or(|list| list.iter().filter_map(Value::as_str).any(fits))
    };
    let is_within = |zone: &str| domain == zone || domain.ends_with(&format!(".{zone}"));
    let mut solvers = solvers.as_array().into_iter().flatten();
    solvers.any(|solver| {
        let selector = &solver["selector"];
        solver["dns01"].is_object()
            && listed(selector, "dnsZones", &is_within)
            && listed(selector, "dnsNames", &|name| name == format!("*.{domain}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wildcard_needs_a_solver_by_dns_for_its_zone() {
        let (http, dns) = (json!({ "http01": {} }), json!({ "dns01": { "route53": {} } }));
        let of = |selector: Value| json!({ "dns01": {}, "selector": selector });
        let cases = [
            (json!([]), false),
            (Value::Null, false),
            (json!([http]), false),
            (json!([http, dns]), true),
            (json!([of(json!({ "dnsZones": ["example.com"] }))]), true),
            (json!([of(json!({ "dnsZones": ["acme.example.com"] }))]), true),
            (json!([of(json!({ "dnsZones": ["me.example.com", "example.org"] }))]), false),
            (json!([of(json!({ "dnsNames": ["*.acme.example.com"] }))]), true),
            (json!([of(json!({ "dnsNames": ["acme.example.com"] }))]), false),
            (json!([of(json!({ "matchLabels": { "a": "b" } }))]), true),
        ];
        for (solvers, expected) in cases {
            assert_eq!(solves(&solvers, "acme.example.com"), expected, "{solvers}");
        }
    }
}
