//! Resource names and fields as the API spells them.

use landlord_core::{CustomerId, HostClusterId, OperationId, TenantName, Violation};

use crate::error::{invalid_name, violation};

/// `customers/{customer}`.
pub(crate) fn customer(parent: &str) -> Result<CustomerId, Violation> {
    let malformed = || violation("parent", format!("{parent:?} must have the form customers/{{customer}}"));
    let id = parent.strip_prefix("customers/").ok_or_else(malformed)?;
    id.parse().map_err(|error| invalid_name("parent", &error))
}

/// `customers/{customer}`, or `None` for `customers/-`.
pub(crate) fn customer_or_all(parent: &str) -> Result<Option<CustomerId>, Violation> {
    if parent == "customers/-" { Ok(None) } else { customer(parent).map(Some) }
}

/// A tenant's name.
pub(crate) fn tenant(field: &str, name: &str) -> Result<TenantName, Violation> {
    name.parse().map_err(|error| invalid_name(field, &error))
}

/// `hostClusters/{host_cluster}`.
pub(crate) fn host_cluster(field: &str, name: &str) -> Result<HostClusterId, Violation> {
    let malformed = || violation(field, format!("{name:?} must have the form hostClusters/{{host_cluster}}"));
    let id = name.strip_prefix("hostClusters/").ok_or_else(malformed)?;
    id.parse().map_err(|error| invalid_name(field, &error))
}

/// `operations/{uuid}`.
pub(crate) fn operation(name: &str) -> Result<OperationId, Violation> {
    let malformed = || violation("name", format!("{name:?} must have the form operations/{{uuid}}"));
    name.strip_prefix("operations/").ok_or_else(malformed)?.parse().map_err(|_| malformed())
}

/// A violation of a specification as one of the request's: `prefix` is the field that holds the resource.
pub(crate) fn within(prefix: &str, violation: Violation) -> Violation {
    Violation { field: format!("{prefix}.{}", field(&violation.field)), ..violation }
}

/// A field of a specification as the API calls it.
pub(crate) fn field(field: &str) -> &str {
    match field {
        // A reserved word in many languages.
        "class" => "tenant_class",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_checked() {
        assert_eq!(customer("customers/acme").unwrap().as_str(), "acme");
        assert_eq!(customer_or_all("customers/-").unwrap(), None);
        for bad in ["", "acme", "customers/", "customers/-", "customers/../x", "customers/Acme"] {
            assert_eq!(customer(bad).unwrap_err().field, "parent", "{bad}");
        }
    }
}
