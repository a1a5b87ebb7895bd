//! Whether a region's quotas have room for more machines.

use crate::{compute::places, error::forbidden};
use cloudsim_core::{call::Result, ctx::Ctx};

/// Refuses `nodes` further nodes beyond the region's quotas: of processors and, unless the nodes are private, of external
/// addresses in use.
///
/// # Errors
/// forbidden, in GKE's words.
pub(crate) fn check_room(ctx: &mut Ctx<'_>, region: &str, nodes: u64, cpus: u64, private: bool) -> Result<()> {
    for (metric, wanted) in [("CPUS", nodes * cpus), ("IN_USE_ADDRESSES", if private { 0 } else { nodes })] {
        let limit = ctx.world.quotas.limit(&ctx.key.account, metric);
        let free = limit.saturating_sub(places::in_use(ctx, metric, region));
        if wanted <= free {
            continue;
        }
        let project = ctx.key.account.clone();
        return Err(forbidden(format!(
            "Insufficient regional quota to satisfy request: resource \"{metric}\": request requires '{wanted}.0' and is \
             short '{}.0'. project has a quota of '{limit}.0' with '{free}.0' available. View and manage quotas at \
             https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={project}.",
            wanted - free
        )));
    }
    Ok(())
}
