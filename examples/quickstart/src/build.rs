//! Builds what is missing: the Go and the Rust parts side by side, with honest progress.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use landlord_test_harness::{Binaries, Cloud, real::customer_python};
use landlord_test_kube::{Artifacts, ensure_stack};

use crate::narrate::say;

/// How often progress is reported while something is built.
const TELL_INTERVAL: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Progress {
    crates: usize,
    rust: Option<Duration>,
    go: String,
    go_done: Option<Duration>,
}

/// The Kubernetes parts and the programs of this workspace.
pub(crate) fn all(cloud: &'static Cloud, real: bool) -> Result<(Artifacts, Binaries)> {
    let started = Instant::now();
    let progress = Mutex::new(Progress::default());
    let result = std::thread::scope(|scope| {
        let go = scope.spawn(|| build_go(&progress, started));
        let rust = scope.spawn(|| build_rust(cloud, &progress, started));
        let mut reported = Instant::now();
        while !(go.is_finished() && rust.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            if reported.elapsed() >= TELL_INTERVAL {
                reported = Instant::now();
                report(&progress, started);
            }
        }
        let joined = |_| anyhow!("a build thread panicked");
        anyhow::Ok((go.join().map_err(joined)??, rust.join().map_err(joined)??))
    })?;
    if real {
        // Whatever it uses later, the customer's part included: from here on it needs no network.
        let mut reported = Instant::now();
        ensure_stack(&mut |line| {
            if reported.elapsed() >= TELL_INTERVAL {
                reported = Instant::now();
                say(line);
            }
        })?;
        customer_python()?;
    }
    say(&format!("everything is built ({:.1} s)", started.elapsed().as_secs_f64()));
    Ok(result)
}

fn build_go(progress: &Mutex<Progress>, started: Instant) -> Result<Artifacts> {
    let artifacts = Artifacts::ensure(&mut |line: &str| {
        if let Ok(mut progress) = progress.lock() {
            line.clone_into(&mut progress.go);
        }
    })?;
    if let Ok(mut progress) = progress.lock() {
        progress.go_done = Some(started.elapsed());
    }
    Ok(artifacts)
}

fn build_rust(cloud: &Cloud, progress: &Mutex<Progress>, started: Instant) -> Result<Binaries> {
    let binaries = Binaries::ensure(&[cloud], &mut |_| {
        if let Ok(mut progress) = progress.lock() {
            progress.crates += 1;
        }
    })?;
    if let Ok(mut progress) = progress.lock() {
        progress.rust = Some(started.elapsed());
    }
    Ok(binaries)
}

fn report(progress: &Mutex<Progress>, started: Instant) {
    let Ok(progress) = progress.lock() else { return };
    let rust = match progress.rust {
        Some(_) => "built".to_owned(),
        None => format!("{} crates compiled", progress.crates),
    };
    let go = match progress.go_done {
        Some(_) => "built",
        None if progress.go.is_empty() => "starting",
        None => &progress.go,
    };
    say(&format!("building, {} s: landlord: {rust}; Kubernetes: {go}", started.elapsed().as_secs()));
}
