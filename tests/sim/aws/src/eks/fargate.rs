//! Fargate profiles, as far as they hold their cluster: there at once, and gone at once.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateFargateProfile.html>.

use super::{active_cluster, check_role, document, in_use, not_found, request_tags};
use crate::{arn::Arn as _, kind::AwsKind};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
    object::Object,
};
use serde_json::{Value, json};

/// Creates or deletes a profile.
///
/// # Errors
/// No such cluster or profile, a name that is taken, no such role.
pub(super) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let cluster = call.var(0).to_owned();
    if call.action == "DeleteFargateProfile" {
        let found = ctx.named(AwsKind::FargateProfile, &format!("{cluster}/{}", call.var(1)));
        let profile =
            found.ok_or_else(|| not_found(format!("No Fargate profile found with name: {}.", call.var(1))))?;
        ctx.delete(&profile.id);
        return Ok(json!({ "fargateProfile": document(&profile) }));
    }
    let name = call.field("fargateProfileName").to_owned();
    active_cluster(ctx, &cluster)?;
    let unique = format!("{cluster}/{name}");
    if ctx.scope().named(AwsKind::FargateProfile, &unique).is_some() {
        return Err(in_use("A Fargate Profile already exists with this name in this cluster."));
    }
    check_role(ctx, call.field("podExecutionRoleArn"))?;
    let arn = ctx.arn("eks", &format!("fargateprofile/{cluster}/{name}/{}", ctx.world.seed));
    let mut profile = Object::new(AwsKind::FargateProfile, &arn, arn.clone(), ctx.now);
    profile.name = Some(unique);
    "ACTIVE".clone_into(&mut profile.state);
    profile.tags = request_tags(call);
    let doc = json!({ "fargateProfileName": name, "fargateProfileArn": arn, "clusterName": cluster, "status": "ACTIVE",
                      "podExecutionRoleArn": call.field("podExecutionRoleArn"), "selectors": call.json["selectors"] });
    let profile = profile.with("doc", doc);
    let body = document(&profile);
    ctx.create(profile);
    Ok(json!({ "fargateProfile": body }))
}
