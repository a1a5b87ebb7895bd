//! What a tenant's apps write down, through the API server.
//!
//! # Guarantees
//! - Only pods of the tenant's own namespace are read, with the tenant's own rights where the cluster is shared.
//! - What is read waits for whoever takes it: a slow reader holds its own connections to the API server, and nothing else.
//! - Lines, pods and time are bounded; a line that is too long is cut.

use std::{collections::BTreeSet, pin::Pin, time::Duration};

use async_trait::async_trait;
use futures::{
    AsyncBufRead, AsyncBufReadExt as _, StreamExt as _,
    stream::{BoxStream, SelectAll, unfold},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, LogParams},
};
use landlord_core::{
    Failure,
    ports::{AppLogs, DeployTarget, LogLine, LogQuery, LogSink},
};
use landlord_kube::{Doing as _, client::ClusterClients};
use tokio::time::{Instant, timeout_at};

use crate::{
    StackApps,
    error::{Error, Result},
    render,
    stack::{Manifest, Stack},
};

/// Charts set it to the release's name.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Containers that are read at the same moment; a stack has some six.
const CONTAINERS_MAX: usize = 50;
/// Longest line, in bytes; the rest of it is left out.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Containers that started meanwhile are looked for so often.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);
/// Longest time that lines are followed; whoever reads begins again.
const FOLLOW_MAX: Duration = Duration::from_secs(60 * 60);

#[async_trait]
impl AppLogs for StackApps {
    async fn logs(&self, target: &DeployTarget, query: &LogQuery, sink: &dyn LogSink) -> Result<(), Failure> {
        let call =
            async |stack: &Stack, clients: ClusterClients| read(&clients, target, &stack.manifest, query, sink).await;
        self.call(target, call).await
    }
}

/// A container as it runs now: restarted it is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    app: String,
    pod: String,
    container: String,
    restarts: i32,
}

async fn read(
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
    query: &LogQuery,
    sink: &dyn LogSink,
) -> Result<()> {
    if let Some(app) = &query.app
        && !manifest.releases.iter().any(|release| release.name.as_str() == app)
    {
        return Err(Error::UnknownRelease { name: app.clone() });
    }
    let namespace = render::namespace(target, manifest);
    let pods: Api<Pod> = Api::namespaced(clients.tenant.clone(), namespace);
    let end = Instant::now() + FOLLOW_MAX;
    let (mut seen, mut lines) = (BTreeSet::new(), SelectAll::<BoxStream<'static, LogLine>>::new());
    loop {
        let is_first = seen.is_empty();
        for source in sources(&pods, namespace, query).await? {
            if lines.len() >= CONTAINERS_MAX || !seen.insert(source.clone()) {
                continue;
            }
            let params = LogParams {
                container: Some(source.container.clone()),
                follow: query.follow,
                timestamps: true,
                // Whatever starts later is read from its beginning.
                since_seconds: query.since.filter(|_| is_first).map(seconds),
                tail_lines: is_first.then(|| i64::from(query.tail)),
                ..LogParams::default()
            };
            // A container that has not started has no lines yet: it is looked for again.
            match pods.log_stream(&source.pod, &params).await {
                Ok(reader) => lines.push(stream(source, Box::pin(reader))),
                Err(_) => drop(seen.remove(&source)),
            }
        }
        let look = end.min(Instant::now() + LOOK_INTERVAL);
        loop {
            let until = if query.follow { look } else { end };
            match timeout_at(until, lines.next()).await {
                Ok(Some(line)) => {
                    if !sink.line(line).await {
                        return Ok(());
                    }
                }
                Ok(None) if !query.follow => return Ok(()),
                Ok(None) => {
                    tokio::time::sleep_until(look).await;
                    break;
                }
                Err(_) => break,
            }
            if query.follow && Instant::now() >= look {
                break;
            }
        }
        if Instant::now() >= end {
            return Ok(());
        }
    }
}

fn seconds(since: Duration) -> i64 {
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1)
}

/// The containers of the tenant's apps, as they run now.
async fn sources(pods: &Api<Pod>, namespace: &str, query: &LogQuery) -> Result<Vec<Source>> {
    let selector = match &query.app {
        Some(app) => format!("{INSTANCE}={app}"),
        None => INSTANCE.to_owned(),
    };
    let found = pods.list(&ListParams::default().labels(&selector)).await;
    let found = found.doing(|| format!("listing pods in {namespace}"))?;
    let mut sources = Vec::new();
    for pod in found.items {
        let app = pod.labels().get(INSTANCE).cloned().unwrap_or_default();
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        for status in statuses.into_iter().flatten() {
            let (container, restarts) = (status.name.clone(), status.restart_count);
            sources.push(Source { app: app.clone(), pod: pod.name_any(), container, restarts });
        }
    }
    sources.sort();
    Ok(sources)
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// The lines of a container. One that can't be read on ends: a restart is another source.
fn stream(source: Source, reader: Reader) -> BoxStream<'static, LogLine> {
    let next = |(source, mut reader): (Source, Reader)| async move {
        let text = line(&mut reader).await.ok().flatten()?;
        let Source { app, pod, container, .. } = source.clone();
        Some((LogLine { app, pod, container, text }, (source, reader)))
    };
    unfold((source, reader), next).boxed()
}

/// The next line, at most [`LINE_BYTES_MAX`] of it; `None`: there are no more.
async fn line(reader: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<String>> {
    let (mut line, mut any) = (Vec::new(), false);
    loop {
        let piece = reader.fill_buf().await?;
        if piece.is_empty() {
            break;
        }
        any = true;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let used = end.unwrap_or(piece.len());
        let room = LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(piece.get(..used.min(room)).unwrap_or_default());
        let consumed = used + usize::from(end.is_some());
        reader.consume_unpin(consumed);
        if end.is_some() {
            break;
        }
    }
    Ok(any.then(|| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use http::Response;
    use kube::{Client, client::Body};
    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::test_target;

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let text = format!("{}\r\nsecond\n\nlast", "x".repeat(LINE_BYTES_MAX + 100));
        let mut reader = futures::io::BufReader::new(text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = line(&mut reader).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines[0].len(), LINE_BYTES_MAX);
        assert_eq!(lines[1..], ["second", "", "last"]);
    }

    /// Takes lines until it has enough.
    struct Taken(Mutex<Vec<LogLine>>, usize);

    #[async_trait]
    impl LogSink for Taken {
        async fn line(&self, line: LogLine) -> bool {
            let mut lines = self.0.lock();
            lines.push(line);
            lines.len() < self.1
        }
    }

    fn manifest() -> Manifest {
        serde_json::from_value(json!({
            "apiVersion": "landlord.dev/v1", "kind": "Stack", "namespace": "own",
            "releases": [{ "name": "chat", "chart": "charts/chat", "expectedSeconds": 1 }],
        }))
        .unwrap()
    }

    fn clients(requests: &'static Mutex<Vec<String>>, looks: &'static AtomicUsize) -> ClusterClients {
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let uri = request.uri().to_string();
            requests.lock().push(uri.clone());
            // The pod restarts between the first look and the second.
            let restarts = if uri.contains("/log?") { 0 } else { looks.fetch_add(1, Ordering::SeqCst) };
            let pod = json!({
                "metadata": { "name": "chat-1", "labels": { INSTANCE: "chat" } },
                "status": { "containerStatuses": [{
                    "name": "chat", "restartCount": restarts, "ready": true, "image": "i", "imageID": "i",
                }] },
            });
            let list: Value = json!({ "metadata": {}, "items": [pod] });
            let body = match uri.contains("/log?") {
                true => Body::from(b"2026-11-29T10:00:00Z one\n2026-11-29T10:00:01Z two\n".to_vec()),
                false => Body::from(list.to_string().into_bytes()),
            };
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let client = Client::new(service, "default");
        ClusterClients { admin: client.clone(), tenant: client }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_are_the_namespaces_own_and_go_on_after_a_restart() {
        static REQUESTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
        static LOOKS: AtomicUsize = AtomicUsize::new(0);
        let clients = clients(&REQUESTS, &LOOKS);
        let query = LogQuery { app: Some("chat".into()), since: None, tail: 10, follow: false };
        let once = Taken(Mutex::default(), 100);
        read(&clients, &test_target(), &manifest(), &query, &once).await.unwrap();
        let texts: Vec<String> = once.0.lock().iter().map(|line| line.text.clone()).collect();
        assert_eq!(texts, ["2026-11-29T10:00:00Z one", "2026-11-29T10:00:01Z two"]);
        let followed = Taken(Mutex::default(), 4);
        let query = LogQuery { follow: true, ..query };
        read(&clients, &test_target(), &manifest(), &query, &followed).await.unwrap();
        assert_eq!(followed.0.lock().len(), 4, "also those of the container that was restarted");
        let requests = REQUESTS.lock().clone();
        assert!(requests.iter().all(|uri| uri.contains("/namespaces/own/pods")), "{requests:#?}");
        let logs: Vec<&String> = requests.iter().filter(|uri| uri.contains("/log?")).collect();
        assert!(logs[1].contains("tailLines=10") && !logs[2].contains("tailLines"), "{logs:#?}");
        let unknown = LogQuery { app: Some("other".into()), ..query };
        let refused = read(&clients, &test_target(), &manifest(), &unknown, &followed).await.unwrap_err();
        assert!(matches!(refused, Error::UnknownRelease { .. }));
    }
}
