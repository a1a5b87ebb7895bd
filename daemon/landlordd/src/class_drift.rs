//! At start: which environments have something else than their class says now, for the log. A changed class reaches nobody by
//! itself, so somebody should know.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use landlord_core::{
    Catalog, ClassName, Environment, EnvironmentName,
    ports::{EnvironmentQuery, Owners, StoreError, TenantStore},
};
use tokio_util::sync::CancellationToken;

/// Environments read at a time.
const PAGE: u32 = 500;
/// Environments, and fields, named in a log line.
const NAMED_MAX: usize = 5;

/// Who differs from a class, and where.
#[derive(Default)]
struct Drift {
    count: usize,
    names: Vec<String>,
    fields: BTreeSet<String>,
}

/// Logs one line for each class that has changed. Cancelled with `stop`: nothing is lost but the lines.
pub(crate) async fn report(store: Arc<dyn TenantStore>, catalog: Arc<Catalog>, stop: CancellationToken) {
    let Some(drifts) = stop.run_until_cancelled(drifts(&*store, &catalog)).await else { return };
    match drifts {
        Ok(drifts) => drifts.iter().for_each(|(class, drift)| drift.log(class)),
        Err(error) => tracing::warn!(%error, "which environments differ from their classes can't be reported"),
    }
}

impl Drift {
    fn add(&mut self, name: &EnvironmentName, fields: Vec<String>) {
        self.count += 1;
        if self.names.len() < NAMED_MAX {
            self.names.push(name.to_string());
        }
        self.fields.extend(fields);
    }

    fn log(&self, class: &ClassName) {
        let fields: Vec<&str> = self.fields.iter().map(String::as_str).take(NAMED_MAX).collect();
        tracing::warn!(
            class = %class, environments = self.count, names = self.names.join(", "), fields = fields.join("; "),
            "the class has changed since these were built; they keep what they have \
             (`landlord get tenants --outdated`, `landlord get hostclusters --outdated`)"
        );
    }
}

async fn drifts(store: &dyn TenantStore, catalog: &Catalog) -> Result<BTreeMap<ClassName, Drift>, StoreError> {
    let mut drifts: BTreeMap<ClassName, Drift> = BTreeMap::new();
    let mut see = |environment: &Environment| {
        let found = catalog.class_differences(environment);
        let field = |difference: &landlord_core::ClassDifference| {
            let shown = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
            format!("{}: {} -> {}", difference.field, shown(&difference.placed), shown(&difference.offered))
        };
        if !found.is_empty() {
            let drift = drifts.entry(environment.placement.class.clone()).or_default();
            drift.add(&environment.name(), found.iter().map(field).collect());
        }
    };
    for owners in [Owners::Tenants { customer: None, host_cluster: None }, Owners::HostClusters] {
        let mut query = EnvironmentQuery { owners, limit: PAGE, ..EnvironmentQuery::default() };
        loop {
            let page = store.list(&query).await?;
            page.items.iter().for_each(&mut see);
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
    }
    Ok(drifts)
}
