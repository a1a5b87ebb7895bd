//! Numbers for tables: shares of a sample, memory of a process.

use std::fs;

/// Samples, sorted.
#[derive(Debug, Clone)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that `percent` of all do not exceed (nearest rank); NaN if there are none.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn max(&self) -> f64 {
        self.percentile(100)
    }
}

/// A share of `whole` for each of `count`.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn each(whole: usize, count: usize) -> f64 {
    whole as f64 / count.max(1) as f64
}

/// Bytes as mebibytes.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Resident memory of a process in bytes; 0 when it is gone.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Processor time of a process and of its children that have ended, in seconds: proc(5), `stat`, in hundredths.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.iter().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_grows() {
        let before = cpu_seconds(std::process::id());
        let mut sum = 0_u64;
        while cpu_seconds(std::process::id()) < before + 0.02 {
            sum = sum.wrapping_add(u64::from(std::process::id()));
        }
        assert!(sum > 0);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let sample = Sample::new((1..=20).rev().map(f64::from).collect());
        let found = [50, 95, 100].map(|percent| sample.percentile(percent));
        assert!(found.iter().zip([10.0, 19.0, 20.0]).all(|(found, expected)| (found - expected).abs() < 1e-9));
        assert!(Sample::new(Vec::new()).max().is_nan());
        assert!((Sample::new(vec![7.0]).percentile(50) - 7.0).abs() < 1e-9);
    }
}
