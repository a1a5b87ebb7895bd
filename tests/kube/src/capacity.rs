//! How many control planes may run at once, by the memory that is really free.
//!
//! Knows nothing about control planes but their size: whoever starts one holds a [`Permit`] for as long as it runs.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Resident memory of one control plane: 680 MiB empty and 830 MiB with a small workload and the
/// Gateway API, as measured with the settings of this crate, rounded up for what customers add.
const CONTROL_PLANE_BYTES: u64 = 1000 * MIB;
/// Left for everybody else: a Rust link takes up to 3 GB, the daemon and its tests the rest.
const RESERVE_BYTES: u64 = 4 * 1024 * MIB;
/// One control plane is allowed even where the reserve cannot be kept, or a small machine could try nothing at all;
/// below this it would only be killed.
const FIRST_NEEDS_BYTES: u64 = 1536 * MIB;
/// More than this many do not help on any machine: each also takes a tenth of a core when idle.
const CONTROL_PLANES_MAX: usize = 8;
const MIB: u64 = 1024 * 1024;

/// The bound. Clones share it.
#[derive(Debug, Clone)]
pub struct Capacity {
    total: usize,
    used: Arc<AtomicUsize>,
}

/// The right to run one control plane, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    used: Arc<AtomicUsize>,
}

impl Capacity {
    /// What this machine bears now, by `MemAvailable`; at most 8, and 0 where not even one fits.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::of(fitting(memory_available_bytes()))
    }

    /// A bound chosen by the caller.
    #[must_use]
    pub fn of(total: usize) -> Self {
        Self { total, used: Arc::default() }
    }

    /// How many may run at once.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many run now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The right to run one more, or `None` when all are taken. Never waits.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| (used < self.total).then_some(used + 1))
            .ok()
            .map(|_| Permit { used: Arc::clone(&self.used) })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How many fit in so much memory.
fn fitting(available_bytes: u64) -> usize {
    let beside_reserve = available_bytes.saturating_sub(RESERVE_BYTES) / CONTROL_PLANE_BYTES;
    let first = usize::from(available_bytes >= FIRST_NEEDS_BYTES);
    usize::try_from(beside_reserve).unwrap_or(CONTROL_PLANES_MAX).clamp(first, CONTROL_PLANES_MAX)
}

/// `MemAvailable`; 0 where it cannot be read.
fn memory_available_bytes() -> u64 {
    std::fs::read_to_string("/proc/meminfo").map_or(0, |text| parse_available_bytes(&text))
}

fn parse_available_bytes(meminfo: &str) -> u64 {
    meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_decides_how_many_fit() {
        let cases = [(0, 0), (1024 * MIB, 0), (2048 * MIB, 1), (5 * 1024 * MIB, 1), (8 * 1024 * MIB, 4), (1 << 50, 8)];
        for (available, expected) in cases {
            assert_eq!(fitting(available), expected, "{available}");
        }
    }

    #[test]
    fn meminfo_is_read() {
        assert_eq!(parse_available_bytes("MemTotal: 9 kB\nMemAvailable:   24 kB\n"), 24 * 1024);
        assert_eq!(parse_available_bytes("nothing"), 0);
    }

    #[test]
    fn permits_come_back() {
        let capacity = Capacity::of(1);
        let first = capacity.try_acquire();
        assert!(first.is_some());
        assert!(capacity.clone().try_acquire().is_none());
        drop(first);
        assert_eq!(capacity.used(), 0);
        assert!(capacity.try_acquire().is_some());
    }
}
