//! Runs suites side by side, by weight, longest first; shows the output of what failed, and ends with one line that counts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    checks, examples, programs,
    report::say,
    run,
    select::{self, Selection},
    setup,
    suite::{Counted, Outcome, Suite, Weight},
    times::Times,
};

/// Lines that are shown again of a suite that failed: a benchmark's last tables and its daemon's last lines.
const LAST_LINES: usize = 150;

/// All suites; with lints and docs beside them if `with_checks`; each without network if `is_offline`. `false` if anything failed.
pub(crate) fn everything(with_checks: bool, is_offline: bool) -> Result<bool> {
    let setup = setup::all()?;
    setup::node()?;
    let mut built = programs::build(&[])?;
    built.everything_is_fresh();
    for suite in built.suites.iter_mut().filter(|suite| suite.weight == Weight::Node) {
        suite.arguments.extend(["--include-ignored", "--exact", select::LANDING].map(Into::into));
    }
    let folders = select::folders()?;
    let mut suites = built.pytest(&setup.venvs, &folders);
    suites.append(&mut built.suites);
    suites.push(programs::cargo_suite("doc tests", &examples::arguments(&folders)?, Vec::new(), Counted::Libtest));
    if with_checks {
        suites.extend(
            checks::compiling()
                .map(|check| programs::cargo_suite(check.title, check.arguments, check.variables, Counted::Check)),
        );
    }
    side_by_side(suites, is_offline)
}

/// The suites selected. What they need is set up for all.
pub(crate) fn some(selection: &Selection, is_offline: bool) -> Result<bool> {
    let setup = setup::all()?;
    let built = programs::build(&selection.packages)?;
    let mut suites = built.pytest(&setup.venvs, &select::folders()?);
    suites.extend(built.suites);
    suites.retain(|suite| {
        let is_ours = suite.package.as_ref().is_some_and(|package| selection.packages.contains(package));
        let is_named = selection.words.iter().any(|word| {
            suite.package.as_ref() == Some(word)
                || suite.name == *word
                || suite.name.strip_prefix("pytest ") == Some(word)
        });
        is_ours && (selection.words.is_empty() || is_named)
    });
    for suite in &mut suites {
        if let Some(flag) = selection.ignored.get(&suite.name) {
            // One node after another, of one suite and of several: each is a whole machine. libtest takes each option once.
            suite.weight = Weight::Node;
            suite.arguments = ["--show-output", *flag, "--test-threads=1"].map(Into::into).into();
        }
        suite.arguments.extend(selection.filters.get(&suite.name).map(Into::into));
    }
    side_by_side(suites, is_offline)
}

fn side_by_side(mut suites: Vec<Suite>, is_offline: bool) -> Result<bool> {
    suites.iter_mut().for_each(|suite| suite.is_offline = is_offline);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let logs = logs()?;
    let mut times = Times::read();
    suites.sort_by(|a, b| times.expected(&b.name).total_cmp(&times.expected(&a.name)));
    say(&format!("==> {} suites, {} at once at most", suites.len(), at_once(cores)));
    let started = Instant::now();
    let (ended, ends) = mpsc::channel();
    let mut running: Vec<Weight> = Vec::new();
    let mut outcomes: Vec<(Suite, Outcome)> = Vec::new();
    let mut number = 0;
    thread::scope(|scope| -> Result<()> {
        loop {
            while let Some(next) = next(&suites, &running, cores) {
                let suite = suites.remove(next);
                running.push(suite.weight);
                number += 1;
                let (ended, log) = (ended.clone(), logs.join(format!("{number}.log")));
                scope.spawn(move || {
                    let outcome = run::run(&suite, &log);
                    // The receiver lives as long as anything runs.
                    let _ = ended.send((suite, outcome));
                });
            }
            if running.is_empty() {
                return Ok(());
            }
            let (suite, outcome) = ends.recv().context("no suite is left to end")?;
            if let Some(at) = running.iter().position(|weight| *weight == suite.weight) {
                running.swap_remove(at);
            }
            let outcome = outcome.unwrap_or_else(|error| Outcome {
                failed: 1,
                output: format!("{error:#}"),
                ..Outcome::default()
            });
            report_suite(&suite, &outcome);
            times.note(&suite.name, outcome.wall);
            outcomes.push((suite, outcome));
        }
    })?;
    nodes_alone(&mut outcomes, &logs);
    times.write()?;
    let _ = fs::remove_dir_all(&logs);
    Ok(close(&mut outcomes, started.elapsed()))
}

/// What failed on a node beside the others is run once more when they have ended: a machine that computes all the time breaks
/// deadlines of real programs (probes, handshakes), which is no fault of what lands. What is broken fails again.
fn nodes_alone(outcomes: &mut [(Suite, Outcome)], logs: &Path) {
    if outcomes.iter().all(|(suite, _)| suite.weight == Weight::Node) {
        return;
    }
    for (suite, outcome) in
        outcomes.iter_mut().filter(|(suite, outcome)| suite.weight == Weight::Node && !outcome.is_fine)
    {
        say(&format!("    {} failed beside the others, whose end frees the machine: once more", suite.name));
        let log = logs.join("node.log");
        *outcome = run::run(suite, &log).unwrap_or_else(|error| Outcome {
            failed: 1,
            output: format!("{error:#}"),
            ..Outcome::default()
        });
        report_suite(suite, outcome);
    }
}

/// All weights together: twice the cores, since most suites wait most of the time.
fn at_once(cores: usize) -> usize {
    (cores * 2).max(2)
}

/// The first suite for which there is room.
fn next(suites: &[Suite], running: &[Weight], cores: usize) -> Option<usize> {
    if running.len() >= at_once(cores) {
        return None;
    }
    let of = |weight: Weight| running.iter().filter(|other| **other == weight).count();
    suites.iter().position(|suite| of(suite.weight) < suite.weight.at_once(cores))
}

/// A folder of this run, beside the caches.
fn logs() -> Result<PathBuf> {
    let folder = landlord_test_kube::cache_folder()?.join(format!("suites-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("can't make {}", folder.display()))?;
    Ok(folder)
}

fn report_suite(suite: &Suite, outcome: &Outcome) {
    let is_fine = outcome.is_fine && outcome.failed == 0;
    if !is_fine {
        say(&format!("---- output of {} ----\n{}\n---- end of {} ----", suite.name, outcome.output, suite.name));
    }
    say(&format!("    {:<6} {}", if is_fine { "ok" } else { "FAILED" }, row(suite, outcome)));
}

fn report_end((suite, outcome): &(Suite, Outcome)) {
    say(&format!("---- last lines of {} ----\n{}", suite.name, last_lines(&outcome.output)));
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

fn row(suite: &Suite, outcome: &Outcome) -> String {
    let (wall, cpu) = (outcome.wall.as_secs_f64(), outcome.cpu.as_secs_f64());
    format!("{wall:>7.1} s {cpu:>7.1} s cpu {:>5} passed  {}", outcome.passed, suite.name)
}

/// The table, longest first, what was skipped, and the counts.
fn close(outcomes: &mut [(Suite, Outcome)], wall: Duration) -> bool {
    outcomes.sort_by_key(|(_, outcome)| std::cmp::Reverse(outcome.wall));
    say("==> wall and processor time of each suite");
    for (suite, outcome) in outcomes.iter() {
        say(&format!("    {}", row(suite, outcome)));
    }
    let skips: BTreeSet<&String> = outcomes.iter().flat_map(|(_, outcome)| &outcome.skips).collect();
    for skip in &skips {
        say(&format!("skipped: {skip}"));
    }
    let failed_suites = || outcomes.iter().filter(|(_, outcome)| !outcome.is_fine || outcome.failed > 0);
    let names: Vec<&str> = failed_suites().map(|(suite, _)| suite.name.as_str()).collect();
    if !names.is_empty() {
        // Again, for whoever has only the end of all that was printed.
        failed_suites().for_each(report_end);
        say(&format!("failed: {}", names.join(", ")));
    }
    let cpu: Duration = outcomes.iter().map(|(_, outcome)| outcome.cpu).sum();
    say(&format!(
        "{} suites in {:.0} s, {:.0} s of processor time",
        outcomes.len(),
        wall.as_secs_f64(),
        cpu.as_secs_f64()
    ));
    let passed: u64 = outcomes.iter().map(|(_, outcome)| outcome.passed).sum();
    let failed: u64 = outcomes.iter().map(|(_, outcome)| outcome.failed).sum();
    say(&format!("{passed} passed, {failed} failed, {} skipped", skips.len()));
    names.is_empty() && passed > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(name: &str, weight: Weight) -> Suite {
        let mut suite = programs::cargo_suite(name, "test", Vec::new(), Counted::Libtest);
        suite.weight = weight;
        suite
    }

    #[test]
    fn the_end_of_an_output_is_shown() {
        let lines: Vec<String> = (1..=LAST_LINES + 5).map(|line| format!("line {line}")).collect();
        let shown = last_lines(&lines.join("\n"));
        assert_eq!((shown.lines().count(), shown.lines().next()), (LAST_LINES, Some("line 6")));
        assert_eq!(last_lines("all of it\n"), "all of it");
    }

    #[test]
    fn what_has_no_room_lets_others_pass() {
        let suites = [suite("a", Weight::Kubernetes), suite("b", Weight::Sweep), suite("c", Weight::Light)];
        assert_eq!(next(&suites, &[], 2), Some(0));
        assert_eq!(next(&suites, &[Weight::Kubernetes, Weight::Kubernetes], 2), Some(1));
        assert_eq!(next(&suites, &[Weight::Kubernetes, Weight::Kubernetes, Weight::Sweep], 2), Some(2));
        assert_eq!(next(&suites[..2], &[Weight::Kubernetes, Weight::Kubernetes, Weight::Sweep], 2), None);
        assert_eq!(next(&suites, &[Weight::Light; 4], 2), None);
        let with_node = [suite("d", Weight::Node), suite("a", Weight::Light)];
        assert_eq!(next(&with_node, &[Weight::Light; 2], 2), Some(0));
        assert_eq!(next(&with_node, &[Weight::Node; 1], 2), Some(1));
        assert_eq!(next(&with_node[..1], &[Weight::Node; 1], 2), None, "one node after another");
    }
}
