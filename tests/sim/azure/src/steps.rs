//! What Azure does by itself: operations end, groups empty themselves.

use super::{
    aks, dns, groups,
    kind::AzureKind,
    lro, references, resource,
    state::{Failure, Operation, Status, Verb},
};
use crate::state::AzureState;
use crate::step::AzureStep;
use cloudsim_core::{ctx::Ctx, object::Object};

/// Applies one step; gives service and action for the journal.
pub(crate) fn apply(ctx: &mut Ctx<'_>, step: &AzureStep) -> (&'static str, &'static str) {
    let (AzureStep::Done { operation: id } | AzureStep::GroupTick { operation: id, .. }) = step;
    let Some(operation) =
        ctx.world.states.of::<AzureState>().operations.get(id).cloned().filter(|o| o.status == Status::InProgress)
    else {
        return ("resources", "Stale");
    };
    if let AzureStep::GroupTick { idle, .. } = step {
        groups::tick(ctx, &operation, *idle);
        return ("resources", "resourceGroups.Gone");
    }
    let object = ctx.scope().live(&operation.resource).cloned();
    let Some((object, kind)) = object.and_then(|o| resource::kind_of(&o).map(|kind| (o, kind))) else {
        // Gone meanwhile, with its group.
        let error = (operation.verb != Verb::Delete).then(|| Failure {
            code: "ResourceNotFound".to_owned(),
            message: format!("The resource {} was deleted while the operation ran.", operation.resource),
            status: 404,
        });
        lro::end(ctx, id, error);
        return ("resources", "Stale");
    };
    let info = kind.info();
    match lro::planned_failure(ctx, kind, operation.verb) {
        Some(failure) => {
            match kind {
                AzureKind::ManagedCluster => aks::lifecycle::cluster_failed(ctx, &object),
                AzureKind::AgentPool => aks::lifecycle::pool_failed(ctx, &object),
                _ => {}
            }
            lro::fail(ctx, &operation, &object, failure);
        }
        None => done(ctx, &operation, &object, kind),
    }
    (info.service, if operation.verb == Verb::Delete { info.gone } else { info.ready })
}

fn done(ctx: &mut Ctx<'_>, operation: &Operation, object: &Object, kind: AzureKind) {
    match (kind, operation.verb) {
        (AzureKind::ManagedCluster, Verb::Delete) => aks::lifecycle::cluster_gone(ctx, operation, object),
        (AzureKind::ManagedCluster, Verb::Create | Verb::Update) => aks::lifecycle::cluster_due(ctx, operation, object),
        (AzureKind::AgentPool, Verb::Delete) => aks::lifecycle::pool_gone(ctx, operation, object),
        (AzureKind::AgentPool, Verb::Create | Verb::Update) => aks::lifecycle::pool_due(ctx, operation, object),
        (AzureKind::DnsZone, Verb::Delete) => dns::zone_gone(ctx, operation, object),
        (_, Verb::Create | Verb::Update) => {
            ctx.change(&object.id, |o| "Succeeded".clone_into(&mut o.state));
            lro::end(ctx, &operation.id, None);
        }
        (_, Verb::Delete) => {
            references::remove(ctx, &object.id);
            lro::end(ctx, &operation.id, None);
        }
    }
}
