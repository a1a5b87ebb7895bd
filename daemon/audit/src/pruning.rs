//! What the entry of a pruning says, as a verifier reads it.

/// The parts of such an entry's detail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pruning<'a> {
    /// Last position that went.
    pub(crate) seq: i64,
    /// Its hash.
    pub(crate) hash: &'a str,
    /// File that the last of them were exported to.
    pub(crate) file: &'a str,
    /// Key and signature; `None`: it is not signed.
    pub(crate) signed: Option<(&'a str, &'a str)>,
}

impl<'a> Pruning<'a> {
    /// Of a detail; `None`: it has not the form of one.
    pub(crate) fn parse(detail: &'a str) -> Option<Self> {
        let mut parts = detail.split(' ');
        let (seq, hash, file) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        let signed = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(key), Some(signature), None) => Some((key, signature)),
            (Some(_), ..) => return None,
        };
        Some(Self { seq, hash, file, signed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pruning_detail;

    #[test]
    fn what_is_written_is_read() {
        for signed in [None, Some(("key", "signature"))] {
            let detail = pruning_detail(3, "ab", "audit-1-3.jsonl", signed);
            let expected = Pruning { seq: 3, hash: "ab", file: "audit-1-3.jsonl", signed };
            assert_eq!(Pruning::parse(&detail), Some(expected));
        }
        for other in ["", "3", "3 ab", "x ab file", "3 ab file key", "3 ab file key signature more"] {
            assert_eq!(Pruning::parse(other), None, "{other}");
        }
    }
}
