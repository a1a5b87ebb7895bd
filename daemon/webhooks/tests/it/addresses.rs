//! Where requests don't go, and what is refused before one is made.

use landlord_core::ports::Webhooks as _;
use landlord_webhooks::Error;

use crate::{
    receiver::{Mode, Receiver},
    world::{World, options},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_public_address_is_refused_in_every_spelling() {
    let receiver = Receiver::start(Mode::Take).await;
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
    ] {
        let mut refused = options("portal", &receiver);
        refused.url = format!("http://{host}:{}/", receiver.address.port()).parse().unwrap();
        refused.allowed_networks.clear();
        assert!(matches!(refused.check(), Err(Error::Address(_))), "{host}");
    }
    let mut plain = options("portal", &receiver);
    plain.insecure = false;
    assert!(matches!(plain.check(), Err(Error::Insecure)));
    let mut file = options("portal", &receiver);
    file.url = "file:///etc/passwd".parse().unwrap();
    assert!(matches!(file.check(), Err(Error::Scheme(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_leads_to_this_machine_is_not_connected_to() {
    let (world, receiver) = (World::new().await, Receiver::start(Mode::Take).await);
    let mut by_name = options("portal", &receiver);
    by_name.url = format!("http://localhost:{}/", receiver.address.port()).parse().unwrap();
    by_name.allowed_networks.clear();
    let daemon = world.daemon("a", vec![by_name]).await;
    let test = daemon.service.test("portal").await.unwrap();
    assert!(test.error.contains("no public address") && test.error.contains("allowed_networks"), "{}", test.error);
    world.order("prod").await;
    let state = world.until("portal", |state| state.error.contains("no public address")).await;
    assert!(!state.held.is_empty(), "{state:?}");
    assert!(receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_not_followed() {
    let (world, inner) = (World::new().await, Receiver::start(Mode::Take).await);
    let outer = Receiver::start(Mode::Redirect(inner.url())).await;
    let daemon = world.daemon("a", vec![options("portal", &outer)]).await;
    world.order("prod").await;
    let state = world.until("portal", |state| state.held.iter().any(|held| held.attempts > 1)).await;
    assert!(state.error.contains("307") && state.error.contains("not followed"), "{state:?}");
    assert!(inner.requests().is_empty());
    // What may be secret in a URL is not shown.
    assert!(!daemon.view("portal").await.url.contains("of-this-receiver"));
}
