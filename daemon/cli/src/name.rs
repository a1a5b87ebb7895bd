//! Names as people type them.

use crate::error::Error;

/// `customers/C/tenants/T`, from that, `C/T`, or `tenant/C/T`.
pub(crate) fn tenant(text: &str) -> Result<String, Error> {
    if text.starts_with("customers/") {
        return Ok(text.to_owned());
    }
    let short = ["tenants/", "tenant/"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
    match short.split_once('/') {
        Some((customer, tenant)) if !customer.is_empty() && !tenant.is_empty() && !tenant.contains('/') => {
            Ok(format!("customers/{customer}/tenants/{tenant}"))
        }
        _ => Err(Error::Usage(format!(
            "{text:?} names no tenant; write CUSTOMER/TENANT or customers/CUSTOMER/tenants/TENANT"
        ))),
    }
}

/// `customers/C`, or all.
pub(crate) fn parent(customer: Option<&str>) -> String {
    let id = customer.map_or("-", |id| id.strip_prefix("customers/").unwrap_or(id));
    format!("customers/{id}")
}
