//! The proof of a certificate's possession that Entra takes in place of a secret: a JWT signed
//! with the certificate's key. azure_identity has the same behind OpenSSL, which is not linked.
//!
//! <https://learn.microsoft.com/entra/identity-platform/certificate-credentials>

use std::{fmt, time::SystemTime};

use async_trait::async_trait;
use aws_lc_rs::{
    rand::{SecureRandom as _, SystemRandom},
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use azure_core::http::ClientMethodOptions;
use azure_identity::ClientAssertion;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Life of one assertion, seconds; it is used at once.
const LIFETIME_S: u64 = 10 * 60;

/// A certificate with its key.
pub(crate) struct Certificate {
    key: RsaKeyPair,
    thumbprint: String,
    client_id: String,
    audience: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a PEM text with a certificate and its RSA key. The error quotes nothing of it.
    pub(crate) fn parse(pem: &str, client_id: &str, audience: String) -> Result<Self, &'static str> {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| "it holds no certificate")?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "it holds no private key")?;
        let key = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("its private key is not an RSA key"),
        };
        let key = key.map_err(|_| "its private key is not an RSA key of at least 2048 bits")?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(certificate.as_ref()));
        Ok(Self { key, thumbprint, client_id: client_id.to_owned(), audience })
    }

    fn assertion(&self, now_s: u64) -> Result<String, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        let mut id = [0_u8; 16];
        random.fill(&mut id)?;
        let header = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint });
        let claims = json!({
            "aud": self.audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": hex::encode(id),
            "iat": now_s,
            "nbf": now_s,
            "exp": now_s + LIFETIME_S,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0_u8; self.key.public_modulus_len()];
        self.key.sign(&RSA_PSS_SHA256, &random, signed.as_bytes(), &mut signature)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[async_trait]
impl ClientAssertion for Certificate {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        let now_s = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        self.assertion(now_s).map_err(|_| {
            azure_core::Error::with_message(
                azure_core::error::ErrorKind::Credential,
                "the assertion could not be signed with the certificate's key",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Certificate;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    fn pem() -> String {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key");
        let certificate = rcgen::CertificateParams::new(vec!["landlord".to_owned()])
            .expect("names")
            .self_signed(&key)
            .expect("signed");
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    #[test]
    fn an_assertion_is_signed_by_the_certificates_key() {
        let certificate =
            Certificate::parse(&pem(), "client", "https://login/t/token".to_owned()).expect("a certificate");
        let assertion = certificate.assertion(1_764_000_000).expect("signed");
        let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
        let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, certificate.key.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
        assert!(key.verify(signed.as_bytes(), &signature).is_ok());
        let claims = URL_SAFE_NO_PAD.decode(signed.split('.').nth(1).expect("claims")).expect("base64");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!((claims["iss"].as_str(), claims["exp"].as_u64()), (Some("client"), Some(1_764_000_600)));
        assert_ne!(assertion, certificate.assertion(1_764_000_000).expect("signed"), "each has an id of its own");
    }

    #[test]
    fn what_is_no_certificate_is_refused_without_a_quote() {
        for bad in ["", "hunter2", "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----"] {
            let why = Certificate::parse(bad, "c", String::new()).expect_err(bad);
            assert!(!why.contains("hunter2"));
        }
    }
}
