//! Ranges of IPv4 addresses, as far as virtual networks need them.

/// First address and one past the last.
#[must_use]
pub(super) fn range(text: &str) -> Option<(u64, u64)> {
    let (address, bits) = text.split_once('/')?;
    let address: std::net::Ipv4Addr = address.parse().ok()?;
    let bits: u32 = bits.parse().ok().filter(|b| *b <= 32)?;
    let size = 1_u64 << (32 - bits);
    let start = u64::from(u32::from(address));
    // Azure refuses a prefix whose address is not the first of its range.
    (start % size == 0).then_some((start, start + size))
}

/// Whether the range `inner` lies in `outer`.
#[must_use]
pub(super) fn within(inner: &str, outer: &str) -> bool {
    match (range(inner), range(outer)) {
        (Some(inner), Some(outer)) => outer.0 <= inner.0 && inner.1 <= outer.1,
        _ => false,
    }
}

/// Whether two ranges have an address in common.
#[must_use]
pub(super) fn overlap(a: &str, b: &str) -> bool {
    match (range(a), range(b)) {
        (Some(a), Some(b)) => a.0 < b.1 && b.0 < a.1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{overlap, range, within};

    #[test]
    fn ranges() {
        assert!(within("10.1.0.0/24", "10.0.0.0/8") && !within("10.0.0.0/8", "10.1.0.0/24"));
        assert!(overlap("10.0.0.0/16", "10.0.255.0/24") && !overlap("10.0.0.0/16", "10.1.0.0/16"));
        assert_eq!((range("10.0.0.1/16"), range("x"), range("10.0.0.0/33")), (None, None, None));
    }
}
