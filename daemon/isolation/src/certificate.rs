//! The certificate that a tenant's listeners have an ACME server asked for, and whether that can ever be issued: a wildcard is proven by
//! a record in the tenant's zone and by nothing else, a name of its own also by an answer through the Gateway.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use landlord_core::{
    CertificateOrder,
    isolation::{Certificate, GatewayNames, GatewayRef, ObjectName, SharedTarget},
    ports::DeployTarget,
};
use landlord_kube::{Doing as _, Error, Result, absent::known};
use serde_json::Value;

use crate::{
    issue,
    listener::{self, ENTRANCE},
    served::Served,
    solvers,
};

const NO_ISSUER: &str = "whoever operates the host cluster makes the issuer, or the operator names one that is there in \
                         guardrails.gateway.certificate, or the Secret of a certificate that covers all tenants' names";
const NO_SOLVER: &str = "the operator has the class list the names of its stack (guardrails.gateway.names = \"listed\"), which are proven \
                         by HTTP-01, or gives the issuer a solver by DNS-01 for the tenants' zones \
                         (edge.issuer.acme.solvers of the host cluster's platform, with credentials that may change them: landlord \
                         makes no identity for them), or names the Secret of a certificate in guardrails.gateway.certificate";
const NO_SOLVER_OF_NAMES: &str = "whoever operates the host cluster gives the issuer a solver http01.gatewayHTTPRoute whose parentRefs name \
                                  this Gateway and its listener on port 80, or one by DNS-01 for the tenants' zones; cert-manager takes the \
                                  one whose selector is most specific for a name, and of those the first";

/// What is ordered; `None`: nothing of an ACME server.
pub(crate) async fn ordered(
    client: &Client,
    target: &DeployTarget,
    place: &SharedTarget,
    served: &Served,
) -> Result<Option<CertificateOrder>> {
    let Some(shared) = place.settings.gateway() else { return Ok(None) };
    let Certificate::ClusterIssuer(issuer) = &shared.certificate else { return Ok(None) };
    let names: Vec<String> = served.names(target, shared).into_iter().map(|name| name.host).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let found = read_issuer(client, issuer).await?;
    let acme = &found.data["spec"]["acme"];
    let Some(server) = acme["server"].as_str() else { return Ok(None) };
    let (gateway, solvers) = (&served.gateway, &acme["solvers"]);
    match shared.names {
        GatewayNames::Wildcard => {
            if let Some(name) = names.iter().find(|name| !solvers::prove_wildcard(solvers, name)) {
                let what = format!(
                    "ClusterIssuer {issuer} has no solver by DNS-01 for {name}, and proves wildcards by no other"
                );
                return Err(Error::Lacking { what, remedy: NO_SOLVER });
            }
        }
        GatewayNames::Listed => {
            let (entrances, labels) = (entrances(client, gateway).await?, issue::labels(target));
            let without = names.iter().filter(|name| !solvers::prove_name(solvers, name, &labels, gateway, &entrances));
            let without: Vec<&str> = without.map(String::as_str).collect();
            if !without.is_empty() {
                let what = format!(
                    "ClusterIssuer {issuer} has no solver for {} by HTTP-01 through Gateway {}/{}, nor by DNS-01",
                    without.join(", "),
                    gateway.namespace,
                    gateway.name
                );
                return Err(Error::Lacking { what, remedy: NO_SOLVER_OF_NAMES });
            }
        }
    }
    Ok(Some(CertificateOrder::of(server, names.into_iter().collect())))
}

async fn read_issuer(client: &Client, name: &ObjectName) -> Result<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"));
    let issuers: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let found = known(issuers.get(name.as_str()).await).doing(|| format!("reading ClusterIssuer {name}"))?;
    found.ok_or_else(|| {
        let what =
            format!("the host cluster has no ClusterIssuer {name}, which the class names for the tenant's certificate");
        Error::Lacking { what, remedy: NO_ISSUER }
    })
}

/// Names of the Gateway's listeners on port 80, where an ACME server asks (RFC 8555, 8.3); of one that is not there yet, ours.
async fn entrances(client: &Client, gateway: &GatewayRef) -> Result<Vec<String>> {
    let doing = || format!("reading Gateway {}/{}", gateway.namespace, gateway.name);
    let found = known(listener::gateways(client, &gateway.namespace).get(&gateway.name).await).doing(doing)?;
    let Some(found) = found else { return Ok(vec![ENTRANCE.to_owned()]) };
    let all = found.data.pointer("/spec/listeners").and_then(Value::as_array).into_iter().flatten();
    let at_80 = all.filter(|listener| listener["port"] == 80 && listener["protocol"] == "HTTP");
    Ok(at_80.filter_map(|listener| listener["name"].as_str()).map(str::to_owned).collect())
}
