//! Fewer checks than the stack has, as a class orders.

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
