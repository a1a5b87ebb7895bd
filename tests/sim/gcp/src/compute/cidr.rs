//! IPv4 ranges, as far as subnetworks need them.

/// A range: its first address and its prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    prefix: u32,
}

impl Range {
    /// From `10.0.0.0/20`; none if it is no range or host bits are set.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let first = u32::from(address.parse::<std::net::Ipv4Addr>().ok()?);
        let prefix: u32 = prefix.parse().ok().filter(|p| (1..=32).contains(p))?;
        let range = Self { first, prefix };
        (first & (range.size() - 1) == 0).then_some(range)
    }

    /// How many addresses it has; at most 2^31.
    #[must_use]
    pub(crate) fn size(self) -> u32 {
        1_u32.checked_shl(32 - self.prefix).unwrap_or(1)
    }

    /// Whether two ranges share an address.
    #[must_use]
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let last = |r: Self| u64::from(r.first) + u64::from(r.size()) - 1;
        u64::from(self.first) <= last(other) && u64::from(other.first) <= last(self)
    }

    /// Whether `other` lies inside.
    #[must_use]
    pub(crate) fn contains(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.overlaps(other)
    }

    /// The address number `n`.
    #[must_use]
    pub(crate) fn address(self, n: u32) -> String {
        std::net::Ipv4Addr::from(self.first + n % self.size()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn ranges() {
        let range = |text| Range::parse(text).expect("a range");
        assert!(Range::parse("10.0.0.1/24").is_none(), "host bits");
        assert!(Range::parse("10.0.0.0").is_none());
        assert!(range("10.0.0.0/8").overlaps(range("10.4.0.0/16")));
        assert!(!range("10.0.0.0/20").overlaps(range("10.0.16.0/20")));
        assert!(
            range("10.0.0.0/20").contains(range("10.0.1.0/24")) && !range("10.0.1.0/24").contains(range("10.0.0.0/20"))
        );
        assert_eq!(range("10.0.0.0/20").address(1), "10.0.0.1");
    }
}
