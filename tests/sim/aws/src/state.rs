//! What AWS has beside objects: CloudFormation's stacks, sessions, known secrets.

use crate::cloudformation::stack::Stack;
use cloudsim_core::{clock::Micros, ctx::Ctx, states::CloudState};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Temporary credentials given by AssumeRole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// The secret key.
    pub(crate) secret: String,
    /// The session token.
    pub(crate) token: String,
    /// `arn:aws:sts::…:assumed-role/ROLE/SESSION`.
    pub(crate) arn: String,
    /// The role's ARN.
    pub(crate) role_arn: String,
    /// The role's account.
    pub(crate) account: String,
    /// `AROA…:SESSION`.
    pub(crate) user_id: String,
    /// When it ends.
    pub(crate) expires_us: Micros,
}

/// What AWS has beside objects.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct AwsState {
    /// CloudFormation's stacks by id, deleted ones too, by `account/region`.
    stacks: HashMap<String, HashMap<String, Stack>>,
    /// Sessions by access key.
    pub(crate) sessions: HashMap<String, Session>,
    /// Known secrets by access key.
    pub(crate) secrets: HashMap<String, String>,
    /// External ids that roles demand, by role ARN.
    pub(crate) external_ids: HashMap<String, String>,
}

impl CloudState for AwsState {
    const NAME: &'static str = crate::step::NAME;
}

/// The stacks of a context's account and Region.
pub(crate) fn stacks<'a>(ctx: &'a mut Ctx<'_>) -> &'a mut HashMap<String, Stack> {
    let here = format!("{}/{}", ctx.key.account, ctx.key.region);
    ctx.world.states.of_mut::<AwsState>().stacks.entry(here).or_default()
}
