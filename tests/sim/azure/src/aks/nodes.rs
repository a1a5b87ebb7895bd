//! The machines of an agent pool and their Kubernetes nodes.
//!
//! Names, labels and provider ids as cloud-provider-azure and AKS give them:
//! <https://learn.microsoft.com/azure/aks/use-labels#reserved-system-labels>,
//! <https://cloud-provider-azure.sigs.k8s.io/development/design-docs/>.

use super::{
    super::{kind::AzureKind, network, references, resource},
    names::{count_of, scale_set_id},
    sizes,
};
use cloudsim_core::{
    cluster::{NodeSpec, RuntimeCommand},
    ctx::Ctx,
    object::Object,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// Host name of machine `number` of a scale set: six digits to the base of 36.
fn host_name(set: &str, number: u64) -> String {
    let mut digits = Vec::new();
    let mut rest = number;
    for _ in 0..6 {
        digits.push(char::from_digit(u32::try_from(rest % 36).unwrap_or(0), 36).unwrap_or('0'));
        rest /= 36;
    }
    format!("{set}{}", digits.into_iter().rev().collect::<String>())
}

/// Brings the machines of a pool to the number that it is to have.
pub(super) fn settle(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object) {
    let set_id = scale_set_id(cluster, pool);
    let Some(set) = resource::present(ctx, AzureKind::ScaleSet, &set_id.to_lowercase()) else {
        return;
    };
    let running: Vec<u64> =
        set.props.get("machines").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect();
    let wanted = usize::try_from(count_of(pool)).unwrap_or(usize::MAX);
    let mut machines = running.clone();
    let mut next = running.iter().max().map_or(0, |n| n + 1);
    while machines.len() < wanted {
        machines.push(next);
        next += 1;
    }
    let stopped = machines.split_off(wanted.min(machines.len()));
    let capacity = machines.len();
    let present = machines.clone();
    let addresses = addresses(ctx, &set, capacity);
    let given = addresses.clone();
    ctx.change(&set.id, |o| {
        "Succeeded".clone_into(&mut o.state);
        o.set("machines", machines);
        o.set("addresses", addresses);
        resource::amend(o, |doc| doc["sku"]["capacity"] = capacity.into());
    });
    if ctx.world.kubernetes_capacity.is_none() {
        return;
    }
    let set_name = set.name.clone().unwrap_or_default();
    // Those that are there already get the labels and taints that the pool has now.
    let nodes: Vec<NodeSpec> =
        present.iter().zip(given).map(|(n, address)| node(cluster, pool, &set, (*n, address))).collect();
    if !nodes.is_empty() {
        ctx.world.outbox.push(RuntimeCommand::AddNodes { arn: cluster.id.clone(), nodes });
    }
    remove_nodes(ctx, cluster, &set_name, &stopped);
}

/// One for each machine in its order; those of machines that are there stay.
fn addresses(ctx: &mut Ctx<'_>, set: &Object, machines: usize) -> Vec<String> {
    let mut addresses: Vec<String> = set.texts("addresses").take(machines).map(str::to_owned).collect();
    let subnet = resource::doc_text(set, "/properties/subnets/0/id").to_owned();
    let lacking = machines - addresses.len();
    addresses.extend(network::addresses::free(ctx, &subnet, lacking));
    // In a full subnet AKS would start no machine; here it has none, rather than another's address.
    addresses.resize(machines, String::new());
    addresses
}

fn remove_nodes(ctx: &mut Ctx<'_>, cluster: &Object, set_name: &str, machines: &[u64]) {
    let names: Vec<String> = machines.iter().map(|n| host_name(set_name, *n)).collect();
    if !names.is_empty() && ctx.world.kubernetes_capacity.is_some() {
        ctx.world.outbox.push(RuntimeCommand::RemoveNodes { arn: cluster.id.clone(), names });
    }
}

/// Ends all machines of a pool; disks attached to them come loose.
pub(super) fn end(ctx: &mut Ctx<'_>, cluster: &Object, pool: &Object) {
    let key = scale_set_id(cluster, pool).to_lowercase();
    let Some(set) = resource::present(ctx, AzureKind::ScaleSet, &key) else {
        return;
    };
    let machines: Vec<u64> =
        set.props.get("machines").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect();
    remove_nodes(ctx, cluster, set.name.as_deref().unwrap_or_default(), &machines);
    references::remove(ctx, &key);
}

/// The zone of machine `number`: AKS spreads a pool over its zones, or has none.
fn zone(pool: &Object, location: &str, number: u64) -> String {
    let zones = resource::doc(pool).get("properties").and_then(|p| p["availabilityZones"].as_array().cloned());
    let zones: Vec<String> = zones.into_iter().flatten().filter_map(|z| z.as_str().map(str::to_owned)).collect();
    match usize::try_from(number).ok().filter(|_| !zones.is_empty()) {
        Some(at) => format!("{location}-{}", zones[at % zones.len()]),
        None => "0".to_owned(),
    }
}

/// `key=value:Effect` taken apart.
fn taint(text: &str) -> Option<(String, String, String)> {
    let (pair, effect) = text.rsplit_once(':')?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((key.to_owned(), value.to_owned(), effect.to_owned()))
}

/// The Kubernetes node of a machine.
fn node(cluster: &Object, pool: &Object, set: &Object, (number, address): (u64, String)) -> NodeSpec {
    let location = resource::location(cluster);
    let properties = resource::doc(pool).get("properties").cloned().unwrap_or_default();
    let text = |key: &str| properties[key].as_str().unwrap_or_default().to_owned();
    let (name, zone) = (host_name(set.name.as_deref().unwrap_or_default(), number), zone(pool, &location, number));
    let pool_name = pool.name.clone().unwrap_or_default();
    let own = properties["nodeLabels"].as_object().into_iter().flatten();
    let mut labels: BTreeMap<String, String> =
        own.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    for (key, value) in [
        ("agentpool", pool_name.clone()),
        ("kubernetes.azure.com/agentpool", pool_name),
        ("kubernetes.azure.com/cluster", resource::doc_text(cluster, "/properties/nodeResourceGroup").to_owned()),
        ("kubernetes.azure.com/mode", text("mode").to_lowercase()),
        ("kubernetes.azure.com/role", "agent".to_owned()),
        ("kubernetes.azure.com/os-sku", text("osSKU")),
        ("kubernetes.azure.com/node-image-version", text("nodeImageVersion")),
        ("kubernetes.azure.com/storageprofile", "managed".to_owned()),
        ("node.kubernetes.io/instance-type", text("vmSize")),
        ("topology.kubernetes.io/region", location),
        ("topology.kubernetes.io/zone", zone.clone()),
        ("topology.disk.csi.azure.com/zone", if zone == "0" { String::new() } else { zone.clone() }),
        ("kubernetes.io/os", "linux".to_owned()),
        ("kubernetes.io/arch", "amd64".to_owned()),
        ("kubernetes.io/hostname", name.clone()),
    ] {
        labels.insert(key.to_owned(), value);
    }
    let taints = properties["nodeTaints"].as_array().into_iter().flatten();
    let taints = taints.filter_map(|t| taint(t.as_str()?)).collect();
    let size = sizes::parse(&text("vmSize"));
    NodeSpec {
        provider_id: format!("azure://{}/virtualMachines/{number}", set.arn),
        name,
        labels,
        taints,
        cpu: size.as_ref().map_or(2, |s| s.vcpus),
        memory_mib: size.as_ref().map_or(8_192, |s| s.memory_mib),
        address,
        instance_type: text("vmSize"),
        zone,
    }
}

#[cfg(test)]
mod tests {
    use super::{host_name, taint};

    #[test]
    fn names_and_taints() {
        assert_eq!(host_name("aks-a-1-vmss", 37), "aks-a-1-vmss000011");
        assert_eq!(taint("a/b=c:NoSchedule"), Some(("a/b".to_owned(), "c".to_owned(), "NoSchedule".to_owned())));
        assert_eq!(taint("broken"), None);
    }
}
