//! Updates as EKS keeps them with the object that they change.

use cloudsim_core::{clock::epoch_seconds, ctx::Ctx, object::Object};
use serde_json::{Value, json};

/// Records an update of an object of EKS under its cluster or itself.
pub(crate) fn new_update(ctx: &mut Ctx<'_>, object: &str, kind: &str, request: &Value) -> Value {
    let params: Vec<Value> = request
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(k, _)| *k != "clientRequestToken")
        .map(|(k, v)| json!({ "type": k, "value": v.to_string() }))
        .collect();
    let update = json!({ "id": ctx.world.uuid(), "status": "InProgress", "type": kind, "params": params,
                         "createdAt": epoch_seconds(ctx.now), "errors": [] });
    let stored = update.clone();
    ctx.adjust(object, |o| {
        let list = o.props.entry("updates").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(stored);
        }
    });
    update
}

/// Marks an update as done.
pub(crate) fn finish_update(object: &mut Object, update: &str) {
    for entry in object.props.get_mut("updates").and_then(Value::as_array_mut).into_iter().flatten() {
        if entry["id"] == update {
            entry["status"] = json!("Successful");
        }
    }
}
