//! Callers that the configuration names: local users by their uid, certificates by a name in them.

use std::collections::{BTreeMap, BTreeSet};

use landlord_core::{
    CustomerId,
    access::{AuthMethod, OPERATORS, Principal},
};

use crate::certificate::CertificateNames;

/// A caller as the configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPrincipal {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Customer that it acts for.
    pub customer: Option<CustomerId>,
}

impl NamedPrincipal {
    fn by(&self, method: AuthMethod) -> Principal {
        Principal {
            name: self.name.clone(),
            groups: self.groups.clone(),
            customer: self.customer.clone(),
            method,
            expire_time: None,
        }
    }
}

/// A name in a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateName {
    /// A URI among its subject alternative names.
    Uri(String),
    /// A DNS name among them.
    Dns(String),
    /// Its common name.
    CommonName(String),
}

impl CertificateName {
    fn is_in(&self, names: &CertificateNames) -> bool {
        match self {
            Self::Uri(uri) => names.uris.contains(uri),
            Self::Dns(name) => names.dns_names.iter().any(|own| own.eq_ignore_ascii_case(name)),
            Self::CommonName(name) => names.common_name.as_ref() == Some(name),
        }
    }
}

/// Local users by uid. The daemon's own user and root are operators unless they are named otherwise.
#[derive(Debug, Clone, Default)]
pub struct LocalUsers {
    by_uid: BTreeMap<u32, NamedPrincipal>,
}

impl LocalUsers {
    /// `own`: the daemon's own user.
    #[must_use]
    pub fn new(own: u32, configured: BTreeMap<u32, NamedPrincipal>) -> Self {
        let mut by_uid = BTreeMap::new();
        for uid in [0, own] {
            let operator =
                NamedPrincipal { name: format!("uid:{uid}"), groups: [OPERATORS.to_owned()].into(), customer: None };
            by_uid.insert(uid, operator);
        }
        by_uid.extend(configured);
        Self { by_uid }
    }

    /// Who may connect.
    pub fn uids(&self) -> impl Iterator<Item = u32> {
        self.by_uid.keys().copied()
    }

    pub(crate) fn principal(&self, uid: u32) -> Option<Principal> {
        self.by_uid.get(&uid).map(|named| named.by(AuthMethod::LocalUser))
    }
}

/// Certificates by a name in them; the first match wins.
#[derive(Debug, Clone, Default)]
pub struct Certificates(pub Vec<(CertificateName, NamedPrincipal)>);

impl Certificates {
    pub(crate) fn principal(&self, names: &CertificateNames) -> Option<Principal> {
        let (_, named) = self.0.iter().find(|(name, _)| name.is_in(names))?;
        Some(named.by(AuthMethod::Certificate))
    }
}
