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
        assert_eq!(parent(None), "customers/-");
        assert_eq!(parent(Some("acme")), "customers/acme");
    }
}
