//! Deleting and observing the tenant's stack, from the scope alone.

use aws_sdk_cloudformation::types::StackStatus;
use landlord_provider_api::{ErrorKind, v1};
use landlord_provider_sdk::table;

use super::{
    POLL_S,
    stack::{self, Found},
};
use crate::{
    aws::Clients,
    error::{Error, Result},
    leftovers, logs,
    names::Names,
    progress::{self, Outcome},
};

/// Makes the stack be absent.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let name = names.stack();
    let Some(stack) = stack::find(aws, name).await? else {
        // The last log events of a cluster come after its end, and bring their group back.
        let late = if names.is_shared() { None } else { logs::delete(aws, scope, &names).await? };
        return Ok((Outcome::Gone, late.into_iter().collect()));
    };
    if !stack.is_ours(scope) {
        // Never ours: for this tenant it is absent.
        return Ok((Outcome::Gone, Vec::new()));
    }
    let removed = vec![stack.owned(scope, name)];
    let pending = |detail: String| progress::pending(POLL_S, detail);
    match stack.status.as_str() {
        "DELETE_IN_PROGRESS" => Ok((pending(format!("CloudFormation stack {name} is being deleted")), Vec::new())),
        "DELETE_FAILED" => retry(aws, scope, name, &stack, removed).await,
        "UPDATE_IN_PROGRESS"
        | "UPDATE_ROLLBACK_IN_PROGRESS"
        | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
        | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => {
            let detail = format!("CloudFormation stack {name} is {} and can be deleted after that", stack.status);
            Ok((pending(detail), Vec::new()))
        }
        _ => {
            stack::delete(aws, &stack.id).await?;
            Ok((pending(format!("CloudFormation stack {name} is being deleted")), removed))
        }
    }
}

/// Sweeps what may hold the stack's resources and deletes it once more. Returns why it failed: as
/// an error if nothing was found that explains it.
async fn retry(
    aws: &Clients,
    scope: &v1::Scope,
    name: &str,
    stack: &Found,
    mut removed: Vec<v1::OwnedObject>,
) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let why = stack::failure(aws, stack).await?;
    let swept = leftovers::delete(aws, scope).await?.1;
    stack::delete(aws, &stack.id).await?;
    let detail = why.as_ref().map_or_else(|| stack.reason.clone(), |e| e.message.clone());
    match why {
        Some(mut error) if swept.is_empty() => {
            error.message = format!("CloudFormation stack {name} could not be deleted: {}", error.message);
            if table::is_general(&error.remedy) {
                "remove what was put into the tenant's VPC by hand; landlord tries again by itself"
                    .clone_into(&mut error.remedy);
            }
            // Whatever holds a resource may let go of it: no deletion is ever given up.
            if error.kind == ErrorKind::Invalid {
                error.kind = ErrorKind::Conflict;
            }
            Err(Error::Stated(error))
        }
        _ => {
            removed.extend(swept);
            let detail = format!("CloudFormation stack {name} could not be deleted ({detail}); trying again");
            Ok((progress::pending(POLL_S, detail), removed))
        }
    }
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let found = stack::find(aws, names.stack()).await?.filter(|s| s.is_ours(scope));
    let Some(stack) = found else {
        return Ok((Outcome::Gone, Vec::new()));
    };
    let outcome = match stack.status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::UpdateRollbackComplete => {
            progress::ready()
        }
        ref other => progress::pending(POLL_S, format!("CloudFormation stack {} is {other}", names.stack())),
    };
    Ok((outcome, vec![stack.owned(scope, names.stack())]))
}
