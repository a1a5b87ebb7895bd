//! Who calls: token before certificate before local user.

use async_trait::async_trait;
use landlord_core::{
    access::Principal,
    ports::{Authenticator, Peer, Unauthenticated},
};

use crate::{
    certificate::CertificateNames,
    principals::{Certificates, LocalUsers},
    token::Tokens,
};

/// Knows the callers by the configuration.
#[derive(Debug, Default)]
pub struct Callers {
    /// Local users.
    pub local_users: LocalUsers,
    /// Client certificates.
    pub certificates: Certificates,
    /// Bearer tokens.
    pub tokens: Tokens,
}

fn refuse(why: impl Into<String>) -> Unauthenticated {
    Unauthenticated::Refused(why.into())
}

#[async_trait]
impl Authenticator for Callers {
    async fn authenticate(&self, peer: &Peer, bearer: Option<&str>) -> Result<Principal, Unauthenticated> {
        if let Some(token) = bearer {
            if self.tokens.is_empty() {
                return Err(refuse("this daemon takes no tokens; an operator must configure auth.issuers"));
            }
            return self.tokens.principal(token).await;
        }
        match peer {
            Peer::Local { uid } => {
                let principal = self.local_users.principal(*uid);
                principal.ok_or_else(|| {
                    refuse(format!("user {uid} is not known; an operator must add it to auth.local_users"))
                })
            }
            Peer::Remote { certificate: Some(der), .. } => {
                let names = CertificateNames::from_der(der).map_err(|error| refuse(error.to_string()))?;
                self.certificates.principal(&names).ok_or_else(|| {
                    refuse("no name in the client's certificate is known; an operator must add it to auth.certificates")
                })
            }
            Peer::Remote { certificate: None, .. } => Err(refuse(
                "the call carries neither a token nor a client certificate; see --token-file and --client-cert",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use landlord_core::access::{AuthMethod, OPERATORS};
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;
    use crate::principals::{CertificateName, NamedPrincipal};

    fn named(name: &str) -> NamedPrincipal {
        NamedPrincipal { name: name.into(), groups: ["portals".to_owned()].into(), customer: "acme".parse().ok() }
    }

    fn certificate(uri: &str, dns: &str) -> Peer {
        let mut params = CertificateParams::new(vec![dns.into()]).unwrap();
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Peer::Remote { address: None, certificate: Some(certificate.der().as_ref().into()) }
    }

    #[tokio::test]
    async fn callers_are_known_by_what_the_configuration_names() {
        let callers = Callers {
            local_users: LocalUsers::new(1_000, BTreeMap::from([(1_001, named("portal"))])),
            certificates: Certificates(vec![
                (CertificateName::Uri("spiffe://example.com/portal".into()), named("spiffe-portal")),
                (CertificateName::Dns("portal.example.com".into()), named("dns-portal")),
            ]),
            tokens: Tokens::default(),
        };
        let of = async |peer: Peer| callers.authenticate(&peer, None).await.map(|p| (p.name, p.method)).ok();
        let local = |name: &str| Some((name.to_owned(), AuthMethod::LocalUser));
        assert_eq!(of(Peer::Local { uid: 0 }).await, local("uid:0"));
        assert_eq!(of(Peer::Local { uid: 1_000 }).await, local("uid:1000"));
        assert_eq!(of(Peer::Local { uid: 1_001 }).await, local("portal"));
        assert_eq!(of(Peer::Local { uid: 1_002 }).await, None);
        assert_eq!(of(Peer::Remote { address: None, certificate: None }).await, None);
        let by = |name: &str| Some((name.to_owned(), AuthMethod::Certificate));
        assert_eq!(of(certificate("spiffe://example.com/portal", "x.example.com")).await, by("spiffe-portal"));
        assert_eq!(of(certificate("spiffe://example.com/other", "PORTAL.example.com")).await, by("dns-portal"));
        assert_eq!(of(certificate("spiffe://example.com/portal/x", "portal.example.com.evil.org")).await, None);
        let owner = callers.authenticate(&Peer::Local { uid: 0 }, None).await.unwrap();
        assert!(owner.groups.contains(OPERATORS));
        // A token that nobody can check is never overlooked.
        assert!(callers.authenticate(&Peer::Local { uid: 0 }, Some("x")).await.is_err());
    }
}
