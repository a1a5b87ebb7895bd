//! Kubernetes' way to write sizes.

/// Volumes come in whole units of this.
const GIB: u64 = 1 << 30;
const SUFFIXES: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("m", 1e-3),
    ("", 1.0),
];

/// Bytes of a quantity such as `10Gi`, rounded up to whole GiB; `None` if it is none.
pub(super) fn whole_gib_bytes(quantity: &str) -> Option<u64> {
    let (number, factor) = SUFFIXES.iter().find_map(|(suffix, factor)| {
        let number = quantity.strip_suffix(suffix)?;
        // `1E` means 10^18 and `1e3` is a plain number; the former is larger than any volume.
        number.parse::<f64>().ok().map(|number| (number, factor))
    })?;
    let bytes = (number * factor).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    let bytes = if bytes.is_finite() && (0.0..9e18).contains(&bytes) {
        bytes as u64
    } else {
        return None;
    };
    Some(bytes.div_ceil(GIB) * GIB)
}

/// The quantity of so many bytes, which are whole GiB.
pub(super) fn of_gib(bytes: u64) -> String {
    format!("{}Gi", bytes / GIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_rounded_up() {
        let cases = [
            ("10Gi", Some(10)),
            ("1", Some(1)),
            ("1073741825", Some(2)),
            ("1.5Gi", Some(2)),
            ("500M", Some(1)),
            ("1e9", Some(1)),
            ("2Ti", Some(2048)),
            ("0", Some(0)),
            ("ten", None),
            ("-1", None),
            ("", None),
        ];
        for (text, gib) in cases {
            assert_eq!(whole_gib_bytes(text), gib.map(|gib: u64| gib * GIB), "{text}");
        }
        assert_eq!(of_gib(2 * GIB), "2Gi");
    }
}
