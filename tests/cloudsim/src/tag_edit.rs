//! `POST /_sim/tags`: somebody edits the tags of one object past every API, as a person in a console or a clean-up script does.
//!
//! Works on every kind of every cloud at once, whatever its own API takes for it: tags, labels, or a description that
//! holds them.

use crate::{
    ctx::Ctx,
    object::{Object, Tags},
    world::World,
};
use serde::Deserialize;
use serde_json::{Value, json};

/// The change of one object's tags.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagEdit {
    /// The object's id or ARN, as `/_sim/objects` shows it.
    id: String,
    /// Keys to remove; a key that is not there is no error.
    #[serde(default)]
    remove: Vec<String>,
    /// Tags to set.
    #[serde(default)]
    set: Tags,
}

/// Applies the change and journals it as `cloudsim` `EditTags`; the answer holds the tags before and after, so that a test
/// can put them back.
///
/// # Errors
/// 404 if no live object has that id.
pub fn edit(world: &mut World, edit: TagEdit) -> Result<Value, (u16, String)> {
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
    ctx.change(&object.id, |o| {
        rewrite_description(o, &tags);
        o.tags = tags;
    });
    if let Some(stack) = ctx.scope().stacks.get_mut(&object.id) {
        stack.tags.clone_from(&after);
    }
    ctx.flush_cloud("cloudsim", "EditTags");
    Ok(json!({ "before": object.tags, "after": after }))
}

/// Where a description carries the tags, because the resource has none, it follows them.
fn rewrite_description(object: &mut Object, tags: &Tags) {
    let Some(description) = object.props.get_mut("doc").and_then(|d| d.get_mut("description")) else {
        return;
    };
    let carried = description.as_str().and_then(|text| serde_json::from_str::<Tags>(text).ok());
    if carried.is_some_and(|carried| carried == object.tags) {
        *description = json!(tags).to_string().into();
    }
}
