//! Host clusters and shared levels, as a client sees them.

use crate::common;
use crate::common::{Daemon, counted, fields, metadata, named, order, reason, violations};
use landlord_core::{
    Amounts, Catalog, Measured, OperationOutcome, State,
    ports::{AuditQuery, AuditStore as _},
    revision::{CurrentRevisions, RevisionId},
    stage::RemovedObject,
};
use landlord_proto::{
    google::longrunning::{CancelOperationRequest, GetOperationRequest, ListOperationsRequest, operation},
    v1::{self, host_cluster, host_cluster_service_client::HostClusterServiceClient, placement::Level},
};
use tonic::{Code, transport::Channel};

const ONE: &str = "hostClusters/one";

fn host() -> v1::HostCluster {
    let labels = [("tier".to_owned(), "shared".to_owned())].into();
    v1::HostCluster { tenant_class: "small".into(), labels, tenants_max: 2, ..Default::default() }
}

fn host_order(id: &str, host_cluster: v1::HostCluster) -> v1::CreateHostClusterRequest {
    v1::CreateHostClusterRequest { host_cluster_id: id.into(), host_cluster: Some(host_cluster), ..Default::default() }
}

fn of_class(customer: &str, id: &str, class: &str) -> v1::CreateTenantRequest {
    let mut order = order(customer, id);
    order.tenant.as_mut().unwrap().tenant_class = class.into();
    order
}

fn get(name: &str) -> v1::GetHostClusterRequest {
    v1::GetHostClusterRequest { name: name.into() }
}

fn delete(name: &str) -> v1::DeleteHostClusterRequest {
    v1::DeleteHostClusterRequest { name: name.into(), ..Default::default() }
}

#[tokio::test]
async fn a_host_cluster_is_ordered_inspected_and_removed() {
    let daemon = Daemon::shared().await;
    let mut client = daemon.hosts().await;
    let request = v1::CreateHostClusterRequest {
        request_id: "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4".into(),
        ..host_order("one", host())
    };
    let checked = v1::CreateHostClusterRequest { validate_only: true, request_id: String::new(), ..request.clone() };
    assert!(client.create_host_cluster(checked.clone()).await.unwrap().into_inner().name.is_empty());
    assert_eq!(client.get_host_cluster(get(ONE)).await.unwrap_err().code(), Code::NotFound);
    let operation = client.create_host_cluster(request.clone()).await.unwrap().into_inner();
    let about = metadata(&operation);
    assert_eq!((about.tenant.as_str(), about.host_cluster.as_str(), about.kind.as_str()), ("", ONE, "create"));
    let again = client.create_host_cluster(request.clone()).await.unwrap().into_inner();
    assert_eq!(again.name, operation.name);
    let status = client.create_host_cluster(checked).await.unwrap_err();
    assert_eq!(reason(&status), "ALREADY_EXISTS");

    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let mut operations = daemon.operations().await;
    let ended = operations.get_operation(GetOperationRequest { name: operation.name }).await.unwrap().into_inner();
    let Some(operation::Result::Response(any)) = ended.result else { panic!("{ended:?}") };
    assert_eq!(any.to_msg::<v1::HostCluster>().unwrap().state(), host_cluster::State::Ready);
    let seen = client.get_host_cluster(get(ONE)).await.unwrap().into_inner();
    assert_eq!((seen.state(), seen.free_count, seen.tenants_max), (host_cluster::State::Ready, 2, 2));
    assert_eq!((seen.provider.as_str(), seen.account.as_str(), seen.region.as_str()), ("sky", "4711", "here"));
    let all = client.list_host_clusters(v1::ListHostClustersRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.host_clusters, [seen]);

    // It is no tenant, under no spelling of its name.
    let mut tenants = daemon.tenants().await;
    for name in [ONE, "customers//tenants/one", "customers/-/tenants/one"] {
        assert!(tenants.get_tenant(named(name)).await.is_err(), "{name}");
    }
    let list = v1::ListTenantsRequest { parent: "customers/-".into(), ..Default::default() };
    assert!(tenants.list_tenants(list).await.unwrap().into_inner().tenants.is_empty());
    let filter = format!("host_cluster = \"{ONE}\"");
    let of_host = ListOperationsRequest { filter, ..Default::default() };
    assert_eq!(operations.list_operations(of_host).await.unwrap().into_inner().operations.len(), 1);

    let operation = client.delete_host_cluster(delete(ONE)).await.unwrap().into_inner();
    let removed = vec![RemovedObject { r#type: "Net".into(), id: "n1".into(), name: String::new() }];
    daemon.settle(State::Deleting, OperationOutcome::Deleted { removed }).await;
    let ended = operations.get_operation(GetOperationRequest { name: operation.name }).await.unwrap().into_inner();
    let Some(operation::Result::Response(any)) = ended.result else { panic!("{ended:?}") };
    assert_eq!(any.to_msg::<v1::DeleteHostClusterResponse>().unwrap().removed[0].id, "n1");
}

#[tokio::test]
async fn all_that_is_wrong_with_an_order_is_reported_at_once() {
    let daemon = Daemon::shared().await;
    let mut client = daemon.hosts().await;
    let wrong = v1::HostCluster { tenants_max: -1, node_count: 1_000, tenant_class: "space".into(), ..host() };
    let status = client.create_host_cluster(host_order("One", wrong)).await.unwrap_err();
    assert_eq!(fields(&status), ["host_cluster.node_count", "host_cluster.tenants_max", "host_cluster_id"]);
    for (class, part) in [("space", "level NAMESPACE"), ("nope", "does not exist"), ("", "is missing")] {
        let order = host_order("one", v1::HostCluster { tenant_class: class.into(), ..host() });
        let status = client.create_host_cluster(order).await.unwrap_err();
        assert_eq!(fields(&status), ["host_cluster.tenant_class"], "{class}");
        assert!(status.message().contains(part), "{}", status.message());
    }
    let order = host_order("one", v1::HostCluster { node_count: 9, ..host() });
    assert_eq!(fields(&client.create_host_cluster(order).await.unwrap_err()), ["host_cluster.node_count"]);
    for name in ["one", "hostClusters/", "hostClusters/A", "customers/a/tenants/b"] {
        assert_eq!(client.get_host_cluster(get(name)).await.unwrap_err().code(), Code::InvalidArgument, "{name}");
    }
}

#[tokio::test]
async fn a_cluster_that_is_there_already_is_adopted() {
    let daemon = Daemon::shared().await;
    let mut client = daemon.hosts().await;
    let adoption = v1::Adoption {
        provider: "sky".into(),
        credentials: "main".into(),
        cluster_name: "theirs".into(),
        ..Default::default()
    };
    let resource =
        v1::HostCluster { tenant_class: String::new(), region: "here".into(), adoption: Some(adoption), ..host() };
    let adopt = |host_cluster: v1::HostCluster| v1::AdoptHostClusterRequest {
        host_cluster_id: "one".into(),
        host_cluster: Some(host_cluster),
        ..Default::default()
    };
    let status = client.adopt_host_cluster(adopt(host())).await.unwrap_err();
    assert_eq!(fields(&status), ["host_cluster.adoption", "host_cluster.tenant_class"]);
    let nobody = v1::Adoption { provider: "SKY".into(), ..Default::default() };
    let nobody = adopt(v1::HostCluster { adoption: Some(nobody), ..resource.clone() });
    assert_eq!(fields(&client.adopt_host_cluster(nobody).await.unwrap_err()), ["host_cluster.adoption.provider"]);
    let status = client.create_host_cluster(host_order("one", resource.clone())).await.unwrap_err();
    assert!(fields(&status).contains(&"host_cluster.adoption".to_owned()), "{status:?}");

    client.adopt_host_cluster(adopt(resource.clone())).await.unwrap();
    let seen = client.get_host_cluster(get(ONE)).await.unwrap().into_inner();
    assert_eq!((seen.adoption, seen.tenant_class.as_str(), seen.account.as_str()), (resource.adoption, "", "4711"));
}

/// The shared levels, and host clusters with this revision of a platform on disk.
fn with_platform(digit: char) -> Catalog {
    let id = RevisionId::of_digest(&digit.to_string().repeat(64)).unwrap();
    let mut catalog = common::shared_catalog();
    catalog.revisions = CurrentRevisions { platforms: [("gates".parse().unwrap(), id)].into(), ..Default::default() };
    catalog.classes.get_mut(&"small".parse().unwrap()).unwrap().platform = "gates".parse().ok();
    catalog
}

#[tokio::test]
async fn a_platform_on_offer_reaches_the_host_cluster_that_is_asked_for_and_nobody_in_it() {
    let daemon = Daemon::start().await.again(with_platform('a')).await;
    let mut client = daemon.hosts().await;
    for id in ["one", "two"] {
        client.create_host_cluster(host_order(id, host())).await.unwrap();
    }
    daemon.settle_all(State::Ready, &OperationOutcome::Ready).await;
    daemon.tenants().await.create_tenant(of_class("acme", "prod", "space")).await.unwrap();
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let request = |parts: &[&str]| v1::UpdateHostClusterRevisionRequest {
        name: ONE.into(),
        parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        ..Default::default()
    };
    let current = client.update_host_cluster_revision(request(&[])).await.unwrap_err();
    assert!(current.code() == Code::FailedPrecondition && current.message().contains("already"), "{current:?}");

    let mut offered = with_platform('b');
    offered.classes.get_mut(&"small".parse().unwrap()).unwrap().machine_type = "m9".into();
    let daemon = daemon.again(offered).await;
    let mut client = daemon.hosts().await;
    let before = client.get_host_cluster(get(ONE)).await.unwrap().into_inner();
    assert_eq!(before.class_differences, ["machine_type", "revisions.platform"]);
    let names = async |client: &mut HostClusterServiceClient<Channel>, filter: &str| -> Vec<String> {
        let list = v1::ListHostClustersRequest { filter: filter.into(), ..Default::default() };
        let found = client.list_host_clusters(list).await.unwrap().into_inner().host_clusters;
        found.into_iter().map(|host| host.name).collect()
    };
    assert_eq!(names(&mut client, "class_differs = true").await, [ONE, "hostClusters/two"]);

    // What is no part of one, or what no update brings, is said.
    for part in ["stack", "roof"] {
        let refused = client.update_host_cluster_revision(request(&[part])).await.unwrap_err();
        assert_eq!(fields(&refused), ["parts"], "{part}");
        let (_, description) = violations(&refused).remove(0);
        assert!(description.ends_with("there are class and platform"), "{description}");
    }
    let class = client.update_host_cluster_revision(request(&["class"])).await.unwrap_err();
    assert!(class.code() == Code::FailedPrecondition && class.message().contains("machine_type"), "{class:?}");
    for name in ["hostClusters/none", "one"] {
        let of = v1::UpdateHostClusterRevisionRequest { name: name.into(), ..Default::default() };
        let refused = client.update_host_cluster_revision(of).await.unwrap_err().code();
        assert!(matches!(refused, Code::NotFound | Code::InvalidArgument), "{name}: {refused:?}");
    }
    let stale = v1::UpdateHostClusterRevisionRequest { etag: "\"old\"".into(), ..request(&[]) };
    assert_eq!(reason(&client.update_host_cluster_revision(stale).await.unwrap_err()), "ETAG_MISMATCH");
    let dry = v1::UpdateHostClusterRevisionRequest { validate_only: true, ..request(&[]) };
    let dry = client.update_host_cluster_revision(dry).await.unwrap().into_inner();
    assert!(dry.done && dry.name.is_empty());
    let Some(operation::Result::Response(any)) = dry.result else { panic!("{:?}", dry.result) };
    assert_eq!(any.to_msg::<v1::HostCluster>().unwrap().state(), host_cluster::State::Updating);
    assert_eq!(client.get_host_cluster(get(ONE)).await.unwrap().into_inner(), before);

    // One operation, whoever repeats it; its end is the host cluster, READY.
    let wanted = v1::UpdateHostClusterRevisionRequest {
        request_id: "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4".into(),
        etag: before.etag,
        ..request(&["platform"])
    };
    let operation = client.update_host_cluster_revision(wanted.clone()).await.unwrap().into_inner();
    assert!(!operation.done);
    let about = metadata(&operation);
    assert_eq!((about.host_cluster.as_str(), about.kind.as_str(), about.generation), (ONE, "update", 2));
    let again = client.update_host_cluster_revision(wanted).await.unwrap().into_inner();
    assert_eq!(again.name, operation.name);
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let mut operations = daemon.operations().await;
    let ended = operations.get_operation(GetOperationRequest { name: operation.name }).await.unwrap().into_inner();
    let Some(operation::Result::Response(any)) = ended.result else { panic!("{ended:?}") };
    assert_eq!(any.to_msg::<v1::HostCluster>().unwrap().state(), host_cluster::State::Ready);
    let after = client.get_host_cluster(get(ONE)).await.unwrap().into_inner();
    assert_eq!(after.class_differences, ["machine_type"]);
    let two = client.get_host_cluster(get("hostClusters/two")).await.unwrap().into_inner();
    assert_eq!(two.class_differences.len(), 2, "nobody asked for this one");
    let tenant = daemon.tenants().await.get_tenant(named(common::PROD)).await.unwrap().into_inner();
    assert_eq!((tenant.generation, tenant.state()), (1, v1::tenant::State::Ready));

    // It is in the log with its revisions.
    let log = daemon.store.entries(&AuditQuery { limit: 1_000, ..AuditQuery::default() }).await.unwrap();
    let record = log.iter().map(|kept| &kept.entry.record);
    let of_update: Vec<_> = record.filter(|record| record.author.action == "UpdateHostClusterRevision").collect();
    assert_eq!(of_update.len(), 1, "{of_update:?}");
    assert_eq!(of_update[0].resource, ONE);
    assert!(format!("{:?}", of_update[0]).contains("placement.revisions.platform"), "{:?}", of_update[0]);
}

#[tokio::test]
async fn an_adopted_host_cluster_and_one_that_goes_get_no_revisions() {
    let daemon = Daemon::shared().await;
    let mut client = daemon.hosts().await;
    let adoption = Some(v1::Adoption { provider: "sky".into(), credentials: "main".into(), ..Default::default() });
    let resource = v1::HostCluster { tenant_class: String::new(), region: "here".into(), adoption, ..host() };
    let adopt = v1::AdoptHostClusterRequest {
        host_cluster_id: "theirs".into(),
        host_cluster: Some(resource),
        ..Default::default()
    };
    client.adopt_host_cluster(adopt).await.unwrap();
    let update = |name: &str| v1::UpdateHostClusterRevisionRequest { name: name.into(), ..Default::default() };
    let refused = client.update_host_cluster_revision(update("hostClusters/theirs")).await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("adopted"), "{refused:?}");
    client.create_host_cluster(host_order("one", host())).await.unwrap();
    client.delete_host_cluster(delete(ONE)).await.unwrap();
    let mut offered = common::shared_catalog();
    offered.classes.get_mut(&"small".parse().unwrap()).unwrap().parameters.insert("nat".into(), "none".into());
    let daemon = daemon.again(offered).await;
    let mut client = daemon.hosts().await;
    for validate_only in [true, false] {
        let update = v1::UpdateHostClusterRevisionRequest { validate_only, ..update(ONE) };
        let refused = client.update_host_cluster_revision(update).await.unwrap_err();
        assert!(
            refused.code() == Code::FailedPrecondition && refused.message().contains("is being deleted"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn tenants_are_placed_explained_and_keep_their_host_cluster() {
    let daemon = Daemon::shared().await;
    let (mut hosts, mut tenants) = (daemon.hosts().await, daemon.tenants().await);
    let explain = |customer: &str| {
        let order = of_class(customer, "prod", "space");
        v1::ExplainPlacementRequest { parent: order.parent, tenant_id: order.tenant_id, tenant: order.tenant }
    };
    let reported = tenants.explain_placement(explain("acme")).await.unwrap().into_inner();
    assert!(reported.placement.is_none() && reported.problems[0].contains("there is no host cluster of sky in here"));
    let status = tenants.create_tenant(of_class("acme", "prod", "space")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "NO_HOST_CLUSTER_CAPACITY"));
    assert!(status.message().contains("hosts.grow"), "{}", status.message());

    hosts.create_host_cluster(host_order("one", host())).await.unwrap();
    let plain = v1::HostCluster { labels: Default::default(), ..host() };
    hosts.create_host_cluster(host_order("plain", plain)).await.unwrap();
    let reported = tenants.explain_placement(explain("acme")).await.unwrap().into_inner();
    assert_eq!(reported.placement.unwrap().host_cluster, ONE);
    let reported: Vec<_> =
        reported.host_clusters.iter().map(|h| (h.host_cluster.as_str(), h.chosen, h.reason.as_str())).collect();
    assert_eq!(reported, [(ONE, true, ""), ("hostClusters/plain", false, "it lacks the label tier=shared")]);

    for id in ["prod", "test"] {
        tenants.create_tenant(of_class("acme", id, "space")).await.unwrap();
    }
    let placement = tenants.get_tenant(named(common::PROD)).await.unwrap().into_inner().placement.unwrap();
    assert_eq!((placement.level(), placement.host_cluster.as_str()), (Level::Namespace, ONE));
    assert_eq!(placement.account, "4711", "that of its host cluster");
    let isolation = placement.isolation.unwrap();
    assert!(!isolation.namespace.is_empty() && isolation.pods > 0 && isolation.load_balancers == 0);
    let full = v1::CreateTenantRequest { validate_only: true, ..of_class("acme", "third", "space") };
    assert_eq!(reason(&tenants.create_tenant(full).await.unwrap_err()), "NO_HOST_CLUSTER_CAPACITY");
    let seen = hosts.get_host_cluster(get(ONE)).await.unwrap().into_inner();
    assert_eq!((seen.tenant_count, seen.free_count), (2, 0));

    let status = hosts.delete_host_cluster(delete(ONE)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "HOST_CLUSTER_IN_USE"));
    assert!(status.message().contains("customers/acme/tenants/prod, customers/acme/tenants/test"));
    let checked = v1::DeleteHostClusterRequest { validate_only: true, ..delete(ONE) };
    assert_eq!(reason(&hosts.delete_host_cluster(checked).await.unwrap_err()), "HOST_CLUSTER_IN_USE");
    let cancel = CancelOperationRequest { name: seen.latest_operation };
    assert!(daemon.operations().await.cancel_operation(cancel).await.is_err());
    let inside = v1::ListTenantsRequest {
        parent: "customers/-".into(),
        filter: format!("host_cluster = \"{ONE}\""),
        ..Default::default()
    };
    assert_eq!(tenants.list_tenants(inside).await.unwrap().into_inner().tenants.len(), 2);
}

#[tokio::test]
async fn what_is_free_decides_and_is_shown() {
    let daemon = Daemon::shared().await;
    let (mut hosts, mut tenants) = (daemon.hosts().await, daemon.tenants().await);
    hosts.create_host_cluster(host_order("one", v1::HostCluster { tenants_max: 10, ..host() })).await.unwrap();
    let capacity = hosts.get_host_cluster(get(ONE)).await.unwrap().into_inner().capacity.unwrap();
    assert_eq!((capacity.observe_time, capacity.allocatable, capacity.free), (None, None, None));
    let amounts = |cpu_milli, memory_mib, pods| Amounts { cpu_milli, memory_mib, pods };
    let measured = Measured {
        nodes: 2,
        allocatable: amounts(8_000, 30_000, 110),
        requested: amounts(900, 1_000, 12),
        by_tenants: amounts(100, 200, 2),
    };
    daemon.settle_with(State::Ready, OperationOutcome::Ready, vec![counted(measured)]).await;
    tenants.create_tenant(of_class("acme", "prod", "space")).await.unwrap();
    let capacity = hosts.get_host_cluster(get(ONE)).await.unwrap().into_inner().capacity.unwrap();
    let reported = |amounts: Option<v1::ResourceAmounts>| amounts.map(|a| (a.cpu_milli, a.memory_mib, a.pods)).unwrap();
    assert_eq!((capacity.node_count, capacity.observe_time.unwrap().seconds), (2, 1_700_000_000));
    assert_eq!(reported(capacity.allocatable), (8_000, 30_000, 110));
    assert_eq!(reported(capacity.requested), (900, 1_000, 12));
    assert_eq!(reported(capacity.requested_by_tenants), (100, 200, 2));
    assert_eq!(reported(capacity.reserved), (4_000, 12_288, 40), "the default quota");
    assert_eq!(reported(capacity.free), (3_200, 16_912, 60));

    let status = tenants.create_tenant(of_class("bolt", "prod", "space")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "NO_HOST_CLUSTER_CAPACITY"));
    let lacks = "4000 millicores are needed and 3200 of 8000 free";
    assert!(status.message().contains(&format!("one: {lacks}")), "{}", status.message());
    let order = of_class("bolt", "prod", "space");
    let ask = v1::ExplainPlacementRequest { parent: order.parent, tenant_id: order.tenant_id, tenant: order.tenant };
    let reported = tenants.explain_placement(ask).await.unwrap().into_inner();
    assert_eq!(reported.host_clusters[0].reason, lacks);
    // Its own nodes are none of these.
    tenants.create_tenant(of_class("bolt", "prod", "pool")).await.unwrap();
}

#[tokio::test]
async fn a_cordoned_host_cluster_takes_nobody_until_it_is_uncordoned() {
    let daemon = Daemon::shared().await;
    let (mut hosts, mut tenants) = (daemon.hosts().await, daemon.tenants().await);
    hosts.create_host_cluster(host_order("one", host())).await.unwrap();
    let cordon = v1::CordonHostClusterRequest { name: ONE.into(), ..Default::default() };
    let cordoned = hosts.cordon_host_cluster(cordon).await.unwrap().into_inner();
    assert!(cordoned.cordoned && cordoned.free_count == 0);
    let status = tenants.create_tenant(of_class("acme", "prod", "pool")).await.unwrap_err();
    assert!(status.message().contains("one: it is cordoned"), "{}", status.message());
    let stale = v1::UncordonHostClusterRequest { name: ONE.into(), etag: "\"old\"".into(), ..Default::default() };
    assert_eq!(reason(&hosts.uncordon_host_cluster(stale).await.unwrap_err()), "ETAG_MISMATCH");
    hosts
        .uncordon_host_cluster(v1::UncordonHostClusterRequest { name: ONE.into(), ..Default::default() })
        .await
        .unwrap();
    tenants.create_tenant(of_class("acme", "prod", "pool")).await.unwrap();
}

#[tokio::test]
async fn a_kubeconfig_in_a_host_cluster_is_for_whom_it_says() {
    use v1::generate_kubeconfig_request::Subject;
    let daemon = Daemon::shared().await;
    let (mut hosts, mut tenants) = (daemon.hosts().await, daemon.tenants().await);
    hosts.create_host_cluster(host_order("one", host())).await.unwrap();
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    for (customer, class) in [("acme", "space"), ("bolt", "pool")] {
        tenants.create_tenant(of_class(customer, "prod", class)).await.unwrap();
        daemon.settle(State::Ready, OperationOutcome::Ready).await;
        let name = format!("customers/{customer}/tenants/prod");
        let ask = |subject: Subject| v1::GenerateKubeconfigRequest {
            name: name.clone(),
            subject: subject.into(),
            ..Default::default()
        };
        let status = tenants.generate_kubeconfig(ask(Subject::Unspecified)).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["subject".to_owned()]));
        let reported = status.message();
        assert!(reported.contains("OPERATOR") && reported.contains("CUSTOMER"), "{reported}");
        for (subject, token) in [(Subject::Operator, "of-an-operator"), (Subject::Customer, "of-a-customer")] {
            let response = tenants.generate_kubeconfig(ask(subject)).await.unwrap().into_inner();
            assert!(response.kubeconfig.contains(token), "{subject:?}");
        }
    }
}

#[tokio::test]
async fn a_move_is_reported_and_not_done() {
    let daemon = Daemon::shared().await;
    let (mut hosts, mut tenants) = (daemon.hosts().await, daemon.tenants().await);
    hosts.create_host_cluster(host_order("one", host())).await.unwrap();
    tenants.create_tenant(of_class("acme", "prod", "space")).await.unwrap();
    let before = tenants.get_tenant(named(common::PROD)).await.unwrap().into_inner();
    let request = v1::MoveTenantRequest {
        name: common::PROD.into(),
        tenant_class: "pool".into(),
        validate_only: true,
        ..Default::default()
    };
    let plan = tenants.move_tenant(request.clone()).await.unwrap().into_inner();
    assert_eq!((plan.source.unwrap().level(), plan.destination.unwrap().level()), (Level::Namespace, Level::Node));
    assert!(plan.steps.iter().any(|step| step.contains("2 nodes m1")), "{:?}", plan.steps);
    assert_eq!(plan.steps.last().unwrap(), "remove the old namespace");
    assert!(plan.obstacles[0].contains("backup"), "{:?}", plan.obstacles);
    let done = v1::MoveTenantRequest { validate_only: false, ..request.clone() };
    let status = tenants.move_tenant(done).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "MOVE_NOT_SUPPORTED"));
    for class in ["space", "nope"] {
        let status = tenants.move_tenant(v1::MoveTenantRequest { tenant_class: class.into(), ..request.clone() }).await;
        assert_eq!(fields(&status.unwrap_err()), ["tenant_class"], "{class}");
    }
    assert_eq!(tenants.get_tenant(named(common::PROD)).await.unwrap().into_inner(), before);
}
