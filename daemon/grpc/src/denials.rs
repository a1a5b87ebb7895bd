//! Denied requests on their way into the audit log.
//!
//! Whoever is denied decides how often, so denials are summed up: one entry for a principal and minute, with the number of
//! requests and the first few kinds of them. All whom nobody knows are one principal. At most [`PRINCIPALS_MAX`] are kept apart
//! in a minute, and of each at most [`CUSTOMERS_MAX`] customers, so a flood costs so many entries a minute and no more. Whose a
//! resource is says the name that was requested: customers that one principal makes up take nobody else's place. A daemon that is
//! killed takes the denials of its last minute with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use landlord_core::{
    audit::{AuditRecord, Author},
    ports::AuditStore,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Denials are written this often.
const INTERVAL: Duration = Duration::from_secs(60);
/// Principals that are kept apart in an interval; those that come later are summed up as [`OTHERS`].
const PRINCIPALS_MAX: usize = 30;
/// Customers that are kept apart of a principal; what it was denied of others is one entry more, which is no customer's.
const CUSTOMERS_MAX: usize = 3;
/// Of what a principal was denied, so much is named.
const NAMED_MAX: usize = 10;
/// Of the addresses that it came from.
const ADDRESSES_MAX: usize = 10;
/// Of a resource's name; all that exist are shorter.
const RESOURCE_CHARS_MAX: usize = 150;
const OTHERS: &str = "(others)";

/// What was denied since it was last written.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    waiting: Mutex<Waiting>,
}

/// By principal and customer: nobody reads another customer's names in an entry of theirs.
type Waiting = BTreeMap<String, BTreeMap<String, Summed>>;

#[derive(Debug)]
struct Summed {
    first: AuditRecord,
    /// Action and resource.
    named: BTreeSet<(String, String)>,
    addresses: BTreeSet<String>,
    count: u64,
}

impl Denials {
    /// Takes a denial down. Costs no more than memory, and a bounded amount of it.
    pub(crate) fn note(&self, mut record: AuditRecord) {
        // Some names are whatever the client has written.
        if let Some((end, _)) = record.resource.char_indices().nth(RESOURCE_CHARS_MAX) {
            record.resource.truncate(end);
        }
        let mut waiting = self.waiting.lock();
        let known = waiting.contains_key(&record.author.principal) || waiting.len() < PRINCIPALS_MAX;
        let principal = if known { record.author.principal.clone() } else { OTHERS.to_owned() };
        let of_principal = waiting.entry(principal.clone()).or_default();
        let customers = of_principal.keys().filter(|customer| !customer.is_empty()).count();
        if !known || (customers >= CUSTOMERS_MAX && !of_principal.contains_key(&record.customer)) {
            record.customer.clear();
        }
        let named = (record.author.action.clone(), record.resource.clone());
        let address = record.author.address.clone();
        let summed = of_principal.entry(record.customer.clone()).or_insert_with(|| {
            let author = Author { principal, ..record.author.clone() };
            Summed {
                first: AuditRecord { author, ..record },
                named: BTreeSet::new(),
                addresses: BTreeSet::new(),
                count: 0,
            }
        });
        summed.count += 1;
        if summed.named.len() < NAMED_MAX {
            summed.named.insert(named);
        }
        if summed.addresses.len() < ADDRESSES_MAX {
            summed.addresses.insert(address);
        }
    }

    /// Writes what was denied each minute, and at the end what is left.
    pub(crate) async fn follow(&self, audit: &dyn AuditStore, stop: &CancellationToken) {
        loop {
            let stopped = stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none();
            let records: Vec<AuditRecord> = self.taken().into_iter().map(Summed::record).collect();
            if !records.is_empty()
                && let Err(error) = audit.record(records).await
            {
                tracing::error!(%error, "denied requests of the last minute are missing in the audit log");
            }
            if stopped {
                return;
            }
        }
    }

    fn taken(&self) -> Vec<Summed> {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_values().flat_map(BTreeMap::into_values).collect()
    }
}

impl Summed {
    fn record(self) -> AuditRecord {
        let named: Vec<String> = self
            .named
            .iter()
            .map(|(action, resource)| format!("{action} {resource}").trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect();
        let addresses: Vec<&str> = self.addresses.iter().map(String::as_str).collect();
        let detail = format!("{} denied: {}; from {}", self.count, named.join(", "), addresses.join(", "));
        AuditRecord { detail, count: self.count, ..self.first }
    }
}

#[cfg(test)]
mod tests {
    use landlord_core::{CustomerId, audit::Outcome};

    use super::*;

    fn denial(principal: &str, resource: &str) -> AuditRecord {
        let author = Author { principal: principal.into(), action: "GetTenant".into(), ..Author::default() };
        AuditRecord::new(author, resource.into(), None, Outcome::Denied)
    }

    #[test]
    fn a_flood_of_denials_is_a_few_entries() {
        let denials = Denials::default();
        for index in 0..100_000 {
            let resource = format!("providers/c{index}{}", "x".repeat(100));
            denials.note(denial(&format!("p{}", index % 5_000), &resource));
        }
        let taken = denials.taken();
        assert_eq!(taken.len(), PRINCIPALS_MAX + 1);
        assert_eq!(taken.iter().map(|summed| summed.count).sum::<u64>(), 100_000);
        let records: Vec<AuditRecord> = taken.into_iter().map(Summed::record).collect();
        assert!(records.iter().all(|record| record.detail.len() < 2_000), "{:?}", records[0]);
        assert!(records.iter().any(|record| record.author.principal == OTHERS && record.count > 90_000));
        assert!(denials.taken().is_empty());
        denials.note(denial("one", &"ä".repeat(1_000_000)));
        let taken = denials.taken().into_iter().map(Summed::record);
        assert!(taken.map(|record| record.detail.len() + record.resource.len()).sum::<usize>() < 1_000);
    }

    #[test]
    fn customers_that_one_makes_up_hide_nobody_else() {
        let denials = Denials::default();
        for index in 0..1_000 {
            let customer: CustomerId = format!("c{index}").parse().unwrap();
            let resource = format!("customers/{customer}/tenants/prod");
            denials.note(AuditRecord { customer: customer.to_string(), ..denial("one", &resource) });
        }
        denials.note(AuditRecord { customer: "acme".into(), ..denial("two", "customers/acme/tenants/prod") });
        let records: Vec<AuditRecord> = denials.taken().into_iter().map(Summed::record).collect();
        let of = |principal: &str| records.iter().filter(|r| r.author.principal == principal).collect::<Vec<_>>();
        let two = of("two");
        assert_eq!((two.len(), two[0].customer.as_str(), two[0].count), (1, "acme", 1), "{records:?}");
        let one = of("one");
        assert_eq!(one.iter().map(|record| record.count).sum::<u64>(), 1_000);
        let customers: Vec<&str> = one.iter().map(|record| record.customer.as_str()).collect();
        assert_eq!(customers, ["", "c0", "c1", "c2"]);
        // Nobody reads another customer's names in an entry of theirs.
        let named = |record: &&&AuditRecord| !record.customer.is_empty();
        assert!(
            one.iter().filter(named).all(|r| r.detail.contains(&format!("{}/tenants", r.customer)) && r.count == 1)
        );
    }
}
