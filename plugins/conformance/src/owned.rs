//! What list_owned returns of a run's tenants, page by page, and what is expected of it. Lists of clouds may lag; nothing here
//! knows what a tenant is made of.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use landlord_plugin_host::Plugin;
use landlord_provider_api::{Inventory as _, ProviderError, v1};

use crate::{
    tenant::Tenant,
    world::{Counts, ERROR_PAUSE, Observation, Step, Timeout, World, fail, is_retried},
};

/// Pages that an inventory may have; one that goes on is a loop.
const PAGES_MAX: usize = 10_000;
/// A list that stayed the same for this long is taken to be complete.
const STEADY: Duration = Duration::from_millis(200);
/// Pause between two observations of a list that lags.
pub(crate) const SETTLE_PAUSE: Duration = Duration::from_millis(50);

impl World {
    /// All pages of the inventory of a tenant, or of the installation. Retried errors are repeated.
    pub async fn owned(&self, scope: &v1::Scope) -> Step<Vec<v1::OwnedObject>> {
        let mut timeout = Timeout::new(&self.config);
        loop {
            let plugin = self.plugin()?;
            let result = self.pages(&plugin, scope).await;
            self.mend(&plugin)?;
            match result? {
                Ok(objects) => return Ok(objects),
                Err(error) => {
                    self.note("list_owned", &error)?;
                    if !is_retried(error.kind) {
                        fail!("list_owned failed: {error}");
                    }
                    let pause = error.retry_after.unwrap_or(ERROR_PAUSE);
                    let wait = Observation::Wait { pause, why: error.to_string(), kind: Some(error.kind) };
                    let pause = timeout.judge("list_owned", wait)?;
                    tokio::time::sleep(self.config.pause(pause)).await;
                }
            }
        }
    }

    async fn pages(&self, plugin: &Plugin, scope: &v1::Scope) -> Step<Result<Vec<v1::OwnedObject>, ProviderError>> {
        let mut objects = Vec::new();
        let (mut page_token, mut tokens) = (String::new(), BTreeSet::new());
        for _ in 0..PAGES_MAX {
            let request = v1::ListOwnedRequest { scope: Some(scope.clone()), page_token: page_token.clone() };
            let response = match plugin.list_owned(request).await {
                Ok(response) => response,
                Err(error) => return Ok(Err(error)),
            };
            objects.extend(response.objects);
            page_token = response.next_page_token;
            if page_token.is_empty() {
                return Ok(Ok(objects));
            }
            if !tokens.insert(page_token.clone()) {
                fail!("list_owned gives the page token {page_token:?} twice: its pages never end");
            }
        }
        fail!("list_owned has more than {PAGES_MAX} pages")
    }

    /// Objects of a tenant by type and role.
    pub async fn counts(&self, tenant: &Tenant) -> Step<Counts> {
        Ok(count(&self.owned(&tenant.scope).await?, tenant))
    }

    /// The inventory once it stays as it is: lists of clouds may lag.
    pub async fn settled(&self, tenant: &Tenant) -> Step<Counts> {
        let steady = STEADY.min(Duration::from_millis(self.config.settle_ms));
        let deadline = Instant::now() + Duration::from_millis(self.config.settle_ms).max(STEADY) * 2;
        let (mut found, mut since) = (self.counts(tenant).await?, Instant::now());
        while since.elapsed() < steady && Instant::now() < deadline {
            tokio::time::sleep(SETTLE_PAUSE).await;
            let now = self.counts(tenant).await?;
            if now != found {
                (found, since) = (now, Instant::now());
            }
        }
        Ok(found)
    }

    /// Waits until the inventory is as expected; lists of clouds may lag for the configured time.
    pub async fn expect_counts(&self, tenant: &Tenant, expected: &Counts, when: &str) -> Step {
        let deadline = Instant::now() + Duration::from_millis(self.config.settle_ms);
        loop {
            let found = self.counts(tenant).await?;
            if found == *expected {
                return Ok(());
            }
            if Instant::now() >= deadline {
                fail!("list_owned {when}: {}", difference(expected, &found));
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Waits until the inventory is empty, of what carries no markers, too.
    pub async fn expect_nothing(&self, tenant: &Tenant) -> Step {
        let deadline = Instant::now() + Duration::from_millis(self.config.settle_ms);
        loop {
            let found = self.owned(&tenant.scope).await?;
            if found.is_empty() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let names: Vec<String> =
                    found.iter().map(|object| format!("{} {}", object.r#type, object.id)).collect();
                fail!("list_owned after everything was deleted still shows {}", names.join(", "));
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }
}

/// Objects by type and role. What carries no markers was made by the cloud and comes and goes.
pub(crate) fn count(objects: &[v1::OwnedObject], tenant: &Tenant) -> Counts {
    let mut counts = Counts::new();
    for object in objects.iter().filter(|object| !object.role.is_empty() && !object.tenant_uid.is_empty()) {
        // A role may hold the tenant's own names; tenants are to be compared.
        let uid = &tenant.scope.tenant_uid;
        let role =
            object.role.replace(&tenant.domain, "DOMAIN").replace(uid, "UID").replace(&uid.replace('-', ""), "UID");
        *counts.entry(format!("{} ({role})", object.r#type)).or_default() += 1;
    }
    counts
}

/// In words.
pub(crate) fn difference(expected: &Counts, found: &Counts) -> String {
    let keys: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let number = |counts: &Counts, key: &str| counts.get(key).copied().unwrap_or_default();
    let differs = keys.into_iter().filter_map(|key| {
        let (wanted, there) = (number(expected, key), number(found, key));
        (wanted != there).then(|| format!("{key}: {there} instead of {wanted}"))
    });
    differs.collect::<Vec<_>>().join(", ")
}
