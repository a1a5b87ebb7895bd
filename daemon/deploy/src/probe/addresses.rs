//! Which addresses are looked at. Names of tenants are their customers' to point somewhere: what lies inside of this network, or
//! answers for a machine's own cloud, is nobody's environment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// What is not the public internet (IANA's registry of special-purpose addresses), and the addresses by which clouds answer
/// their machines.
const V4: [(Ipv4Net, &str); 15] = [
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private"),
    (v4(100, 64, 0, 0, 10), "shared by a carrier"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(168, 63, 129, 16, 32), "a cloud's own, for its machines"),
    (v4(169, 254, 0, 0, 16), "link-local, or a cloud's metadata"),
    (v4(172, 16, 0, 0, 12), "private"),
    (v4(192, 0, 0, 0, 24), "of protocols"),
    (v4(192, 0, 2, 0, 24), "for documentation"),
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
const V6: [(Ipv6Net, &str); 7] = [
    (v6(0, 0, 0, 8), "unspecified or loopback"),
    (v6(0x64, 0xff9b, 1, 48), "of translators"),
    (v6(0x100, 0, 0, 64), "discarded"),
    (v6(0x2001, 0xdb8, 0, 32), "for documentation"),
    (v6(0xfc00, 0, 0, 7), "private, or a cloud's metadata"),
    (v6(0xfe80, 0, 0, 9), "link-local"),
    (v6(0xff00, 0, 0, 8), "multicast"),
];

/// Why an address is not looked at; `None`: it is.
pub(super) fn refusal(address: IpAddr, allowed: &[IpNet]) -> Option<&'static str> {
    if allowed.iter().any(|net| net.contains(&address)) {
        return None;
    }
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) if allowed.iter().any(|net| net.contains(&IpAddr::V4(inner))) => None,
            Some(inner) => of_v4(inner),
            None => V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what),
        },
    }
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, what)| *what)
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
        // Compatible addresses, long out of use; the unspecified one and loopback are none.
        [0, 0, 0, 0, 0, 0] if g != 0 => Some(of(g, h)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
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
