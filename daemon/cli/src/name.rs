//! Names as people type them.

use crate::error::Error;

/// `customers/C/tenants/T`, from that, `C/T`, or `T` of the customer that the command line names;
/// kubectl's `tenant/` before it does no harm.
pub(crate) fn tenant(text: &str, customer: Option<&str>) -> Result<String, Error> {
    if text.starts_with("customers/") {
        return Ok(text.to_owned());
    }
    let short = ["tenants/", "tenant/"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    let parts: Vec<&str> = short.split('/').collect();
    match (parts.as_slice(), customer) {
        ([customer, tenant], _) if !customer.is_empty() && !tenant.is_empty() => {
            Ok(format!("customers/{customer}/tenants/{tenant}"))
        }
        ([tenant], Some(customer)) if !tenant.is_empty() => Ok(format!("{}/tenants/{tenant}", parent(Some(customer)))),
        _ => Err(Error::Usage(format!(
            "{text:?} names no tenant; write CUSTOMER/TENANT, customers/CUSTOMER/tenants/TENANT, or \
             TENANT with --customer"
        ))),
    }
}

/// What a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `customers/C/tenants/T`.
    Tenant(String),
    /// `hostClusters/H`.
    Host(String),
}

const HOSTS: [&str; 3] = ["hostcluster", "hostclusters", "hostClusters"];

/// `TENANT`, `tenant TENANT`, `hostcluster NAME`, `hostcluster/NAME` or `hostClusters/NAME`.
pub(crate) fn target(words: &[String], customer: Option<&str>) -> Result<Target, Error> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tenant" | "tenants", name] => tenant(name, customer).map(Target::Tenant),
        [kind, name] if HOSTS.contains(kind) => host(name).map(Target::Host),
        [one] => match one.split_once('/').filter(|(kind, _)| HOSTS.contains(kind)) {
            Some((_, name)) => host(name).map(Target::Host),
            None => tenant(one, customer).map(Target::Tenant),
        },
        ["customer" | "customers" | "class" | "classes", _] => {
            let shown = words.join(" ");
            Err(Error::Usage(format!(
                "{shown:?} is no tenant and no host cluster; `landlord get {shown} -o yaml` shows all of it"
            )))
        }
        _ => Err(Error::Usage(format!("{:?} names nothing; write TENANT or hostcluster NAME", words.join(" ")))),
    }
}

/// A host cluster's id as its resource name.
pub(crate) fn host(text: &str) -> Result<String, Error> {
    let id = HOSTS.iter().find_map(|kind| text.strip_prefix(kind)?.strip_prefix('/')).unwrap_or(text);
    if id.is_empty() || id.contains('/') {
        return Err(Error::Usage(format!("{text:?} names no host cluster; write its NAME")));
    }
    Ok(format!("hostClusters/{id}"))
}

/// `customers/C`, or all.
pub(crate) fn parent(customer: Option<&str>) -> String {
    let id = customer.map_or("-", |id| id.strip_prefix("customers/").unwrap_or(id));
    format!("customers/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_in_every_form() {
        let prod = "customers/acme/tenants/prod";
        let cases = [
            ("customers/acme/tenants/prod", None),
            ("acme/prod", None),
            ("tenant/acme/prod", None),
            ("tenants/acme/prod", Some("globex")),
            ("prod", Some("acme")),
            ("tenant/prod", Some("customers/acme")),
            ("acme/prod", Some("globex")),
        ];
        for (text, customer) in cases {
            assert_eq!(tenant(text, customer).unwrap(), prod, "{text} {customer:?}");
        }
        for (text, customer) in [("prod", None), ("", Some("acme")), ("a/b/c", None), ("/b", None), ("a/", Some("x"))] {
            assert!(tenant(text, customer).is_err(), "{text} {customer:?}");
        }
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for text in ["hostcluster one", "hostclusters/one", "hostClusters/one", "hostcluster hostClusters/one"] {
            assert_eq!(target(&words(text), None).unwrap(), Target::Host("hostClusters/one".into()), "{text}");
        }
        for text in ["acme/prod", "tenant acme/prod", prod] {
            assert_eq!(target(&words(text), None).unwrap(), Target::Tenant(prod.into()), "{text}");
        }
        let customer = target(&words("customer acme"), None).unwrap_err().to_string();
        assert!(customer.contains("`landlord get customer acme -o yaml`"), "{customer}");
        for text in ["hostcluster/", "acme prod", "hostcluster", "hostcluster a/b", "a b c"] {
            assert!(target(&words(text), None).is_err(), "{text}");
        }
        assert_eq!(parent(None), "customers/-");
        assert_eq!(parent(Some("acme")), "customers/acme");
    }
}
