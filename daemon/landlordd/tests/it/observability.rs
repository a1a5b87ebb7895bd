//! Alerts, dashboards and runbooks against the figures that the daemon has.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Names of metrics in the daemon's sources, with their units: literals that begin with `landlord_`, in files that register.
fn metrics() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![checkout().join("daemon")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                if text.contains("prometheus_client") {
                    names.extend(registered(&text));
                }
            }
        }
    }
    assert!(names.len() > 30, "{names:?}");
    names
}

fn registered(text: &str) -> impl Iterator<Item = String> + '_ {
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    text.match_indices("\"landlord_").filter_map(move |(at, _)| {
        let (name, rest) = text[at + 1..].split_once('"')?;
        // A unit follows in the same call, or in the next one if the name was given a variable.
        let call = rest.split("registry.register(").next()?;
        let unit = match (call.find("Unit::Seconds"), call.find("Unit::Bytes"), call.find("\"landlord_")) {
            (Some(at), _, next) if next.is_none_or(|next| at < next) => "_seconds",
            (_, Some(at), next) if next.is_none_or(|next| at < next) => "_bytes",
            _ => "",
        };
        is_name(name).then(|| format!("{name}{unit}"))
    })
}

#[test]
fn alerts_and_dashboards_ask_for_what_is_there() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/observability");
    let python = landlord_test_kube::python_env(&own.join("requirements.txt")).unwrap();
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(own.join("check.py")).arg(checkout().join("config/observability"));
    let output = command.args(metrics()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let count: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(count > 40, "{count} expressions");
}

#[test]
fn each_alert_leads_to_its_runbook() {
    let folder = checkout().join("config/observability");
    let rules = fs::read_to_string(folder.join("alerts/landlord.yaml")).unwrap();
    let values = |key: &str| -> Vec<String> {
        rules.lines().filter_map(|line| line.trim().strip_prefix(key)).map(|value| value.trim().to_owned()).collect()
    };
    let (alerts, urls) = (values("- alert:"), values("runbook_url:"));
    assert_eq!(alerts.len(), urls.len());
    for (alert, url) in alerts.iter().zip(urls) {
        assert!(url.ends_with(&format!("/config/observability/runbooks/{alert}.md")), "{alert}: {url}");
        let page = fs::read_to_string(folder.join(format!("runbooks/{alert}.md"))).unwrap();
        assert!(page.starts_with(&format!("# {alert}: ")), "{alert}: the page is another's");
    }
    let pages = fs::read_dir(folder.join("runbooks")).unwrap().map(|page| page.unwrap().file_name());
    let pages: BTreeSet<String> = pages.map(|name| name.into_string().unwrap().replace(".md", "")).collect();
    assert_eq!(pages, alerts.into_iter().collect::<BTreeSet<_>>(), "a page is no alert's, or an alert is there twice");
}

#[test]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
fn each_alert_fires_for_its_reason_and_for_no_other() {
    let programs = match landlord_test_kube::prometheus() {
        Ok(programs) => programs,
        Err(error) => {
            println!("SKIPPED: the alerts' unit tests: {error}");
            return;
        }
    };
    let folder = checkout().join("config/observability/alerts");
    let tests = fs::read_to_string(folder.join("landlord_test.yaml")).unwrap();
    let rules = fs::read_to_string(folder.join("landlord.yaml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        for kind in ["fires", "is silent"] {
            assert!(tests.contains(&format!("- name: {alert} {kind}\n")), "no test in which {alert} {kind}");
        }
    }
    let output = Command::new(programs.join("promtool"))
        .args(["test", "rules", "landlord_test.yaml"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let reported = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{reported}{}", String::from_utf8_lossy(&output.stderr));
}
