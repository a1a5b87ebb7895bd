//! Runs all tests and counts them: passed, failed, skipped with the reason.
//!
//! A test that can't run in full prints a line `SKIPPED: what: why` and passes; the closing
//! line counts it as skipped, so that nothing is skipped silently.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    python::Venv,
    report::{cargo, checkout, say},
    setup,
};

#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
    skips: BTreeSet<String>,
}

/// Sets up, runs everything, tells the totals; `false` if anything failed.
pub(crate) fn run() -> Result<bool> {
    let setup = setup::all()?;
    let mut totals = Totals::default();
    let mut ok = rust(&mut totals)?;
    for venv in &setup.venvs {
        ok &= pytest(venv, &mut totals)?;
    }
    for skip in &totals.skips {
        say(&format!("skipped: {skip}"));
    }
    say(&format!("{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.skips.len()));
    Ok(ok && totals.failed == 0 && totals.passed > 0)
}

fn rust(totals: &mut Totals) -> Result<bool> {
    say("==> cargo test --workspace");
    let mut child = cargo()
        .args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"])
        .stdout(Stdio::piped())
        .spawn()
        .context("can't run cargo; install Rust with rustup (https://rustup.rs)")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut quiet = false;
    for line in BufReader::new(output).lines() {
        let line = line?;
        // The output of tests that passed is only searched for skips.
        match line.as_str() {
            "successes:" => quiet = true,
            "failures:" => quiet = false,
            _ if line.starts_with("test result:") => quiet = false,
            _ => {}
        }
        if let Some((_, skip)) = line.split_once("SKIPPED: ") {
            totals.skips.insert(skip.to_owned());
        }
        if let Some((test, reason)) = line.split_once(" ... ignored") {
            totals.skips.insert(format!("{test}{reason}"));
        }
        if line.starts_with("test ") && line.ends_with("... ok") {
            continue;
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            count(counts, totals);
        }
        if !quiet && !line.is_empty() {
            say(&line);
        }
    }
    Ok(child.wait()?.success())
}

/// `ok. 5 passed; 0 failed; 1 ignored; …`
fn count(line: &str, totals: &mut Totals) {
    let number = |word: &str| {
        line.split(['.', ';'])
            .filter_map(|part| part.trim().strip_suffix(word))
            .find_map(|number| number.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    totals.passed += number("passed");
    totals.failed += number("failed");
}

fn pytest(venv: &Venv, totals: &mut Totals) -> Result<bool> {
    say(&format!("==> pytest {}", venv.suite.display()));
    let built = cargo().args(["build", "--quiet", "--package", "cloudsim"]).status()?;
    if !built.success() {
        totals.failed += 1;
        return Ok(false);
    }
    let binary = target_folder()?.join("debug/cloudsim");
    let output = Command::new(&venv.python)
        .current_dir(checkout())
        .args(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"])
        .arg(&venv.suite)
        .env("CLOUDSIM_BIN", binary)
        .env("CLOUDSIM_KUBERNETES", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stderr(Stdio::inherit())
        .output()
        .context("can't run pytest")?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        say(line);
        if let Some((_, skip)) = line.split_once("SKIPPED ") {
            totals.skips.insert(skip.to_owned());
        }
    }
    let last = text.lines().last().unwrap_or_default().replace(" in ", ", ");
    for part in last.split(',') {
        let mut words = part.split_whitespace();
        if let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) {
            match word {
                "passed" => totals.passed += number,
                "failed" | "error" | "errors" => totals.failed += number,
                _ => {}
            }
        }
    }
    Ok(output.status.success())
}

fn target_folder() -> Result<std::path::PathBuf> {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(folder.into());
    }
    Ok(checkout().join("target"))
}
