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
use std::{collections::HashMap, sync::Arc};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Asks again for the control planes and nodes of clusters that the stored state has.
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

/// One cluster's commands in order, and a look at it from time to time.
async fn cluster(
    runtime: Arc<dyn ClusterRuntime>,
    shared: Arc<Shared>,
    arn: String,
    mut commands: UnboundedReceiver<RuntimeCommand>,
    stop: CancellationToken,
) {
    loop {
        let command = tokio::select! {
            () = stop.cancelled() => return,
            command = commands.recv() => match command { Some(command) => command, None => return },
        };
        let last = matches!(command, RuntimeCommand::Stop { .. });
        if let RuntimeCommand::Start(spec) = &command {
            start(&*runtime, &shared, spec).await;
        } else if let Err(error) = obey(&*runtime, command).await {
            tracing::warn!(cluster = arn, error = format!("{error:#}"), "a command to the cluster failed");
        }
        if last {
            return;
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

/// Tells the world what became of a cluster.
fn report(shared: &Shared, event: &RuntimeEvent) {
    let (RuntimeEvent::Started { arn, .. } | RuntimeEvent::Failed { arn, .. }) = event;
    let cloud = shared.clouds.of_cluster(arn);
    shared.in_cluster(arn, cloud.cluster_service(), "ClusterReady", |ctx| match event {
        RuntimeEvent::Started { endpoint, ca_pem, .. } => cloud.control_plane_started(ctx, arn, endpoint, ca_pem),
        RuntimeEvent::Failed { reason, .. } => cloud.control_plane_failed(ctx, arn, reason),
    });
}
