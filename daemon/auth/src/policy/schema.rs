//! The schema of policies: what is shipped, and one action for each of core's.

use std::fmt::Write as _;

use cedar_policy::Schema;
use landlord_core::access::{Action, ActionGroup, ResourceKind};

use super::PolicyError;

const ENTITIES: &str = include_str!("../../policies/landlord.cedarschema");

/// The whole schema as text.
#[must_use]
pub(crate) fn text() -> String {
    let mut text = ENTITIES.to_owned();
    for action in Action::ALL.iter().filter(|action| action.group() != ActionGroup::Own) {
        let kinds: Vec<&str> = action.kinds().iter().copied().map(ResourceKind::as_str).collect();
        let _ = writeln!(
            text,
            "action \"{}\" in [\"{}\"] appliesTo {{ principal: [Principal], resource: [{}], context: {{}} }};",
            action.as_str(),
            action.group().as_str(),
            kinds.join(", ")
        );
    }
    text
}

pub(crate) fn parse() -> Result<Schema, PolicyError> {
    let (schema, _) = Schema::from_cedarschema_str(&text()).map_err(|error| PolicyError::Schema(error.to_string()))?;
    Ok(schema)
}
