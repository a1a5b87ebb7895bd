//! Clusters that exist already: adopted, lived in by tenants, and given back as they were found. The
//! waits of one test are the time of another.

mod by_kubeconfig;
mod by_name;

use std::time::{Duration, Instant};

use landlord_test_harness::{World, judge};

/// Far above what it takes (half a minute): a busy machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Waits for a state; one that failed, or takes too long, is reported with all that is known of it.
fn reach(world: &World, name: &str, state: &str) {
    let cli = world.cli();
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let seen = cli.tenant(name).ok().map_or("?".to_owned(), |tenant| {
            tenant.map_or("GONE".to_owned(), |tenant| judge::text(&tenant, "state").to_owned())
        });
        if seen == state {
            return;
        }
        if seen == "FAILED" || Instant::now() > deadline {
            let shown = cli.run(&["describe", name]).unwrap();
            panic!("{name} is {seen}:\n{}{}\n{}", shown.stdout, shown.stderr, world.log_tail(40));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !reached() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
