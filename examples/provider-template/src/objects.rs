//! The contract's core, once for every kind of object: look the name up, adopt what is ours, make what is absent with its
//! markers in the same call, leave strangers alone; delete, and say what was there; list by marker.

use std::{collections::BTreeMap, time::Duration};

use landlord_provider_api::{
    ErrorKind, MARKER_INSTALLATION, MARKER_ROLE, MARKER_TENANT_UID, ProviderError,
    v1::{self, progress::Outcome},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, Object, Result};

/// Nimbus makes most things within seconds; the daemon may ask earlier or later.
const POLL_AFTER: Duration = Duration::from_secs(2);

/// One object of one tenant.
pub(crate) struct Place<'a> {
    scope: &'a v1::Scope,
    role: &'a str,
    /// Collection and name; the name comes from the uid, never from a display name.
    path: String,
}

impl<'a> Place<'a> {
    pub(crate) fn new(scope: &'a Option<v1::Scope>, collection: &str, role: &'a str) -> Result<Self> {
        let scope = checked(scope, false)?;
        if role.is_empty() || role.len() > 40 || !role.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
            return Err(invalid(format!("the role {role:?} is none: a to z, digits and dashes, at most 40")));
        }
        Ok(Self { scope, role, path: format!("{collection}/landlord-{}-{role}", scope.tenant_uid) })
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let (installation, uid) = (self.scope.installation.as_str(), self.scope.tenant_uid.as_str());
        let markers = [(MARKER_INSTALLATION, installation), (MARKER_TENANT_UID, uid), (MARKER_ROLE, self.role)];
        let markers = markers.map(|(key, value)| (key.to_owned(), value.to_owned()));
        self.scope.labels.clone().into_iter().chain(markers).collect()
    }

    fn is_ours(&self, object: &Object) -> bool {
        let is = |key: &str, value: &str| object.labels.get(key).is_some_and(|found| found == value);
        is(MARKER_INSTALLATION, &self.scope.installation) && is(MARKER_TENANT_UID, &self.scope.tenant_uid)
    }
}

pub(crate) fn invalid(problem: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, problem)
}

/// A scope that can be worked for: names come from its uid, so it must be a UUID; only a list may be for all tenants.
pub(crate) fn checked(scope: &Option<v1::Scope>, for_all: bool) -> Result<&v1::Scope> {
    let scope = scope.as_ref().ok_or_else(|| invalid("the request has no scope"))?;
    let uid = scope.tenant_uid.as_bytes();
    let is_uid = uid.len() == 36 && uid.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    if scope.installation.is_empty() || !(is_uid || for_all && uid.is_empty()) {
        return Err(invalid("the scope needs an installation, and a tenant uid that is a UUID in lower case"));
    }
    Ok(scope)
}

fn progress(outcome: Outcome, removed: Vec<v1::OwnedObject>) -> Option<v1::Progress> {
    Some(v1::Progress { outcome: Some(outcome), removed })
}

/// Ready as it is shown, or what is being waited for.
fn outcome(object: &Object) -> Outcome {
    if object.state == "READY" {
        return Outcome::Ready(v1::Ready::default());
    }
    let detail = format!("{} {} is {}", object.collection, object.name, object.state);
    Outcome::Pending(v1::Pending { poll_after: POLL_AFTER.try_into().ok(), detail, ..v1::Pending::default() })
}

fn name_taken(place: &Place<'_>) -> ProviderError {
    let problem = format!("{} exists and does not carry this tenant's markers", place.path);
    ProviderError::new(ErrorKind::NameTaken, problem)
        .with_remedy("find out who made it, and remove it or give it this tenant's markers; then retry")
}

async fn look(cloud: &Cloud, place: &Place<'_>) -> Result<Option<Object>> {
    cloud.call(Method::GET, &place.path, None).await
}

/// Makes the object exist as `spec` says. Never waits; gives it once it is ready.
pub(crate) async fn ensure(
    cloud: &Cloud,
    place: &Place<'_>,
    spec: &Value,
) -> Result<(Option<v1::Progress>, Option<Object>)> {
    let refused = |kind, why: &str| Err(ProviderError::new(kind, format!("{} {why}", place.path)));
    let object = match look(cloud, place).await? {
        Some(found) if !place.is_ours(&found) => return Err(name_taken(place)),
        Some(found) if found.state == "DELETING" => return refused(ErrorKind::Conflict, "is still being deleted"),
        Some(found) if found.spec == *spec || found.state != "READY" => found,
        // Nimbus makes or changes it, and refuses (`exists`) if it carries other labels: two calls at once make one.
        _ => {
            let body = json!({ "labels": place.labels(), "spec": spec });
            cloud.call(Method::PUT, &place.path, Some(body)).await?
        }
    };
    Ok((progress(outcome(&object), Vec::new()), Some(object).filter(|object| object.state == "READY")))
}

/// What is there of ours. Changes nothing.
pub(crate) async fn observe(cloud: &Cloud, place: &Place<'_>) -> Result<v1::ObserveResponse> {
    let found = look(cloud, place).await?.filter(|object| place.is_ours(object));
    let seen = found.as_ref().map_or(Outcome::Gone(v1::Gone {}), outcome);
    let objects = found.iter().map(|object| owned(place.scope, object)).collect();
    Ok(v1::ObserveResponse { progress: progress(seen, Vec::new()), objects })
}

/// Makes the object absent. Absent already is success. So is one that does not carry our markers, unless the daemon's
/// records say that it is the tenant's: then somebody took them off, and it is not gone.
pub(crate) async fn delete(cloud: &Cloud, place: &Place<'_>, recorded: bool) -> Result<Option<v1::Progress>> {
    let gone = Outcome::Gone(v1::Gone {});
    let found = match look(cloud, place).await? {
        Some(found) if !place.is_ours(&found) && recorded => return Err(name_taken(place)),
        found => found.filter(|object| place.is_ours(object)),
    };
    let removed = found.iter().map(|object| owned(place.scope, object)).collect();
    let left = match found {
        Some(found) if found.state != "DELETING" => cloud.call(Method::DELETE, &place.path, None).await?,
        left => left,
    };
    Ok(progress(left.as_ref().map_or(gone, outcome), removed))
}

/// A page of what carries our markers.
pub(crate) async fn list(cloud: &Cloud, scope: &v1::Scope, page: &str) -> Result<v1::ListOwnedResponse> {
    let tenant = Some((MARKER_TENANT_UID, scope.tenant_uid.as_str())).filter(|(_, uid)| !uid.is_empty());
    let labels: Vec<_> = [(MARKER_INSTALLATION, scope.installation.as_str())].into_iter().chain(tenant).collect();
    let page = cloud.list(&labels, page).await?;
    let objects = page.items.iter().map(|object| owned(scope, object)).collect();
    Ok(v1::ListOwnedResponse { objects, next_page_token: page.next })
}

fn owned(scope: &v1::Scope, object: &Object) -> v1::OwnedObject {
    let label = |key: &str| object.labels.get(key).cloned().unwrap_or_default();
    v1::OwnedObject {
        r#type: format!("nimbus/{}", object.collection),
        id: object.id.clone(),
        name: object.name.clone(),
        role: label(MARKER_ROLE),
        tenant_uid: label(MARKER_TENANT_UID),
        region: scope.region.clone(),
    }
}
