//! The tenant's network: a VPC network of its own with one subnetwork (ranges for nodes, pods and
//! services, private access to Google's APIs) and a Cloud Router with NAT, so that nodes without
//! public addresses reach out. Network and subnetwork first, the router beside the subnetwork.

pub(crate) mod object;
mod removal;

pub(crate) use removal::{delete, observe};

use landlord_provider_api::v1;
use landlord_provider_sdk::cidr::Cidr;
use serde_json::json;

use self::object::{Flight, Kind, State};
use crate::{
    action,
    compute::Object,
    error::{Result, incomplete, invalid, not_chosen_well},
    google::Google,
    markers,
    names::{Names, last_part},
    parameters::{Parameters, Zones},
    progress::{self, Outcome},
};

/// Seconds between observations: an operation on a network takes 5 to 30 s.
const POLL_S: i64 = 5;
/// Names of the subnetwork's secondary ranges.
pub(crate) const PODS: &str = "pods";
pub(crate) const SERVICES: &str = "services";

/// How a network's range is divided: pods get the upper half, nodes and services a sixteenth each
/// of the lower one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranges {
    pub(crate) nodes: Cidr,
    pub(crate) services: Cidr,
    pub(crate) pods: Cidr,
}

impl Ranges {
    /// `None` if the network is too small to be divided.
    pub(crate) fn of(network: Cidr) -> Option<Self> {
        Some(Self { nodes: network.subnet(4, 0)?, services: network.subnet(4, 1)?, pods: network.subnet(1, 1)? })
    }
}

/// Makes the network be as the parameters say.
pub(crate) async fn ensure(
    google: &Google,
    scope: &v1::Scope,
    parameters: &Parameters,
    checkpoint: &[u8],
) -> Result<(Outcome, Option<v1::NetworkStatus>)> {
    let names = Names::new(scope)?;
    let mut flight = Flight::read(google, scope, checkpoint).await?;
    let (name, region) = (names.network(), &scope.region);
    let ranges = Ranges::of(parameters.network()?).ok_or_else(|| invalid("parameters.network_cidr: too small"))?;
    let description = |kind: Kind| markers::description(scope, kind.role());
    let body = json!({
        "name": name, "description": description(Kind::Network), "autoCreateSubnetworks": false,
        "routingConfig": { "routingMode": "REGIONAL" },
    });
    let network = object::ensure(google, scope, &names, Kind::Network, body, &mut flight).await?;
    let State::Present(_) = network else {
        return Ok((flight.pending(POLL_S, &format!("VPC network {name} is being created")), None));
    };
    let link = format!("projects/{}/global/networks/{name}", scope.account);
    let range = |name: &str, cidr: Cidr| json!({ "rangeName": name, "ipCidrRange": cidr.to_string() });
    let body = json!({
        "name": name, "description": description(Kind::Subnetwork), "network": link, "region": region,
        "ipCidrRange": ranges.nodes.to_string(), "privateIpGoogleAccess": true,
        "secondaryIpRanges": [range(PODS, ranges.pods), range(SERVICES, ranges.services)],
    });
    let subnetwork = object::ensure(google, scope, &names, Kind::Subnetwork, body, &mut flight).await?;
    let body = json!({
        "name": names.router(), "description": description(Kind::Router), "network": link, "region": region,
        "nats": [{
            "name": "nat", "natIpAllocateOption": "AUTO_ONLY",
            "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
            "logConfig": { "enable": false, "filter": "ERRORS_ONLY" },
        }],
    });
    let router = object::ensure(google, scope, &names, Kind::Router, body, &mut flight).await?;
    let (State::Present(subnetwork), State::Present(_)) = (subnetwork, router) else {
        return Ok((flight.pending(POLL_S, &format!("subnetwork and router {name} are being created")), None));
    };
    fixed_facts(parameters, &ranges, &subnetwork)?;
    let zones = zones(google, scope, parameters).await?;
    Ok((progress::ready(), Some(status(scope, &names, &zones))))
}

/// What a network cannot change once it exists.
fn fixed_facts(parameters: &Parameters, ranges: &Ranges, subnetwork: &Object) -> Result<()> {
    let present = &subnetwork.ip_cidr_range;
    if present.is_empty() || *present == ranges.nodes.to_string() {
        return Ok(());
    }
    Err(invalid(format!(
        "parameters.network_cidr: the nodes of the tenant's network are in {present} and cannot move into {}; put the old value back or make a new tenant",
        parameters.network_cidr
    )))
}

/// The zones for nodes.
async fn zones(google: &Google, scope: &v1::Scope, parameters: &Parameters) -> Result<Vec<String>> {
    let count = match &parameters.zones {
        Zones::Named(names) => return Ok(names.clone()),
        Zones::Count(count) => *count,
    };
    let region = format!("regions/{}", scope.region);
    let found = google.compute.get(action::GET_REGION, &scope.account, &region).await;
    let found =
        found.map_err(|e| not_chosen_well(e, "region", "choose a region that Google Cloud has for the class"))?;
    let mut zones: Vec<String> = found.zones.iter().map(|z| last_part(z).to_owned()).collect();
    zones.sort();
    zones.truncate(count);
    match zones.len() {
        0 => Err(incomplete(action::GET_REGION, "the zones")),
        n if n < count => Err(invalid(format!("parameters.zones: {} has {n} zones only, not {count}", scope.region))),
        _ => Ok(zones),
    }
}

fn status(scope: &v1::Scope, names: &Names, zones: &[String]) -> v1::NetworkStatus {
    let project = &scope.account;
    let network = format!("projects/{project}/global/networks/{}", names.network());
    let subnetwork = format!("projects/{project}/regions/{}/subnetworks/{}", scope.region, names.network());
    let attributes = [("subnetwork", subnetwork.clone()), ("zones", zones.join(","))];
    v1::NetworkStatus {
        network_id: network,
        private_subnet_ids: vec![subnetwork],
        // Load balancers need no subnetwork of their own on Google Cloud.
        public_subnet_ids: Vec::new(),
        attributes: attributes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
    }
}

/// A value that the network stage hands over.
pub(crate) fn attribute(network: &v1::NetworkStatus, name: &str) -> Result<String> {
    let value = network.attributes.get(name).filter(|v| !v.is_empty());
    value.cloned().ok_or_else(|| invalid(format!("the network's status lacks {name}; run its stage again")))
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn a_network_is_divided_without_overlap() {
        let ranges = Ranges::of("10.64.0.0/16".parse().expect("a network")).expect("large enough");
        let text = [ranges.nodes, ranges.services, ranges.pods].map(|r| r.to_string());
        assert_eq!(text, ["10.64.0.0/20", "10.64.16.0/20", "10.64.128.0/17"]);
        assert_eq!(Ranges::of("10.64.0.0/30".parse().expect("a network")), None);
    }
}
