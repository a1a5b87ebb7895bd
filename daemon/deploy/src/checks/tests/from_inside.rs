//! Addresses that are closed to the daemon: what is behind them is used instead, and that is reported; or it will not do.

use std::collections::BTreeMap;

use landlord_core::{
    ChecksFrom,
    ports::{CheckOutcome, Concern, DeployTarget},
};
use landlord_kube::client::ClusterClients;

use super::{Broken, Ended, Lab, Scene, manifest, target};

/// What a check comes to that needs nothing but a route to SFTP.
async fn sftp(lab: &Lab, broken: Broken, checks_from: ChecksFrom, address: Option<&str>) -> Ended {
    *lab.world.broken.lock() = broken;
    let client = lab.world.client();
    let clients = ClusterClients { admin: client.clone(), tenant: client };
    let (target, manifest) = (DeployTarget { checks_from, ..target() }, manifest());
    let addresses: BTreeMap<_, _> =
        address.map(|address| ("sftp".to_owned(), address.to_owned())).into_iter().collect();
    let scene = lab.checks.scene(&clients, &target, &manifest, addresses);
    let mut scene = Scene { outside_only: lab.checks.outside_only(&target), ..scene };
    let ended = match scene.route("sftp", 22).await {
        Ok(route) => Ended::Passed(route.via()),
        Err(why) => Ended::failed(why, "see its pods"),
    };
    scene.seen_from(ended)
}

#[tokio::test]
async fn what_is_closed_is_reported_and_keeps_from_ready_where_the_class_says_so() {
    let mut lab = Lab::start().await;
    for checks_from in [ChecksFrom::Outside, ChecksFrom::Any] {
        let open = sftp(&lab, Broken::Nothing, checks_from, Some("127.0.0.1")).await;
        assert!(matches!(&open, Ended::Passed(detail) if detail.starts_with("from outside at 127.0.0.1")), "{open:?}");
    }
    // As by a firewall: nothing of this machine counts as outside any more.
    lab.checks.options.allowed = Vec::new();
    let reported = "sftp.acme.example.com is not reached from outside: 127.0.0.1 leads to 127.0.0.1";
    let closed = sftp(&lab, Broken::Nothing, ChecksFrom::Outside, Some("127.0.0.1")).await;
    let Ended::Failed { cause, remedy, concern } = closed else { panic!("{closed:?}") };
    assert!(cause.contains(reported) && remedy.contains("checks_from"), "{cause}; {remedy}");
    assert_eq!(concern, Some(Concern::CheckedFromInside));
    // A customer that names who may connect closed it on purpose.
    for (broken, checks_from) in [(Broken::Nothing, ChecksFrom::Any), (Broken::SourceRanges, ChecksFrom::Outside)] {
        let used = sftp(&lab, broken, checks_from, Some("127.0.0.1")).await;
        let Ended::Warned { detail, concern, .. } = used else { panic!("{broken:?}: {used:?}") };
        assert!(detail.contains("by port-forward to pod vectors-0") && detail.contains(reported), "{detail}");
        assert_eq!(concern, Some(Concern::CheckedFromInside));
    }
    // A class that allows no load balancer says so by the condition EndpointsPending.
    let without = sftp(&lab, Broken::Nothing, ChecksFrom::Outside, None).await;
    assert!(matches!(&without, Ended::Passed(detail) if detail.contains("by port-forward")), "{without:?}");
    // A daemon that is to stay inside asks nobody.
    lab.checks.options.from_outside = false;
    let inside = sftp(&lab, Broken::Nothing, ChecksFrom::Outside, Some("127.0.0.1")).await;
    assert!(matches!(&inside, Ended::Passed(detail) if detail.contains("by port-forward")), "{inside:?}");
    lab.servers.shutdown().await;
}

#[tokio::test]
async fn a_web_address_that_is_closed_is_not_replaced_by_the_service_behind_it() {
    let mut lab = Lab::start().await;
    lab.checks.options.allowed = Vec::new();
    let outside = DeployTarget { checks_from: ChecksFrom::Outside, ..target() };
    let results = lab.run(Broken::Nothing, &outside).await;
    for check in ["webdav", "chat-signs-in"] {
        assert_eq!(results[check].outcome, CheckOutcome::Failed, "{:?}", results[check]);
    }
    lab.servers.shutdown().await;
}
