//! `[auth]`: who callers are, and what they may do.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    path::PathBuf,
};

use landlord_auth::{
    authenticator::Callers,
    principals::{CertificateName, Certificates, LocalUsers, NamedPrincipal},
    token::{Algorithm, IssuerOptions, Tokens},
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
    /// OpenID issuers of bearer tokens, by the name that begins their principals and groups.
    pub issuers: BTreeMap<String, Issuer>,
    /// Folder with policies (`*.cedar`) beside the shipped ones; empty: those alone.
    pub policies_dir: PathBuf,
    /// How much each principal may ask for.
    pub limits: Limits,
}

/// How much each principal may ask for; 0: as much as it wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a second, on average; as many may come at once.
    pub requests_per_second: u32,
    /// Watches that are open.
    pub streams_max: u32,
    /// Tenants and host clusters ordered an hour, on average; as many may come at once.
    pub creates_per_hour: u32,
}

impl Limits {
    pub(crate) fn limits(self) -> landlord_grpc::Limits {
        landlord_grpc::Limits {
            requests_per_second: NonZeroU32::new(self.requests_per_second),
            streams_max: NonZeroU32::new(self.streams_max),
            creates_per_hour: NonZeroU32::new(self.creates_per_hour),
        }
    }
}

/// An OpenID issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Its identifier, an https URL.
    pub issuer: String,
    /// Audiences that a token may be for.
    pub audiences: Vec<String>,
    /// Algorithms that it signs with.
    #[serde(default = "algorithms")]
    pub algorithms: Vec<Signature>,
    /// CAs of its certificate, PEM. None: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Bearer token for requests to the issuer itself, where it shows its keys to known callers only, as Kubernetes does.
    #[serde(default)]
    pub bearer_file: Option<PathBuf>,
    /// Claim with the principal's name.
    #[serde(default = "principal_claim")]
    pub principal_claim: String,
    /// Claim with the groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Claim with the customer; empty: its tokens name none.
    #[serde(default)]
    pub customer_claim: String,
    /// Groups of policies by groups of the issuer; others are called `NAME:GROUP`.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
}

/// What principals and groups of the daemon's own begin with.
const RESERVED_NAMES: [&str; 3] = ["landlord", "uid", "anonymous"];

/// How tokens are signed: asymmetric algorithms only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as RFC 7518 and RFC 8037 call them")]
pub enum Signature {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl From<Signature> for Algorithm {
    fn from(signature: Signature) -> Self {
        match signature {
            Signature::RS256 => Self::RS256,
            Signature::RS384 => Self::RS384,
            Signature::RS512 => Self::RS512,
            Signature::PS256 => Self::PS256,
            Signature::PS384 => Self::PS384,
            Signature::PS512 => Self::PS512,
            Signature::ES256 => Self::ES256,
            Signature::ES384 => Self::ES384,
            Signature::EdDSA => Self::EdDSA,
        }
    }
}

fn algorithms() -> Vec<Signature> {
    vec![Signature::RS256, Signature::ES256]
}

fn principal_claim() -> String {
    "sub".into()
}

fn groups_claim() -> String {
    "groups".into()
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
        Callers {
            local_users: LocalUsers::new(own, by_uid),
            certificates: Certificates(certificates),
            tokens: self.tokens(problems),
        }
    }
}

impl Auth {
    fn tokens(&self, problems: &mut Vec<String>) -> Tokens {
        let mut issuers = Vec::new();
        let mut by_url = BTreeMap::new();
        for (name, issuer) in &self.issuers {
            let at = format!("auth.issuers.{name}");
            // The name is what keeps an issuer's principals and groups apart from ours.
            if name.is_empty() || RESERVED_NAMES.contains(&name.as_str()) || name.contains(':') {
                problems.push(format!(
                    "{at}: {name:?} can't be the name of an issuer; choose one without a colon that is none of: {}",
                    RESERVED_NAMES.join(", ")
                ));
            }
            // Tokens name their issuer by its URL: the second one would never be asked.
            if let Some(other) = by_url.insert(issuer.issuer.as_str(), name) {
                problems.push(format!("{at}.issuer: {:?} is the issuer {other:?} already", issuer.issuer));
            }
            if issuer.audiences.is_empty() {
                problems.push(format!("{at}.audiences: is empty; name whom its tokens are for"));
            }
            if issuer.algorithms.is_empty() {
                problems.push(format!("{at}.algorithms: is empty"));
            }
            issuers.push(issuer.options(name));
        }
        Tokens::new(issuers).unwrap_or_else(|error| {
            problems.push(format!("auth.issuers: {error}"));
            Tokens::default()
        })
    }
}

impl Issuer {
    fn options(&self, name: &str) -> IssuerOptions {
        IssuerOptions {
            name: name.to_owned(),
            issuer: self.issuer.clone(),
            audiences: self.audiences.clone(),
            algorithms: self.algorithms.iter().copied().map(Algorithm::from).collect(),
            ca_file: self.ca_file.clone(),
            bearer_file: self.bearer_file.clone(),
            principal_claim: self.principal_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            customer_claim: self.customer_claim.clone(),
            groups: self.groups.clone(),
        }
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
