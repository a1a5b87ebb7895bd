//! Where an order goes, and why, as a client sees it.

use crate::common;
use std::collections::BTreeMap;

use crate::common::{Daemon, order, reason};
use landlord_proto::v1;
use tonic::Code;

fn ask(change: impl FnOnce(&mut v1::Tenant)) -> v1::ExplainPlacementRequest {
    let mut order = order("acme", "prod");
    let mut tenant = order.tenant.take().unwrap();
    tenant.tenant_class.clear();
    change(&mut tenant);
    v1::ExplainPlacementRequest { parent: order.parent, tenant_id: order.tenant_id, tenant: Some(tenant) }
}

#[tokio::test]
async fn every_rule_gives_the_reason_it_does_or_does_not_choose() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let plain = client.explain_placement(ask(|_| {})).await.unwrap().into_inner();
    assert_eq!(plain.placement.unwrap().rule, "rest");
    assert_eq!(plain.problems, Vec::<String>::new());
    let verdicts: Vec<_> = plain.verdicts.iter().map(|v| (v.rule.as_str(), v.matched, v.reason.as_str())).collect();
    let missing = "it requests the label tier=gold, which is missing";
    assert_eq!(verdicts, [("gold", false, missing), ("rest", true, "")]);

    let gold = ask(|tenant| tenant.labels = BTreeMap::from([("tier".into(), "gold".into())]));
    let gold = client.explain_placement(gold).await.unwrap().into_inner();
    assert_eq!(gold.placement.as_ref().unwrap().tenant_class, "large");
    assert!(gold.verdicts.iter().all(|verdict| verdict.matched), "{gold:?}");

    let elsewhere = ask(|tenant| tenant.region = "nowhere".into());
    let elsewhere = client.explain_placement(elsewhere).await.unwrap().into_inner();
    assert!(elsewhere.placement.is_none());
    assert!(elsewhere.problems[0].contains("nowhere"), "{elsewhere:?}");

    let named = ask(|tenant| tenant.tenant_class = "large".into());
    let named = client.explain_placement(named).await.unwrap().into_inner();
    assert_eq!((named.placement.unwrap().rule.as_str(), named.verdicts.len()), ("", 0));

    let status = client.explain_placement(ask(|tenant| tenant.domain = "ACME".into())).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "FIELD_VIOLATIONS"));
}

#[tokio::test]
async fn a_class_whose_plugin_never_came_up_takes_no_orders() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let accepted = client.create_tenant(order("acme", "prod")).await.unwrap().into_inner();
    daemon.plugin_is_up(false);
    let status = client.create_tenant(order("acme", "second")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "PROVIDER_DOWN"));
    assert!(status.message().contains("sky") && status.message().contains("small"), "{}", status.message());
    let reported = client.explain_placement(ask(|_| {})).await.unwrap().into_inner();
    assert!(reported.placement.is_some() && reported.problems[0].contains("not up"), "{reported:?}");
    daemon.plugin_is_up(true);
    let second = client.create_tenant(order("acme", "second")).await.unwrap().into_inner();
    assert_ne!(second.name, accepted.name);
}

/// Who is requested, with what, and where it goes or which field is in the way.
const RESIDENCY: [(&str, &str, &str, Result<&str, &str>); 6] = [
    ("acme", "", "", Ok("here")),
    ("bound", "", "", Ok("there")),
    ("acme", "there", "", Ok("there")),
    ("acme", "elsewhere", "here", Ok("here")),
    ("bound", "", "here", Err("tenant.region")),
    ("acme", "there", "here", Err("tenant.region")),
];

#[tokio::test]
async fn residency_binds_by_customer_and_label_also_where_the_class_is_named() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    for (customer, residency, region, expected) in RESIDENCY {
        let mut order = order(customer, "prod");
        let tenant = order.tenant.as_mut().unwrap();
        tenant.tenant_class = "small".into();
        tenant.region = region.into();
        if !residency.is_empty() {
            tenant.labels.insert("residency".into(), residency.into());
        }
        order.validate_only = true;
        let requested = format!("{customer} {residency:?} {region:?}");
        let response = client.create_tenant(order.clone()).await;
        match expected {
            Ok(place) => {
                response.unwrap_or_else(|status| panic!("{requested}: {status:?}"));
                let ask = v1::ExplainPlacementRequest {
                    parent: order.parent,
                    tenant_id: order.tenant_id,
                    tenant: order.tenant,
                };
                let reported = client.explain_placement(ask).await.unwrap().into_inner();
                assert_eq!(reported.placement.unwrap().region, place, "{requested}");
            }
            Err(field) => {
                let status = response.expect_err(&requested);
                let wrong = common::violations(&status);
                assert_eq!(wrong.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), [field], "{requested}");
                assert!(wrong[0].1.contains("over-there") && wrong[0].1.contains("there"), "{requested}: {wrong:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_label_that_would_bind_a_tenant_elsewhere_is_refused() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let labels = BTreeMap::from([("residency".into(), "there".into())]);
    let update = common::update(&["labels"], v1::Tenant { labels, ..v1::Tenant::default() });
    let status = client.update_tenant(update).await.unwrap_err();
    let wrong = common::violations(&status);
    assert_eq!(wrong[0].0, "tenant.labels", "{status:?}");
}
