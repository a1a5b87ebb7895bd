//! Traces and logs as a collector gets them: one trace for an order, linked from its operation and from the request; the id of the
//! request's trace in an error's details. The collector is this test.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use landlord_e2e::{FAST, binaries};
use landlord_proto::{
    google::longrunning::{GetOperationRequest, operations_client::OperationsClient},
    v1::{self, tenant_service_client::TenantServiceClient},
};
use landlord_test_harness::{World, WorldOptions, client, cloud::EKS};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic::Request;
use tonic_types::StatusExt as _;

use crate::collector::Collector;

/// Far above what it takes: a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// A caller's trace, <https://www.w3.org/TR/trace-context/#traceparent-header>.
const CALLER: &str = "0af7651916cd43dd8448eb211c80319c";

/// What a plugin's process is asked when it starts is of no order, but an order that comes before the answer asks for itself.
pub(crate) const AT_START: [&str; 2] = ["Describe", "Configure"];

impl Collector {
    /// The spans of a trace that came until now.
    pub(crate) fn of(&self, trace: &str) -> Vec<Span> {
        let traces = self.traces.lock().unwrap();
        let scopes = traces.iter().flat_map(|sent| &sent.resource_spans).flat_map(|resource| &resource.scope_spans);
        let spans = scopes.flat_map(|scope| &scope.spans);
        spans.filter(|span| hex::encode(&span.trace_id) == trace).cloned().collect()
    }

    /// Waits until a span of a trace is there.
    pub(crate) async fn span(&self, trace: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(span) = self.of(trace).into_iter().find(&is_it) {
                return span;
            }
            let names: Vec<String> = self.of(trace).into_iter().map(|span| span.name).collect();
            assert!(Instant::now() < deadline, "trace {trace} has only {names:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn with_caller<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("traceparent", format!("00-{CALLER}-b7ad6b7169203331-01").parse().unwrap());
    request
}

/// Calls of the plugin by method, as the daemon's figures have them.
pub(crate) fn counted(figures: &str) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for line in figures.lines().filter(|line| line.starts_with("landlord_plugin_calls_total{")) {
        let method = line.split("method=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        if !AT_START.contains(&method) {
            *all.entry(method.to_owned()).or_default() += count;
        }
    }
    all
}

/// Polls until both are the same, and gives what differs if that does not come.
pub(crate) async fn same<T: PartialEq + std::fmt::Debug>(what: &str, sides: impl Fn() -> (T, T)) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let (seen, traced) = sides();
        if seen == traced {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: outside saw {seen:#?}, the trace has {traced:#?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Calls of the plugin by method, as a trace has them.
fn called(spans: &[Span]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for span in spans.iter().filter(|span| span.kind() == SpanKind::Client && !AT_START.contains(&span.name.as_str())) {
        *all.entry(span.name.clone()).or_default() += 1;
    }
    all
}

#[test]
fn an_order_is_one_trace() {
    let (runtime, mut tasks) = (tokio::runtime::Runtime::new().unwrap(), JoinSet::new());
    let (collector, address) = runtime.block_on(Collector::start(&mut tasks));
    let options = WorldOptions {
        time_scale: FAST,
        clouds: vec![&EKS],
        // Nobody observes it again meanwhile: what is called after the order is of no order.
        extra_config: format!("\n[engine]\nresync_interval = '12h'\n[telemetry]\notlp_endpoint = '{address}'\n"),
        ..WorldOptions::default()
    };
    // Its programs end with the thread that started them.
    let world = World::temporary(binaries().unwrap(), &options).unwrap();
    runtime.block_on(ordered(&collector, &world));
}

async fn ordered(collector: &Collector, world: &World) {
    let channel = client::connect(&world.socket()).await.unwrap();
    let mut tenants = TenantServiceClient::new(channel.clone());
    let tenant = v1::Tenant {
        tenant_class: EKS.bare_class(),
        domain: "t.example.com".into(),
        storage_gib: 20,
        ..v1::Tenant::default()
    };
    let order = v1::CreateTenantRequest {
        parent: "customers/acme".into(),
        tenant_id: "t".into(),
        tenant: Some(tenant),
        ..v1::CreateTenantRequest::default()
    };
    let operation = tenants.create_tenant(with_caller(order)).await.unwrap().into_inner();
    let mut operations = OperationsClient::new(channel);
    let deadline = Instant::now() + TIMEOUT;
    let done = loop {
        let request = GetOperationRequest { name: operation.name.clone() };
        let found = operations.get_operation(request).await.unwrap().into_inner();
        if found.done {
            break found;
        }
        assert!(Instant::now() < deadline, "{found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let metadata = v1::OperationMetadata::decode(done.metadata.unwrap().value.as_slice()).unwrap();
    let trace = metadata.trace_id;
    assert_eq!(trace, done.name.trim_start_matches("operations/").replace('-', ""));

    // Its own span is above all others, which reach every stage; each call to the cloud is there once.
    let root = collector.span(&trace, |span| span.name == "operation").await;
    assert!(root.parent_span_id.is_empty() && root.end_time_unix_nano > root.start_time_unix_nano);
    // Every call to the outside is there, and there once: as many as the daemon has counted by itself.
    same("the plugin", || (counted(&world.metrics().unwrap()), called(&collector.of(&trace)))).await;
    let spans = collector.of(&trace);
    let steps: BTreeSet<String> = spans
        .iter()
        .flat_map(|span| &span.attributes)
        .filter(|attribute| attribute.key == "step")
        .filter_map(|attribute| format!("{:?}", attribute.value).split('"').nth(1).map(str::to_owned))
        .collect();
    let stages: BTreeSet<String> = metadata.stages.iter().map(|stage| stage.stage.clone()).collect();
    assert!(stages.len() > 2 && stages.is_subset(&steps), "{stages:?} {steps:?}");
    let ids: BTreeSet<&[u8]> = spans.iter().map(|span| span.span_id.as_slice()).collect();
    assert_eq!(ids.len(), spans.len(), "a span was sent twice");
    let mut calls = spans.iter().filter(|span| span.kind() == SpanKind::Client);
    assert!(calls.clone().count() >= stages.len() && calls.all(|call| ids.contains(call.parent_span_id.as_slice())));
    assert!(spans.iter().all(|span| span.parent_span_id.is_empty() || ids.contains(span.parent_span_id.as_slice())));

    // The request is part of its caller's trace, and leads to the operation's.
    let request = collector.span(CALLER, |span| span.name.ends_with("/CreateTenant")).await;
    assert!(request.links.iter().any(|link| hex::encode(&link.trace_id) == trace), "{request:?}");
    // An error leads to its request's.
    let missing = v1::GetTenantRequest { name: "customers/acme/tenants/none".into() };
    let refused = tenants.get_tenant(with_caller(missing)).await.unwrap_err();
    let details = refused.get_error_details();
    assert_eq!(details.request_info().map(|info| info.request_id.as_str()), Some(CALLER), "{details:?}");
    assert!(details.error_info().is_some());
    // What was logged during the work bears the same id.
    let deadline = Instant::now() + TIMEOUT;
    let is_traced = || {
        let logs = collector.logs.lock().unwrap();
        let scopes = logs.iter().flat_map(|sent| &sent.resource_logs).flat_map(|resource| &resource.scope_logs);
        scopes.flat_map(|scope| &scope.log_records).any(|line| !line.trace_id.is_empty())
    };
    while !is_traced() {
        assert!(Instant::now() < deadline, "no line of the log is part of a trace");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
