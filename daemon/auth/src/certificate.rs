//! The names in a client's certificate. Who issued it was verified in the TLS handshake, before it comes here.

use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

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
        let invalid = |error: &dyn std::fmt::Display| InvalidCertificate(error.to_string());
        let (_, certificate) =
            x509_parser::certificate::X509Certificate::from_der(der).map_err(|error| invalid(&error))?;
        let mut names = Self::default();
        let extension = certificate.subject_alternative_name().map_err(|error| invalid(&error))?;
        let alternatives = extension.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        if alternatives.len() > NAMES_MAX {
            return Err(InvalidCertificate(format!("has more than {NAMES_MAX} subject alternative names")));
        }
        for name in alternatives {
            match name {
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                GeneralName::DNSName(name) => names.dns_names.push((*name).to_owned()),
                // Addresses, directories and mail identify no caller.
                _ => {}
            }
        }
        let mut common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.common_name = match (common.next(), common.next()) {
            (Some(name), None) => Some(name.to_owned()),
            _ => None,
        };
        Ok(names)
    }
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
        assert!(CertificateNames::from_der(b"no certificate").is_err());
        assert!(CertificateNames::from_der(&certificate.der()[..100]).is_err());
    }
}
