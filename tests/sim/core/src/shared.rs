//! What all tasks of a simulator share.

use crate::{cloud::Clouds, cluster::RuntimeCommand, ctx::Ctx, world::World};
use parking_lot::Mutex;
use std::net::SocketAddr;
use tokio::sync::{Notify, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What all tasks share.
pub struct Shared {
    /// What there is.
    pub world: Mutex<World>,
    /// The clouds that it is in.
    pub clouds: Clouds,
    /// Woken when the schedule may have got an earlier step.
    pub rescheduled: Notify,
    /// Woken when a call is held.
    pub holds_changed: Notify,
    /// This simulator's address.
    pub address: SocketAddr,
    pub(crate) commands: mpsc::UnboundedSender<RuntimeCommand>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Shared {
    /// Changes the scope of the cluster with the identity `arn`, journalled as the work of `service`.
    pub fn in_cluster(&self, arn: &str, service: &str, action: &str, act: impl FnOnce(&mut Ctx<'_>)) {
        let cloud = self.clouds.of_cluster(arn);
        let Some(scope) = cloud.cluster_scope(arn) else {
            return;
        };
        {
            let mut world = self.world.lock();
            let now = self.clouds.advance(&mut world);
            let mut ctx = Ctx::new(&mut world, scope, now);
            ctx.domain = cloud.domain();
            act(&mut ctx);
            ctx.flush_cloud(service, action);
        }
        self.after_change();
    }

    /// Sends what the world wants of the runtime and wakes the ticker. To be called after each change, unlocked.
    pub fn after_change(&self) {
        let commands = std::mem::take(&mut self.world.lock().outbox);
        for command in commands {
            // The driver ends only at shutdown; what is lost then is started again with the state.
            let _ = self.commands.send(command);
        }
        self.rescheduled.notify_one();
    }
}
