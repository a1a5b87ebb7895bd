//! The tenant's network and base identities: a resource group with a virtual network, one
//! subnet for nodes, a NAT gateway with its address, and the identities of the cluster and of
//! two service accounts. Each is inspected before it is written, and made again if it failed.

mod part;
mod removal;

pub(crate) use removal::{delete, observe};

use landlord_provider_api::v1;
use landlord_provider_sdk::cidr::Cidr;
use serde::Deserialize;
use serde_json::{Value, json};

use self::part::Part;
use crate::{
    api,
    arm::If,
    error::{Result, incomplete, invalid},
    group,
    names::{ACCOUNTS, CLUSTER_IDENTITY, Call, SUBNET},
    object::Object,
    operation::{self, Work},
    parameters::Parameters,
    progress::{Outcome, ready},
    roles, tags,
};

/// Seconds between observations of a part under way; most take a few seconds.
const POLL_S: i64 = 3;
/// The nodes' subnet is this much smaller than the network: a quarter, the rest is kept free.
const SUBNET_BITS: u8 = 2;
/// Minutes that an idle connection through the NAT gateway lives; Azure takes 4 to 120.
const NAT_IDLE_MINUTES: u32 = 10;

/// What is read of a virtual network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Vnet {
    address_space: Space,
    subnets: Vec<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Space {
    address_prefixes: Vec<String>,
}

/// What is read of an address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Address {
    ip_address: String,
}

/// What is read of an identity.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Identity {
    principal_id: String,
    client_id: String,
}

/// Makes the network be as the parameters say.
pub(crate) async fn ensure(
    call: &Call<'_>,
    parameters: &Parameters,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::NetworkStatus>)> {
    if let Err(outcome) = group::ensure(call, call.names.group(), "network").await? {
        return Ok((outcome, None));
    }
    let address =
        part::ensure::<Address>(call, &api::ADDRESS, &call.names.address_id(), &address(call), checkpoint).await?;
    let mut identities = Vec::new();
    for role in [CLUSTER_IDENTITY, ACCOUNTS[0], ACCOUNTS[1]] {
        let body = json!({ "location": call.scope.region, "tags": tags::all(call.scope, &format!("{role}-identity")) });
        match part::ensure::<Identity>(call, &api::IDENTITY, &call.names.identity_id(role), &body, checkpoint).await? {
            Part::Ready(identity) => identities.push((role, identity)),
            Part::Waiting(outcome) => return Ok((outcome, None)),
        }
    }
    let address = match address {
        Part::Ready(address) => address,
        Part::Waiting(outcome) => return Ok((outcome, None)),
    };
    let nat = part::ensure::<Value>(call, &api::NAT, &call.names.nat_id(), &nat(call), checkpoint).await?;
    if let Part::Waiting(outcome) = nat {
        return Ok((outcome, None));
    }
    let network = wanted(call, parameters)?;
    match part::ensure::<Vnet>(call, &api::VNET, &call.names.network_id(), &network, checkpoint).await? {
        Part::Waiting(outcome) => return Ok((outcome, None)),
        Part::Ready(vnet) => {
            if let Some(outcome) = fit(call, parameters, &vnet).await? {
                return Ok((outcome, None));
            }
        }
    }
    let cluster = &identities[0].1.properties;
    if cluster.principal_id.is_empty() {
        return Err(incomplete(&api::IDENTITY, "the principal's id"));
    }
    // Without it the cluster can put neither nodes nor load balancers into the subnet.
    roles::ensure(call, &call.names.subnet_id(), roles::NETWORK_CONTRIBUTOR, &cluster.principal_id).await?;
    Ok((ready(), Some(status(call, &address, &identities))))
}

fn address(call: &Call<'_>) -> Value {
    json!({
        "location": call.scope.region,
        "tags": tags::all(call.scope, "nat-address"),
        "sku": { "name": "Standard", "tier": "Regional" },
        "properties": { "publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4" },
    })
}

fn nat(call: &Call<'_>) -> Value {
    json!({
        "location": call.scope.region,
        "tags": tags::all(call.scope, "nat-gateway"),
        "sku": { "name": "Standard" },
        "properties": {
            "idleTimeoutInMinutes": NAT_IDLE_MINUTES,
            "publicIpAddresses": [{ "id": call.names.address_id() }],
        },
    })
}

fn subnet(parameters: &Parameters) -> Result<Cidr> {
    let divided = parameters.vnet()?.subnet(SUBNET_BITS, 0);
    divided.ok_or_else(|| invalid("parameters.vnet_cidr: is too small to be divided"))
}

fn wanted(call: &Call<'_>, parameters: &Parameters) -> Result<Value> {
    Ok(json!({
        "location": call.scope.region,
        "tags": tags::all(call.scope, "network"),
        "properties": {
            "addressSpace": { "addressPrefixes": [parameters.vnet()?.to_string()] },
            "subnets": [{
                "name": SUBNET,
                "properties": {
                    "addressPrefix": subnet(parameters)?.to_string(),
                    "natGateway": { "id": call.names.nat_id() },
                },
            }],
        },
    }))
}

/// Compares a network that exists with what is wanted; what it waits for if it was changed.
async fn fit(call: &Call<'_>, parameters: &Parameters, vnet: &Object<Vnet>) -> Result<Option<Outcome>> {
    let prefix = parameters.vnet()?.to_string();
    let present = &vnet.properties.address_space.address_prefixes;
    if !present.is_empty() && !present.contains(&prefix) {
        return Err(invalid(format!(
            "parameters.vnet_cidr: the network has {} and cannot get {prefix}; put the old value back or make a new tenant",
            present.join(", ")
        )));
    }
    let own = vnet.properties.subnets.iter().find(|s| s["name"] == SUBNET);
    let nat = own.and_then(|s| s["properties"]["natGateway"]["id"].as_str()).unwrap_or_default();
    if nat.eq_ignore_ascii_case(&call.names.nat_id()) {
        return Ok(None);
    }
    // Through the subnet's own address: a PUT of the network would take others' subnets away.
    let mut body = own.cloned().unwrap_or_else(|| json!({ "properties": { "addressPrefix": "" } }));
    body["properties"]["natGateway"] = json!({ "id": call.names.nat_id() });
    if own.is_none() {
        body["properties"]["addressPrefix"] = json!(subnet(parameters)?.to_string());
    }
    let response = call.arm.put(&api::SUBNET, &call.names.subnet_id(), &body, If::Always).await?;
    Ok(Some(operation::begun(
        call.arm,
        Work::Change,
        &response,
        POLL_S,
        "the nodes' subnet is being led to the NAT gateway",
    )))
}

fn status(call: &Call<'_>, address: &Object<Address>, identities: &[(&str, Object<Identity>)]) -> v1::NetworkStatus {
    let mut attributes: std::collections::HashMap<String, String> = [
        ("resource_group".to_owned(), call.names.group().to_owned()),
        ("nat_address".to_owned(), address.properties.ip_address.clone()),
    ]
    .into();
    for (role, identity) in identities {
        let key = role.replace('-', "_");
        attributes.insert(format!("{key}_identity_id"), call.names.identity_id(role));
        attributes.insert(format!("{key}_client_id"), identity.properties.client_id.clone());
        attributes.insert(format!("{key}_principal_id"), identity.properties.principal_id.clone());
    }
    v1::NetworkStatus {
        network_id: call.names.network_id(),
        private_subnet_ids: vec![call.names.subnet_id()],
        public_subnet_ids: Vec::new(),
        attributes,
    }
}

/// A value that this stage hands to later ones.
pub(crate) fn attribute<'a>(network: &'a v1::NetworkStatus, name: &str) -> Result<&'a str> {
    let value = network.attributes.get(name).filter(|v| !v.is_empty());
    value.map(String::as_str).ok_or_else(|| invalid(format!("the network's status lacks {name}; run its stage again")))
}
