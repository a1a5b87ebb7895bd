//! CloudFormation stacks: find, create, update, delete, and why one failed. Knows states and
//! ownership, nothing of what a stack holds.

use std::collections::HashMap;

use aws_sdk_cloudformation::types::{Capability, Output, ResourceStatus, Stack, StackStatus, Tag};
use landlord_provider_api::{MARKER_ROLE, ProviderError, v1};

use super::reason;
use crate::{
    action,
    aws::Clients,
    error::{Absent as _, Error, Result, failed},
    tags::{self, Tags},
};

/// CloudFormation gives up by itself after this long.
const CREATE_TIMEOUT_MINUTES: i32 = 30;
/// Pages of events (100 each) read to find out why a stack failed.
const EVENT_PAGES_MAX: usize = 10;

/// A stack as found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) status: StackStatus,
    pub(crate) outputs: HashMap<String, String>,
    pub(crate) reason: String,
    /// Whether nothing can delete it.
    pub(crate) is_protected: bool,
    tags: Tags,
}

impl Found {
    /// Whether it carries our markers.
    pub(crate) fn is_ours(&self, scope: &v1::Scope) -> bool {
        tags::is_ours(scope, &self.tags)
    }

    /// An output; empty if there is none.
    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// The inventory's view of it.
    pub(crate) fn owned(&self, scope: &v1::Scope, name: &str) -> v1::OwnedObject {
        v1::OwnedObject {
            r#type: "AWS::CloudFormation::Stack".to_owned(),
            id: self.id.clone(),
            name: name.to_owned(),
            role: self.tags.get(MARKER_ROLE).cloned().unwrap_or_default(),
            tenant_uid: scope.tenant_uid.clone(),
            region: scope.region.clone(),
        }
    }
}

/// Finds a stack by its name.
pub(crate) async fn find(aws: &Clients, name: &str) -> Result<Option<Found>> {
    let response = aws.stacks.describe_stacks().stack_name(name).send().await;
    let response = response.map_err(failed(action::DESCRIBE_STACKS, name)).or_absent()?;
    let stack = response.and_then(|a| a.stacks.unwrap_or_default().into_iter().next());
    Ok(stack.map(found).filter(|s| s.status != StackStatus::DeleteComplete))
}

fn found(stack: Stack) -> Found {
    let pair = |o: Output| Some((o.output_key?, o.output_value?));
    let tag = |t: Tag| Some((t.key?, t.value?));
    Found {
        id: stack.stack_id.unwrap_or_default(),
        status: stack.stack_status.unwrap_or(StackStatus::CreateInProgress),
        outputs: stack.outputs.unwrap_or_default().into_iter().filter_map(pair).collect(),
        reason: stack.stack_status_reason.unwrap_or_default(),
        is_protected: stack.enable_termination_protection == Some(true),
        tags: stack.tags.unwrap_or_default().into_iter().filter_map(tag).collect(),
    }
}

fn stack_tags(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build()).collect()
}

/// Requests a stack. `token` makes a repetition of this very request harmless; a repetition
/// under another token is refused by the name.
pub(crate) async fn create(aws: &Clients, name: &str, body: &str, tags: &Tags, token: &str) -> Result<()> {
    let response = aws
        .stacks
        .create_stack()
        .stack_name(name)
        .template_body(body)
        .set_tags(Some(stack_tags(tags)))
        .capabilities(Capability::CapabilityNamedIam)
        .timeout_in_minutes(CREATE_TIMEOUT_MINUTES)
        .client_request_token(token)
        .send()
        .await;
    response.map(drop).map_err(failed(action::CREATE_STACK, name))
}

/// Requests a change; false if the stack is as requested already.
pub(crate) async fn update(aws: &Clients, name: &str, body: &str, tags: &Tags, token: &str) -> Result<bool> {
    let response = aws
        .stacks
        .update_stack()
        .stack_name(name)
        .template_body(body)
        .set_tags(Some(stack_tags(tags)))
        .capabilities(Capability::CapabilityNamedIam)
        .client_request_token(token)
        .send()
        .await;
    match response.map_err(failed(action::UPDATE_STACK, name)) {
        Ok(_) => Ok(true),
        Err(Error::Service(e)) if e.message.contains("No updates are to be performed") => Ok(false),
        Err(error) => Err(error),
    }
}

/// Requests the deletion of a stack, by id, so that a younger namesake is never meant.
pub(crate) async fn delete(aws: &Clients, id: &str) -> Result<()> {
    let response = aws.stacks.delete_stack().stack_name(id).send().await;
    response.map(drop).map_err(failed(action::DELETE_STACK, id)).or_absent().map(drop)
}

/// Why the last operation of a stack failed: the oldest failure of it that is not a mere
/// consequence of another one.
pub(crate) async fn failure(aws: &Clients, stack: &Found) -> Result<Option<ProviderError>> {
    let mut pages = aws.stacks.describe_stack_events().stack_name(&stack.id).into_paginator().send();
    let mut first = None;
    'pages: for _ in 0..EVENT_PAGES_MAX {
        let Some(page) = pages.next().await else {
            break;
        };
        let page = page.map_err(failed(action::DESCRIBE_STACK_EVENTS, &stack.id))?;
        for event in page.stack_events.unwrap_or_default() {
            let whole_stack = event.physical_resource_id.as_deref() == Some(stack.id.as_str());
            let status = event.resource_status.as_ref().map_or("", ResourceStatus::as_str);
            // Newest first: the operation's own beginning ends the search.
            let begun = matches!(status, "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS");
            if whole_stack && begun {
                break 'pages;
            }
            let text = event.resource_status_reason.unwrap_or_default();
            let consequence = text.contains("cancelled") || text.is_empty();
            if !whole_stack && status.ends_with("_FAILED") && !consequence {
                first = Some((
                    event.resource_type.unwrap_or_default(),
                    event.logical_resource_id.unwrap_or_default(),
                    text,
                ));
            }
        }
    }
    Ok(first.map(|(kind, id, text)| reason::read(&kind, &id, &text)))
}
