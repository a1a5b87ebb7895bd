//! Fewer checks than the stack has, as a class orders, and while the Gateway serves nothing.

use super::*;

#[tokio::test]
async fn what_a_class_leaves_out_is_reported_and_what_depends_on_it_is_not_run() {
    let mut lab = Lab::start().await;
    let target = DeployTarget { skip_checks: vec!["webdav".into()], ..target() };
    let results = lab.run(Broken::Nothing, &target).await;
    assert!(results["webdav"].detail.contains("the class orders"), "{results:?}");
    assert_eq!(results["chat-signs-in"].outcome, CheckOutcome::Passed);
    assert!(results["chat-knows-the-file"].detail.contains("it needs webdav"), "{results:?}");
    assert_eq!(results["chat-answers"].outcome, CheckOutcome::NotRun);
    lab.servers.shutdown().await;
}

#[tokio::test]
async fn while_the_gateway_serves_no_name_only_what_may_keep_it_from_it_is_looked_at() {
    let mut lab = Lab::start().await;
    let run = async |broken: Broken, was_ready: bool| {
        let target = DeployTarget { was_ready, ..target() };
        lab.run_of(broken, &target, Extent::Unserved("no certificate yet")).await
    };
    let results = run(Broken::Delegation, false).await;
    assert_eq!(results["names"].concern, Some(Concern::DomainNotDelegated), "{results:?}");
    assert!(results["names"].remedy.contains("set its NS records to ns1.cloud.example."), "{results:?}");
    for (name, result) in results.iter().filter(|(name, _)| *name != "names") {
        assert_eq!((result.outcome, result.detail.as_str()), (CheckOutcome::NotRun, "no certificate yet"), "{name}");
    }
    let results = run(Broken::Certificate, true).await;
    assert_eq!(results["certificates"].concern, Some(Concern::CertificateExpiring), "{results:?}");
    assert_eq!(results["names"].outcome, CheckOutcome::Passed);
    assert_eq!(results["webdav"].outcome, CheckOutcome::NotRun);
    lab.servers.shutdown().await;
}
