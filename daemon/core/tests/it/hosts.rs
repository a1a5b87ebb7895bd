//! Orders of host clusters, and the choice of one for a tenant, as tables.

use std::collections::BTreeMap;

use landlord_core::{
    Amounts, Candidate, Catalog, Class, Environment, HostCluster, HostClusterRef, HostSelector, Level, Measured,
    Observation, OperationId, Owner, Placement, ReservePercent, State, Tenant, TenantSpec, TenantUid, Timestamp,
    environment::{Adoption, HostClusterInput, HostClusterSpec, SpecInput, TENANTS_DEFAULT, adopted_placement},
    fleet::{Choice, GrowRule, HostRule, choose},
    isolation::{IsolationSettings, IsolationSettingsInput},
    lifecycle,
    revision::{CurrentRevisions, Part, RevisionId},
};
use proptest::prelude::*;

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn host(id: &str, tenants: u32, of_customer: u32) -> Candidate {
    Candidate {
        host: HostClusterRef { uid: TenantUid(uuid::Uuid::nil()), id: id.parse().unwrap() },
        provider: "cloud".parse().unwrap(),
        credentials: "main".into(),
        account: "1".into(),
        class: "own".parse().unwrap(),
        node_count: 1,
        region: "here".into(),
        labels: labels(&[("tier", "gold")]),
        state: State::Ready,
        leaving: false,
        cordoned: false,
        tenants_max: 10,
        tenants,
        of_customer,
        reserved: Amounts::default(),
        observation: None,
    }
}

fn wanted() -> HostSelector {
    HostSelector {
        provider: "cloud".parse().unwrap(),
        credentials: None,
        region: "here".into(),
        labels: labels(&[("tier", "gold")]),
        reserve: Amounts::default(),
        growth: None,
    }
}

fn chosen(candidates: &[Candidate]) -> String {
    match choose(candidates, &wanted()) {
        Choice::Host(host) => host.host.id.to_string(),
        Choice::Grow(_) => panic!("grows"),
        Choice::Full(why) => why,
    }
}

#[test]
fn ready_ones_come_first_then_the_customers_spread_then_the_load() {
    let pending = |id: &str| Candidate { state: State::Provisioning, ..host(id, 0, 0) };
    let small = |id: &str, tenants| Candidate { tenants_max: 4, ..host(id, tenants, 0) };
    let cases = [
        (vec![host("a", 3, 0), host("b", 2, 0)], "b"),
        (vec![host("a", 1, 1), host("b", 9, 0)], "b"),
        (vec![host("a", 1, 1), host("b", 0, 1)], "b"),
        (vec![pending("a"), host("b", 9, 5)], "b"),
        (vec![pending("a"), host("b", 10, 0)], "a"),
        // Load is a part of what fits, not a number.
        (vec![small("a", 3), host("b", 5, 0)], "b"),
        (vec![host("b", 2, 0), host("a", 2, 0)], "a"),
    ];
    for (candidates, expected) in cases {
        assert_eq!(chosen(&candidates), expected, "{candidates:#?}");
    }
}

#[test]
fn what_does_not_match_or_takes_nobody_is_left_out_with_its_reason() {
    let full = chosen(&[host("a", 10, 0)]);
    assert!(full.contains("a: it is full with 10 tenants"), "{full}");
    let cordoned = chosen(&[Candidate { cordoned: true, ..host("a", 0, 0) }]);
    assert!(cordoned.contains("a: it is cordoned"), "{cordoned}");
    let failed = chosen(&[Candidate { state: State::Failed, ..host("a", 0, 0) }]);
    assert!(failed.contains("it is FAILED"), "{failed}");
    let leaving = chosen(&[Candidate { leaving: true, ..host("a", 0, 0) }]);
    assert!(leaving.contains("being removed"), "{leaving}");
    let others = [
        Candidate { provider: "sky".parse().unwrap(), ..host("a", 0, 0) },
        Candidate { region: "there".into(), ..host("b", 0, 0) },
        Candidate { labels: BTreeMap::new(), ..host("c", 0, 0) },
    ];
    assert_eq!(chosen(&others), "there is no host cluster of cloud in here with tier=gold");
    let scoped = HostSelector { credentials: Some("other".into()), ..wanted() };
    assert!(host("a", 0, 0).mismatch(&scoped).unwrap().contains("main, not other"));
    assert_eq!(host("a", 0, 0).mismatch(&wanted()), None);
}

fn amounts(cpu_milli: u64, memory_mib: u64, pods: u64) -> Amounts {
    Amounts { cpu_milli, memory_mib, pods }
}

/// A host cluster with 10 cores, 10 GiB and 100 pods, of which others than tenants take a tenth.
fn seen(id: &str, reserved: Amounts, by_tenants: Amounts) -> Candidate {
    let others = amounts(1_000, 1_024, 10);
    let measured = Measured {
        nodes: 2,
        allocatable: amounts(10_000, 10_240, 100),
        requested: others.plus(by_tenants),
        by_tenants,
    };
    let observation = Some(Observation { time: Timestamp(1), measured });
    Candidate { observation, reserved, ..host(id, 1, 1) }
}

#[test]
fn what_is_promised_or_taken_is_not_free_and_nobody_is_counted_twice() {
    let none = Amounts::default();
    let free = |reserved, by_tenants| {
        let host = seen("a", reserved, by_tenants);
        host.observation.unwrap().measured.free(host.reserved)
    };
    let cases = [
        // Nobody lives there.
        (none, none, amounts(9_000, 9_216, 90)),
        // Accepted, without pods yet; then with some of those it was promised.
        (amounts(4_000, 4_096, 40), none, amounts(5_000, 5_120, 50)),
        (amounts(4_000, 4_096, 40), amounts(3_000, 4_096, 5), amounts(5_000, 5_120, 50)),
        // A class that reserves little: pods are there, promise or not.
        (amounts(1_000, 1_024, 10), amounts(3_000, 512, 5), amounts(6_000, 8_192, 80)),
        // More was promised than there is: nodes went.
        (amounts(40_000, 1_024, 10), none, amounts(0, 8_192, 80)),
    ];
    for (reserved, by_tenants, expected) in cases {
        assert_eq!(free(reserved, by_tenants), expected, "{reserved:?} {by_tenants:?}");
    }
}

#[test]
fn a_tenant_goes_where_what_it_needs_is_free() {
    let none = Amounts::default();
    let wanted = |reserve| HostSelector { reserve, ..wanted() };
    let full_of = |reserved| seen("a", reserved, none);
    let place = |candidates: &[Candidate], reserve| match choose(candidates, &wanted(reserve)) {
        Choice::Host(host) => host.host.id.to_string(),
        Choice::Grow(_) => panic!("grows"),
        Choice::Full(why) => why,
    };
    let needs = amounts(4_000, 4_096, 40);
    assert_eq!(place(&[full_of(amounts(5_000, 0, 0))], needs), "a", "it fits to the last millicore");
    let message = place(&[full_of(amounts(5_001, 8_192, 51))], needs);
    for part in [
        "a: 4000 millicores are needed and 3999 of 10000 free",
        "4096 MiB of memory are needed and 1024 of 10240 free",
        "40 pods are needed and 39 of 100 free",
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    // A tenant with nodes of its own needs nothing of what others share.
    assert_eq!(place(&[full_of(amounts(9_000, 9_216, 90))], none), "a");
    // What was not counted yet takes by number; what was is preferred to nothing.
    assert_eq!(place(&[host("new", 0, 0), full_of(amounts(9_000, 0, 0))], needs), "new");
    // Every one that was inspected is named with what it lacks.
    let message = place(
        &[full_of(amounts(9_000, 0, 0)), Candidate { cordoned: true, ..host("b", 0, 0) }, host("c", 10, 0)],
        needs,
    );
    for part in
        ["a: 4000 millicores are needed and 0 of 10000 free", "b: it is cordoned", "c: it is full with 10 tenants"]
    {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    // Least loaded is whose scarcest resource is least taken.
    let (memory, processors) = (seen("a", amounts(0, 8_192, 0), none), seen("b", amounts(5_000, 0, 0), none));
    assert_eq!(place(&[memory, processors], amounts(1_000, 512, 1)), "b");
}

#[test]
fn a_class_says_how_much_of_the_quota_is_reserved() {
    let mut catalog = catalog(None);
    let name = "shared".parse().unwrap();
    let quota = serde_json::json!({ "quota": { "cpu_request_milli": 4_001, "memory_request_mib": 8_192, "pods": 30 } });
    catalog.classes.get_mut(&name).unwrap().guardrails = Some(serde_json::from_value(quota).unwrap());
    let reserve = |catalog: &Catalog| catalog.host_selector(&placement(catalog)).unwrap().reserve;
    assert_eq!(reserve(&catalog), amounts(4_001, 8_192, 30));
    let percent = ReservePercent { cpu: 50, memory: 100, pods: 0 };
    catalog.classes.get_mut(&name).unwrap().hosts.as_mut().unwrap().reserve_percent = percent;
    assert_eq!(reserve(&catalog), amounts(2_001, 8_192, 0), "half a millicore is not given away");
    let mut node = placement(&catalog);
    node.level = Level::Node;
    assert_eq!(percent.of(&node), Amounts::default());
}

#[test]
fn a_fleet_without_room_for_what_is_needed_grows() {
    let catalog = catalog(Some(2));
    let selector = catalog.host_selector(&placement(&catalog)).unwrap();
    assert!(selector.reserve.cpu_milli > 0);
    let selector = HostSelector { reserve: amounts(4_000, 4_096, 40), ..selector };
    let full = |id| seen(id, amounts(9_000, 0, 0), Amounts::default());
    assert!(matches!(choose(&[full("a")], &selector), Choice::Grow(_)));
    let two = [full("a"), full("b")];
    let Choice::Full(why) = choose(&two, &selector) else { panic!("grows beyond its limit") };
    assert!(why.contains("a: ") && why.contains("b: ") && why.contains("2 host clusters at most"), "{why}");
    // More than a whole host cluster of that class has: another one would not help.
    let large = HostSelector { reserve: amounts(9_001, 0, 0), ..selector.clone() };
    let message = |candidate: Candidate| match choose(&[candidate], &large) {
        Choice::Full(why) => Some(why),
        Choice::Grow(_) => None,
        Choice::Host(host) => panic!("{} takes it", host.host.id),
    };
    let why = message(full("a")).unwrap();
    assert!(why.contains("a new one of class own is too small: 9001 millicores are needed and 9000 of 10000"), "{why}");
    // Nothing is known of what is built otherwise, or has not all its nodes.
    assert_eq!(message(Candidate { class: "else".parse().unwrap(), ..full("a") }), None);
    assert_eq!(message(Candidate { node_count: 3, ..full("a") }), None);
    let mut missing = full("a");
    missing.observation.as_mut().unwrap().measured.nodes = 0;
    assert_eq!(message(missing), None);
}

fn class(level: Level) -> Class {
    Class {
        description: String::new(),
        level,
        provider: "cloud".parse().unwrap(),
        credentials: if level.is_shared() { String::new() } else { "main".into() },
        regions: vec!["here".into()],
        stack: Some("apps".parse().unwrap()),
        platform: None,
        platform_options: Default::default(),
        node_scaling: None,
        machine_type: "m".into(),
        node_count: u32::from(level != Level::Namespace),
        node_count_max: 3,
        disk_size_gib: 0,
        parameters: serde_json::Map::new(),
        hosts: None,
        guardrails: None,
        skip_checks: Vec::new(),
        checks_from: None,
        service: landlord_core::ServiceRules::default(),
    }
}

fn catalog(grow_to: Option<u32>) -> Catalog {
    let grow =
        grow_to.map(|host_clusters_max| GrowRule { class: "own".parse().unwrap(), tenants_max: 7, host_clusters_max });
    let shared = Class {
        hosts: Some(HostRule { labels: labels(&[("tier", "gold")]), grow, ..HostRule::default() }),
        ..class(Level::Namespace)
    };
    let own = ("own".parse().unwrap(), class(Level::Cluster));
    Catalog { classes: [own, ("shared".parse().unwrap(), shared)].into(), ..Catalog::default() }
}

fn placement(catalog: &Catalog) -> Placement {
    let input = landlord_core::environment::SpecInput {
        class: "shared".into(),
        domain: "a.example.com".into(),
        storage_gib: 1,
        ..Default::default()
    };
    let spec = landlord_core::TenantSpec::parse(input).unwrap();
    catalog.place(of_nobody(&"customers/a/tenants/b".parse().unwrap()), &spec).unwrap()
}

#[test]
fn a_fleet_grows_by_its_class_until_its_limit() {
    let catalog = catalog(Some(2));
    let placement = placement(&catalog);
    let selector = catalog.host_selector(&placement).unwrap();
    let full = |id| Candidate { tenants: 10, ..host(id, 10, 0) };
    let Choice::Grow(growth) = choose(&[], &selector) else { panic!("does not grow") };
    assert_eq!((growth.spec.tenants_max, &growth.placement.stack), (7, &None));
    assert_eq!(growth.spec.labels, labels(&[("tier", "gold")]), "the next tenant must find it");
    let one = [full("a")];
    assert!(matches!(choose(&one, &selector), Choice::Grow(_)));
    let two = [full("a"), Candidate { cordoned: true, ..full("b") }];
    let Choice::Full(why) = choose(&two, &selector) else { panic!("grows beyond its limit") };
    assert!(why.contains("2 host clusters at most"), "{why}");
    // One that is going makes room for another.
    let going = [full("a"), Candidate { leaving: true, ..full("b") }];
    assert!(matches!(choose(&going, &selector), Choice::Grow(_)));
}

#[test]
fn a_host_cluster_is_built_by_a_class_of_its_own_without_apps() {
    let catalog = catalog(None);
    let order = |class: &str| {
        let input = HostClusterInput { class: class.into(), ..HostClusterInput::default() };
        let spec = HostClusterSpec::parse(input).unwrap();
        assert_eq!((spec.tenants_max, spec.cordoned), (TENANTS_DEFAULT, false));
        catalog.place_host_cluster(&spec)
    };
    assert_eq!(order("own").unwrap().stack, None);
    for (class, part) in [("", "is missing"), ("shared", "level NAMESPACE"), ("nope", "does not exist")] {
        let violations = order(class).unwrap_err().to_string();
        assert!(violations.contains(part), "{class}: {violations}");
    }
    let none = Catalog::default().unknown_class(&"nope".parse().unwrap()).unwrap().description;
    assert_eq!(none, "\"nope\" does not exist; the daemon's configuration has no classes");
    let wrong =
        HostClusterInput { tenants_max: -1, node_count: 1_000, region: "X".into(), ..HostClusterInput::default() };
    let violations = HostClusterSpec::parse(wrong).unwrap_err();
    let mut fields: Vec<&str> = violations.0.iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["node_count", "region", "tenants_max"]);
}

#[test]
fn only_tenants_of_shared_levels_are_isolated_and_each_customer_its_own_group() {
    let mut catalog = catalog(None);
    let input = serde_json::json!({ "customer_group": "oidc:{customer}" });
    catalog.classes.get_mut(&"shared".parse().unwrap()).unwrap().guardrails =
        Some(serde_json::from_value(input).unwrap());
    let placement = placement(&catalog);
    let large = landlord_core::environment::SpecInput {
        class: "shared".into(),
        domain: "a.example.com".into(),
        storage_gib: 501,
        ..Default::default()
    };
    let large = landlord_core::TenantSpec::parse(large).unwrap();
    let refused = catalog.place(of_nobody(&"customers/a/tenants/b".parse().unwrap()), &large).unwrap_err();
    assert!(refused.to_string().contains("storage_gib: class shared allows at most 500 GiB"), "{refused}");
    assert!(catalog.place_again(&large, &large, &placement).is_err());
    assert_eq!(placement.guardrails.unwrap().customer_group().unwrap().as_str(), "oidc:a");
    let spec = HostClusterSpec::parse(HostClusterInput { class: "own".into(), ..HostClusterInput::default() }).unwrap();
    assert_eq!(catalog.place_host_cluster(&spec).unwrap().guardrails, None);
    assert_eq!(catalog.host_selector(&catalog.place_host_cluster(&spec).unwrap()), None);
}

#[test]
fn the_number_of_nodes_follows_the_order_and_not_a_class_that_changed() {
    let mut catalog = catalog(None);
    let of = |node_count: i64| {
        let input = landlord_core::environment::SpecInput {
            class: "own".into(),
            domain: "a.example.com".into(),
            storage_gib: 1,
            node_count,
            ..Default::default()
        };
        landlord_core::TenantSpec::parse(input).unwrap()
    };
    let (none, two) = (of(0), of(2));
    let placed = catalog.place(of_nobody(&"customers/a/tenants/b".parse().unwrap()), &none).unwrap();
    catalog.classes.get_mut(&"own".parse().unwrap()).unwrap().node_count = 3;
    let nodes = |spec, before| catalog.place_again(spec, before, &placed).unwrap().node_count;
    assert_eq!(nodes(&none, &none), placed.node_count, "another field is changed");
    assert_ne!(placed.node_count, 3);
    assert_eq!((nodes(&two, &none), nodes(&none, &two)), (2, 3), "somebody orders a number, or the class's");
}

proptest! {
    /// Tenants placed one after another never overfill, fill everything, and lie as evenly as they can.
    #[test]
    fn placing_fills_evenly_and_never_too_much(rooms in proptest::collection::vec(1_u32..6, 1..5), requested in 0_u32..40) {
        let mut hosts: Vec<Candidate> = rooms.iter().enumerate()
            .map(|(index, room)| Candidate { tenants_max: *room, ..host(&format!("h{index}"), 0, 0) })
            .collect();
        let mut refused = 0;
        for _ in 0..requested {
            let id = match choose(&hosts, &wanted()) {
                Choice::Host(host) => host.host.id.clone(),
                _ => { refused += 1; continue }
            };
            let host = hosts.iter_mut().find(|host| host.host.id == id).unwrap();
            host.tenants += 1;
            host.of_customer += 1;
        }
        let room: u32 = rooms.iter().sum();
        prop_assert_eq!(hosts.iter().map(|host| host.tenants).sum::<u32>(), requested.min(room));
        prop_assert_eq!(refused, requested.saturating_sub(room));
        prop_assert!(hosts.iter().all(|host| host.tenants <= host.tenants_max));
        let most = hosts.iter().map(|host| host.tenants).max().unwrap();
        let least = hosts.iter().filter(|host| host.tenants < host.tenants_max).map(|host| host.tenants).min();
        prop_assert!(least.is_none_or(|least| most - least <= 1), "one customer's tenants are not spread");
    }
}

/// A tenant of the class `shared` of this catalog.
fn placed(catalog: &Catalog) -> Environment {
    let spec =
        SpecInput { class: "shared".into(), domain: "a.example.com".into(), storage_gib: 1, ..Default::default() };
    let (name, spec) = ("customers/a/tenants/b".parse().unwrap(), TenantSpec::parse(spec).unwrap());
    let owner = Owner::Tenant(Tenant { name, spec, host: None, last_ready: None });
    let nil = uuid::Uuid::nil();
    lifecycle::accept(TenantUid(nil), owner, placement(catalog), OperationId(nil), Timestamp(0))
}

#[test]
fn what_differs_from_a_class_is_named_by_field() {
    let guarded = |pods: u32| {
        let mut input =
            IsolationSettingsInput { customer_group: Some("oidc:{customer}".parse().unwrap()), ..Default::default() };
        input.quota.pods = pods;
        let mut catalog = catalog(None);
        let shared = catalog.classes.get_mut(&"shared".parse().unwrap()).unwrap();
        shared.guardrails = Some(IsolationSettings::try_from(input).unwrap());
        catalog
    };
    let fields = |catalog: &Catalog, environment: &Environment| {
        catalog.class_differences(environment).into_iter().map(|found| found.field).collect::<Vec<_>>()
    };
    // Its own customer's group is what the class says.
    let mut tenant = placed(&guarded(30));
    assert_eq!(fields(&guarded(30), &tenant), Vec::<String>::new());
    // What a host cluster gave it is no difference.
    tenant.placement.credentials = "other".into();
    tenant.placement.account = "7".into();
    let found = guarded(31).class_differences(&tenant);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].field.as_str(), found[0].placed.as_str()), ("guardrails.quota.pods", "30"));
    assert_eq!(found[0].offered, "31");
    let mut other = guarded(30);
    let shared = other.classes.get_mut(&"shared".parse().unwrap()).unwrap();
    shared.stack = None;
    shared.parameters.insert("a".into(), serde_json::json!({"b": 1}));
    tenant.placement.parameters.insert("a".into(), serde_json::json!({"b": 1, "c": [2]}));
    assert_eq!(fields(&other, &tenant), ["parameters.a.c", "stack"]);
    other.classes.clear();
    assert_eq!(fields(&other, &tenant), ["class"]);
}

/// A host cluster of the class `own` of this catalog, or one that was adopted.
fn host_of(catalog: &Catalog, adoption: Option<Adoption>) -> Environment {
    let class = if adoption.is_some() { "" } else { "own" };
    let input = HostClusterInput { class: class.into(), adoption, ..HostClusterInput::default() };
    let spec = HostClusterSpec::parse(input).unwrap();
    let placement = match spec.class {
        Some(_) => catalog.place_host_cluster(&spec).unwrap(),
        None => adopted_placement("cloud", "main", "1", "here").unwrap(),
    };
    let owner = Owner::HostCluster(HostCluster { id: "one".parse().unwrap(), spec, last_ready: None });
    let nil = uuid::Uuid::nil();
    lifecycle::accept(TenantUid(nil), owner, placement, OperationId(nil), Timestamp(0))
}

#[test]
fn a_platform_on_disk_reaches_the_host_cluster_that_asks_for_it() {
    let id = |digit: char| RevisionId::of_digest(&digit.to_string().repeat(64)).unwrap();
    let with = |revision: char| {
        let mut catalog = catalog(None);
        let (stack, platform) = ("apps".parse().unwrap(), "edge".parse().unwrap());
        catalog.revisions =
            CurrentRevisions { stacks: [(stack, id(revision))].into(), platforms: [(platform, id(revision))].into() };
        catalog.classes.get_mut(&"own".parse().unwrap()).unwrap().platform = "edge".parse().ok();
        catalog
    };
    fn own(catalog: &mut Catalog) -> &mut Class {
        catalog.classes.get_mut(&"own".parse().unwrap()).unwrap()
    }
    let (old, mut new) = (with('a'), with('b'));
    let host = host_of(&old, None);
    assert_eq!((&host.placement.revisions.platform, &host.placement.revisions.stack), (&Some(id('a')), &None));
    let fields = |catalog: &Catalog| -> Vec<String> {
        catalog.class_differences(&host).into_iter().map(|difference| difference.field).collect()
    };
    own(&mut new).machine_type = "m9".into();
    own(&mut new).parameters.insert("nat".into(), "none".into());
    assert_eq!(fields(&old), Vec::<String>::new());
    assert_eq!(fields(&new), ["machine_type", "parameters.nat", "revisions.platform"]);
    let platform = new.renewed(&host, &[Part::Platform]).unwrap();
    assert_eq!((&platform.revisions.platform, platform.parameters.len()), (&Some(id('b')), 0));
    let both = new.renewed(&host, &Part::OF_HOST_CLUSTERS).unwrap();
    assert_eq!((&both.revisions.platform, both.parameters.len()), (&Some(id('b')), 1));
    assert_eq!((both.machine_type.as_str(), &both.stack, &both.revisions.stack), ("m", &None, &None));
    // What it keeps for life is said in words that fit it, and so is what was never built by landlord.
    own(&mut new).platform = "other".parse().ok();
    let refused = new.renewed(&host, &Part::OF_HOST_CLUSTERS).unwrap_err();
    assert!(refused.contains("another platform now") && refused.contains("order another one"), "{refused}");
    new.classes.clear();
    let refused = new.renewed(&host, &Part::OF_HOST_CLUSTERS).unwrap_err();
    assert!(refused.contains("no class own any more") && refused.contains("another host cluster"), "{refused}");
    let adopted = new.renewed(&host_of(&new, Some(Adoption::default())), &Part::OF_HOST_CLUSTERS).unwrap_err();
    assert!(adopted.contains("it was adopted"), "{adopted}");
}

/// A tenant of a customer without labels.
fn of_nobody(name: &landlord_core::TenantName) -> landlord_core::Orderer<'_> {
    static NONE: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    landlord_core::Orderer { name, labels: &NONE }
}

#[test]
fn rules_and_residency_know_the_customers_labels() {
    use std::collections::BTreeMap;

    use landlord_core::{Orderer, PlacementRule, Residencies, Residency};
    let labels = |value: &str| BTreeMap::from([("sector".to_owned(), value.to_owned())]);
    let (bank, shop) = (labels("bank"), labels("shop"));
    let residency = Residency {
        regions: vec!["here".into()],
        customers: Vec::new(),
        labels: BTreeMap::new(),
        customer_labels: bank.clone(),
    };
    let residencies = Residencies([("banks".to_owned(), residency)].into());
    let name = "customers/a/tenants/b".parse().unwrap();
    let forbids = |labels: &BTreeMap<String, String>, region: &str| {
        residencies.forbids(Orderer { name: &name, labels }, &BTreeMap::new(), region).is_some()
    };
    assert_eq!((forbids(&bank, "there"), forbids(&bank, "here"), forbids(&shop, "there")), (true, false, false));
    let rule = PlacementRule {
        name: "banks".into(),
        customers: Vec::new(),
        labels: BTreeMap::new(),
        customer_labels: bank.clone(),
        regions: Vec::new(),
        class: "large".parse().unwrap(),
    };
    let catalog = landlord_core::Catalog { rules: vec![rule], ..landlord_core::Catalog::default() };
    let input = SpecInput { domain: "a.example.com".into(), storage_gib: 1, ..SpecInput::default() };
    let spec = landlord_core::TenantSpec::parse(input).unwrap();
    let matched = |labels: &BTreeMap<String, String>| {
        catalog.verdicts(Orderer { name: &name, labels }, &spec)[0].mismatches.is_empty()
    };
    assert_eq!((matched(&bank), matched(&shop)), (true, false));
}
