//! Port to the stacks: what a tenant may set in them. Knows no chart.

use serde_json::{Map, Value};

use crate::{StackName, Violation};

/// Something of a stack that a tenant may set by its `stack_values`.
#[derive(Debug, Clone, PartialEq)]
pub struct StackParameter {
    /// Path within `stack_values`: app and value, joined by dots.
    pub path: String,
    /// JSON Schema of the value; `None`: the chart says nothing of it.
    pub schema: Option<Value>,
    /// What it is when it is not set; `None`: not known.
    pub default_value: Option<Value>,
}

/// What tenants may set in stacks.
pub trait Stacks: Send + Sync + 'static {
    /// Everything that is wrong with `values` for a stack: apps that it lacks, values that are the operator's, values that
    /// the charts don't take. The fields begin with `stack_values`. Makes no call.
    fn check(&self, stack: &StackName, values: &Map<String, Value>) -> Vec<Violation>;

    /// What a tenant may set.
    fn parameters(&self, stack: &StackName) -> Vec<StackParameter>;
}
