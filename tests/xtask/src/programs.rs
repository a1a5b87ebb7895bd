//! Compiles all tests in one go and finds the programs.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    python,
    report::{cargo, checkout, say},
    suite::{Counted, Suite, Weight},
};

/// Packages whose test programs start control planes.
const KUBERNETES: [&str; 8] = [
    "landlord-bench",
    "landlord-deploy",
    "landlord-isolation",
    "landlord-kube",
    "landlord-e2e",
    "landlord-plugin-kubernetes",
    "landlord-test-kube",
    "quickstart",
];
/// Packages whose test programs compute all the time: random orders, a kill at each call.
const SWEEPS: [&str; 2] = ["landlord-engine", "landlord-store"];
/// The same of a package whose other programs do not: many daemons and plugins are started, and killed.
const SWEEP: &str = "landlord-e2e crash";
/// The same of a package whose other programs do not: real pods.
const NODE: &str = "landlord-e2e real";
/// Packages whose test programs wait for simulated clouds.
const WAITING: [&str; 6] = [
    "landlord-conformance",
    "provider-template",
    "cloudsim",
    "landlord-plugin-eks",
    "landlord-plugin-gke",
    "landlord-plugin-aks",
];

/// What was built.
pub(crate) struct Built {
    /// The test programs.
    pub(crate) suites: Vec<Suite>,
    /// Where cargo put programs and libraries.
    folder: PathBuf,
}

/// Compiles the tests of the packages (of all, if none is named) with the programs that they run.
pub(crate) fn build(packages: &[String]) -> Result<Built> {
    let mut selection: Vec<String> = packages.iter().map(|package| format!("--package={package}")).collect();
    if selection.is_empty() {
        selection.push("--workspace".into());
        // Programs and plugins that no test is linked with.
        compile(&["build"], &selection)?;
    }
    let messages = compile(&["test", "--no-run"], &selection)?;
    let folder = target_folder()?.join("debug");
    let mut suites = Vec::new();
    for message in messages.iter().filter(|message| message["profile"]["test"] == true) {
        if let Some(program) = message["executable"].as_str() {
            suites.push(suite(message, program, &folder)?);
        }
    }
    Ok(Built { suites, folder })
}

fn compile(task: &[&str], selection: &[String]) -> Result<Vec<Value>> {
    say(&format!("==> cargo {}", task.join(" ")));
    let output = cargo()
        .args(task)
        .args(selection)
        .args(["--quiet", "--message-format=json-render-diagnostics"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("can't run cargo; install Rust with rustup (https://rustup.rs)")?;
    if !output.status.success() {
        bail!("cargo {} failed: {}", task.join(" "), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn suite(message: &Value, program: &str, built: &Path) -> Result<Suite> {
    let manifest = Path::new(message["manifest_path"].as_str().context("cargo named no manifest")?);
    let folder = manifest.parent().context("a manifest without a folder")?.to_owned();
    let package = package_name(message["package_id"].as_str().unwrap_or_default(), &folder);
    let target = message["target"]["name"].as_str().unwrap_or_default();
    let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
    let name = match kind {
        "test" => format!("{package} {target}"),
        "bin" => format!("{package} (program {target})"),
        _ => format!("{package} (unit)"),
    };
    let weight = if kind == "test" { weight(&package, &name) } else { Weight::Light };
    // What cargo sets for a test that it runs, as far as ours ask for it.
    let variables = vec![
        ("CARGO_MANIFEST_DIR".to_owned(), folder.clone().into_os_string()),
        ("LD_LIBRARY_PATH".to_owned(), library_path(built)),
    ];
    Ok(Suite {
        name,
        package: Some(package),
        program: program.into(),
        arguments: vec!["--show-output".into(), format!("--test-threads={}", weight.threads(cores())).into()],
        variables,
        folder,
        weight,
        counted: Counted::Libtest,
        is_offline: false,
    })
}

fn weight(package: &str, name: &str) -> Weight {
    match package {
        _ if name == SWEEP => Weight::Sweep,
        _ if name == NODE => Weight::Node,
        _ if KUBERNETES.contains(&package) => Weight::Kubernetes,
        _ if SWEEPS.contains(&package) => Weight::Sweep,
        _ if WAITING.contains(&package) => Weight::Waiting,
        _ => Weight::Light,
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `path+file:///…/tests/kube#landlord-test-kube@0.1.0`; `…/xtask#0.1.0` if the folder has the package's name.
fn package_name(id: &str, folder: &Path) -> String {
    let fragment = id.rsplit('#').next().unwrap_or_default();
    let name = fragment.split_once('@').map(|(name, _)| name.to_owned());
    name.unwrap_or_else(|| folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn library_path(built: &Path) -> OsString {
    let before = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut paths = vec![built.join("deps"), built.to_owned()];
    paths.extend(std::env::split_paths(&before).filter(|path| !path.as_os_str().is_empty()));
    std::env::join_paths(paths).unwrap_or(before)
}

impl Built {
    /// Sets for the tests that everything is built, so that none calls cargo again.
    pub(crate) fn everything_is_fresh(&mut self) {
        for suite in &mut self.suites {
            suite.variables.push((FRESH.into(), self.folder.clone().into_os_string()));
        }
    }

    /// The suites of pytest; the simulated clouds that they drive are built.
    pub(crate) fn pytest(&self, venvs: &[python::Venv], packages: &BTreeMap<String, PathBuf>) -> Vec<Suite> {
        let suite = |venv: &python::Venv| {
            let owner = packages.iter().filter(|(_, folder)| venv.suite.starts_with(folder));
            let owner = owner.max_by_key(|(_, folder)| folder.components().count()).map(|(name, _)| name.clone());
            let shown = venv.suite.strip_prefix(checkout()).unwrap_or(&venv.suite);
            let mut arguments: Vec<OsString> =
                ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"].map(Into::into).into();
            arguments.push(venv.suite.clone().into_os_string());
            Suite {
                name: format!("pytest {}", shown.display()),
                package: owner,
                program: venv.python.clone(),
                arguments,
                variables: vec![
                    ("CLOUDSIM_BIN".into(), self.folder.join("cloudsim").into_os_string()),
                    ("CLOUDSIM_KUBERNETES".into(), "1".into()),
                    ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
                ],
                folder: checkout(),
                weight: Weight::Kubernetes,
                counted: Counted::Pytest,
                is_offline: false,
            }
        };
        venvs.iter().map(suite).collect()
    }
}

/// Folder of built programs, for tests that would build them: `tests/harness/src/binaries.rs` reads it.
const FRESH: &str = "LANDLORD_TEST_BUILT";

/// A cargo task as a suite.
pub(crate) fn cargo_suite(
    title: &str,
    arguments: &str,
    variables: Vec<(&'static str, OsString)>,
    counted: Counted,
) -> Suite {
    let command = cargo();
    Suite {
        name: title.to_owned(),
        package: None,
        program: command.get_program().into(),
        arguments: arguments.split(' ').map(Into::into).collect(),
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        folder: checkout(),
        weight: Weight::Compile,
        counted,
        is_offline: false,
    }
}

fn target_folder() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(folder.into());
    }
    Ok(checkout().join("target"))
}
