//! End-to-end tests of landlord through its public surfaces: the command line client, the
//! gRPC API, the simulated clouds' journal. The tests are in `tests/`.

use std::sync::OnceLock;

use anyhow::Result;
use landlord_test_harness::{Binaries, Cloud, World, WorldOptions, cloud};
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

/// The same, whose daemon goes on however long its calls fail: at this scale the usual hour is six seconds, which a busy machine
/// needs for a few starts of a plugin, or for calls that are lost one after the other.
///
/// # Errors
/// What does not start.
pub fn patient_world(cloud: &'static Cloud) -> Result<World> {
    let options = WorldOptions {
        time_scale: FAST,
        clouds: vec![cloud],
        extra_config: "[engine]\nretry_timeout = '48h'\n".into(),
        ..WorldOptions::default()
    };
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
