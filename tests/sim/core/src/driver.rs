//! Runs the world's commands on the Kubernetes runtime and reports back.
//!
//! One task per cluster keeps that cluster's commands in order; clusters do not wait for each other. Knows the runtime by
//! its trait only.

use crate::{
    cloud_side::CloudSide,
    cluster::{ClusterSpec, RuntimeCommand, RuntimeEvent},
    runtime::ClusterRuntime,
    shared::Shared,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Shortest and longest pause between two tries to have nodes join or leave, in real time.
const JOIN_RETRY_MIN: Duration = Duration::from_millis(200);
const JOIN_RETRY_MAX: Duration = Duration::from_secs(5);
/// An API server that is away for longer does not come back; what is wrong with a command itself does not mend either.
const JOIN_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Repeats the commands for the control planes and nodes of clusters that the stored state has.
pub(crate) fn resume(shared: &Shared) {
    let mut world = shared.world.lock();
    let mut commands = Vec::new();
    for scope in world.scopes.values() {
        for cluster in world
            .cluster_kinds
            .iter()
            .flat_map(|kind| scope.of_kind(*kind))
            .filter(|c| c.is_live() && !c.props.contains_key("no_room"))
        {
            let spec = ClusterSpec {
                arn: cluster.id.clone(),
                name: cluster.name.clone().unwrap_or_default(),
                version: shared.clouds.of_cluster(&cluster.id).version_of(cluster),
                folder: cluster.text("folder").to_owned(),
            };
            commands.push(RuntimeCommand::Start(spec));
        }
    }
    world.outbox.extend(commands);
}

fn arn_of(command: &RuntimeCommand) -> String {
    match command {
        RuntimeCommand::Start(spec) => spec.arn.clone(),
        RuntimeCommand::Stop { arn }
        | RuntimeCommand::AddNodes { arn, .. }
        | RuntimeCommand::RemoveNodes { arn, .. } => arn.clone(),
    }
}

/// Hands commands to the clusters' tasks until cancelled, then stops all clusters.
pub(crate) async fn run(
    runtime: Arc<dyn ClusterRuntime>,
    shared: Arc<Shared>,
    mut commands: UnboundedReceiver<RuntimeCommand>,
    stop: CancellationToken,
) {
    let tasks = TaskTracker::new();
    let mut clusters: HashMap<String, UnboundedSender<RuntimeCommand>> = HashMap::new();
    loop {
        let command = tokio::select! {
            () = stop.cancelled() => break,
            command = commands.recv() => match command { Some(command) => command, None => break },
        };
        let arn = arn_of(&command);
        if matches!(command, RuntimeCommand::Start(_)) {
            let (sender, receiver) = unbounded_channel();
            clusters.insert(arn.clone(), sender);
            tasks.spawn(cluster(runtime.clone(), shared.clone(), arn.clone(), receiver, stop.clone()));
        }
        let last = matches!(command, RuntimeCommand::Stop { .. });
        if let Some(sender) = clusters.get(&arn) {
            let _ = sender.send(command);
        }
        if last {
            clusters.remove(&arn);
        }
    }
    tasks.close();
    tasks.wait().await;
    runtime.shutdown().await;
}

/// One cluster's commands in order.
async fn cluster(
    runtime: Arc<dyn ClusterRuntime>,
    shared: Arc<Shared>,
    arn: String,
    mut commands: UnboundedReceiver<RuntimeCommand>,
    stop: CancellationToken,
) {
    let mut waiting = VecDeque::new();
    loop {
        let command = match waiting.pop_front() {
            Some(command) => command,
            None => tokio::select! {
                () = stop.cancelled() => return,
                command = commands.recv() => match command { Some(command) => command, None => return },
            },
        };
        match command {
            RuntimeCommand::Start(spec) => start(&*runtime, &shared, &spec).await,
            RuntimeCommand::Stop { .. } => {
                if let Err(error) = obey(&*runtime, command).await {
                    tracing::warn!(
                        cluster = arn,
                        error = format!("{error:#}"),
                        "a control plane did not stop in order"
                    );
                }
                return;
            }
            RuntimeCommand::AddNodes { .. } | RuntimeCommand::RemoveNodes { .. } => {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = repeat(&*runtime, &arn, &command, &mut commands, &mut waiting) => {}
                }
            }
        }
    }
}

/// Has nodes join or leave, again and again while the API server is away: a machine that runs keeps trying to join, and the
/// cloud's controller keeps removing the node of one that is gone. What comes meanwhile waits in its order, but for the end of
/// the cluster, after which no node matters.
async fn repeat(
    runtime: &dyn ClusterRuntime,
    arn: &str,
    command: &RuntimeCommand,
    commands: &mut UnboundedReceiver<RuntimeCommand>,
    waiting: &mut VecDeque<RuntimeCommand>,
) {
    let deadline = Instant::now() + JOIN_TIMEOUT;
    let mut pause = JOIN_RETRY_MIN;
    while let Err(error) = obey(runtime, command.clone()).await {
        let error = format!("{error:#}");
        if Instant::now() > deadline {
            tracing::error!(cluster = arn, error, ?command, "nodes do not join or leave; given up");
            return;
        }
        tracing::warn!(cluster = arn, error, "nodes do not join or leave; tried again");
        let retry_at = Instant::now() + pause;
        pause = (pause * 2).min(JOIN_RETRY_MAX);
        while let Ok(next) = timeout_at(retry_at, commands.recv()).await {
            match next {
                Some(end @ RuntimeCommand::Stop { .. }) => {
                    waiting.clear();
                    waiting.push_back(end);
                    return;
                }
                Some(other) => waiting.push_back(other),
                // The driver is at its end.
                None => return,
            }
        }
    }
}

async fn start(runtime: &dyn ClusterRuntime, shared: &Arc<Shared>, spec: &ClusterSpec) {
    let webhook = format!("http://{}/_sim/webhook/{}", shared.address, spec.arn);
    let arn = spec.arn.clone();
    match runtime.start(spec, &webhook, CloudSide::new(shared.clone(), &arn)).await {
        Ok((endpoint, ca_pem)) => report(shared, &RuntimeEvent::Started { arn, endpoint, ca_pem }),
        Err(error) => {
            tracing::error!(cluster = arn, error = format!("{error:#}"), "a control plane does not start");
            report(shared, &RuntimeEvent::Failed { arn, reason: format!("{error:#}") });
        }
    }
}

async fn obey(runtime: &dyn ClusterRuntime, command: RuntimeCommand) -> anyhow::Result<()> {
    match command {
        RuntimeCommand::Start(_) => Ok(()),
        RuntimeCommand::Stop { arn } => runtime.stop(&arn, true).await,
        RuntimeCommand::AddNodes { arn, nodes } => runtime.add_nodes(&arn, &nodes).await,
        RuntimeCommand::RemoveNodes { arn, names } => runtime.remove_nodes(&arn, &names).await,
    }
}

/// Records what became of a cluster.
fn report(shared: &Shared, event: &RuntimeEvent) {
    let (RuntimeEvent::Started { arn, .. } | RuntimeEvent::Failed { arn, .. }) = event;
    let cloud = shared.clouds.of_cluster(arn);
    shared.in_cluster(arn, cloud.cluster_service(), "ClusterReady", |ctx| match event {
        RuntimeEvent::Started { endpoint, ca_pem, .. } => cloud.control_plane_started(ctx, arn, endpoint, ca_pem),
        RuntimeEvent::Failed { reason, .. } => cloud.control_plane_failed(ctx, arn, reason),
    });
}

#[cfg(test)]
mod tests {
    use super::repeat;
    use crate::{
        cloud_side::CloudSide,
        cluster::{ClusterSpec, NodeSpec, RuntimeCommand},
        runtime::ClusterRuntime,
    };
    use std::{
        collections::VecDeque,
        sync::atomic::{AtomicU32, Ordering},
    };
    use tokio::sync::mpsc::unbounded_channel;

    /// An API server that is away for as many calls.
    struct Away(AtomicU32);

    impl Away {
        fn respond(&self) -> anyhow::Result<()> {
            let away = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if away { anyhow::bail!("connection refused") } else { Ok(()) }
        }
    }

    #[async_trait::async_trait]
    impl ClusterRuntime for Away {
        fn capacity(&self) -> usize {
            1
        }
        async fn start(&self, _: &ClusterSpec, _: &str, _: CloudSide) -> anyhow::Result<(String, String)> {
            anyhow::bail!("not in this test")
        }
        async fn stop(&self, _: &str, _: bool) -> anyhow::Result<()> {
            Ok(())
        }
        async fn add_nodes(&self, _: &str, _: &[NodeSpec]) -> anyhow::Result<()> {
            self.respond()
        }
        async fn remove_nodes(&self, _: &str, _: &[String]) -> anyhow::Result<()> {
            self.respond()
        }
        async fn shutdown(&self) {}
    }

    fn leave() -> RuntimeCommand {
        RuntimeCommand::RemoveNodes { arn: "c".to_owned(), names: vec!["n".to_owned()] }
    }

    #[tokio::test(start_paused = true)]
    async fn nodes_leave_once_the_api_server_is_back_and_what_follows_keeps_its_order() {
        let (sender, mut commands) = unbounded_channel();
        let join = RuntimeCommand::AddNodes { arn: "c".to_owned(), nodes: Vec::new() };
        sender.send(join).expect("it is open");
        let (away, mut waiting) = (Away(AtomicU32::new(5)), VecDeque::new());
        repeat(&away, "c", &leave(), &mut commands, &mut waiting).await;
        assert_eq!(away.0.load(Ordering::SeqCst), 0, "tried until it was back");
        assert!(matches!(waiting.make_contiguous(), [RuntimeCommand::AddNodes { .. }]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_cluster_ends_the_tries() {
        let (sender, mut commands) = unbounded_channel();
        sender.send(leave()).expect("it is open");
        sender.send(RuntimeCommand::Stop { arn: "c".to_owned() }).expect("it is open");
        let (away, mut waiting) = (Away(AtomicU32::new(u32::MAX)), VecDeque::new());
        repeat(&away, "c", &leave(), &mut commands, &mut waiting).await;
        assert!(matches!(waiting.make_contiguous(), [RuntimeCommand::Stop { .. }]));
    }
}
