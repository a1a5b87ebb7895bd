//! Private addresses of machines and internal load balancers: each once in its subnet.
//!
//! The first four and the last of a subnet are Azure's own:
//! <https://learn.microsoft.com/azure/virtual-network/virtual-networks-faq#are-there-any-restrictions-on-using-ip-addresses-within-these-subnets>.

use super::cidr;
use crate::{kind::AzureKind, resource};
use cloudsim_core::ctx::Ctx;
use serde_json::Value;
use std::{collections::HashSet, net::Ipv4Addr};

/// So many addresses of a subnet that nothing has; fewer if it is full.
pub(crate) fn free(ctx: &mut Ctx<'_>, subnet: &str, count: usize) -> Vec<String> {
    let scope = ctx.scope();
    let Some(place) = scope.live(&subnet.to_lowercase()) else { return Vec::new() };
    let prefix = resource::doc_text(place, "/properties/addressPrefix").to_owned();
    let mut taken: HashSet<String> = HashSet::new();
    for set in scope.of_kind(AzureKind::ScaleSet).filter(|o| o.is_live()) {
        if resource::doc_text(set, "/properties/subnets/0/id").eq_ignore_ascii_case(subnet) {
            taken.extend(set.texts("addresses").map(str::to_owned));
        }
    }
    for balancer in scope.of_kind(AzureKind::LoadBalancer).filter(|o| o.is_live()) {
        let doc = resource::doc(balancer);
        let frontends = doc.get("properties").and_then(|p| p["frontendIPConfigurations"].as_array().cloned());
        for frontend in frontends.into_iter().flatten() {
            let text = |pointer: &str| frontend.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if text("/properties/subnet/id").eq_ignore_ascii_case(subnet) {
                taken.insert(text("/properties/privateIPAddress"));
            }
        }
    }
    unused(&prefix, &taken, count)
}

fn unused(prefix: &str, taken: &HashSet<String>, count: usize) -> Vec<String> {
    let (start, end) = cidr::range(prefix).unwrap_or((0, 0));
    let usable = start + 4..end.saturating_sub(1);
    let addresses = usable.filter_map(|bits| u32::try_from(bits).ok()).map(|bits| Ipv4Addr::from(bits).to_string());
    addresses.filter(|address| !taken.contains(address)).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::unused;
    use std::collections::HashSet;

    #[test]
    fn no_address_is_given_twice() {
        let taken = HashSet::from(["10.0.0.5".to_owned()]);
        assert_eq!(unused("10.0.0.0/24", &taken, 3), ["10.0.0.4", "10.0.0.6", "10.0.0.7"]);
        assert_eq!(unused("10.0.0.0/29", &taken, 9), ["10.0.0.4", "10.0.0.6"]);
        assert!(unused("x", &taken, 1).is_empty() && unused("10.0.0.0/32", &taken, 1).is_empty());
    }
}
