//! The contract's core, once for every kind of object: look the name up, adopt what is ours, make what is absent with its
//! markers in the same call, leave alone what others own; delete, and say what was there; list by marker.

use landlord_provider_api::{ErrorKind, MARKER_INSTALLATION, MARKER_TENANT_UID, ProviderError, v1};
use landlord_provider_sdk::{
    markers::{self, Limits},
    names,
    progress::{Outcome, pending, ready},
    request::{missing, need},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Object, Result};

/// Nimbus makes most things within seconds; the daemon may ask earlier or later.
pub(crate) const POLL_AFTER_S: i64 = 2;
/// Longest role of a node pool.
const ROLE_LEN_MAX: usize = 40;
/// Nimbus takes any text as a label, and fifty of them.
pub(crate) const LABELS: Limits = Limits { labels_max: 40, is_key: |key| !key.is_empty(), is_value: |_| true };

/// One object of one tenant.
pub(crate) struct Place<'a> {
    pub(crate) scope: &'a v1::Scope,
    pub(crate) role: &'a str,
    pub(crate) collection: &'static str,
    /// Collection and name; the name comes from the uid, never from a display name.
    path: String,
}

impl<'a> Place<'a> {
    pub(crate) fn new(scope: &'a Option<v1::Scope>, collection: &'static str, role: &'a str) -> Result<Self> {
        let scope = checked(scope, false)?;
        names::pool_role(role, ROLE_LEN_MAX)?;
        Ok(Self { scope, role, collection, path: format!("{collection}/landlord-{}-{role}", scope.tenant_uid) })
    }

    fn is_ours(&self, object: &Object) -> bool {
        markers::is_ours(self.scope, &object.labels)
    }

    fn taken(&self) -> ProviderError {
        markers::name_taken("Nimbus object", &self.path, "labels")
    }
}

/// A scope that can be worked for: names come from its uid, so it must be a UUID; only a list may be for all tenants.
pub(crate) fn checked(scope: &Option<v1::Scope>, for_all: bool) -> Result<&v1::Scope> {
    let scope = need(scope.as_ref(), "the scope")?;
    if scope.installation.is_empty() {
        return Err(missing("the installation"));
    }
    if !(for_all && scope.tenant_uid.is_empty()) {
        names::uid_hex(scope)?;
    }
    Ok(scope)
}

/// Ready as it is shown, or what is being waited for.
fn outcome(object: &Object) -> Outcome {
    match object.state.as_str() {
        "READY" => ready(),
        state => pending(POLL_AFTER_S, format!("{} {} is {state}", object.collection, object.name)),
    }
}

async fn find(cloud: &Cloud, place: &Place<'_>) -> Result<Option<Object>> {
    cloud.call(Method::GET, &place.path, None).await
}

/// Makes the object exist as `spec` says. Never waits; gives it once it is ready.
pub(crate) async fn ensure(cloud: &Cloud, place: &Place<'_>, spec: &Value) -> Result<(Outcome, Option<Object>)> {
    let object = match find(cloud, place).await? {
        Some(found) if !place.is_ours(&found) => return Err(place.taken()),
        Some(found) if found.state == "DELETING" => {
            let problem = format!("{} is still being deleted", place.path);
            return Err(ProviderError::new(ErrorKind::Conflict, problem));
        }
        Some(found) if found.spec == *spec || found.state != "READY" => found,
        // Nimbus makes or changes it, and refuses (`exists`) if it carries other labels: two calls at once make one.
        _ => {
            let labels = markers::with_labels(place.scope, place.role, &LABELS);
            let body = json!({ "labels": labels, "spec": spec });
            cloud.call(Method::PUT, &place.path, Some(body)).await?
        }
    };
    Ok((outcome(&object), Some(object).filter(|object| object.state == "READY")))
}

/// What is there of ours. Changes nothing.
pub(crate) async fn observe(cloud: &Cloud, place: &Place<'_>) -> Result<v1::ObserveResponse> {
    let found = find(cloud, place).await?.filter(|object| place.is_ours(object));
    let seen = found.as_ref().map_or(Outcome::Gone, outcome);
    let objects = found.iter().map(|object| owned(place.scope, object)).collect();
    Ok(v1::ObserveResponse { progress: Some(seen.progress(Vec::new())), objects })
}

/// Makes the object absent. Absent already is success. So is one that does not carry our markers, unless the daemon's
/// records say that it is the tenant's: then somebody took them off, and it is not gone.
pub(crate) async fn delete(cloud: &Cloud, place: &Place<'_>, recorded: bool) -> Result<v1::Progress> {
    let found = match find(cloud, place).await? {
        Some(found) if !place.is_ours(&found) && recorded => return Err(place.taken()),
        found => found.filter(|object| place.is_ours(object)),
    };
    let removed = found.iter().map(|object| owned(place.scope, object)).collect();
    let left = match found {
        Some(found) if found.state != "DELETING" => cloud.call(Method::DELETE, &place.path, None).await?,
        left => left,
    };
    Ok(left.as_ref().map_or(Outcome::Gone, outcome).progress(removed))
}

/// A page of what carries our markers.
pub(crate) async fn list(cloud: &Cloud, scope: &v1::Scope, page: &str) -> Result<v1::ListOwnedResponse> {
    let tenant = Some((MARKER_TENANT_UID, scope.tenant_uid.as_str())).filter(|(_, uid)| !uid.is_empty());
    let labels: Vec<_> = [(MARKER_INSTALLATION, scope.installation.as_str())].into_iter().chain(tenant).collect();
    let page = cloud.list(&labels, page).await?;
    let objects = page.items.iter().map(|object| owned(scope, object)).collect();
    Ok(v1::ListOwnedResponse { objects, next_page_token: page.next })
}

pub(crate) fn owned(scope: &v1::Scope, object: &Object) -> v1::OwnedObject {
    let r#type = format!("nimbus/{}", object.collection);
    markers::owned(&r#type, &object.id, &object.name, &scope.region, &object.labels)
}
