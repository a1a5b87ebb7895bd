//! A tenant's own values for its stack, checked before anything is made.

use landlord_core::{StackName, Violation};
use serde_json::{Map, Value};

use crate::{error::violation, name, ports::Ports};

/// Everything that is wrong with `values` for the stack of a placement.
pub(crate) fn check(ports: &Ports, stack: Option<&StackName>, values: &Map<String, Value>) -> Vec<Violation> {
    let within = |violation| name::within("tenant", violation);
    match stack {
        _ if values.is_empty() => Vec::new(),
        Some(stack) => ports.stacks.check(stack, values).into_iter().map(within).collect(),
        None => vec![violation("tenant.stack_values", "the class has no stack; leave it out")],
    }
}
