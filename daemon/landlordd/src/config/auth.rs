//! `[auth]`: who callers are, and what they may do.

use std::collections::{BTreeMap, BTreeSet};

use landlord_auth::{
    authenticator::Callers,
    principals::{CertificateName, Certificates, LocalUsers, NamedPrincipal},
};
use landlord_core::CustomerId;
use serde::{Deserialize, Serialize};

/// Who callers are, and what they may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Users of this machine beside the daemon's own and root, which are operators.
    pub local_users: Vec<LocalUser>,
    /// Client certificates; the first match wins.
    pub certificates: Vec<Certificate>,
}

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalUser {
    /// User id.
    pub uid: u32,
    /// Name of the principal.
    pub principal: String,
    /// Its groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Customer that it acts for; empty: none.
    #[serde(default)]
    pub customer: String,
}

/// A client certificate, by exactly one name in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// URI among its subject alternative names.
    #[serde(default)]
    pub uri: String,
    /// DNS name among them.
    #[serde(default)]
    pub dns_name: String,
    /// Common name.
    #[serde(default)]
    pub common_name: String,
    /// Name of the principal.
    pub principal: String,
    /// Its groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Customer that it acts for; empty: none.
    #[serde(default)]
    pub customer: String,
}

impl Auth {
    /// The callers that are named, or every problem.
    pub(super) fn callers(&self, problems: &mut Vec<String>) -> Callers {
        let mut by_uid = BTreeMap::new();
        for (index, user) in self.local_users.iter().enumerate() {
            let at = format!("auth.local_users[{index}]");
            let named = named(&at, &user.principal, &user.groups, &user.customer, problems);
            if let Some(named) = named
                && by_uid.insert(user.uid, named).is_some()
            {
                problems.push(format!("{at}.uid: {} is named twice", user.uid));
            }
        }
        let mut certificates = Vec::new();
        for (index, certificate) in self.certificates.iter().enumerate() {
            let at = format!("auth.certificates[{index}]");
            let named = named(&at, &certificate.principal, &certificate.groups, &certificate.customer, problems);
            match (certificate.name(), named) {
                (Some(name), Some(named)) => certificates.push((name, named)),
                (None, _) => problems.push(format!("{at}: name exactly one of uri, dns_name and common_name")),
                (Some(_), None) => {}
            }
        }
        let own = rustix::process::geteuid().as_raw();
        Callers { local_users: LocalUsers::new(own, by_uid), certificates: Certificates(certificates) }
    }
}

impl Certificate {
    fn name(&self) -> Option<CertificateName> {
        match (self.uri.as_str(), self.dns_name.as_str(), self.common_name.as_str()) {
            (uri, "", "") if !uri.is_empty() => Some(CertificateName::Uri(uri.to_owned())),
            ("", name, "") if !name.is_empty() => Some(CertificateName::Dns(name.to_owned())),
            ("", "", name) if !name.is_empty() => Some(CertificateName::CommonName(name.to_owned())),
            _ => None,
        }
    }
}

fn named(
    at: &str,
    principal: &str,
    groups: &BTreeSet<String>,
    customer: &str,
    problems: &mut Vec<String>,
) -> Option<NamedPrincipal> {
    if principal.is_empty() {
        problems.push(format!("{at}.principal: is empty"));
        return None;
    }
    let customer = match customer {
        "" => None,
        id => match id.parse::<CustomerId>() {
            Ok(id) => Some(id),
            Err(error) => {
                problems.push(format!("{at}.customer: {error}"));
                return None;
            }
        },
    };
    Some(NamedPrincipal { name: principal.to_owned(), groups: groups.clone(), customer })
}
