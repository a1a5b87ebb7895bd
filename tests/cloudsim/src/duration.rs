//! How long each thing takes, in simulated time.
//!
//! A duration depends on the seed and on the thing's name only, never on the order of calls, so that two runs of one
//! scenario with one seed wait equally long. The shape is lognormal: most near the median, some far slower.

use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

/// Bounds and shape of one kind of duration, in simulated milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    min_ms: u64,
    median_ms: u64,
    max_ms: u64,
    /// Spread of the logarithm: 0.2 is tame, 0.5 has a heavy tail.
    sigma: f64,
}

/// A span from its bounds and median in seconds.
pub(crate) const fn seconds(min: u64, median: u64, max: u64, sigma: f64) -> Span {
    Span { min_ms: min * 1_000, median_ms: median * 1_000, max_ms: max * 1_000, sigma }
}

/// Control plane to ACTIVE: 8 to 16 minutes.
pub const CLUSTER_CREATE: Span = seconds(480, 600, 960, 0.22);
/// Control plane gone.
pub const CLUSTER_DELETE: Span = seconds(100, 150, 600, 0.3);
/// An update of cluster configuration or version.
pub const CLUSTER_UPDATE: Span = seconds(60, 150, 900, 0.4);
/// Node group to ACTIVE with joined nodes: 1.5 to 4 minutes.
pub const NODEGROUP_CREATE: Span = seconds(90, 130, 240, 0.25);
/// Node group drained and gone.
pub const NODEGROUP_DELETE: Span = seconds(90, 180, 480, 0.3);
/// A change of scaling or labels.
pub const NODEGROUP_UPDATE: Span = seconds(30, 60, 180, 0.3);
/// Add-on to ACTIVE once nodes are there: 10 to 60 seconds.
pub const ADDON_CREATE: Span = seconds(10, 22, 60, 0.4);
/// Add-on gone.
pub const ADDON_DELETE: Span = seconds(5, 15, 60, 0.4);
/// NAT gateway available: 1 to 2 minutes.
pub const NAT_CREATE: Span = seconds(60, 85, 120, 0.2);
/// NAT gateway deleted.
pub const NAT_DELETE: Span = seconds(35, 50, 110, 0.25);
/// Load balancer provisioning → active.
pub const LOAD_BALANCER_CREATE: Span = seconds(60, 110, 240, 0.25);
/// From DeleteLoadBalancer until its network interfaces are gone.
pub const LOAD_BALANCER_DELETE: Span = seconds(15, 35, 120, 0.4);
/// What CloudFormation adds to most resources: the call, then a stabilisation check.
pub const STACK_RESOURCE: Span = seconds(2, 4, 20, 0.5);
/// A role, which CloudFormation watches until IAM has spread it.
pub const STACK_IAM: Span = seconds(12, 17, 40, 0.25);
/// An internet gateway, address or VPC.
pub const STACK_SLOW_RESOURCE: Span = seconds(10, 14, 40, 0.3);
/// CloudFormation's own start and end of a stack operation.
pub const STACK_OVERHEAD: Span = seconds(2, 4, 15, 0.4);
/// Deletion of one resource by CloudFormation.
pub const STACK_RESOURCE_DELETE: Span = seconds(1, 3, 20, 0.5);
/// Route 53 change PENDING → INSYNC.
pub const DNS_INSYNC: Span = seconds(15, 35, 60, 0.3);
/// Delay until the tagging API shows a change.
pub const TAG_LAG: Span = seconds(1, 4, 30, 0.6);

/// The duration of `span` for the thing called `name`.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a positive range of hours")]
pub fn draw(seed: u64, span: Span, name: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name.as_bytes()).finalize();
    let mut key = [0_u8; 32];
    key.copy_from_slice(&digest);
    let mut rng = StdRng::from_seed(key);
    // Box-Muller: one normal variate from two uniform ones.
    let (u, v): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random());
    let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    let ms = span.median_ms as f64 * (span.sigma * normal).exp();
    (ms as u64).clamp(span.min_ms, span.max_ms)
}

#[cfg(test)]
mod tests {
    use super::{CLUSTER_CREATE, draw};

    #[test]
    fn draws_depend_on_seed_and_name_only_and_keep_the_bounds() {
        assert_eq!(draw(1, CLUSTER_CREATE, "a"), draw(1, CLUSTER_CREATE, "a"));
        assert_ne!(draw(1, CLUSTER_CREATE, "a"), draw(2, CLUSTER_CREATE, "a"));
        let all: Vec<u64> = (0..1_000).map(|i| draw(1, CLUSTER_CREATE, &i.to_string())).collect();
        assert!(all.iter().all(|ms| (480_000..=960_000).contains(ms)));
        assert!(all.iter().any(|ms| *ms > 850_000), "the tail is heavy");
    }
}
