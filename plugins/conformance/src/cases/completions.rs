//! Each call is completed exactly once: the rule of the ABI that nothing above it can see.

use std::time::Duration;

use futures::future::join_all;
use landlord_plugin_host::Plugin;
use landlord_provider_api::{Method, Provider as _, v1};

use crate::world::{Step, World, fail, failed};

/// Calls at once; half of them of a method that makes no outside call.
const AT_ONCE: usize = 8;
/// A completion too many may come from another thread, a moment later.
const AFTERMATH: Duration = Duration::from_millis(50);

pub(crate) async fn completions(world: &World) -> Step<String> {
    // A process of its own, before and after: what it does wrong is found here and nowhere else.
    let plugin = world.session.fresh().map_err(failed)?;
    plugin.start().await.map_err(failed)?;
    let judged = judge(&plugin).await;
    world.session.fresh().map_err(failed)?;
    judged
}

async fn judge(plugin: &Plugin) -> Step<String> {
    let pid = plugin.health().pid;
    let described = join_all((0..AT_ONCE).map(|_| plugin.describe(v1::DescribeRequest {}))).await;
    lives(plugin, pid).await?;
    let refused = join_all((0..AT_ONCE).map(|_| plugin.exchange(Method::ListOwned as u32, Vec::new()))).await;
    lives(plugin, pid).await?;
    let problems = described.into_iter().filter_map(Result::err).map(|error| error.to_string());
    let unanswered = refused.into_iter().filter_map(Result::err).map(|error| error.to_string());
    if let Some(problem) = problems.chain(unanswered).next() {
        fail!("a call has no completion: {problem}");
    }
    Ok(format!("{} calls, each completed once", 2 * AT_ONCE))
}

/// Whether the process is still the one that the calls were sent to.
async fn lives(plugin: &Plugin, pid: Option<u32>) -> Step {
    tokio::time::sleep(AFTERMATH).await;
    let health = plugin.health();
    if health.pid == pid {
        return Ok(());
    }
    fail!("the process was ended after {AT_ONCE} calls at once: {}", health.detail)
}
