//! The names in a client's certificate. Who issued it was verified in the TLS handshake, before it comes here.

use webpki::EndEntityCert;

/// Names beyond this many are not read: a certificate of a client has one or two.
const NAMES_MAX: usize = 32;

/// What a certificate calls its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// Subject alternative names that are URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// Subject alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// The subject's common name, if there is exactly one.
    pub common_name: Option<String>,
}

/// A certificate that can't be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the client's certificate can't be read: {0}")]
pub struct InvalidCertificate(String);

impl CertificateNames {
    /// Reads the names of a certificate in DER.
    ///
    /// # Errors
    /// Bytes that are no X.509 certificate; more names than a client has.
    pub fn from_der(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let der = der.into();
        let certificate = EndEntityCert::try_from(&der).map_err(|error| InvalidCertificate(error.to_string()))?;
        let bounded = |names: Vec<String>| match names.len() {
            0..=NAMES_MAX => Ok(names),
            _ => Err(InvalidCertificate(format!("has more than {NAMES_MAX} subject alternative names"))),
        };
        Ok(Self {
            uris: bounded(certificate.valid_uri_names().take(NAMES_MAX + 1).map(str::to_owned).collect())?,
            dns_names: bounded(certificate.valid_dns_names().take(NAMES_MAX + 1).map(str::to_owned).collect())?,
            common_name: common_name(certificate.subject()),
        })
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The common name of a subject, which is a sequence of sets of (type, value); `None`: none, several, or no text.
fn common_name(subject: &[u8]) -> Option<String> {
    let mut names =
        elements(subject, SET)?.into_iter().filter_map(|set| elements(set, SEQUENCE)).flatten().filter_map(|pair| {
            let (tag, kind, rest) = element(pair)?;
            let (value_tag, value, rest) = element(rest).filter(|_| tag == OID && kind == COMMON_NAME)?;
            let is_text = matches!(value_tag, UTF8_STRING | PRINTABLE_STRING) && rest.is_empty();
            is_text.then(|| std::str::from_utf8(value).ok()).flatten()
        });
    match (names.next(), names.next()) {
        (Some(name), None) => Some(name.to_owned()),
        _ => None,
    }
}

/// The contents of all elements, each of which has the tag.
fn elements(mut bytes: &[u8], wanted: u8) -> Option<Vec<&[u8]>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (_, content, rest) = element(bytes).filter(|(tag, _, _)| *tag == wanted)?;
        found.push(content);
        bytes = rest;
    }
    Some(found)
}

/// The first element of DER bytes: tag, content, what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let octets = length & 0x7f;
        if !(1..=4).contains(&octets) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(octets)?;
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn names_are_read_by_kind() {
        let mut params = CertificateParams::new(vec!["portal.example.com".into()]).unwrap();
        params.subject_alt_names.push(SanType::URI("spiffe://example.com/portal".try_into().unwrap()));
        params.distinguished_name.push(DnType::CommonName, "portal");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = CertificateNames::from_der(certificate.der()).unwrap();
        assert_eq!(names.uris, ["spiffe://example.com/portal"]);
        assert_eq!(names.dns_names, ["portal.example.com"]);
        assert_eq!(names.common_name.as_deref(), Some("portal"));
        let mut two = CertificateParams::new(vec!["a.example.com".into()]).unwrap();
        two.distinguished_name.push(DnType::CommonName, "a".repeat(200));
        two.distinguished_name.push(DnType::OrganizationName, "portal");
        let certificate = two.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = CertificateNames::from_der(certificate.der()).unwrap();
        assert_eq!(names.common_name, Some("a".repeat(200)));
        assert!(CertificateNames::from_der(b"no certificate").is_err());
        assert!(CertificateNames::from_der(&certificate.der()[..100]).is_err());
    }
}
