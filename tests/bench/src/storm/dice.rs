//! Decisions that a seed repeats.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// The decisions of one actor, independent of all others'.
#[derive(Debug)]
pub(crate) struct Dice(StdRng);

impl Dice {
    /// Of the actor with this number.
    pub(crate) fn of(seed: u64, actor: u64) -> Self {
        Self(StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ actor))
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// One of several.
    pub(crate) fn one<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.choose(&mut self.0).copied()
    }

    /// A time between two.
    pub(crate) fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(self.0.random_range(least_ms..=most_ms))
    }

    /// An id for a request, the same for the same seed.
    pub(crate) fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.0.random()).into_uuid().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_actors_differ() {
        let drawn = |seed, actor| {
            (0..8).map(|_| ()).fold((Dice::of(seed, actor), Vec::new()), |(mut dice, mut all), ()| {
                all.push(dice.between(0, 1_000_000));
                (dice, all)
            })
        };
        assert_eq!(drawn(7, 1).1, drawn(7, 1).1);
        assert_ne!(drawn(7, 1).1, drawn(7, 2).1);
        assert_ne!(drawn(7, 1).1, drawn(8, 1).1);
    }
}
