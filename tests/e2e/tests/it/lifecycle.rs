//! Create, fail, retry and delete on the simulated cloud, judged by its journal.

use std::time::{Duration, Instant};

use anyhow::Result;
use landlord_e2e::{FAST, bare_world, on_every_cloud, patient_world, until_begun};
use landlord_test_harness::{Cloud, TenantFile, World, cloud::EKS, judge};
use serde_json::json;

/// Far above what it takes (seconds): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(180);
/// A cluster takes five seconds: what is done after it began is done before it is there, on a busy machine, too.
const CALM: f64 = 1.0 / 100.0;

on_every_cloud!(
    a_tenant_is_built_once_and_removed_whole,
    a_name_can_be_used_again_after_its_tenant_is_gone,
    throttling_half_of_all_calls_delays_and_never_fails,
    an_exhausted_quota_fails_with_its_name_and_retry_succeeds_once_raised,
    a_failed_tenant_can_be_deleted_and_leaves_nothing,
    delete_in_the_middle_of_create_leaves_nothing,
    cancelling_a_create_unwinds_it,
    lost_responses_and_lost_requests_make_nothing_twice,
    storage_and_node_count_can_be_raised,
    two_tenants_side_by_side_share_nothing,
);

fn created_and_deleted(world: &World, cloud: &Cloud, tenant: &TenantFile) -> Result<()> {
    let cli = world.cli();
    cli.apply(tenant)?;
    cli.wait_for(&tenant.name(), "READY", TIMEOUT)?;
    cli.ok(&["delete", &tenant.name()])?;
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT)?;
    judge::account_is_empty(world.simulator().control(), cloud.account)
}

fn a_tenant_is_built_once_and_removed_whole(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    created_and_deleted(&world, cloud, &tenant).unwrap();
    let journal = world.simulator().control().journal(0).unwrap();
    judge::nothing_made_twice(&journal, 1).unwrap();
    judge::everything_is_marked(&journal, cloud.account).unwrap();
    let figures = world.metrics().unwrap();
    let plugin = format!(r#"plugin="{}/default""#, cloud.provider);
    for figure in [
        format!("landlord_plugin_starts_total{{{plugin}}} 1"),
        r#"method="EnsureCluster",outcome="ok""#.into(),
        "landlord_plugin_call_duration_seconds_bucket".into(),
        format!("landlord_plugin_measurement{{{plugin},metric="),
    ] {
        assert!(figures.contains(&figure), "no {figure} in\n{figures}");
    }
}

fn a_name_can_be_used_again_after_its_tenant_is_gone(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    created_and_deleted(&world, cloud, &tenant).unwrap();
    created_and_deleted(&world, cloud, &tenant).unwrap();
}

fn throttling_half_of_all_calls_delays_and_never_fails(cloud: &'static Cloud) {
    let world = patient_world(cloud).unwrap();
    world.simulator().control().post("faults", &json!({"kind": "throttle", "rate": 0.5})).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    let cli = world.cli();
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "READY", 2 * TIMEOUT).unwrap();
    cli.ok(&["delete", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "GONE", 2 * TIMEOUT).unwrap();
    judge::account_is_empty(world.simulator().control(), cloud.account).unwrap();
    let journal = world.simulator().control().journal(0).unwrap();
    judge::nothing_made_twice(&journal, 1).unwrap();
    let throttled = journal
        .iter()
        .filter(|entry| {
            let outcome = judge::text(entry, "outcome").to_lowercase();
            outcome.contains("throttl") || outcome.contains("limitexceeded") || outcome.contains("toomany")
        })
        .count();
    assert!(throttled > 10, "only {throttled} calls were throttled");
}

fn an_exhausted_quota_fails_with_its_name_and_retry_succeeds_once_raised(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let control = world.simulator().control();
    let cli = world.cli();
    let (quota, shown_as) = cloud.network_quota;
    control.post("quotas", &json!({"account": cloud.account, "limits": {quota: 0}})).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "FAILED", TIMEOUT).unwrap();
    let shown = cli.ok(&["describe", &tenant.name()]).unwrap();
    assert!(shown.contains("QUOTA"), "{shown}");
    assert!(shown.contains(shown_as), "the quota is not named:\n{shown}");
    let waited = cli.run(&["wait", &tenant.name(), "--for=ready", "--timeout=60s"]).unwrap();
    assert_eq!(waited.code, 3, "wait must end with 'operation failed': {waited:?}");

    control.post("quotas", &json!({"account": cloud.account, "limits": {quota: 5}})).unwrap();
    cli.ok(&["retry", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    cli.ok(&["delete", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    judge::account_is_empty(control, cloud.account).unwrap();
}

fn a_failed_tenant_can_be_deleted_and_leaves_nothing(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let control = world.simulator().control();
    let (quota, _) = cloud.network_quota;
    control.post("quotas", &json!({"account": cloud.account, "limits": {quota: 0}})).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    let cli = world.cli();
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "FAILED", TIMEOUT).unwrap();
    cli.ok(&["delete", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    judge::account_is_empty(control, cloud.account).unwrap();
}

fn delete_in_the_middle_of_create_leaves_nothing(cloud: &'static Cloud) {
    // From before the first call to long after the cluster began.
    for delay_ms in [0, 50, 300, 700, 1_200, 1_800] {
        let world = bare_world(cloud, FAST).unwrap();
        let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
        let cli = world.cli();
        cli.apply(&tenant).unwrap();
        std::thread::sleep(Duration::from_millis(delay_ms));
        cli.ok(&["delete", &tenant.name()]).unwrap();
        // A second delete is no error: it joins the first.
        let again = cli.run(&["delete", &tenant.name()]).unwrap();
        assert!(again.code == 0 || again.code == 5, "{again:?}");
        cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
        judge::account_is_empty(world.simulator().control(), cloud.account)
            .unwrap_or_else(|error| panic!("deleted after {delay_ms} ms: {error}"));
    }
}

fn cancelling_a_create_unwinds_it(cloud: &'static Cloud) {
    let world = bare_world(cloud, CALM).unwrap();
    let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    let cli = world.cli();
    cli.apply(&tenant).unwrap();
    until_begun(&world, &tenant.name(), "cluster", 0, TIMEOUT).unwrap();
    cli.ok(&["cancel", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    judge::account_is_empty(world.simulator().control(), cloud.account).unwrap();
}

fn lost_responses_and_lost_requests_make_nothing_twice(cloud: &'static Cloud) {
    for kind in ["lost_answer", "lost_request"] {
        let world = patient_world(cloud).unwrap();
        let control = world.simulator().control();
        control.post("faults", &json!({"kind": kind, "rate": 0.3, "count": 60})).unwrap();
        let tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
        created_and_deleted(&world, cloud, &tenant).unwrap_or_else(|error| panic!("{kind}: {error:#}"));
        judge::nothing_made_twice(&control.journal(0).unwrap(), 1).unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

fn storage_and_node_count_can_be_raised(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let mut tenant = TenantFile::new("acme", "prod", &cloud.bare_class());
    let cli = world.cli();
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    tenant.more = "  nodeCount: 3\n".into();
    cli.apply(&tenant).unwrap();
    cli.ok(&["wait", &tenant.name(), "--for=ready", "--timeout=180s"]).unwrap();
    let nodes = nodes(&world, cloud);
    assert_eq!(nodes, 3);
}

/// Machines of the account: objects of their own, or where a cloud counts them only, what its pools say.
fn nodes(world: &World, cloud: &Cloud) -> u64 {
    let objects = world.simulator().control().objects(cloud.account).unwrap();
    let machines = objects.iter().filter(|object| judge::text(object, "type").ends_with(cloud.machine_object));
    if !cloud.counts_machines {
        return machines.count() as u64;
    }
    let size = |object: &serde_json::Value| {
        let path = judge::text(object, "id");
        let url = format!("{}{path}?api-version=2025-01-01", world.simulator().endpoint);
        let token = format!("Bearer sim-{}-test", cloud.account);
        let response: serde_json::Value =
            ureq::get(&url).header("authorization", token).call().unwrap().body_mut().read_json().unwrap();
        response["properties"]["count"].as_u64().unwrap()
    };
    machines.map(size).sum()
}

fn two_tenants_side_by_side_share_nothing(cloud: &'static Cloud) {
    let world = bare_world(cloud, FAST).unwrap();
    let cli = world.cli();
    let tenants =
        [TenantFile::new("acme", "prod", &cloud.bare_class()), TenantFile::new("globex", "prod", &cloud.bare_class())];
    for tenant in &tenants {
        cli.apply(tenant).unwrap();
    }
    for tenant in &tenants {
        cli.wait_for(&tenant.name(), "READY", TIMEOUT).unwrap();
    }
    let control = world.simulator().control();
    let uid = |name: &str| cli.tenant(name).unwrap().unwrap()["uid"].as_str().unwrap().to_owned();
    let of = |uid: &str| {
        let mut ids: Vec<String> = control
            .objects(cloud.account)
            .unwrap()
            .iter()
            .filter(|object| object["tags"]["landlord-tenant-uid"] == uid)
            .map(|object| judge::text(object, "id").to_owned())
            .collect();
        ids.sort();
        ids
    };
    let (first, second) = (uid(&tenants[0].name()), uid(&tenants[1].name()));
    let before = of(&second);
    cli.ok(&["delete", &tenants[0].name()]).unwrap();
    cli.wait_for(&tenants[0].name(), "GONE", TIMEOUT).unwrap();
    assert_eq!(of(&second), before, "deleting one tenant changed the other");
    assert!(of(&first).is_empty());
    assert!(!before.is_empty());
}

/// A client of the simulated cloud that is not landlord.
async fn somebody_else(world: &World) -> aws_sdk_cloudformation::Client {
    let key = format!("AKIA{}STRN", EKS.account);
    let credentials = aws_credential_types::Credentials::new(key, "cloudsim", None, None, "test");
    let config = aws_sdk_cloudformation::Config::builder()
        .behavior_version(aws_sdk_cloudformation::config::BehaviorVersion::latest())
        .credentials_provider(credentials)
        .region(aws_sdk_cloudformation::config::Region::new("eu-central-1"))
        .endpoint_url(&world.simulator().endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_cloudformation::Client::from_conf(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_object_with_our_name_is_never_touched() {
    let world = bare_world(&EKS, FAST).unwrap();
    let cli = world.cli();
    let mut tenant = TenantFile::new("acme", "prod", &EKS.bare_class());
    tenant.more = "  paused: true\n".into();
    cli.apply(&tenant).unwrap();
    let uid = cli.tenant(&tenant.name()).unwrap().unwrap()["uid"].as_str().unwrap().replace('-', "");
    let name = format!("landlord-{uid}");
    let template = r#"{"Resources":{"Network":{"Type":"AWS::EC2::VPC","Properties":{"CidrBlock":"10.9.0.0/16"}}}}"#;
    somebody_else(&world).await.create_stack().stack_name(&name).template_body(template).send().await.unwrap();
    let control = world.simulator().control();
    let theirs = || {
        let mut all = control.objects(EKS.account).unwrap();
        // Work that the other's own stack still does is not ours.
        all.retain(|object| object["tags"]["landlord-tenant-uid"].is_null());
        all.iter().map(|object| judge::text(object, "id").to_owned()).collect::<Vec<_>>()
    };
    let deadline = Instant::now() + TIMEOUT;
    while theirs().len() < 2 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = theirs();
    assert!(before.len() >= 2, "somebody else's stack and network: {before:?}");
    let planted = control.journal(0).unwrap().last().and_then(|entry| entry["seq"].as_i64()).unwrap();
    tenant.more = "  paused: false\n".into();
    cli.apply(&tenant).unwrap();
    cli.wait_for(&tenant.name(), "FAILED", TIMEOUT).unwrap();
    let shown = cli.ok(&["describe", &tenant.name()]).unwrap();
    assert!(shown.contains("NAME_TAKEN") && shown.contains(&name), "{shown}");
    cli.ok(&["delete", &tenant.name()]).unwrap();
    cli.wait_for(&tenant.name(), "GONE", TIMEOUT).unwrap();
    assert_eq!(theirs(), before, "somebody else's objects were touched");
    judge::only_ours_is_touched(&control.journal(planted).unwrap()).unwrap();
}
