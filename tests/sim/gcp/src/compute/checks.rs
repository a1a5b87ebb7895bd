//! What Compute demands of a new resource, and the values that it fills in.
//!
//! Fields: the resource's page under <https://cloud.google.com/compute/docs/reference/rest/v1>; subnetwork ranges:
//! <https://cloud.google.com/vpc/docs/subnets#ipv4-ranges>.

use super::{cidr::Range, collections::Collection, places, ready, visible};
use crate::{
    error::{invalid, invalid_field, quota, required},
    kinds::GcpKind,
    names::{COMPUTE, document, last, region_of, relative, scope_of},
};
use cloudsim_core::{call::Result, ctx::Ctx};
use serde_json::{Map, Value, json};

type Doc = Map<String, Value>;

fn fill(doc: &mut Doc, key: &str, value: Value) {
    if doc.get(key).is_none_or(Value::is_null) {
        doc.insert(key.to_owned(), value);
    }
}

fn text(doc: &Doc, key: &str) -> String {
    doc.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Checks the document of a new resource and fills in defaults.
///
/// # Errors
/// As Compute words them.
pub(crate) fn check(ctx: &mut Ctx<'_>, collection: &Collection, id: &str, doc: &mut Doc) -> Result<()> {
    let project = id.split('/').nth(1).unwrap_or_default().to_owned();
    doc.retain(|_, v| !v.is_null());
    for key in ["kind", "selfLink", "region", "zone", "fingerprint", "labelFingerprint"] {
        doc.remove(key);
    }
    for key in ["network", "subnetwork", "target", "backendService"] {
        link(ctx, doc, key, &project)?;
    }
    within_quota(ctx, collection, id)?;
    match collection.kind {
        GcpKind::Network => network(doc),
        GcpKind::Subnetwork => subnetwork(ctx, doc, &project)?,
        GcpKind::Router => {
            need(doc, "network")?;
            fill(doc, "encryptedInterconnectRouter", json!(false));
            nats(ctx, doc, &project)?;
        }
        GcpKind::Address => address(ctx, doc, id),
        GcpKind::Firewall => {
            fill(doc, "network", json!(format!("{COMPUTE}projects/{project}/global/networks/default")));
            for (key, value) in [("direction", json!("INGRESS")), ("priority", json!(1000)), ("disabled", json!(false))]
            {
                fill(doc, key, value);
            }
            fill(doc, "logConfig", json!({ "enable": false }));
        }
        GcpKind::ForwardingRule => {
            fill(doc, "loadBalancingScheme", json!("EXTERNAL"));
            if text(doc, "loadBalancingScheme") == "EXTERNAL" {
                let scope = scope_of(id);
                address_free(ctx, region_of(last(&scope)))?;
            }
            fill(doc, "IPProtocol", json!("TCP"));
            fill(doc, "networkTier", json!("PREMIUM"));
            let address = external_address(ctx);
            fill(doc, "IPAddress", json!(address));
        }
        GcpKind::Disk => {
            fill(doc, "sizeGb", json!("500"));
            fill(doc, "status", json!("READY"));
            let scope = scope_of(id);
            fill(doc, "type", json!(format!("{COMPUTE}projects/{project}/{scope}/diskTypes/pd-standard")));
            fill(doc, "physicalBlockSizeBytes", json!("4096"));
        }
        GcpKind::Instance => instance(ctx, doc, &project)?,
        GcpKind::InstanceGroupManager => {
            return Err(invalid(format!("The simulator makes {} for node pools only", collection.name)));
        }
        _ => {}
    }
    Ok(())
}

/// A machine that somebody starts by hand; those of node pools GKE makes. Its interfaces hold their networks.
fn instance(ctx: &mut Ctx<'_>, doc: &mut Doc, project: &str) -> Result<()> {
    need(doc, "machineType")?;
    let mut interfaces = doc.get("networkInterfaces").and_then(Value::as_array).cloned().unwrap_or_default();
    if interfaces.is_empty() {
        return Err(required("networkInterfaces"));
    }
    for interface in interfaces.iter_mut().filter_map(Value::as_object_mut) {
        for key in ["network", "subnetwork"] {
            link(ctx, interface, key, project)?;
        }
    }
    doc.insert("networkInterfaces".to_owned(), interfaces.into());
    fill(doc, "status", json!("RUNNING"));
    Ok(())
}

/// Makes a link whole, and demands that what it names is there and ready.
fn link(ctx: &mut Ctx<'_>, doc: &mut Doc, key: &str, project: &str) -> Result<()> {
    let given = text(doc, key);
    if given.is_empty() {
        return Ok(());
    }
    let id = relative(&given, project);
    ready(&visible(ctx, &id)?)?;
    doc.insert(key.to_owned(), json!(format!("{COMPUTE}{id}")));
    Ok(())
}

fn need(doc: &Doc, key: &str) -> Result<()> {
    if text(doc, key).is_empty() {
        return Err(required(key));
    }
    Ok(())
}

fn within_quota(ctx: &mut Ctx<'_>, collection: &Collection, id: &str) -> Result<()> {
    let Some((metric, regional)) = collection.quota else {
        return Ok(());
    };
    let scope = scope_of(id);
    let region = region_of(last(&scope)).to_owned();
    let place = (regional && region != "global").then_some(region.as_str());
    let present = places::count(ctx, collection.kind, place);
    ctx.within_quota(metric, present).map_err(|limit| {
        let place = place.map_or_else(|| "globally".to_owned(), |r| format!("in region {r}"));
        quota(metric, limit, &place)
    })
}

fn network(doc: &mut Doc) {
    fill(doc, "autoCreateSubnetworks", json!(true));
    fill(doc, "networkFirewallPolicyEnforcementOrder", json!("AFTER_CLASSIC_FIREWALL"));
    fill(doc, "routingConfig", json!({ "routingMode": "REGIONAL" }));
    if let Some(routing) = doc.get_mut("routingConfig").and_then(Value::as_object_mut) {
        fill(routing, "bgpBestPathSelectionMode", json!("LEGACY"));
    }
}

fn subnetwork(ctx: &mut Ctx<'_>, doc: &mut Doc, project: &str) -> Result<()> {
    need(doc, "network")?;
    need(doc, "ipCidrRange")?;
    let network = relative(&text(doc, "network"), project);
    let wanted = ranges(doc)?;
    disjoint(ctx, &network, &wanted, "")?;
    let gateway = wanted.first().map(|(_, r)| r.address(1));
    fill(doc, "gatewayAddress", json!(gateway));
    for (key, value) in [
        ("privateIpGoogleAccess", json!(false)),
        ("privateIpv6GoogleAccess", json!("DISABLE_GOOGLE_ACCESS")),
        ("purpose", json!("PRIVATE")),
        ("stackType", json!("IPV4_ONLY")),
        ("state", json!("READY")),
    ] {
        fill(doc, key, value);
    }
    Ok(())
}

/// The ranges of a subnetwork, its own first.
///
/// # Errors
/// A range that is none.
pub(crate) fn ranges(doc: &Doc) -> Result<Vec<(String, Range)>> {
    let own = text(doc, "ipCidrRange");
    let secondary = doc.get("secondaryIpRanges").and_then(Value::as_array).cloned().unwrap_or_default();
    let secondary = secondary.iter().map(|r| r["ipCidrRange"].as_str().unwrap_or_default().to_owned());
    let mut found: Vec<(String, Range)> = Vec::new();
    for range in std::iter::once(own).chain(secondary) {
        let parsed = Range::parse(&range);
        let parsed = parsed
            .ok_or_else(|| invalid_field("resource.ipCidrRange", &range, "Must be a valid network CIDR range."))?;
        found.push((range, parsed));
    }
    Ok(found)
}

/// Refuses ranges that overlap each other or those of the network's other subnetworks.
///
/// # Errors
/// badRequest.
pub(crate) fn disjoint(ctx: &mut Ctx<'_>, network: &str, wanted: &[(String, Range)], own: &str) -> Result<()> {
    for (n, (range, parsed)) in wanted.iter().enumerate() {
        if wanted[..n].iter().any(|(_, other)| other.overlaps(*parsed)) {
            return Err(invalid_field("resource.secondaryIpRanges", range, "Ranges of a subnetwork overlap."));
        }
    }
    let others: Vec<_> =
        ctx.scope().in_vpc(network).filter(|o| o.kind == GcpKind::Subnetwork && o.id != own).cloned().collect();
    for other in others {
        for (present, taken) in ranges(&document(&other))? {
            if let Some((range, _)) = wanted.iter().find(|(_, r)| r.overlaps(taken)) {
                let (name, scope) = (last(&other.id), scope_of(&other.id));
                return Err(invalid(format!(
                    "Invalid IPCidrRange: {range} conflicts with existing subnetwork '{name}' in region '{}' ({present}).",
                    last(&scope)
                )));
            }
        }
    }
    Ok(())
}

/// Fills in what Cloud NAT does: <https://cloud.google.com/nat/docs/overview>.
///
/// # Errors
/// A NAT without name or with an address that is not there.
pub(crate) fn nats(ctx: &mut Ctx<'_>, doc: &mut Doc, project: &str) -> Result<()> {
    let Some(nats) = doc.get_mut("nats").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    for nat in nats.iter_mut().filter_map(Value::as_object_mut) {
        if text(nat, "name").is_empty() {
            return Err(required("nats[].name"));
        }
        for link in nat.get("natIps").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            ready(&visible(ctx, &relative(link, project))?)?;
        }
        for (key, value) in [
            ("autoNetworkTier", json!("PREMIUM")),
            ("enableEndpointIndependentMapping", json!(false)),
            ("endpointTypes", json!(["ENDPOINT_TYPE_VM"])),
            ("natIpAllocateOption", json!("AUTO_ONLY")),
            ("sourceSubnetworkIpRangesToNat", json!("ALL_SUBNETWORKS_ALL_IP_RANGES")),
            ("type", json!("PUBLIC")),
        ] {
            fill(nat, key, value);
        }
    }
    Ok(())
}

fn address(ctx: &mut Ctx<'_>, doc: &mut Doc, id: &str) {
    fill(doc, "addressType", json!("EXTERNAL"));
    fill(doc, "description", json!(""));
    let internal = text(doc, "addressType") == "INTERNAL";
    let chosen = if internal { internal_address(ctx, doc) } else { external_address(ctx) };
    fill(doc, "address", json!(chosen));
    if !internal {
        fill(doc, "networkTier", json!("PREMIUM"));
    }
    if scope_of(id) == "global" {
        fill(doc, "ipVersion", json!("IPV4"));
    }
}

/// Refuses an external address in use beyond the region's quota.
///
/// # Errors
/// quotaExceeded.
pub(crate) fn address_free(ctx: &mut Ctx<'_>, region: &str) -> Result<()> {
    let used = places::in_use(ctx, "IN_USE_ADDRESSES", region);
    let place = format!("in region {region}");
    ctx.within_quota("IN_USE_ADDRESSES", used).map_err(|limit| quota("IN_USE_ADDRESSES", limit, &place))
}

/// A free external address: none is given twice.
pub(crate) fn external_address(ctx: &mut Ctx<'_>) -> String {
    // Drawing an id moves the counter on.
    let _ = ctx.world.hex(1);
    let n = ctx.world.ids;
    format!("34.{}.{}.{}", 64 + (n >> 16) % 64, (n >> 8) % 256, n % 256)
}

/// An address in the subnetwork that the document names.
fn internal_address(ctx: &mut Ctx<'_>, doc: &Doc) -> String {
    let project = ctx.key.account.clone();
    let subnetwork = relative(&text(doc, "subnetwork"), &project);
    let own = ctx.scope().live(&subnetwork).map(document).unwrap_or_default();
    let range = Range::parse(&text(&own, "ipCidrRange"));
    let _ = ctx.world.hex(1);
    let n = u32::try_from(ctx.world.ids % 1_000_000).unwrap_or(0);
    range.map_or_else(|| "10.255.0.2".to_owned(), |r| r.address(2 + n))
}
