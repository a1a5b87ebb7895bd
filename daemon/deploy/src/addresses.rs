//! Which addresses are connected to. Names of tenants are their customers' to point somewhere, and what a cluster says of its load
//! balancers is its administrators': what lies inside of this network, or answers for a machine's own cloud, is nobody's environment.

use std::net::IpAddr;

use ipnet::IpNet;
use landlord_core::public_address::{embedded, special_purpose};

/// Why an address is not connected to; `None`: it is.
pub(crate) fn refusal(address: IpAddr, allowed: &[IpNet]) -> Option<&'static str> {
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
    };
    let is_allowed = |address: IpAddr| allowed.iter().any(|net| net.contains(&address));
    if is_allowed(address) || inner.is_some_and(is_allowed) {
        return None;
    }
    special_purpose(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_inside_is_not_looked_at() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.1.1",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(refusal(inside.parse().unwrap(), &[]).is_some(), "{inside}");
        }
        for outside in
            ["1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2002:808:808::1", "64:ff9b::808:808"]
        {
            assert_eq!(refusal(outside.parse().unwrap(), &[]), None, "{outside}");
        }
        let allowed = ["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (address, fine) in
            [("10.1.2.3", true), ("10.2.0.1", false), ("::ffff:10.1.2.3", true), ("fd12::1", true), ("fc12::1", false)]
        {
            assert_eq!(refusal(address.parse().unwrap(), &allowed).is_none(), fine, "{address}");
        }
    }
}
