//! Each call is completed exactly once: the rule of the ABI that nothing above it can see.

use std::time::Duration;

use futures::future::join_all;
use landlord_provider_api::{Method, Provider as _, v1};

use crate::world::{Step, World, fail, failed};

/// Calls at once; half of them of a method that asks nobody.
const AT_ONCE: usize = 8;
/// A completion too many may come from another thread, a moment later.
const AFTERMATH: Duration = Duration::from_millis(50);

pub(crate) async fn completions(world: &World) -> Step<String> {
    // A process of its own: what it does wrong is found here and nowhere else.
    let plugin = world.session.fresh().map_err(failed)?;
    plugin.start().await.map_err(failed)?;
    let pid = plugin.health().pid;
    let described = join_all((0..AT_ONCE).map(|_| plugin.describe(v1::DescribeRequest {}))).await;
    let refused = join_all((0..AT_ONCE).map(|_| plugin.exchange(Method::ListOwned as u32, Vec::new()))).await;
    tokio::time::sleep(AFTERMATH).await;
    // The frames of a process come in order: once this is answered, everything before it was read.
    let last = plugin.describe(v1::DescribeRequest {}).await;
    let health = plugin.health();
    if health.pid != pid {
        fail!("the process was ended after {} calls: {}", 2 * AT_ONCE, ended(&health.detail));
    }
    let problems = described.into_iter().chain([last]).filter_map(Result::err).map(|error| error.to_string());
    let unanswered = refused.into_iter().filter_map(Result::err).map(|error| error.to_string());
    if let Some(problem) = problems.chain(unanswered).next() {
        fail!("a call has no completion: {problem}");
    }
    Ok(format!("{} calls, each completed once", 2 * AT_ONCE + 1))
}

fn ended(detail: &str) -> &str {
    if detail.is_empty() { "its health does not say why" } else { detail }
}
