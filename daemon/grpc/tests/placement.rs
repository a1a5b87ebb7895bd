//! Where an order goes, and why, as a client sees it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;

use common::{Daemon, order, reason};
use landlord_proto::v1;
use tonic::Code;

fn ask(change: impl FnOnce(&mut v1::Tenant)) -> v1::ExplainPlacementRequest {
    let mut order = order("acme", "prod");
    let mut tenant = order.tenant.take().unwrap();
    tenant.class.clear();
    change(&mut tenant);
    v1::ExplainPlacementRequest { parent: order.parent, tenant_id: order.tenant_id, tenant: Some(tenant) }
}

#[tokio::test]
async fn every_rule_says_why_it_does_or_does_not_choose() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    let plain = client.explain_placement(ask(|_| {})).await.unwrap().into_inner();
    assert_eq!(plain.placement.unwrap().rule, "rest");
    assert_eq!(plain.problems, Vec::<String>::new());
    let verdicts: Vec<_> = plain.verdicts.iter().map(|v| (v.rule.as_str(), v.matched, v.reason.as_str())).collect();
    let missing = "it asks for the label tier=gold, which is missing";
    assert_eq!(verdicts, [("gold", false, missing), ("rest", true, "")]);

    let gold = ask(|tenant| tenant.labels = BTreeMap::from([("tier".into(), "gold".into())]));
    let gold = client.explain_placement(gold).await.unwrap().into_inner();
    assert_eq!(gold.placement.as_ref().unwrap().class, "large");
    assert!(gold.verdicts.iter().all(|verdict| verdict.matched), "{gold:?}");

    let elsewhere = ask(|tenant| tenant.region = "nowhere".into());
    let elsewhere = client.explain_placement(elsewhere).await.unwrap().into_inner();
    assert!(elsewhere.placement.is_none());
    assert!(elsewhere.problems[0].contains("nowhere"), "{elsewhere:?}");

    let named = ask(|tenant| tenant.class = "large".into());
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
    let told = client.explain_placement(ask(|_| {})).await.unwrap().into_inner();
    assert!(told.placement.is_some() && told.problems[0].contains("not up"), "{told:?}");
    daemon.plugin_is_up(true);
    let second = client.create_tenant(order("acme", "second")).await.unwrap().into_inner();
    assert_ne!(second.name, accepted.name);
}
