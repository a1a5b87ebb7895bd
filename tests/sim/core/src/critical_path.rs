//! The time that the cloud alone needed for what was made: what no client could have done faster.

use crate::{cloud::Clouds, world::World};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// `GET /_sim/critical-path?account=&tag=KEY`: what the cloud alone needed, in simulated and in real milliseconds, in
/// total or by value of a tag: network (a stack, or its parts), then cluster, then node group, then what waited for nodes.
pub(crate) fn of(clouds: &Clouds, world: &World, query: &HashMap<String, String>) -> Value {
    let mut groups: BTreeMap<String, BTreeMap<&str, i64>> = BTreeMap::new();
    for work in world.work.values() {
        if query.get("account").is_some_and(|a| *a != work.account) {
            continue;
        }
        let group = query.get("tag").map_or_else(String::new, |key| {
            work.object.tags.get(key).cloned().unwrap_or_else(|| "(untagged)".to_owned())
        });
        let Some(part) = clouds.all().find_map(|cloud| cloud.part_of(work)) else {
            continue;
        };
        let slot = groups.entry(group).or_default().entry(part).or_insert(0);
        *slot = (*slot).max(work.end_us - work.start_us);
    }
    let mut response = serde_json::Map::new();
    for (group, parts) in groups {
        let of = |part: &str| parts.get(part).copied().unwrap_or(0);
        // A subnetwork and a router need the network only. Add-ons may be made beside the node group; those that need
        // nodes settle after it.
        let network_us =
            of("address") + of("nat_gateway") + of("network") + of("subnet") + of("subnetwork").max(of("router"));
        let create_us =
            of("stack") + network_us + of("cluster") + of("nodegroup").max(of("addon")) + of("addon_after_nodes");
        let sim = |us: i64| world.clock.sim_ms_between(0, us);
        let shown: BTreeMap<&str, i64> = parts.iter().map(|(k, us)| (*k, sim(*us))).collect();
        response.insert(
            group,
            json!({ "create_sim_ms": sim(create_us), "create_ms": create_us / 1_000, "parts_sim_ms": shown }),
        );
    }
    Value::Object(response)
}
