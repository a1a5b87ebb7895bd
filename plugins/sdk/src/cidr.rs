//! IPv4 networks: parsing, and dividing a tenant's network into subnets.

use std::{fmt, net::Ipv4Addr, str::FromStr};

/// Networks that a tenant's may come from (RFC 1918 and the shared range of RFC 6598).
const PRIVATE: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// An IPv4 network, as `10.0.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: u32,
    prefix: u8,
}

impl Cidr {
    fn mask(prefix: u8) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
    }

    /// Length of the prefix.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether both share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let mask = Self::mask(self.prefix.min(other.prefix));
        self.base & mask == other.base & mask
    }

    /// Whether it lies within a range for private use.
    #[must_use]
    pub fn is_private(self) -> bool {
        PRIVATE
            .iter()
            .any(|(base, prefix)| self.prefix >= *prefix && self.base & Self::mask(*prefix) == u32::from(*base))
    }

    /// The `index`-th subnet whose prefix is `bits` longer; `None` past the end.
    #[must_use]
    pub fn subnet(self, bits: u8, index: u32) -> Option<Self> {
        let prefix = self.prefix.checked_add(bits).filter(|p| *p <= 32)?;
        if u64::from(index) >= 1_u64 << bits {
            return None;
        }
        let size = 1_u64 << (32 - u32::from(prefix));
        let base = u64::from(self.base) + u64::from(index) * size;
        Some(Self { base: u32::try_from(base).ok()?, prefix })
    }
}

impl FromStr for Cidr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a network like 10.0.0.0/16");
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let base = u32::from(address.parse::<Ipv4Addr>().map_err(|_| bad())?);
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32).ok_or_else(bad)?;
        if base & !Self::mask(prefix) != 0 {
            return Err(format!("{text:?} has bits beyond its prefix"));
        }
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.base), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::Cidr;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect(text)
    }

    #[test]
    fn divides_without_overlap() {
        let net = cidr("10.42.0.0/16");
        assert_eq!(net.subnet(4, 1).expect("fits").to_string(), "10.42.16.0/20");
        assert_eq!(net.subnet(2, 3).expect("fits").to_string(), "10.42.192.0/18");
        assert_eq!(net.subnet(2, 4), None);
    }

    #[test]
    fn knows_private_ranges_and_overlaps() {
        assert!(cidr("10.0.0.0/16").is_private());
        assert!(cidr("100.64.0.0/16").is_private());
        assert!(!cidr("8.8.0.0/16").is_private());
        assert!(cidr("172.16.0.0/12").overlaps(cidr("172.20.0.0/16")));
        assert!(!cidr("10.0.0.0/16").overlaps(cidr("10.1.0.0/16")));
    }

    #[test]
    fn refuses_what_is_no_network() {
        for bad in ["", "10.0.0.0", "10.0.0.1/16", "10.0.0.0/33", "x/16"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
