//! Update masks (AIP-134, AIP-161): whole fields, one label (`labels.KEY`), one value of a stack (`stack_values.APP.VALUE`).
//! A part with a dot or another sign stands in backticks: labels.`a.b`.

use landlord_proto::v1;
use prost_types::{Struct, Value, value::Kind};

/// Fields that an update may change.
pub(crate) const CHANGEABLE: [&str; 7] =
    ["display_name", "labels", "storage_gib", "node_count", "stack_values", "deletion_protection", "paused"];

/// The paths of the mask; `*`: all that may change; without a mask, all that are populated (AIP-134).
pub(crate) fn paths(request: &v1::UpdateTenantRequest) -> Vec<String> {
    match request.update_mask.as_ref().map(|mask| mask.paths.as_slice()) {
        Some([all]) if all == "*" => CHANGEABLE.map(str::to_owned).to_vec(),
        Some([]) | None => populated(&request.tenant.clone().unwrap_or_default()),
        Some(paths) => paths.to_vec(),
    }
}

/// Also those that can't change: another value of them gets its own explanation.
fn populated(tenant: &v1::Tenant) -> Vec<String> {
    let fields = [
        ("display_name", !tenant.display_name.is_empty()),
        ("labels", !tenant.labels.is_empty()),
        ("storage_gib", tenant.storage_gib != 0),
        ("node_count", tenant.node_count != 0),
        ("stack_values", tenant.stack_values.is_some()),
        ("deletion_protection", tenant.deletion_protection),
        ("paused", tenant.paused),
        ("domain", !tenant.domain.is_empty()),
        ("tenant_class", !tenant.tenant_class.is_empty()),
        ("region", !tenant.region.is_empty()),
    ];
    fields.into_iter().filter(|(_, populated)| *populated).map(|(field, _)| field.to_owned()).collect()
}

/// Copies what a path names; what `from` has not is taken away. Fields that can't change are copied too: the same value is
/// no mistake, and another one gets its own explanation.
///
/// # Errors
/// What is wrong with the path.
pub(crate) fn copy(path: &str, from: &v1::Tenant, to: &mut v1::Tenant) -> Result<(), String> {
    let parts = parts(path)?;
    match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["display_name"] => to.display_name.clone_from(&from.display_name),
        ["labels"] => to.labels.clone_from(&from.labels),
        ["labels", key] => match from.labels.get(*key) {
            Some(value) => drop(to.labels.insert((*key).to_owned(), value.clone())),
            None => drop(to.labels.remove(*key)),
        },
        ["storage_gib"] => to.storage_gib = from.storage_gib,
        ["node_count"] => to.node_count = from.node_count,
        ["stack_values"] => to.stack_values.clone_from(&from.stack_values),
        ["stack_values", keys @ ..] => {
            let value = from.stack_values.as_ref().and_then(|values| find(values, keys));
            set(to.stack_values.get_or_insert_with(Struct::default), keys, value)?;
        }
        ["deletion_protection"] => to.deletion_protection = from.deletion_protection,
        ["paused"] => to.paused = from.paused,
        ["domain"] => to.domain.clone_from(&from.domain),
        ["tenant_class"] => to.tenant_class.clone_from(&from.tenant_class),
        ["region"] => to.region.clone_from(&from.region),
        ["*"] => return Err("\"*\" stands alone".into()),
        _ => return Err(format!("{path:?} can't be changed; changeable are: {}", CHANGEABLE.join(", "))),
    }
    Ok(())
}

/// A path's parts; those in backticks without them.
fn parts(path: &str) -> Result<Vec<String>, String> {
    let malformed = || format!("{path:?} is no path: parts are joined by dots, or stand in backticks");
    let (mut parts, mut rest) = (Vec::new(), path);
    loop {
        let (part, after) = match rest.strip_prefix('`') {
            Some(quoted) => quoted.split_once('`').ok_or_else(malformed)?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        if part.is_empty() {
            return Err(malformed());
        }
        parts.push(part.to_owned());
        rest = match after.strip_prefix('.') {
            Some(next) => next,
            None if after.is_empty() => return Ok(parts),
            None => return Err(malformed()),
        };
    }
}

fn find(values: &Struct, keys: &[&str]) -> Option<Value> {
    let (first, rest) = keys.split_first()?;
    let value = values.fields.get(*first)?;
    if rest.is_empty() {
        return Some(value.clone());
    }
    match &value.kind {
        Some(Kind::StructValue(inner)) => find(inner, rest),
        _ => None,
    }
}

/// Sets a value, or takes it away, with the objects that this leaves empty.
fn set(values: &mut Struct, keys: &[&str], value: Option<Value>) -> Result<(), String> {
    let Some((first, rest)) = keys.split_first() else { return Ok(()) };
    if rest.is_empty() {
        match value {
            Some(value) => drop(values.fields.insert((*first).to_owned(), value)),
            None => drop(values.fields.remove(*first)),
        }
        return Ok(());
    }
    if value.is_none() && !values.fields.contains_key(*first) {
        return Ok(());
    }
    let taken_away = value.is_none();
    let inner = values.fields.entry((*first).to_owned()).or_default();
    if inner.kind.is_none() {
        inner.kind = Some(Kind::StructValue(Struct::default()));
    }
    let Some(Kind::StructValue(object)) = &mut inner.kind else {
        return Err(format!("{first:?} of stack_values is no object; set it whole"));
    };
    set(object, rest, value)?;
    if taken_away && object.fields.is_empty() {
        values.fields.remove(*first);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_parts() {
        for (path, expected) in [
            ("labels", Some(vec!["labels"])),
            ("labels.tier", Some(vec!["labels", "tier"])),
            ("labels.`a.b/c`", Some(vec!["labels", "a.b/c"])),
            ("stack_values.`open-webui`.files.suffixes", Some(vec!["stack_values", "open-webui", "files", "suffixes"])),
            ("stack_values.open-webui.files", Some(vec!["stack_values", "open-webui", "files"])),
            ("", None),
            ("labels.", None),
            (".labels", None),
            ("labels..a", None),
            ("labels.`a", None),
            ("labels.`a`b", None),
        ] {
            let found = parts(path).ok();
            assert_eq!(found, expected.map(|parts| parts.into_iter().map(str::to_owned).collect()), "{path}");
        }
    }
}
