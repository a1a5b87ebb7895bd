//! What a run goes through, tries last, and finds of others.

use super::*;

#[tokio::test]
async fn public_addresses_are_reached_through_a_proxy_where_there_is_one() {
    let mut lab = Lab::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    lab.checks.options.proxy = Some(address);
    let carried = Arc::new(AtomicU32::new(0));
    lab.servers.spawn(proxy(listener, Arc::clone(&carried)));
    lab.all_pass().await;
    assert!(carried.load(std::sync::atomic::Ordering::Relaxed) > 5, "{carried:?}");
    let results = lab.run(Broken::Nothing, &target()).await;
    assert!(results["webdav"].detail.contains(&format!("by the proxy {address}")), "{:?}", results["webdav"]);
    lab.servers.shutdown().await;
    let results = lab.run(Broken::Nothing, &target()).await;
    assert_eq!(results["webdav"].outcome, CheckOutcome::Failed, "nobody carries it: {results:?}");
}

#[tokio::test]
async fn a_wrong_password_is_tried_seldom_and_last() {
    let mut lab = Lab::start().await;
    let tried = |lab: &Lab| lab.world.wrong_passwords.load(std::sync::atomic::Ordering::Relaxed);
    let results = lab.run(Broken::Policy, &target()).await;
    assert_eq!(results["wrong-password"].outcome, CheckOutcome::NotRun);
    assert_eq!(tried(&lab), 0, "not while another fails");
    lab.all_pass().await;
    lab.all_pass().await;
    assert_eq!(tried(&lab), 1, "file servers lock out who is wrong too often");
    lab.servers.shutdown().await;
}

#[tokio::test]
async fn what_a_killed_run_left_is_removed_by_the_next_one_and_what_runs_is_not() {
    let mut lab = Lab::start().await;
    let now = UnixTime::now().as_secs();
    let name = |began: u64| format!("/probe/probe-{began}-4711.txt");
    // The second one is another daemon's, which uses it at this moment.
    for began in [now - 3600, now - 30] {
        lab.world.files.lock().insert(name(began), b"The lamp.".to_vec());
    }
    *lab.world.broken.lock() = Broken::Nothing;
    let client = lab.world.client();
    let clients = ClusterClients { admin: client.clone(), tenant: client };
    let (target, stack) = (target(), Stack::of(manifest()));
    let addresses = ["webdav"].map(|record| (record.to_owned(), "127.0.0.1".to_owned()));
    let results = lab
        .checks
        .run((By::Reconciling, Extent::All), &clients, &target, &stack, addresses.into())
        .await
        .unwrap()
        .unwrap();
    let webdav = results.iter().find(|result| result.name == "webdav").unwrap();
    assert!(webdav.detail.contains("1 files of earlier checks removed"), "{webdav:?}");
    let left: Vec<String> = lab.world.files.lock().keys().cloned().collect();
    assert_eq!(left, [name(now - 30)]);
    lab.servers.shutdown().await;
}
