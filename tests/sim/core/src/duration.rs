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
#[must_use]
pub const fn seconds(min: u64, median: u64, max: u64, sigma: f64) -> Span {
    Span { min_ms: min * 1_000, median_ms: median * 1_000, max_ms: max * 1_000, sigma }
}

/// Delay until indexes of tags show a change.
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
    use super::{Span, draw, seconds};

    const CLUSTER_CREATE: Span = seconds(480, 600, 960, 0.22);

    #[test]
    fn draws_depend_on_seed_and_name_only_and_keep_the_bounds() {
        assert_eq!(draw(1, CLUSTER_CREATE, "a"), draw(1, CLUSTER_CREATE, "a"));
        assert_ne!(draw(1, CLUSTER_CREATE, "a"), draw(2, CLUSTER_CREATE, "a"));
        let all: Vec<u64> = (0..1_000).map(|i| draw(1, CLUSTER_CREATE, &i.to_string())).collect();
        assert!(all.iter().all(|ms| (480_000..=960_000).contains(ms)));
        assert!(all.iter().any(|ms| *ms > 850_000), "the tail is heavy");
    }
}
