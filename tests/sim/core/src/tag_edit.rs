//! `POST /_sim/tags`: somebody edits the tags of one object past every API, as a person in a console or a clean-up script does.
//!
//! Works on every kind of every cloud at once, whatever its own API takes for it: tags, labels, or a description that
//! holds them.

use crate::{
    cloud::{Clouds, ControlResponse},
    ctx::Ctx,
    object::{Object, Tags},
    world::World,
};
use serde::Deserialize;
use serde_json::json;

/// The change of one object's tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagEdit {
    /// The object's id or ARN, as `/_sim/objects` shows it.
    id: String,
    /// Keys to remove; a key that is not there is no error.
    #[serde(default)]
    remove: Vec<String>,
    /// Tags to set.
    #[serde(default)]
    set: Tags,
}

/// Applies the change and journals it as `cloudsim` `EditTags`; the response holds the tags before and after, so that a test
/// can put them back.
///
/// # Errors
/// 404 if no live object has that id.
pub(crate) fn edit(clouds: &Clouds, world: &mut World, edit: TagEdit) -> ControlResponse {
    let called = |o: &&Object| o.is_live() && (o.id == edit.id || o.arn == edit.id);
    let found = world.scopes.values().find_map(|s| Some((s.key.clone(), s.all().find(called)?.clone())));
    let Some((scope, object)) = found else {
        return Err((404, format!("there is no object {}", edit.id)));
    };
    let mut after = object.tags.clone();
    after.retain(|key, _| !edit.remove.contains(key));
    after.extend(edit.set);
    let now = world.clock.now();
    let mut ctx = Ctx::new(world, scope, now);
    let tags = after.clone();
    ctx.change(&object.id, |o| o.tags = tags);
    for cloud in clouds.all() {
        cloud.retagged(&mut ctx, &object.id, &object.tags);
    }
    ctx.flush_cloud("cloudsim", "EditTags");
    Ok(json!({ "before": object.tags, "after": after }))
}
