//! When credentials end: `notAfter` of a certificate, `exp` of a token that is a JWT. Pure. What
//! is found decides only when to ask again; whether credentials hold is the API server's to say.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use prost_types::Timestamp;
use serde::Deserialize;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// `[0] EXPLICIT Version`, absent in certificates of version 1.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// RFC 5280, 4.1.2.5.1: years from 50 on are 19YY.
const CENTURY_PIVOT: i64 = 50;

/// `validity.notAfter` of a certificate in DER, <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>.
pub(crate) fn of_certificate(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (mut rest, _) = take(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = take(rest, VERSION)?.1;
    }
    // Serial number, signature, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = take(rest, tag)?.1;
    }
    let (validity, _) = take(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?;
    let (tag, not_after, _) = element(rest)?;
    time(tag, not_after)
}

/// The claim `exp` of a JWT, unverified; `None` for other tokens.
pub(crate) fn of_token(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let mut parts = token.split('.');
    let (_, claims, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else { return None };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(Timestamp { seconds: claims.exp, nanos: 0 })
}

/// The content of the first element, which must have this tag, and what follows it.
fn take(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < CENTURY_PIVOT { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2).and_then(|digits| digits.parse().ok());
    Timestamp::date_time(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate that ends at midnight of a day.
    fn certificate(year: i32) -> Vec<u8> {
        let mut params = rcgen::CertificateParams::new(vec!["x".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 3, 4);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
        // Written as UTCTime until 2049, as GeneralizedTime from 2050 on.
        for (year, seconds) in [(2031, 1_930_348_800), (2077, 3_382_041_600)] {
            assert_eq!(of_certificate(&certificate(year)), Some(Timestamp { seconds, nanos: 0 }), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        let whole = certificate(2031);
        for length in 0..whole.len() {
            let _ = of_certificate(&whole[..length]);
        }
        for bytes in [&b"\x30\x84\xff\xff\xff\xff"[..], b"\x30\x80", b"\x30\x85\x00\x00\x00\x00\x01", b"nonsense"] {
            assert_eq!(of_certificate(bytes), None);
        }
    }

    #[test]
    fn only_a_jwt_reports_its_end() {
        let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp": 1930348800, "sub": "x"}"#);
        assert_eq!(of_token(&format!("h.{claims}.s")), Some(Timestamp { seconds: 1_930_348_800, nanos: 0 }));
        for token in ["opaque", "a.b.c", "", "h..s", &format!("h.{claims}"), &format!("h.{claims}.s.more")] {
            assert_eq!(of_token(token), None, "{token}");
        }
    }
}
