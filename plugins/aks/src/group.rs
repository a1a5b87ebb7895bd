//! The tenant's resource groups. ARM takes a PUT on a group of that name, whoever made it, so
//! each is inspected before anything is put into it.

use landlord_provider_api::{ErrorKind, ProviderError, v1};
use landlord_provider_sdk::table;
use serde_json::{Value, json};

use crate::{
    api,
    arm::If,
    error::{ErrorBody, Result, conflict, late},
    names::Call,
    object::{Object, Plain, State},
    operation::{self, Followed, Work},
    progress::{Outcome, pending, ready},
    tags,
};

/// Seconds between observations of a group that is going.
const POLL_S: i64 = 10;
/// So many foreign objects are named in an error.
const NAMED_MAX: usize = 5;

/// A group as found.
pub(crate) type Group = Object<Plain>;

/// The group if it exists and is ours; a foreign one is an error.
pub(crate) async fn find(call: &Call<'_>, group: &str) -> Result<Option<Group>> {
    let found = call.arm.get::<Plain>(&api::GROUP, &call.names.group_id(group)).await?;
    match found {
        Some(found) if !found.is_ours(call.scope) => Err(tags::name_taken("resource group", group).into()),
        found => Ok(found),
    }
}

/// The group if it is ours; `None` for absent and for a foreign one, which a deletion leaves
/// alone.
pub(crate) async fn find_own(call: &Call<'_>, group: &str) -> Result<Option<Group>> {
    let found = call.arm.get::<Plain>(&api::GROUP, &call.names.group_id(group)).await?;
    Ok(found.filter(|g| g.is_ours(call.scope)))
}

/// Makes the group exist; `Err` within is what is waited for.
pub(crate) async fn ensure(call: &Call<'_>, group: &str, role: &str) -> Result<std::result::Result<Group, Outcome>> {
    match find(call, group).await? {
        Some(found) if found.state() == State::Deleting => {
            Ok(Err(pending(POLL_S, format!("resource group {group} is being deleted before it is recreated"))))
        }
        Some(found) => Ok(Ok(found)),
        None => {
            let body = json!({ "location": call.scope.region, "tags": tags::all(call.scope, role) });
            let response = call.arm.put(&api::GROUP, &call.names.group_id(group), &body, If::Always).await?;
            Ok(Ok(response.object(&api::GROUP)?))
        }
    }
}

/// Everything in the group.
pub(crate) async fn contents(call: &Call<'_>, group: &str) -> Result<Vec<Group>> {
    call.arm.list(&api::GROUP_RESOURCE, &format!("{}/resources", call.names.group_id(group)), None).await
}

/// Deletes the group with all that is in it, if all of it is ours; gives what goes. Azure finds
/// the order itself. A foreign object in it is named and keeps the group.
pub(crate) async fn remove(
    call: &Call<'_>,
    found: &Group,
    checkpoint: &[u8],
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let group = found.name();
    let detail = format!("resource group {group} is being deleted");
    if found.state() == State::Deleting {
        return Ok((pending(POLL_S, detail).or_checkpoint(checkpoint), Vec::new()));
    }
    let inside = contents(call, group).await?;
    let foreign: Vec<&str> = inside.iter().filter(|o| !o.is_ours(call.scope)).map(Object::id).collect();
    if !foreign.is_empty() {
        let named = foreign[..foreign.len().min(NAMED_MAX)].join(", ");
        return Err(conflict(
            format!("resource group {group} holds {} objects that are not this tenant's: {named}", foreign.len()),
            "move or remove those objects; landlord tries again by itself",
        ));
    }
    let last = operation::follow(call.arm, Work::Deletion, checkpoint).await?;
    let Some(response) = call.arm.delete(&api::GROUP, &call.names.group_id(group)).await? else {
        return Ok((Outcome::Gone, vec![found.owned(call.scope)]));
    };
    // It is requested again already; the last attempt's end says what may have to be mended.
    if let Followed::Failed(reported) = last {
        return Err(removal_failed(&api::GROUP, group, &reported).into());
    }
    let mut removed: Vec<_> = inside.iter().map(|o| o.owned(call.scope)).collect();
    removed.push(found.owned(call.scope));
    Ok((operation::begun(call.arm, Work::Deletion, &response, POLL_S, detail), removed))
}

/// Deletes a group whatever is in it: the nodes' own, which AKS alone fills. `None`: it is gone.
pub(crate) async fn drop_whole(call: &Call<'_>, found: &Group) -> Result<Option<Outcome>> {
    let detail = format!("resource group {} is being deleted", found.name());
    if found.state() == State::Deleting {
        return Ok(Some(pending(POLL_S, detail)));
    }
    let response = call.arm.delete(&api::GROUP, &call.names.group_id(found.name())).await?;
    Ok(response.map(|response| operation::begun(call.arm, Work::Deletion, &response, POLL_S, detail)))
}

/// A deletion that failed: whatever holds the object may let go of it, so none is given up.
pub(crate) fn removal_failed(kind: &'static api::Kind, name: &str, reported: &ErrorBody) -> ProviderError {
    let mut error = late(kind, name, reported);
    if matches!(error.kind, ErrorKind::Invalid | ErrorKind::Internal | ErrorKind::Quota | ErrorKind::Capacity) {
        error.kind = ErrorKind::Conflict;
    }
    if table::is_general(&error.remedy) {
        "remove what holds it by hand; landlord tries again by itself".clone_into(&mut error.remedy);
    }
    error
}

/// Writes one tag of the group, or takes it away; all others stay.
pub(crate) async fn mark(call: &Call<'_>, found: &Group, key: &str, value: Option<&str>) -> Result<()> {
    if found.tags().get(key).map(String::as_str) == value {
        return Ok(());
    }
    let mut tags = found.tags().clone();
    match value {
        Some(value) => tags.insert(key.to_owned(), value.to_owned()),
        None => tags.remove(key),
    };
    let body: Value = json!({ "location": found.location(), "tags": tags });
    call.arm.put(&api::GROUP, &call.names.group_id(found.name()), &body, If::Always).await.map(drop)
}

/// What an observation of a group means.
pub(crate) fn outcome(found: &Group) -> Outcome {
    match found.state() {
        State::Succeeded => ready(),
        state => pending(POLL_S, format!("resource group {} is {}", found.name(), state.as_str())),
    }
}
