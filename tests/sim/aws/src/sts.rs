//! STS: who calls, and roles assumed across accounts.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>. A role is trusted to exist in its account
//! unless this account's IAM knows better; the external id is checked if the role's trust policy names one or if
//! `POST /_sim/roles` declared one.

use crate::state::Session;
use crate::wire::unknown_action;
use crate::xml::Xml;
use crate::{kind::AwsKind, state::AwsState};
use cloudsim_core::{
    call::{ApiError, Call, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
    scope_key::ScopeKey,
};

/// Handles a call.
///
/// # Errors
/// As AWS words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let mut x = Xml::new();
    match call.action.as_str() {
        "GetCallerIdentity" => {
            x.leaf("Arn", &call.caller.arn).leaf("UserId", &call.caller.user_id).leaf("Account", &call.caller.account);
        }
        "AssumeRole" => assume(ctx, call, &mut x)?,
        _ => return Err(unknown_action(call)),
    }
    Ok(Reply::Query(x.finish()))
}

fn assume(ctx: &mut Ctx<'_>, call: &Call, x: &mut Xml) -> Result<()> {
    let role_arn = call.params.text("RoleArn");
    let session_name = call.params.text("RoleSessionName");
    let parts: Vec<&str> = role_arn.splitn(6, ':').collect();
    let role = parts.get(5).and_then(|r| r.strip_prefix("role/")).unwrap_or_default();
    if parts.len() != 6 || role.is_empty() || session_name.len() < 2 {
        return Err(ApiError::new("ValidationError", format!("{role_arn} is invalid or the session name is missing")));
    }
    let account = parts[4];
    let role_name = role.rsplit('/').next().unwrap_or(role);
    let denied = || {
        ApiError::new(
            "AccessDenied",
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", call.caller.arn),
        )
        .status(403)
    };
    let home = ScopeKey::new(account, cloudsim_core::scope_key::GLOBAL);
    let trust = ctx.world.scope(&home).named(AwsKind::Role, role_name).map(|r| r.text("assume_role_policy").to_owned());
    let wanted = ctx
        .world
        .states
        .of::<AwsState>()
        .external_ids
        .get(role_arn)
        .cloned()
        .or_else(|| trust.as_deref().and_then(external_id));
    if wanted.is_some_and(|w| call.params.get("ExternalId") != Some(w.as_str())) {
        return Err(denied());
    }
    let seconds: i64 = call.params.get("DurationSeconds").and_then(|d| d.parse().ok()).unwrap_or(3_600);
    if !(900..=43_200).contains(&seconds) {
        return Err(ApiError::new("ValidationError", "DurationSeconds must be between 900 and 43200"));
    }
    let access_key = format!("ASIA{account}{}", ctx.world.capitals(12));
    let role_id = format!("AROA{}", ctx.world.capitals(17));
    let session = Session {
        secret: ctx.world.hex(40),
        token: format!("FwoGZXIvYXdzE{}", ctx.world.hex(64)),
        arn: format!("arn:aws:sts::{account}:assumed-role/{role_name}/{session_name}"),
        role_arn: role_arn.to_owned(),
        account: account.to_owned(),
        user_id: format!("{role_id}:{session_name}"),
        expires_us: ctx.now + seconds * 1_000_000,
    };
    x.node("AssumedRoleUser", |x| {
        x.leaf("AssumedRoleId", &session.user_id).leaf("Arn", &session.arn);
    });
    x.node("Credentials", |x| {
        x.leaf("AccessKeyId", &access_key).leaf("SecretAccessKey", &session.secret);
        x.leaf("SessionToken", &session.token).leaf("Expiration", iso8601(session.expires_us));
    });
    ctx.world.states.of_mut::<AwsState>().sessions.insert(access_key, session);
    ctx.world.dirty = true;
    Ok(())
}

/// The `sts:ExternalId` that a trust policy demands.
fn external_id(policy: &str) -> Option<String> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let statements = policy.get("Statement")?;
    let statements = statements.as_array().cloned().unwrap_or_else(|| vec![statements.clone()]);
    statements
        .iter()
        .find_map(|s| s.pointer("/Condition/StringEquals/sts:ExternalId").and_then(|v| v.as_str()).map(str::to_owned))
}
