//! Which addresses belong to the internet. URLs of receivers and names of tenants are their owners' to point somewhere: what lies
//! inside of a network, or answers a machine for its own cloud, is not to be reached through them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// IANA's registry of special-purpose addresses, and the addresses by which clouds answer their machines: Azure's
/// (<https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>), and of others those that lie in the
/// carriers', protocols' and link-local ranges.
/// <https://www.iana.org/assignments/iana-ipv4-special-registry>
const V4: [(Ipv4Net, &str); 16] = [
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared by a carrier"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(168, 63, 129, 16, 32), "a cloud's own, for its machines"),
    (v4(169, 254, 0, 0, 16), "link-local, or a cloud's metadata"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "of protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
    (v4(192, 88, 99, 0, 24), "of tunnels"),
    (v4(192, 168, 0, 0, 16), "private"),
    (v4(198, 18, 0, 0, 15), "for benchmarks"),
    (v4(198, 51, 100, 0, 24), "for documentation"),
    (v4(203, 0, 113, 0, 24), "for documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
];

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The same of version 6; what holds an address of version 4 is judged by that before.
/// <https://www.iana.org/assignments/iana-ipv6-special-registry>
const V6: [(Ipv6Net, &str); 9] = [
    (v6(0, 0, 0, 8), "unspecified or loopback"),
    (v6(0x64, 0xff9b, 1, 48), "of translators"),
    (v6(0x100, 0, 0, 64), "discarded"),
    (v6(0x2001, 0, 0, 23), "of protocols and tunnels"),
    (v6(0x2001, 0xdb8, 0, 32), "for documentation"),
    (v6(0x3fff, 0, 0, 20), "for documentation"),
    (v6(0xfc00, 0, 0, 7), "private, or a cloud's metadata"),
    (v6(0xfe80, 0, 0, 9), "link-local"),
    (v6(0xff00, 0, 0, 8), "multicast"),
];

/// All that is given out for the internet.
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Why an address is not connected to, in words that follow "which is"; `None`: it is one of the internet, or lies in one of these
/// networks. What holds an address of version 4 lies also where that one does.
#[must_use]
pub fn refusal(address: IpAddr, allowed: &[IpNet]) -> Option<&'static str> {
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

/// What an address is for, in words that follow "which is"; `None`: it is one of the internet.
fn special_purpose(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => of_v4(inner),
            None => of_v6(address),
        },
    }
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what)
}

fn of_v6(address: Ipv6Addr) -> Option<&'static str> {
    let known = V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what);
    known.or_else(|| (!GLOBAL_UNICAST.contains(&address)).then_some("reserved"))
}

/// The address of version 4 that one of version 6 leads to: mapped, translated (NAT64), tunnelled (6to4).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(of(g, h)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_its_word_and_its_neighbours_are_of_the_internet() {
        for (address, what) in [
            ("192.88.99.1", "of tunnels"),
            ("169.254.169.254", "link-local, or a cloud's metadata"),
            ("::1", "unspecified or loopback"),
            // Compatible addresses are long out of use, whatever is in them.
            ("::1.1.1.1", "unspecified or loopback"),
            ("2001::1", "of protocols and tunnels"),
            ("2001:1ff::1", "of protocols and tunnels"),
            ("3fff:fff::1", "for documentation"),
            ("4000::1", "reserved"),
            ("fd00:ec2::254", "private, or a cloud's metadata"),
            ("64:ff9b::a9fe:a9fe", "link-local, or a cloud's metadata"),
            ("2002:7f00:1::", "loopback"),
        ] {
            assert_eq!(special_purpose(address.parse().unwrap()), Some(what), "{address}");
        }
        for address in ["192.88.98.1", "2001:200::1", "3fff:1000::1", "3ffe::1", "64:ff9b::101:101", "2002:808:808::1"]
        {
            assert_eq!(special_purpose(address.parse().unwrap()), None, "{address}");
        }
    }

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
        for (address, fine) in [
            ("10.1.2.3", true),
            ("10.2.0.1", false),
            ("::ffff:10.1.2.3", true),
            ("64:ff9b::a01:203", true),
            ("64:ff9b::a02:1", false),
            ("2002:a01:203::1", true),
            ("fd12::1", true),
            ("fc12::1", false),
        ] {
            assert_eq!(refusal(address.parse().unwrap(), &allowed).is_none(), fine, "{address}");
        }
    }
}
