//! What a tenant's apps write down, through the API server.
//!
//! # Guarantees
//! - Only pods of the tenant's own namespace are read, with the tenant's own rights where the cluster is shared.
//! - What is read waits for whoever takes it: a slow reader holds its own connections to the API server, and nothing else.
//! - Lines, pods and time are bounded; a line that is too long is cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    time::Duration,
};

use async_trait::async_trait;
use futures::{
    AsyncBufRead, AsyncBufReadExt as _, StreamExt as _,
    stream::{BoxStream, SelectAll, unfold},
};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
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
/// Of what was read before a cut so much is read again: clocks of nodes differ, and the API server takes whole seconds.
const OVERLAP: Duration = Duration::from_secs(2);
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

/// A container as it runs now: restarted it is another one, and so it is in another pod, which may have the name of one before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Source {
    app: String,
    pod: String,
    container: String,
    restarts: i32,
    pod_uid: String,
}

/// That the stack has the app that is requested.
fn has_app(manifest: &Manifest, query: &LogQuery) -> Result<()> {
    let Some(app) = &query.app else { return Ok(()) };
    let known: Vec<&str> = manifest.releases.iter().map(|release| release.name.as_str()).collect();
    if known.contains(&app.as_str()) {
        return Ok(());
    }
    Err(Error::UnknownApp { name: app.clone(), known: known.join(", ") })
}

async fn read(
    clients: &ClusterClients,
    target: &DeployTarget,
    manifest: &Manifest,
    query: &LogQuery,
    sink: &dyn LogSink,
) -> Result<()> {
    has_app(manifest, query)?;
    let namespace = render::namespace(target, manifest);
    let mut reading = Reading {
        pods: Api::namespaced(clients.tenant.clone(), namespace),
        namespace,
        query,
        sink,
        seen: BTreeSet::new(),
        ended: BTreeSet::new(),
        lines: SelectAll::new(),
        places: BTreeMap::new(),
        is_first: true,
    };
    let end = Instant::now() + FOLLOW_MAX;
    loop {
        reading.open().await?;
        let look = end.min(Instant::now() + LOOK_INTERVAL);
        if reading.pass_on(look, end).await || Instant::now() >= end {
            return Ok(());
        }
    }
}

/// Containers that are read for one query.
struct Reading<'a> {
    pods: Api<Pod>,
    namespace: &'a str,
    query: &'a LogQuery,
    sink: &'a dyn LogSink,
    /// Those that are read, or were read to their end.
    seen: BTreeSet<Source>,
    /// Those whose lines came to an end: of their container, or of the API server's connection to its node, which looks the same.
    ended: BTreeSet<Source>,
    lines: SelectAll<BoxStream<'static, Read>>,
    places: BTreeMap<Source, Place>,
    /// Whether they are looked for for the first time.
    is_first: bool,
}

impl Reading<'_> {
    /// Begins to read what is not read yet, as far as there is room.
    async fn open(&mut self) -> Result<()> {
        for (source, is_running) in sources(&self.pods, self.namespace, self.query).await? {
            if self.lines.len() >= CONTAINERS_MAX || !self.seen.insert(source.clone()) {
                continue;
            }
            if self.ended.remove(&source) && !is_running {
                continue;
            }
            let place = self.places.get_mut(&source);
            let params = parameters(&source, self.query, self.is_first, place.as_deref());
            let waits = !self.is_first && self.query.follow;
            // A container that has not started has no lines yet: it is looked for again.
            match self.pods.log_stream(&source.pod, &params).await {
                Ok(reader) => {
                    match place {
                        Some(place) => place.is_again = true,
                        None => drop(self.places.insert(source.clone(), Place::default())),
                    }
                    self.lines.push(stream(source, Box::pin(reader)));
                }
                Err(error) if is_not_there(&error) || (waits && is_passing(&error)) => {
                    self.seen.remove(&source);
                }
                Err(error) => {
                    let what = || format!("reading the log of pod {}, container {}", source.pod, source.container);
                    Err::<(), _>(error).doing(what)?;
                }
            }
        }
        self.is_first = false;
        Ok(())
    }

    /// Gives lines to whoever takes them: all that are there, or, where they are followed, those that come until the next `look`.
    /// Whether there is no more to do: all were read, or nobody takes them any more.
    async fn pass_on(&mut self, look: Instant, end: Instant) -> bool {
        let follow = self.query.follow;
        let until = if follow { look } else { end };
        loop {
            match timeout_at(until, self.lines.next()).await {
                Ok(Some(Read::Line(source, text))) => {
                    let is_new = self.places.get_mut(&source).is_none_or(|place| place.goes_on(&text));
                    let Source { app, pod, container, .. } = source;
                    if is_new && !self.sink.line(LogLine { app, pod, container, text }).await {
                        return true;
                    }
                }
                // It is opened again with the next look.
                Ok(Some(Read::Cut(source))) => drop(self.seen.remove(&source)),
                Ok(Some(Read::Ended(source))) => {
                    self.seen.remove(&source);
                    self.ended.insert(source);
                }
                Ok(None) if !follow => return true,
                Ok(None) => {
                    tokio::time::sleep_until(look).await;
                    return false;
                }
                Err(_) => return false,
            }
            if follow && Instant::now() >= look {
                return false;
            }
        }
    }
}

/// Whether a container has no lines yet, or none any more: it has not started, or its pod is gone.
fn is_not_there(error: &kube::Error) -> bool {
    // In the kubelet's words.
    let waits =
        |message: &str| message.contains("is waiting to start") || message.contains("does not have a host assigned");
    match error {
        kube::Error::Api(status) => status.code == 404 || (status.code == 400 && waits(&status.message)),
        _ => false,
    }
}

/// Whether whoever follows waits for its end: a node that restarts, an API server that is replaced.
fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// How a container is read. Whatever starts after the first look is read from its beginning, and what was cut from its last line on,
/// by the node's own clock: that line may have been written long before it was read.
fn parameters(source: &Source, query: &LogQuery, is_first: bool, place: Option<&Place>) -> LogParams {
    let last = place.and_then(|place| place.last.parse::<Timestamp>().ok());
    LogParams {
        container: Some(source.container.clone()),
        follow: query.follow,
        timestamps: true,
        since_seconds: match place {
            Some(_) if last.is_some() => None,
            Some(place) => Some(seconds(place.began.elapsed() + OVERLAP)),
            None => query.since.filter(|_| is_first).map(seconds),
        },
        since_time: last.and_then(|last| last.checked_sub(OVERLAP).ok()),
        tail_lines: (is_first && place.is_none()).then(|| i64::from(query.tail)),
        ..LogParams::default()
    }
}

fn seconds(since: Duration) -> i64 {
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1)
}

/// The containers of the tenant's apps, as they run now, and whether they do.
async fn sources(pods: &Api<Pod>, namespace: &str, query: &LogQuery) -> Result<Vec<(Source, bool)>> {
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
            let is_running = status.state.as_ref().is_some_and(|state| state.running.is_some());
            let pod_uid = pod.uid().unwrap_or_default();
            let source = Source { app: app.clone(), pod: pod.name_any(), container, restarts, pod_uid };
            sources.push((source, is_running));
        }
    }
    sources.sort();
    Ok(sources)
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// What comes of a container.
enum Read {
    Line(Source, String),
    /// It can't be read on, as when it has written nothing for longer than a connection waits.
    Cut(Source),
    /// It has no more lines for now.
    Ended(Source),
}

/// How far a container was read.
struct Place {
    /// Timestamp of the last line; empty: there was none.
    last: String,
    /// When reading began.
    began: Instant,
    /// Whether lines come that may have come before.
    is_again: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self { last: String::new(), began: Instant::now(), is_again: false }
    }
}

impl Place {
    /// Whether a line has not come before. Lines begin with their time, in digits that sort.
    fn goes_on(&mut self, text: &str) -> bool {
        let stamp = text.split(' ').next().unwrap_or_default();
        if self.is_again && stamp <= self.last.as_str() {
            return false;
        }
        self.is_again = false;
        stamp.clone_into(&mut self.last);
        true
    }
}

/// The lines of a container. It ends with the container: a restart is another source. So it does with the API server's connection to the
/// node, whose error is dropped there:
/// <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/responsewriters/writers.go>, `StreamObject`.
fn stream(source: Source, reader: Reader) -> BoxStream<'static, Read> {
    let next = |state: Option<(Source, Reader)>| async move {
        let (source, mut reader) = state?;
        match line(&mut reader).await {
            Ok(Some(text)) => Some((Read::Line(source.clone(), text), Some((source, reader)))),
            Ok(None) => Some((Read::Ended(source), None)),
            Err(_) => Some((Read::Cut(source), None)),
        }
    };
    unfold(Some((source, reader)), next).boxed()
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
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
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

    #[tokio::test(start_paused = true)]
    async fn what_was_cut_goes_on_without_a_line_twice() {
        let mut place = Place::default();
        assert!(place.goes_on("2026-11-29T10:00:00.000000001Z one"));
        assert!(place.goes_on("2026-11-29T10:00:00.000000001Z two"), "at the same moment");
        place.is_again = true;
        assert!(
            !place.goes_on("2026-11-29T09:59:59.000000000Z zero")
                && !place.goes_on("2026-11-29T10:00:00.000000001Z two")
        );
        assert!(place.goes_on("2026-11-29T10:00:00.000000002Z three") && !place.is_again);
    }

    #[tokio::test(start_paused = true)]
    async fn a_container_that_is_silent_for_long_is_read_on() {
        // The connection ends by an error after its line.
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let cut = || Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let texts = followed(&OPENED, move |_| pod("u1"), move || vec![frame(ONE.into()), cut()]).await;
        assert_eq!(texts, [ONE.trim(), TWO.trim()]);
    }

    /// As the API server ends its response when its connection to the node breaks.
    #[tokio::test(start_paused = true)]
    async fn a_container_whose_lines_end_while_it_runs_is_read_on() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let texts = followed(&OPENED, |_| pod("u1"), || vec![frame(ONE.into())]).await;
        assert_eq!(texts, [ONE.trim(), TWO.trim()]);
    }

    /// A StatefulSet's pod comes back by its old name, and has not restarted.
    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_replaced_by_one_of_its_name_is_read() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let replaced = |looks: usize| {
            let mut pod = pod(if looks == 0 { "u1" } else { "u2" });
            if looks == 0 {
                pod["status"]["containerStatuses"][0]["state"] = json!({ "terminated": { "exitCode": 0 } });
            }
            pod
        };
        let texts = followed(&OPENED, replaced, || vec![frame(ONE.into())]).await;
        // Both lines of the new one: nothing of it was read before.
        assert_eq!(texts, [ONE.trim(), ONE.trim()]);
    }

    const ONE: &str = "2026-11-29T10:00:00.000000000Z one\n";
    const TWO: &str = "2026-11-29T10:02:00.000000000Z two\n";

    fn pod(uid: &str) -> Value {
        json!({
            "metadata": { "name": "chat-1", "uid": uid, "labels": { INSTANCE: "chat" } },
            "status": { "containerStatuses": [{
                "name": "chat", "restartCount": 0, "ready": true, "image": "i", "imageID": "i", "state": { "running": {} },
            }] },
        })
    }

    /// The first two lines that come to whoever follows a pod, which is as `pod` says at each look, and whose log begins with `first`.
    async fn followed(
        opened: &'static AtomicUsize,
        pod: impl Fn(usize) -> Value + Clone + Send + Sync + 'static,
        first: impl Fn() -> Vec<std::io::Result<hyper::body::Frame<hyper::body::Bytes>>> + Clone + Send + Sync + 'static,
    ) -> Vec<String> {
        let looks = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let is_log = request.uri().to_string().contains("/log?");
            let frames = match is_log.then(|| opened.fetch_add(1, Ordering::SeqCst)) {
                None => {
                    let pod = pod(looks.fetch_add(1, Ordering::SeqCst));
                    vec![frame(json!({ "metadata": {}, "items": [pod] }).to_string())]
                }
                Some(0) => first(),
                Some(_) => vec![frame(format!("{ONE}{TWO}"))],
            };
            let body = http_body_util::StreamBody::new(futures::stream::iter(frames));
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let client = Client::new(service, "default");
        let clients = ClusterClients { admin: client.clone(), tenant: client };
        let query = LogQuery { app: Some("chat".into()), since: None, tail: 10, follow: true };
        let followed = Taken(Mutex::default(), 2);
        read(&clients, &test_target(), &manifest(), &query, &followed).await.unwrap();
        followed.0.into_inner().into_iter().map(|line| line.text).collect()
    }

    fn frame(text: String) -> std::io::Result<hyper::body::Frame<hyper::body::Bytes>> {
        Ok(hyper::body::Frame::data(text.into()))
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
        assert!(matches!(&refused, Error::UnknownApp { known, .. } if known.contains("chat")), "{refused:?}");
        let failure = landlord_core::Failure::from(refused);
        assert_eq!(failure.remedy, "name one that the stack has", "whoever reads corrects it, not the operator");
    }
}
