//! Which suites: by name, or those that a change can affect.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::report::{cargo, checkout, say};

/// What to run.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Packages to compile.
    pub(crate) packages: Vec<String>,
    /// Suites of these packages that have one of these words in their name; all, if there is none.
    pub(crate) words: Vec<String>,
    /// Tests that are left out elsewhere, since they need root and minutes: the arguments of the suite's program, by its name.
    pub(crate) ignored: BTreeMap<String, &'static str>,
    /// Suite and the part of its tests' names that is requested.
    pub(crate) filters: BTreeMap<String, String>,
}

impl Selection {
    fn packages(packages: impl IntoIterator<Item = String>) -> Self {
        Self { packages: packages.into_iter().collect(), ..Self::default() }
    }
}

/// Suites with tests that run real pods.
/// By package and program, with what chooses them: one program has no others.
const REAL: [(&str, &str, &str); 2] =
    [("landlord-e2e", "real", "--include-ignored"), ("landlord-test-kube", "it", "--ignored")];

/// The test of the suite with real pods that is part of every landing, where the machine can: an order, a file put by SFTP, the chatbot's answer over
/// HTTPS, and nothing left after delete.
pub(crate) const LANDING: &str = "the_daemon_brings_up_a_chatbot_that_answers_from_a_file_put_by_sftp";

/// What runs real pods.
pub(crate) fn real() -> Selection {
    Selection {
        packages: REAL.map(|(package, ..)| package.to_owned()).into(),
        words: REAL.map(|(package, program, _)| format!("{package} {program}")).into(),
        ignored: REAL.map(|(package, program, flag)| (format!("{package} {program}"), flag)).into(),
        ..Selection::default()
    }
}

/// What takes many minutes, and runs when it is asked for.
pub(crate) fn long() -> Selection {
    let suites = LONG.map(|package| format!("{package} {PROGRAM}"));
    Selection {
        packages: LONG.map(str::to_owned).into(),
        words: suites.clone().into(),
        ignored: suites.clone().map(|suite| (suite, "--ignored")).into(),
        filters: suites.map(|suite| (suite, "long_".to_owned())).into(),
    }
}

/// Have tests whose names begin with `long_`.
const LONG: [&str; 3] = ["landlord-e2e", "landlord-deploy", "quickstart"];

/// The program that holds a crate's tests; what needs a process of its own is beside it.
const PROGRAM: &str = "it";

/// A package that starts programs built from others: a change of those is one of it.
const STARTS: (&str, &[&str]) =
    ("landlord-test-harness", &["landlordd", "landlord-cli", "cloudsim", "landlord-plugin-"]);
/// Judges all files, so it always runs.
const TIDY: &str = "xtask";

/// Folders by package, and the own packages that each needs.
struct Workspace {
    folders: BTreeMap<String, PathBuf>,
    needs: BTreeMap<String, BTreeSet<String>>,
    /// Package by name of a test program.
    programs: BTreeMap<String, String>,
}

/// Folders of the packages.
pub(crate) fn folders() -> Result<BTreeMap<String, PathBuf>> {
    Ok(workspace()?.folders)
}

fn workspace() -> Result<Workspace> {
    let output =
        cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().context("can't run cargo")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let mut found = Workspace { folders: BTreeMap::new(), needs: BTreeMap::new(), programs: BTreeMap::new() };
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        let mut folder = PathBuf::from(package["manifest_path"].as_str().unwrap_or_default());
        folder.pop();
        found.folders.insert(name.clone(), folder);
        let own = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["path"].is_string());
        found.needs.insert(name.clone(), own.filter_map(|d| d["name"].as_str().map(str::to_owned)).collect());
        for target in package["targets"].as_array().into_iter().flatten().filter(|t| t["kind"][0] == "test") {
            found.programs.insert(target["name"].as_str().unwrap_or_default().to_owned(), name.clone());
        }
    }
    let started: Vec<String> =
        found.folders.keys().filter(|name| STARTS.1.iter().any(|start| name.starts_with(start))).cloned().collect();
    found.needs.entry(STARTS.0.to_owned()).or_default().extend(started);
    Ok(found)
}

/// By the names of crates, test programs, modules of them or folders of pytest suites.
pub(crate) fn named(names: &[String]) -> Result<Selection> {
    let workspace = workspace()?;
    let mut selection = Selection::default();
    for name in names {
        let crates = [name.clone(), format!("landlord-{name}"), format!("landlord-plugin-{name}")];
        if let Some(package) = crates.iter().find(|name| workspace.folders.contains_key(*name)) {
            selection.packages.push(package.clone());
            selection.words.push(package.clone());
        } else if let Some(package) = workspace.programs.get(name) {
            selection.packages.push(package.clone());
            selection.words.push(format!("{package} {name}"));
        } else if let Some((package, _)) = workspace.folders.iter().find(|(_, folder)| has_module(folder, name)) {
            let suite = format!("{package} {PROGRAM}");
            selection.packages.push(package.clone());
            selection.words.push(suite.clone());
            selection.filters.insert(suite, format!("{name}::"));
        } else if let Some((package, _)) =
            workspace.folders.iter().find(|(_, folder)| checkout().join(name).starts_with(folder))
        {
            selection.packages.push(package.clone());
            selection.words.push(name.trim_end_matches('/').to_owned());
        } else {
            let programs: Vec<&str> = workspace.programs.keys().map(String::as_str).collect();
            bail!("there is no suite {name}; name a crate, a folder, or one of: {}", programs.join(", "));
        }
    }
    Ok(selection)
}

fn has_module(folder: &Path, name: &str) -> bool {
    let tests = folder.join("tests").join(PROGRAM);
    tests.join(format!("{name}.rs")).is_file() || tests.join(name).join("mod.rs").is_file()
}

/// What differs from the last landing, in commits and in the working tree.
pub(crate) fn changed() -> Result<Selection> {
    let workspace = workspace()?;
    let base = ["origin/main", "main", "HEAD~1"].into_iter().find_map(|other| git(&["merge-base", "HEAD", other]).ok());
    let base = base.context("git knows no main and no commit before this one")?;
    let mut files = git(&["diff", "--name-only", base.trim()])?;
    files.push_str(&git(&["ls-files", "--others", "--exclude-standard"])?);
    let Some(packages) = affected(&workspace, files.lines()) else {
        say("    something that belongs to no crate has changed: everything runs");
        return Ok(Selection::packages(workspace.folders.into_keys()));
    };
    say(&format!("    affected: {}", packages.iter().map(String::as_str).collect::<Vec<_>>().join(", ")));
    Ok(Selection::packages(packages))
}

/// The packages that files can affect; none if all.
fn affected<'a>(workspace: &Workspace, files: impl Iterator<Item = &'a str>) -> Option<BTreeSet<String>> {
    let mut packages = BTreeSet::from([TIDY.to_owned()]);
    for file in files {
        let path = checkout().join(file);
        let owners = workspace.folders.iter().filter(|(_, folder)| path.starts_with(folder));
        match owners.max_by_key(|(_, folder)| folder.components().count()) {
            Some((name, _)) => drop(packages.insert(name.clone())),
            // Prose is tidy's matter only.
            None if file.ends_with(".md") => {}
            None => return None,
        }
    }
    loop {
        let more: Vec<String> = workspace
            .needs
            .iter()
            .filter(|(name, needs)| !packages.contains(*name) && needs.iter().any(|need| packages.contains(need)))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return Some(packages);
        }
        packages.extend(more);
    }
}

fn git(arguments: &[&str]) -> Result<String> {
    let output = Command::new("git").current_dir(checkout()).args(arguments).output().context("can't run git")?;
    if !output.status.success() {
        bail!("git {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_of_a_test_program_is_a_suite() {
        let selection = named(&["shared_clouds".to_owned()]).unwrap_or_default();
        assert_eq!(selection.packages, ["landlord-e2e"]);
        assert_eq!(selection.filters.get("landlord-e2e it").map(String::as_str), Some("shared_clouds::"));
    }

    #[test]
    fn a_change_affects_what_depends_on_it_and_what_starts_it() {
        let Ok(workspace) = workspace() else { unreachable!("cargo metadata works in the checkout") };
        let of = |file: &str| affected(&workspace, [file].into_iter());
        let of_store = of("daemon/store/src/lib.rs").unwrap_or_default();
        assert!(of_store.contains("landlordd") && of_store.contains("landlord-e2e"), "{of_store:?}");
        assert!(!of_store.contains("landlord-core") && !of_store.contains("landlord-plugin-eks"), "{of_store:?}");
        let of_plugin = of("plugins/aks/src/lib.rs").unwrap_or_default();
        assert!(of_plugin.contains("landlord-conformance") && of_plugin.contains("landlord-e2e"), "{of_plugin:?}");
        assert_eq!(of("README.md").unwrap_or_default().len(), 1);
        assert_eq!(of("config/landlord.toml"), None);
    }
}
