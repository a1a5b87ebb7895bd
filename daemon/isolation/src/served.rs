//! The names that a tenant listens for at the shared Gateway, and where their certificate lies. Pure.

use std::collections::BTreeSet;

use landlord_core::{
    isolation::{Certificate, GatewayNames, GatewayRef, SharedGateway, SharedTarget, TenantNamespace},
    ports::DeployTarget,
};

/// Most listeners of a Gateway, and of a ListenerSet. `maxItems` of `spec.listeners` in every version.
pub const LISTENERS_MAX: usize = 64;
/// Listener of everything below the domain.
const WILDCARD: &str = "web";

/// What the tenant's stack has at the Gateway.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    /// The Gateway that its routes attach to.
    pub(crate) gateway: GatewayRef,
    /// Labels of the names below the tenant's domain.
    pub(crate) records: BTreeSet<String>,
}

/// A listener of the tenant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Its name among the tenant's own.
    pub(crate) listener: String,
    /// Host name that it answers to.
    pub(crate) host: String,
}

impl Served {
    /// The tenant's listeners, in an order that does not change. Empty: its stack serves no names.
    pub(crate) fn names(&self, target: &DeployTarget, shared: &SharedGateway) -> Vec<Name> {
        let domain = target.spec.domain.as_str();
        match shared.names {
            GatewayNames::Wildcard => vec![Name { listener: WILDCARD.into(), host: format!("*.{domain}") }],
            GatewayNames::Listed => {
                let name = |record: &String| Name { listener: record.clone(), host: format!("{record}.{domain}") };
                self.records.iter().map(name).collect()
            }
        }
    }
}

/// The Secret beside the Gateway that has the certificate; `None`: cert-manager makes it for the listener, where that one is.
pub(crate) fn secret_beside(place: &SharedTarget, shared: &SharedGateway) -> Option<String> {
    match (&shared.certificate, shared.names) {
        (Certificate::Secret(secret), _) => Some(secret.to_string()),
        (Certificate::ClusterIssuer(_), GatewayNames::Listed) => Some(listed_secret(place)),
        (Certificate::ClusterIssuer(_), GatewayNames::Wildcard) => None,
    }
}

/// Name of the Certificate for listed names and of its Secret, beside the Gateway: another one than that of a wildcard, so that
/// the one is not away before the other is there.
pub(crate) fn listed_secret(place: &SharedTarget) -> String {
    listed_secret_of(&place.namespace)
}

fn listed_secret_of(tenant: &TenantNamespace) -> String {
    format!("{tenant}-listed")
}

/// Name of the Secret beside the Gateway that cert-manager writes a tenant's certificate into, where its listener is in the Gateway itself.
pub(crate) fn own_secret(tenant: &TenantNamespace) -> String {
    format!("{tenant}-tls")
}

/// Whether a Secret beside the Gateway is there for a tenant's own certificate, which is made by landlord or for its listener.
pub(crate) fn is_made(secret: &str, tenant: &TenantNamespace) -> bool {
    secret == own_secret(tenant) || secret == listed_secret_of(tenant)
}
