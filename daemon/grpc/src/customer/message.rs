//! Customers as messages, and back; and what an update mask names of them.

use landlord_core::{
    ClassName, CustomerId, Level, Timestamp, Violation,
    environment::{Contact, Contract, Customer, CustomerLimits, CustomerSpec, Domain},
};
use landlord_proto::v1;

use crate::{convert, error::violation};

/// Fields that an update may change.
const CHANGEABLE: [&str; 9] = [
    "display_name",
    "contract",
    "labels",
    "contacts",
    "allowed_classes",
    "allowed_levels",
    "limits",
    "verified_domains",
    "suspended",
];

/// A customer as clients see it.
pub(super) fn shown(customer: &Customer) -> v1::Customer {
    v1::Customer {
        etag: customer.etag.clone(),
        create_time: Some(convert::timestamp(customer.create_time)),
        update_time: Some(convert::timestamp(customer.update_time)),
        ..unsaved(&customer.id, &customer.spec)
    }
}

/// The same of one that is not there yet.
pub(super) fn unsaved(id: &CustomerId, spec: &CustomerSpec) -> v1::Customer {
    let contract = &spec.contract;
    let limit = |limit: Option<u32>| limit.and_then(|limit| i32::try_from(limit).ok()).unwrap_or_default();
    let contact = |contact: &Contact| v1::Contact {
        display_name: contact.name.clone(),
        email: contact.email.clone(),
        role: contact.role.clone(),
    };
    let limits = v1::CustomerLimits {
        tenants_max: limit(spec.limits.tenants),
        storage_gib_max: limit(spec.limits.storage_gib),
        nodes_max: limit(spec.limits.nodes),
    };
    v1::Customer {
        name: format!("customers/{id}"),
        display_name: spec.display_name.clone(),
        contract: (*contract != Contract::default()).then(|| v1::Contract {
            number: contract.number.clone(),
            start_time: contract.start.map(convert::timestamp),
            end_time: contract.end.map(convert::timestamp),
        }),
        labels: spec.labels.clone(),
        contacts: spec.contacts.iter().map(contact).collect(),
        allowed_classes: spec.classes.iter().map(ToString::to_string).collect(),
        allowed_levels: spec.levels.iter().map(|level| level.as_str().to_owned()).collect(),
        limits: (spec.limits != CustomerLimits::default()).then_some(limits),
        verified_domains: spec.domains.iter().map(|domain| domain.as_str().to_owned()).collect(),
        suspended: spec.suspended,
        ..v1::Customer::default()
    }
}

/// The checked content of a message; what is wrong is added to `violations`.
pub(super) fn spec(message: v1::Customer, violations: &mut Vec<Violation>) -> Option<CustomerSpec> {
    let mut wrong = |field: String, problem: String| violations.push(violation(&format!("customer.{field}"), problem));
    let contract = message.contract.unwrap_or_default();
    let mut time = |field: &str, time: Option<prost_types::Timestamp>| {
        let time = time?;
        let millis = time.seconds.checked_mul(1_000).and_then(|ms| ms.checked_add(i64::from(time.nanos / 1_000_000)));
        if millis.is_none() {
            wrong(format!("contract.{field}"), "is no time".into());
        }
        millis.map(Timestamp)
    };
    let (start, end) = (time("start_time", contract.start_time), time("end_time", contract.end_time));
    let limits = message.limits.unwrap_or_default();
    let mut limit = |field: &str, limit: i32| match u32::try_from(limit) {
        Ok(0) => None,
        Ok(limit) => Some(limit),
        Err(_) => {
            wrong(format!("limits.{field}"), format!("must not be negative, not {limit}"));
            None
        }
    };
    let limits = CustomerLimits {
        tenants: limit("tenants_max", limits.tenants_max),
        storage_gib: limit("storage_gib_max", limits.storage_gib_max),
        nodes: limit("nodes_max", limits.nodes_max),
    };
    let mut classes = Vec::new();
    for (index, text) in message.allowed_classes.iter().enumerate() {
        match text.parse::<ClassName>() {
            Ok(class) => classes.push(class),
            Err(error) => wrong(format!("allowed_classes[{index}]"), error.to_string()),
        }
    }
    let mut levels = Vec::new();
    for (index, text) in message.allowed_levels.iter().enumerate() {
        match [Level::Cluster, Level::Node, Level::Namespace].into_iter().find(|level| level.as_str() == text) {
            Some(level) => levels.push(level),
            None => wrong(format!("allowed_levels[{index}]"), format!("{text:?} is not CLUSTER, NODE or NAMESPACE")),
        }
    }
    let mut domains = Vec::new();
    for (index, text) in message.verified_domains.into_iter().enumerate() {
        match Domain::try_from(text) {
            Ok(domain) => domains.push(domain),
            Err(problem) => wrong(format!("verified_domains[{index}]"), problem),
        }
    }
    let contact =
        |contact: v1::Contact| Contact { name: contact.display_name, email: contact.email, role: contact.role };
    let spec = CustomerSpec {
        display_name: message.display_name,
        contract: Contract { number: contract.number, start, end },
        labels: message.labels,
        contacts: message.contacts.into_iter().map(contact).collect(),
        classes,
        levels,
        limits,
        domains,
        suspended: message.suspended,
    };
    let within = |wrong: Violation| Violation { field: format!("customer.{}", wrong.field), ..wrong };
    spec.checked().map_err(|more| violations.extend(more.0.into_iter().map(within))).ok()
}

/// The paths of a mask; `*`: all that may change; without a mask, all that are populated (AIP-134).
pub(super) fn paths(mask: Option<&prost_types::FieldMask>, customer: &v1::Customer) -> Vec<String> {
    match mask.map(|mask| mask.paths.as_slice()) {
        Some([all]) if all == "*" => CHANGEABLE.map(str::to_owned).to_vec(),
        Some([]) | None => populated(customer),
        Some(paths) => paths.to_vec(),
    }
}

fn populated(customer: &v1::Customer) -> Vec<String> {
    let fields = [
        ("display_name", !customer.display_name.is_empty()),
        ("contract", customer.contract.is_some()),
        ("labels", !customer.labels.is_empty()),
        ("contacts", !customer.contacts.is_empty()),
        ("allowed_classes", !customer.allowed_classes.is_empty()),
        ("allowed_levels", !customer.allowed_levels.is_empty()),
        ("limits", customer.limits.is_some()),
        ("verified_domains", !customer.verified_domains.is_empty()),
        ("suspended", customer.suspended),
    ];
    fields.into_iter().filter(|(_, populated)| *populated).map(|(field, _)| field.to_owned()).collect()
}

/// Copies what a path names; what `from` has not is taken away.
///
/// # Errors
/// What is wrong with the path.
pub(super) fn copy(path: &str, from: &v1::Customer, to: &mut v1::Customer) -> Result<(), String> {
    match path {
        "display_name" => to.display_name.clone_from(&from.display_name),
        "contract" => to.contract.clone_from(&from.contract),
        "labels" => to.labels.clone_from(&from.labels),
        "contacts" => to.contacts.clone_from(&from.contacts),
        "allowed_classes" => to.allowed_classes.clone_from(&from.allowed_classes),
        "allowed_levels" => to.allowed_levels.clone_from(&from.allowed_levels),
        "limits" => to.limits.clone_from(&from.limits),
        "verified_domains" => to.verified_domains.clone_from(&from.verified_domains),
        "suspended" => to.suspended = from.suspended,
        "*" => return Err("\"*\" stands alone".into()),
        _ => return Err(format!("{path:?} can't be changed; changeable are: {}", CHANGEABLE.join(", "))),
    }
    Ok(())
}
