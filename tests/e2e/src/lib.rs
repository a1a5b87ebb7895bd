//! End-to-end tests of landlord through its public surfaces: the command line client, the
//! gRPC API, the simulated clouds' journal. The tests are in `tests/`.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_test_harness::{Binaries, Cloud, World, WorldOptions, cloud, judge, process::children};
use landlord_test_kube::Artifacts;

/// A lifecycle of about 15 simulated minutes takes one to two seconds at this scale, and the
/// daemon's own work still fits between two steps of the cloud.
pub const FAST: f64 = 1.0 / 600.0;

/// The provider that adopts clusters by their kubeconfig.
pub const ADOPTING: &str = "kubernetes";

/// The programs under test, built once a process.
///
/// # Errors
/// The compiler's.
pub fn binaries() -> Result<&'static Binaries> {
    static BINARIES: OnceLock<Result<Binaries, String>> = OnceLock::new();
    BINARIES
        .get_or_init(|| {
            Binaries::ensure_with(&cloud::ALL, &[ADOPTING], &mut |_| {}).map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

/// A world without Kubernetes, for classes without apps.
///
/// # Errors
/// What does not start.
pub fn bare_world(cloud: &'static Cloud, time_scale: f64) -> Result<World> {
    World::temporary(binaries()?, &WorldOptions { time_scale, clouds: vec![cloud], ..WorldOptions::default() })
}

/// Has a daemon go on however long its calls fail: at [`FAST`] the usual hour is six seconds, which a busy machine needs for a few
/// starts of a plugin, or for calls that are lost one after the other. TOML.
pub const PATIENT: &str = "[engine]\nretry_timeout = '48h'\n";

/// A world as [`bare_world`]'s, whose daemon is [`PATIENT`].
///
/// # Errors
/// What does not start.
pub fn patient_world(cloud: &'static Cloud) -> Result<World> {
    let options =
        WorldOptions { time_scale: FAST, clouds: vec![cloud], extra_config: PATIENT.into(), ..WorldOptions::default() };
    World::temporary(binaries()?, &options)
}

/// The same test on every cloud: `on_every_cloud!(one, another)` makes a test of each function
/// that takes a cloud, in a module for each cloud.
#[macro_export]
macro_rules! on_every_cloud {
    ($($test:ident),+ $(,)?) => {
        $crate::on_every_cloud!(@ eks EKS $($test),+);
        $crate::on_every_cloud!(@ gke GKE $($test),+);
        $crate::on_every_cloud!(@ aks AKS $($test),+);
    };
    (@ $module:ident $cloud:ident $($test:ident),+) => {
        mod $module {
            $(#[test] fn $test() { super::$test(&landlord_test_harness::cloud::$cloud); })+
        }
    };
}

/// A world whose clusters have a real Kubernetes, with more configuration for the daemon (TOML).
///
/// # Errors
/// What does not build or start.
pub fn kubernetes_world(cloud: &'static Cloud, time_scale: f64, extra_config: &str) -> Result<World> {
    kubernetes_world_of(&[cloud], time_scale, extra_config)
}

/// The same with several clouds and one daemon.
///
/// # Errors
/// What does not build or start.
pub fn kubernetes_world_of(clouds: &[&'static Cloud], time_scale: f64, extra_config: &str) -> Result<World> {
    let artifacts = Artifacts::ensure(&mut |_| {})?;
    let options = WorldOptions {
        time_scale,
        kubernetes: Some(artifacts),
        clouds: clouds.to_vec(),
        extra_config: extra_config.to_owned(),
        ..WorldOptions::default()
    };
    World::temporary(binaries()?, &options)
}

/// Between two looks whether a stage has begun.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a stage of `name` has begun, which it did `times` before, for so long.
///
/// # Errors
/// A stage that never begins; the client's.
pub fn until_begun(world: &World, name: &str, stage: &str, times: usize, patience: Duration) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if begun(world, name, stage)? > times {
            return Ok(());
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
    bail!("stage {stage} of {name} never began:\n{}", world.cli().ok(&["describe", name])?)
}

/// kill -9 of the daemon just after it recorded that a stage begins, as [`until_begun`]; it is started again.
///
/// # Errors
/// A stage that never begins; the operating system's.
pub fn crash_in_stage(world: &mut World, name: &str, stage: &str, times: usize, patience: Duration) -> Result<()> {
    until_begun(world, name, stage, times, patience)?;
    world.crash_daemon()?;
    world.start_daemon()
}

/// kill -9 of the processes that plugins run in, while the daemon lives on; how many there were.
///
/// # Errors
/// A daemon that does not run.
pub fn kill_plugins(world: &mut World) -> Result<usize> {
    let daemon = world.daemon().context("no daemon")?.pid();
    let plugins = children(daemon);
    for plugin in &plugins {
        let pid = rustix::process::Pid::from_raw(i32::try_from(*plugin)?).context("no process has the id 0")?;
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    Ok(plugins.len())
}

/// How often a stage has begun; of an environment that is gone, as often as can be.
///
/// # Errors
/// The client's.
pub fn begun(world: &World, name: &str, stage: &str) -> Result<usize> {
    let cli = world.cli();
    match cli.events(name) {
        Ok(events) => {
            let of_stage = events.iter().filter(|event| judge::text(event, "stage") == stage);
            Ok(of_stage.filter(|event| judge::text(event, "reason") == "StageStarted").count())
        }
        Err(error) if cli.tenant(name)?.is_some() => Err(error),
        Err(_) => Ok(usize::MAX),
    }
}
