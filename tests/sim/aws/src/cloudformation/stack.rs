//! What CloudFormation remembers of a stack.

use cloudsim_core::{call::Caller, clock::Micros, object::Tags};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What CloudFormation is doing with a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Idle,
    Creating,
    RollingBack,
    Updating,
    Deleting,
}

/// What to do when creation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnFailure {
    Rollback,
    Delete,
    DoNothing,
}

/// One resource of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StackResource {
    /// Logical id.
    pub logical: String,
    /// `AWS::EC2::VPC`, ….
    pub kind: String,
    /// Physical id once made.
    pub physical: Option<String>,
    /// `CREATE_IN_PROGRESS`, …; empty before it was begun.
    pub status: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// Logical ids that it needs.
    pub needs: BTreeSet<String>,
    /// What Fn::GetAtt gives.
    pub attributes: BTreeMap<String, String>,
    /// Resolved properties.
    pub properties: Value,
    /// Last change of status.
    pub changed_us: Micros,
    /// When deletion was first tried.
    pub delete_since_us: Option<Micros>,
    /// Whether deletion has had its effect and only its time must pass.
    pub deleted: bool,
}

impl StackResource {
    /// Whether something of it may exist.
    #[must_use]
    pub(crate) fn exists(&self) -> bool {
        self.physical.is_some() && self.status != "DELETE_COMPLETE"
    }

    /// Its name, if it is a role of IAM.
    #[must_use]
    pub(crate) fn role(&self) -> &str {
        if self.kind == "AWS::IAM::Role" { self.physical.as_deref().unwrap_or_default() } else { "" }
    }
}

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StackEvent {
    /// Unique id.
    pub id: String,
    /// When.
    pub at_us: Micros,
    /// Logical id, or the stack's name.
    pub logical: String,
    /// Physical id.
    pub physical: String,
    /// Type.
    pub kind: String,
    /// Status entered.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
}

/// A stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Stack {
    /// `arn:aws:cloudformation:…`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `CREATE_IN_PROGRESS`, ….
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// When it was made.
    pub created_us: Micros,
    /// When it was last updated.
    pub updated_us: Option<Micros>,
    /// When it went.
    pub deleted_us: Option<Micros>,
    /// The template as sent.
    pub body: String,
    /// Parameters in force, defaults included.
    pub parameters: BTreeMap<String, String>,
    /// Capabilities granted.
    pub capabilities: Vec<String>,
    /// The stack's own tags.
    pub tags: Tags,
    /// Token of the creation.
    pub token: String,
    /// What to do when creation fails.
    pub on_failure: OnFailure,
    /// Who requested the present operation; what is done for the stack is done in their name.
    #[serde(default)]
    pub caller: Caller,
    /// Whether DeleteStack is refused.
    pub termination_protection: bool,
    /// Its resources.
    pub resources: BTreeMap<String, StackResource>,
    /// Resources that an update takes away, deleted at its end.
    pub leaving: BTreeMap<String, StackResource>,
    /// Outputs: key, value, description, export name.
    pub outputs: Vec<(String, String, String, String)>,
    /// Events, oldest first.
    pub events: Vec<StackEvent>,
    /// Counts operations, so that steps of an abandoned one are ignored.
    pub operation: u64,
    /// Token of the operation under way, for events.
    pub operation_token: String,
    /// What is being done.
    pub phase: Phase,
    /// The stack as it was before the update under way, to go back to.
    pub before: Option<Box<Stack>>,
    /// Logical ids that deletion keeps.
    pub retained: BTreeSet<String>,
}

impl Stack {
    /// The parsed template.
    #[must_use]
    pub(crate) fn template(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}
