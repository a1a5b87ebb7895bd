//! Cloud identities of service accounts: the identities of the network stage are tied to
//! ExternalDNS's and cert-manager's accounts in the cluster, and may change the tenant's own
//! zone and nothing else.

use landlord_provider_api::v1;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api,
    arm::If,
    cluster, dns,
    error::{Result, invalid},
    group,
    names::{ACCOUNTS, Call},
    network::attribute,
    object::{Object, Plain},
    progress::{Outcome, pending, ready},
    roles, tags,
};

/// Name of the credential; an identity holds 20 at most, this is its only one.
const FEDERATION: &str = "landlord";
/// What workload identity's tokens are made out to.
const AUDIENCE: &str = "api://AzureADTokenExchange";
/// Seconds between observations.
const POLL_S: i64 = 5;

/// What is read of a federated credential.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Federation {
    issuer: String,
    subject: String,
    audiences: Vec<String>,
}

/// What is read of an identity.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    principal_id: String,
}

/// Namespace and account have the same name.
fn subject(account: &str) -> String {
    format!("system:serviceaccount:{account}:{account}")
}

fn federation_id(call: &Call<'_>, account: &str) -> String {
    format!("{}/federatedIdentityCredentials/{FEDERATION}", call.names.identity_id(account))
}

/// Makes both identities be tied to their accounts and allowed to change the zone.
pub(crate) async fn ensure(
    call: &Call<'_>,
    network: &v1::NetworkStatus,
    given: Option<v1::ClusterStatus>,
    zone: &v1::DnsZoneStatus,
) -> Result<(Outcome, v1::IdentityStatus)> {
    let issuer = issuer(call, given).await?;
    dns::check_own(call, &zone.zone_id)?;
    let mut status = v1::IdentityStatus::default();
    for account in ACCOUNTS {
        let principal = attribute(network, &format!("{}_principal_id", account.replace('-', "_")))?;
        let identity = call.arm.get::<Identity>(&api::IDENTITY, &call.names.identity_id(account)).await?;
        match identity {
            None => return Err(invalid(format!("the identity of {account} is gone; run the network stage again"))),
            Some(found) if !found.is_ours(call.scope) => {
                return Err(tags::name_taken("identity", found.name()).into());
            }
            Some(_) => {}
        }
        federate(call, account, &issuer).await?;
        roles::ensure(call, &zone.zone_id, roles::DNS_ZONE_CONTRIBUTOR, principal).await?;
        let client = attribute(network, &format!("{}_client_id", account.replace('-', "_")))?;
        status.service_accounts.push(service_account(account, client));
    }
    Ok((ready(), status))
}

/// What Azure's webhook searches for, to hand a pod its account's token.
/// <https://learn.microsoft.com/azure/aks/workload-identity-overview#service-account-labels-and-annotations>
fn service_account(account: &str, client_id: &str) -> v1::ServiceAccount {
    let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    v1::ServiceAccount {
        namespace: account.to_owned(),
        name: account.to_owned(),
        annotations: pair("azure.workload.identity/client-id", client_id),
        pod_labels: pair("azure.workload.identity/use", "true"),
    }
}

async fn issuer(call: &Call<'_>, given: Option<v1::ClusterStatus>) -> Result<String> {
    let known = given.and_then(|c| c.attributes.get("oidc_issuer_url").cloned()).filter(|u| !u.is_empty());
    if let Some(url) = known {
        return Ok(url);
    }
    match cluster::find(call).await? {
        Some(cluster) => Ok(cluster.properties.oidc_issuer_profile.issuer_url.clone()),
        None => Err(cluster::absent(call).into()),
    }
}

async fn federate(call: &Call<'_>, account: &str, issuer: &str) -> Result<()> {
    let id = federation_id(call, account);
    let present = call.arm.get::<Federation>(&api::FEDERATION, &id).await?.map(|f| f.properties);
    let same = |f: &Federation| {
        f.issuer == issuer && f.subject == subject(account) && f.audiences.iter().any(|a| a == AUDIENCE)
    };
    if present.as_ref().is_some_and(same) {
        return Ok(());
    }
    let body = json!({ "properties": { "issuer": issuer, "subject": subject(account), "audiences": [AUDIENCE] } });
    call.arm.put(&api::FEDERATION, &id, &body, If::Always).await.map(drop)
}

fn owned(call: &Call<'_>, kind: &'static api::Kind, id: &str, name: &str) -> v1::OwnedObject {
    v1::OwnedObject {
        r#type: kind.name.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        role: "identity".to_owned(),
        tenant_uid: call.scope.tenant_uid.clone(),
        region: call.scope.region.clone(),
    }
}

/// The identities that are there and ours.
async fn identities(call: &Call<'_>) -> Result<Vec<(&'static str, Object<Identity>)>> {
    let mut found = Vec::new();
    if group::find_own(call, call.names.group()).await?.is_none() {
        return Ok(found);
    }
    for account in ACCOUNTS {
        let identity = call.arm.get::<Identity>(&api::IDENTITY, &call.names.identity_id(account)).await?;
        found.extend(identity.filter(|i| i.is_ours(call.scope)).map(|i| (account, i)));
    }
    Ok(found)
}

/// Takes away the ties and the roles; the identities go with the network.
pub(crate) async fn delete(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut removed = Vec::new();
    let zones = dns::list(call).await?;
    for (account, identity) in identities(call).await? {
        for zone in &zones {
            let principal = &identity.properties.principal_id;
            let gone = roles::remove(call, zone.id(), roles::DNS_ZONE_CONTRIBUTOR, principal).await?;
            removed.extend(gone.map(|a| owned(call, &api::ASSIGNMENT, a.id(), account)));
        }
        let id = federation_id(call, account);
        if call.arm.get::<Value>(&api::FEDERATION, &id).await?.is_some() {
            call.arm.delete(&api::FEDERATION, &id).await?;
            removed.push(owned(call, &api::FEDERATION, &id, account));
        }
    }
    Ok((Outcome::Gone, removed))
}

/// Observes.
pub(crate) async fn observe(call: &Call<'_>) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let mut objects = Vec::new();
    for (account, _) in identities(call).await? {
        let id = federation_id(call, account);
        let present = call.arm.get::<Plain>(&api::FEDERATION, &id).await?;
        objects.extend(present.map(|_| owned(call, &api::FEDERATION, &id, account)));
    }
    let outcome = match objects.len() {
        0 => Outcome::Gone,
        n if n == ACCOUNTS.len() => ready(),
        _ => pending(POLL_S, "federated credentials are missing"),
    };
    Ok((outcome, objects))
}
