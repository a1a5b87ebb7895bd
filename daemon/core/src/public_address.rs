//! Which addresses belong to the internet. URLs of receivers and names of tenants are their owners' to point somewhere: what lies
//! inside of a network, or answers a machine for its own cloud, is not to be reached through them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

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

/// What an address is for, in words that follow "which is"; `None`: it is one of the internet.
#[must_use]
pub fn special_purpose(address: IpAddr) -> Option<&'static str> {
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
#[must_use]
pub fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
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
}
