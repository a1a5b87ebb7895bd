//! The command: exit codes, reports, and what it says when a run can't begin.

use crate::common;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn conformance(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_landlord-conformance")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The fake provider's configuration with its cloud in `dir`.
fn config(dir: &Path, more: &str) -> String {
    let fake = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/fake.toml")).unwrap();
    let place = dir.display().to_string();
    let path = dir.join("conformance.toml");
    fs::write(
        &path,
        fake.replace("/tmp/landlord-fake", &place).replace("[provider]\n", &format!("[provider]\n{more}\n")),
    )
    .unwrap();
    path.display().to_string()
}

#[test]
fn a_run_is_reported_to_people_and_programs() {
    let dir = tempfile::tempdir().unwrap();
    let (json, junit) = (dir.path().join("r.json"), dir.path().join("r.xml"));
    let plugin = common::library("landlord_plugin_fake").display().to_string();
    let config = config(dir.path(), "");
    let mut arguments = vec![plugin.as_str(), "--config", &config, "--only", "describe", "--only", "crash"];
    let (json_name, junit_name) = (json.display().to_string(), junit.display().to_string());
    arguments.extend(["--report", "json", &json_name, "--report", "junit", &junit_name]);
    let output = conformance(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let reported = text(&output.stdout);
    assert!(reported.contains("ok   describe") && reported.contains("skip crash"), "{reported}");
    assert!(reported.contains("1 passed, 0 failed, 1 skipped"), "{reported}");
    let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!(report["cases"][1]["outcome"], "skipped");
    assert_eq!(report["sha256"].as_str().unwrap().len(), 64);
    let xml = fs::read_to_string(junit).unwrap();
    assert!(xml.contains("tests=\"2\" failures=\"0\" skipped=\"1\""), "{xml}");
}

/// The fake provider without the capabilities `lacks`.
fn lacking(lacks: &str, defects: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let plugin = common::library("landlord_plugin_fake").display().to_string();
    let config = config(dir.path(), &format!("defects = [{defects}]"));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("environment = [\"LANDLORD_FAKE_LACKS\"]\n{text}")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_landlord-conformance"))
        .args([plugin.as_str(), "--config", &config])
        .env("LANDLORD_FAKE_LACKS", lacks)
        .output()
        .unwrap()
}

#[test]
fn what_a_plugin_does_not_offer_it_is_not_requested() {
    for (lacks, levels) in [
        ("identity", "CLUSTER: network dns-zone cluster node-pool addons dns-records;"),
        ("dns,identity", "NAMESPACE: nothing"),
        ("networks,node-pools", "NODE: dns-zone dns-records;"),
    ] {
        let output = lacking(lacks, "");
        let reported = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{lacks}: {reported}{}", text(&output.stderr));
        assert!(reported.contains(levels), "{lacks}: {reported}");
    }
}

#[test]
fn one_that_makes_what_it_does_not_offer_is_reported() {
    let output = lacking("dns", "\"makes-what-it-lacks\"");
    let reported = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{reported}");
    let failed: Vec<&str> = reported.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(failed.len() == 1 && failed[0].starts_with("FAIL capabilities"), "{reported}");
    assert!(reported.contains("state the capability"), "{reported}");
}

#[test]
fn a_failure_has_its_own_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = common::library("landlord_plugin_fake").display().to_string();
    let config = config(dir.path(), "defects = [\"absent-is-an-error\"]");
    let output = conformance(&[&plugin, "--config", &config, "--only", "delete-absent"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let reported = text(&output.stdout);
    assert!(reported.contains("FAIL delete-absent") && reported.contains("found: "), "{reported}");
}

#[test]
fn a_run_that_can_not_begin_gives_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = common::library("landlord_plugin_fake").display().to_string();
    let good = config(dir.path(), "");
    let bad = dir.path().join("bad.toml");
    fs::write(&bad, "colour = \"red\"\n").unwrap();
    let bad = bad.display().to_string();
    // A library without the symbol, and settings that the plugin refuses.
    let no_plugin = library_without_symbol(dir.path());
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let refused = config(&other, "colour = \"red\"");
    for (arguments, states) in [
        (vec![plugin.as_str(), "--config", &bad], "colour"),
        (vec![plugin.as_str(), "--config", "/no/such/file"], "/no/such/file"),
        (vec!["/no/such/plugin.so", "--config", &good], "/no/such/plugin.so"),
        (vec![good.as_str(), "--config", &good], "no ELF shared library"),
        (vec![plugin.as_str(), "--config", &good, "--only", "nonsense"], "delete-absent"),
        (vec![no_plugin.as_str(), "--config", &good], "does not come up: INVALID"),
        (vec![plugin.as_str(), "--config", &refused], "colour"),
        (vec![plugin.as_str(), "--config", &good, "--endpoint", "http://127.0.0.1:1"], "start it"),
        (vec![plugin.as_str(), "--config", &good, "--report", "yaml", "x"], "json or junit"),
    ] {
        let output = conformance(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(states), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr).matches("landlord-conformance: ").count(), 1, "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "no case was judged");
    }
}

fn library_without_symbol(dir: &Path) -> String {
    let library = dir.join("none.so");
    let source = dir.join("none.c");
    fs::write(&source, "int nothing(void);\nint nothing(void) { return 0; }\n").unwrap();
    let output = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).output();
    assert!(output.expect("a C compiler named cc is needed: install gcc").status.success());
    library.display().to_string()
}
