//! Customers: shown, made, changed, forgotten.

use landlord_proto::v1;
use serde_json::Value;

use super::pages::{PAGE, all};
use crate::{
    arguments::{CustomerArguments, Output},
    client::Client,
    connection::Connection,
    error::Error,
    output::{self, Column, age, text, words},
};

const CUSTOMER: &[Column<'_>] = &[
    ("NAME", false, |customer| text(customer, "name").trim_start_matches("customers/").to_owned()),
    ("DISPLAY NAME", false, |customer| text(customer, "displayName")),
    ("CONTRACT", false, |customer| text(&customer["contract"], "number")),
    ("ENDS", false, |customer| text(&customer["contract"], "endTime")),
    ("SUSPENDED", false, |customer| text(customer, "suspended")),
    ("TENANTS MAX", true, |customer| limit(customer, "tenantsMax")),
    ("STORAGE MAX", true, |customer| limit(customer, "storageGibMax")),
    ("NODES MAX", true, |customer| limit(customer, "nodesMax")),
    ("DOMAINS", true, |customer| words(&customer["verifiedDomains"])),
    ("CLASSES", true, |customer| words(&customer["allowedClasses"])),
    ("AGE", false, |customer| age(customer, "createTime")),
];

/// Empty: none.
fn limit(customer: &Value, field: &str) -> String {
    let text = text(&customer["limits"], field);
    if text == "0" { String::new() } else { text }
}

/// `acme` or `customers/acme`.
fn named(text: &str) -> String {
    if text.starts_with("customers/") { text.to_owned() } else { format!("customers/{text}") }
}

pub(super) async fn list(client: &mut Client, filter: &str, form: Output) -> Result<(), Error> {
    let items = all(async |page_token| {
        let filter = filter.to_owned();
        let request = v1::ListCustomersRequest { page_size: PAGE, page_token, filter, ..Default::default() };
        let page = client.customers.list_customers(request).await?.into_inner();
        Ok((page.customers, page.next_page_token))
    })
    .await?;
    if items.is_empty() {
        super::remark("no customers found");
    }
    output::items(form, &items, CUSTOMER, false)
}

pub(super) async fn get(client: &mut Client, name: &str, form: Output) -> Result<(), Error> {
    let request = v1::GetCustomerRequest { name: named(name) };
    let customer = client.customers.get_customer(request).await?.into_inner();
    output::items(form, &[output::json(&customer)?], CUSTOMER, true)
}

pub(super) async fn create(server: &Connection, of: CustomerArguments) -> Result<(), Error> {
    let (customer, _) = message(&of, v1::Customer::default())?;
    let request = v1::CreateCustomerRequest {
        customer_id: of.id.trim_start_matches("customers/").to_owned(),
        customer: Some(customer),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: of.dry_run,
    };
    let mut client = Client::connect(server).await?;
    let made = client.customers.create_customer(request).await?.into_inner();
    output::print(&format!("{} {}", made.name, if of.dry_run { "can be created" } else { "created" }))
}

pub(super) async fn update(server: &Connection, of: CustomerArguments) -> Result<(), Error> {
    let mut client = Client::connect(server).await?;
    let name = named(&of.id);
    // Contract and limits are given in parts, and sent whole.
    let before = client.customers.get_customer(v1::GetCustomerRequest { name: name.clone() }).await?.into_inner();
    let etag = if of.etag.is_empty() { before.etag.clone() } else { of.etag.clone() };
    let (customer, paths) = message(&of, before)?;
    if paths.is_empty() {
        return Err(Error::Usage(
            "nothing is given that would be changed; see `landlord update customer --help`".into(),
        ));
    }
    let request = v1::UpdateCustomerRequest {
        customer: Some(v1::Customer { name, etag, ..customer }),
        update_mask: Some(prost_types::FieldMask { paths }),
        request_id: uuid::Uuid::new_v4().to_string(),
        validate_only: of.dry_run,
    };
    let changed = client.customers.update_customer(request).await?.into_inner();
    output::print(&format!("{} {}", changed.name, if of.dry_run { "can be updated" } else { "updated" }))
}

pub(super) async fn delete(server: &Connection, name: &str, etag: String) -> Result<(), Error> {
    let (name, request_id) = (named(name), uuid::Uuid::new_v4().to_string());
    let request = v1::DeleteCustomerRequest { name: name.clone(), etag, request_id, ..Default::default() };
    Client::connect(server).await?.customers.delete_customer(request).await?;
    output::print(&format!("{name} deleted"))
}

/// A customer with what is given put in, and the fields that were.
fn message(of: &CustomerArguments, mut customer: v1::Customer) -> Result<(v1::Customer, Vec<String>), Error> {
    let mut paths = Vec::new();
    let mut given = |path: &str, is_given: bool| {
        if is_given {
            paths.push(path.to_owned());
        }
        is_given
    };
    if given("display_name", of.display_name.is_some()) {
        customer.display_name = of.display_name.clone().unwrap_or_default();
    }
    if given("contract", of.contract.is_some() || of.contract_start.is_some() || of.contract_end.is_some()) {
        let contract = customer.contract.get_or_insert_default();
        if let Some(number) = &of.contract {
            contract.number.clone_from(number);
        }
        if let Some(start) = &of.contract_start {
            contract.start_time = time("--contract-start", start)?;
        }
        if let Some(end) = &of.contract_end {
            contract.end_time = time("--contract-end", end)?;
        }
    }
    if given("labels", !of.labels.is_empty()) {
        customer.labels = of.labels.iter().map(|text| label(text)).collect::<Result<_, _>>()?;
    }
    if given("contacts", !of.contacts.is_empty()) {
        customer.contacts = of.contacts.iter().map(|text| contact(text)).collect();
    }
    let some = |list: &[String]| list.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>();
    if given("allowed_classes", !of.classes.is_empty()) {
        customer.allowed_classes = some(&of.classes);
    }
    if given("allowed_levels", !of.levels.is_empty()) {
        customer.allowed_levels = some(&of.levels).iter().map(|level| level.to_uppercase()).collect();
    }
    if given("limits", of.tenants_max.is_some() || of.storage_gib_max.is_some() || of.nodes_max.is_some()) {
        let limits = customer.limits.get_or_insert_default();
        limits.tenants_max = of.tenants_max.unwrap_or(limits.tenants_max);
        limits.storage_gib_max = of.storage_gib_max.unwrap_or(limits.storage_gib_max);
        limits.nodes_max = of.nodes_max.unwrap_or(limits.nodes_max);
    }
    if given("verified_domains", !of.domains.is_empty()) {
        customer.verified_domains = some(&of.domains);
    }
    if given("suspended", of.suspended.is_some()) {
        customer.suspended = of.suspended.unwrap_or_default();
    }
    Ok((customer, paths))
}

/// A date is its first moment, UTC; an empty text takes the time away.
fn time(flag: &str, text: &str) -> Result<Option<prost_types::Timestamp>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time: jiff::Timestamp = whole
        .parse()
        .map_err(|_| Error::Usage(format!("{flag}: {text:?} must be 2027-01-31 or a time of RFC 3339")))?;
    Ok(Some(prost_types::Timestamp { seconds: time.as_second(), nanos: 0 }))
}

fn label(text: &str) -> Result<(String, String), Error> {
    let wrong = || Error::Usage(format!("--label: {text:?} must be KEY=VALUE"));
    text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(wrong)
}

/// `ROLE: NAME <EMAIL>`, of which only the address need be there.
fn contact(text: &str) -> v1::Contact {
    let (role, rest) = text.split_once(": ").unwrap_or(("", text));
    let (name, email) = match rest.split_once('<') {
        Some((name, email)) => (name.trim(), email.trim_end_matches('>').trim()),
        None => ("", rest.trim()),
    };
    v1::Contact { display_name: name.into(), email: email.into(), role: role.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contacts_and_times_are_read_as_people_write_them() {
        let full = contact("billing: Ann Lee <ann@example.com>");
        assert_eq!(
            (full.role.as_str(), full.display_name.as_str(), full.email.as_str()),
            ("billing", "Ann Lee", "ann@example.com")
        );
        let bare = contact("ann@example.com");
        assert_eq!((bare.role.as_str(), bare.display_name.as_str(), bare.email.as_str()), ("", "", "ann@example.com"));
        assert_eq!(time("--contract-end", "1970-01-02").unwrap().unwrap().seconds, 86_400);
        assert_eq!(time("--contract-end", "").unwrap(), None);
        assert!(time("--contract-end", "soon").is_err());
    }
}
