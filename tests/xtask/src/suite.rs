//! A suite: one program whose tests count, and how much of the machine it wants.

use std::{ffi::OsString, path::PathBuf, time::Duration};

/// How much of the machine a suite wants, and so how many of its kind run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Little, or for a short time.
    Light,
    /// Waits most of its time, for simulated clouds, and takes little memory.
    Waiting,
    /// Starts control planes: waits for them most of its time, and takes memory.
    Kubernetes,
    /// Computes all the time.
    Sweep,
    /// A cargo that compiles; cargo lets only one of them at the target folder.
    Compile,
    /// Real pods on a real node, one node after another. Real programs have deadlines, which a machine that computes would break; a
    /// node has a share of its own.
    Node,
}

impl Weight {
    /// Of this weight at once, on a machine with so many cores.
    pub(crate) fn at_once(self, cores: usize) -> usize {
        match self {
            Self::Light => cores.max(2),
            // More of them beside the others, and deadlines of their tests pass while nothing is computed.
            Self::Waiting => (cores / 2).max(1),
            Self::Kubernetes => cores.clamp(1, 2),
            Self::Sweep => (cores / 2).max(1),
            Self::Compile | Self::Node => 1,
        }
    }

    /// How long one test may take: the longest elsewhere (a plugin that is killed at every call of EKS) needs two thirds on a
    /// loaded machine; on a node seven parts of an environment are broken and mended one after another.
    pub(crate) fn test_max(self) -> Duration {
        match self {
            Self::Light | Self::Waiting | Self::Kubernetes | Self::Sweep | Self::Compile => {
                Duration::from_secs(20 * 60)
            }
            Self::Node => Duration::from_secs(40 * 60),
        }
    }

    /// How long a whole program may take, or a check from cold caches.
    pub(crate) fn suite_max(self) -> Duration {
        match self {
            Self::Light | Self::Waiting | Self::Kubernetes | Self::Sweep | Self::Compile => {
                Duration::from_secs(40 * 60)
            }
            Self::Node => Duration::from_secs(120 * 60),
        }
    }

    /// Tests of one program at once. One that waits has room for more than there are processors.
    pub(crate) fn threads(self, cores: usize) -> usize {
        match self {
            Self::Kubernetes => cores.max(2) * 3 / 2,
            Self::Light | Self::Waiting | Self::Sweep | Self::Compile => cores.max(1),
            Self::Node => 1,
        }
    }
}

/// How its output is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// libtest: `test result: ok. 5 passed; …`.
    Libtest,
    /// pytest: `5 passed, 1 skipped in 3.2s`.
    Pytest,
    /// A check: its end says all.
    Check,
}

/// One program to run.
#[derive(Debug, Clone)]
pub(crate) struct Suite {
    /// `PACKAGE TARGET`, `pytest FOLDER`, or the check's title.
    pub(crate) name: String,
    /// Package that it is of; none for a check.
    pub(crate) package: Option<String>,
    /// What to run, with its arguments.
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Added to the environment.
    pub(crate) variables: Vec<(String, OsString)>,
    /// Working directory.
    pub(crate) folder: PathBuf,
    pub(crate) weight: Weight,
    pub(crate) counted: Counted,
    /// Whether it runs without network, and fails if it tries to reach anything outside of the machine.
    pub(crate) is_offline: bool,
}

/// What a suite came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// What was skipped, with the reason.
    pub(crate) skips: Vec<String>,
    /// Whether the program ended as one that found nothing wrong.
    pub(crate) is_fine: bool,
    pub(crate) wall: Duration,
    /// Of the program and the children that it waited for.
    pub(crate) cpu: Duration,
    /// All that it printed.
    pub(crate) output: String,
}

/// Counts what the program printed. One that ended badly without saying so has failed once.
pub(crate) fn count(counted: Counted, output: String, ended_well: bool) -> Outcome {
    let mut outcome = Outcome { is_fine: ended_well, ..Outcome::default() };
    for line in output.lines() {
        if let Some((_, skip)) = line.split_once("SKIPPED: ") {
            outcome.skips.push(skip.to_owned());
        } else if counted == Counted::Pytest
            && let Some(skip) = line.strip_prefix("SKIPPED ")
        {
            outcome.skips.push(skip.to_owned());
        } else if let Some((test, reason)) = line.split_once(" ... ignored") {
            outcome.skips.push(format!("{test}{reason}"));
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            outcome.passed += number_before(counts, "passed");
            outcome.failed += number_before(counts, "failed");
        }
    }
    if counted == Counted::Pytest {
        let last = output.lines().rev().find(|line| line.contains(" in ")).unwrap_or_default().replace(" in ", ", ");
        outcome.passed = number_before(&last, "passed");
        outcome.failed =
            number_before(&last, "failed") + number_before(&last, "error") + number_before(&last, "errors");
    }
    if !ended_well && outcome.failed == 0 {
        outcome.failed = 1;
    }
    // A program with a main of its own is one test.
    if ended_well && counted == Counted::Libtest && !output.contains("test result: ") {
        outcome.passed = 1;
    }
    outcome.output = output;
    outcome
}

/// The number before a word: `ok. 5 passed; 0 failed; …`, `5 passed, 1 skipped, 3.2s`.
fn number_before(line: &str, word: &str) -> u64 {
    let words: Vec<&str> =
        line.split(|c: char| c.is_whitespace() || ",;.=".contains(c)).filter(|w| !w.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_output_is_counted() {
        let libtest = "test a ... ok\ntest b ... ignored, too slow\nSKIPPED: c: no network\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured\ntest result: ok. 2 passed; 0 failed;";
        let outcome = count(Counted::Libtest, libtest.to_owned(), true);
        assert_eq!((outcome.passed, outcome.failed, outcome.skips.len()), (7, 0, 2));
        let outcome = count(Counted::Pytest, "..\n== 5 passed, 2 failed, 1 error in 3.20s ==\n".to_owned(), false);
        assert_eq!((outcome.passed, outcome.failed), (5, 3));
        assert_eq!(count(Counted::Libtest, "killed".to_owned(), false).failed, 1);
        assert_eq!(count(Counted::Libtest, "own main".to_owned(), true).passed, 1);
        assert_eq!(count(Counted::Check, String::new(), true).passed, 0);
    }
}
