//! Several daemons on one PostgreSQL: how soon another goes on, and what more of them change for one account.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use landlord_store_contract::postgres::Server;
use landlord_test_harness::{Replica, TenantFile, World, WorldOptions, cloud::EKS};

use crate::{
    Bed,
    figures::{Sample, each},
    lifecycle::timeout,
    order, requests, say,
};

/// Of the daemons whose end is measured: long enough that a take-over is seen to wait for it.
const LEASE: Duration = Duration::from_secs(5);
/// Nobody goes on by then: something is broken.
const TAKEN_TIMEOUT: Duration = Duration::from_secs(60);
/// Its figures are read so often; the error of the times below.
const POLL: Duration = Duration::from_millis(10);
/// A create takes minutes, so that there is always something to call.
const SLOW: f64 = 1.0 / 5.0;
/// Environments whose calls are under way when their daemon ends.
const IN_FLIGHT: usize = 20;

/// How a daemon ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Term,
    Kill,
}

/// Requests per second on both stores.
pub(crate) fn stores(bed: &Bed, requests: usize) -> Result<()> {
    let server = Server::start("requests");
    say("| store | what |\n|---|---|");
    for (store, store_url) in [("SQLite", String::new()), ("PostgreSQL", server.database())] {
        let options = WorldOptions { store_url, ..WorldOptions::default() };
        for line in bed.in_world(&options, async |world| requests::rows(world, &EKS, requests).await)? {
            say(&format!("| {store} | {line} |"));
        }
    }
    Ok(())
}

/// How long nobody calls an account whose daemon ended, `rounds` times for each way to end.
pub(crate) fn take_over(bed: &Bed, rounds: usize) -> Result<()> {
    say(&format!("lease {LEASE:?}, {IN_FLIGHT} environments in flight"));
    say("| end | next call p50 | max |\n|---|---|---|");
    for (end, name) in [(End::Term, "SIGTERM, from the signal on"), (End::Kill, "kill -9")] {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let server = Server::start("take-over");
            let lease = format!("\n[engine]\nlease_ttl = '{}s'\n", LEASE.as_secs());
            let options = WorldOptions {
                time_scale: SLOW,
                store_url: server.database(),
                extra_config: lease,
                ..WorldOptions::default()
            };
            took.push(bed.in_world(&options, async |world| taken(world, end))?.as_secs_f64());
        }
        let took = Sample::new(took);
        say(&format!("| {name} | {:.2} s | {:.2} s |", took.percentile(50), took.max()));
    }
    Ok(())
}

fn taken(world: &mut World, end: End) -> Result<Duration> {
    let tenants: Vec<TenantFile> =
        (0..IN_FLIGHT).map(|turn| TenantFile::new("bench", &format!("t{turn}"), &EKS.bare_class())).collect();
    for tenant in &tenants {
        world.cli().apply(tenant)?;
    }
    for tenant in &tenants {
        world.cli().wait_for(&tenant.name(), "PROVISIONING", TAKEN_TIMEOUT)?;
    }
    let second = Replica::start(world, "second", &[])?;
    let began = Instant::now();
    match end {
        // The daemon is still being waited for when the other one goes on.
        End::Term => {
            let pid = world.daemon().context("no daemon")?.pid().to_string();
            std::process::Command::new("kill").args(["-TERM", &pid]).status()?;
        }
        End::Kill => world.crash_daemon()?,
    }
    while !second.works()? {
        if began.elapsed() > TAKEN_TIMEOUT {
            bail!("nobody took over:\n{}", second.service.log_tail(20));
        }
        std::thread::sleep(POLL);
    }
    Ok(began.elapsed())
}

/// The same orders with one, two and three daemons.
pub(crate) fn in_flight(bed: &Bed, tenants: usize, time_scale: f64) -> Result<()> {
    say(&format!("{tenants} in flight in one account, 1 simulated second in {time_scale:.3} s"));
    say("| daemons | all READY after | calls of the account, each |\n|---|---|---|");
    for count in 1..=3 {
        let server = Server::start("in-flight");
        let options = WorldOptions { time_scale, store_url: server.database(), ..WorldOptions::default() };
        let row = bed.in_world(&options, async |world| {
            world.simulator().control().lift_quotas(EKS.account)?;
            let others = (1..count).map(|turn| Replica::start(world, &format!("r{turn}"), &[]));
            let _others: Vec<Replica> = others.collect::<Result<_>>()?;
            let began = Instant::now();
            order::ready(world, &EKS.bare_class(), "t", tenants, timeout(time_scale), || {}).await?;
            let took = began.elapsed();
            let journal = world.simulator().control().journal(0)?;
            let calls = journal.iter().filter(|entry| entry["origin"] == "call").count();
            Ok(format!("| {count} | {:.1} s | {:.1} |", took.as_secs_f64(), each(calls, tenants)))
        })?;
        say(&row);
    }
    Ok(())
}
