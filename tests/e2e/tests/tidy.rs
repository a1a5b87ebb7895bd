//! House rules that a compiler can't check.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand};

/// A file longer than this is two files.
const FILE_LINES_MAX: usize = 400;

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn metadata() -> Metadata {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    MetadataCommand::new()
        .current_dir(checkout())
        .features(CargoOpt::AllFeatures)
        // Crates for other systems are not linked here, and need not be on this machine.
        .other_options(vec!["--offline".into(), "--locked".into(), "--filter-platform".into(), host])
        .exec()
        .unwrap()
}

fn sources(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    walkdir::WalkDir::new(checkout().join(folder))
        .into_iter()
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            !name.starts_with('.') && name != "target" && name != "node_modules"
        })
        .filter_map(Result::ok)
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)))
        .collect()
}

fn show(path: &Path) -> String {
    path.strip_prefix(checkout()).unwrap_or(path).display().to_string()
}

/// Own crates that each crate of the daemon may depend on, outside its tests.
const MAY_DEPEND: [(&str, &[&str]); 13] = [
    ("landlord-provider-api", &[]),
    ("landlord-proto", &[]),
    ("landlord-core", &["landlord-provider-api"]),
    ("landlord-store", &["landlord-core"]),
    ("landlord-engine", &["landlord-core", "landlord-provider-api"]),
    ("landlord-plugin-host", &["landlord-core", "landlord-provider-api"]),
    ("landlord-deploy", &["landlord-core"]),
    ("landlord-grpc", &["landlord-core", "landlord-proto"]),
    ("landlord-cli", &["landlord-proto"]),
    ("landlord-plugin-eks", &["landlord-provider-api"]),
    ("landlord-plugin-aks", &["landlord-provider-api"]),
    ("landlord-plugin-gke", &["landlord-provider-api"]),
    ("landlord-plugin-kubernetes", &["landlord-provider-api"]),
];

#[test]
fn dependencies_point_inward() {
    let metadata = metadata();
    let own: BTreeSet<&str> = metadata.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    for (name, allowed) in MAY_DEPEND {
        let package = metadata.packages.iter().find(|package| package.name.as_str() == name).unwrap();
        for dependency in &package.dependencies {
            if dependency.kind == DependencyKind::Normal && own.contains(dependency.name.as_str()) {
                assert!(allowed.contains(&dependency.name.as_str()), "{name} must not depend on {}", dependency.name);
            }
        }
    }
    let core = metadata.packages.iter().find(|p| p.name.as_str() == "landlord-core").unwrap();
    for banned in ["tokio", "sqlx", "tonic", "kube"] {
        assert!(
            !core.dependencies.iter().any(|d| d.name == banned && d.kind == DependencyKind::Normal),
            "landlord-core must not know {banned}"
        );
    }
}

/// What a plugin may know of this project: the contract. One crate under `plugins/` knows more, because it is no plugin: the
/// conformance suite runs plugins as the daemon does, in the real child process with its sandbox, and so through the daemon's
/// own plugin host (and core, for the host's names). A loader of its own would prove something about that loader only.
const PLUGINS_MAY_DEPEND: &[&str] = &["landlord-provider-api"];
const CONFORMANCE_MAY_DEPEND: &[&str] = &["landlord-core", "landlord-plugin-host", "landlord-provider-api"];

#[test]
fn plugins_know_the_contract_and_nothing_else() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let own: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut judged = 0;
    for package in &packages {
        let manifest = show(package.manifest_path.as_std_path());
        if !manifest.starts_with("plugins/") && !manifest.starts_with("examples/provider-") {
            continue;
        }
        judged += 1;
        let is_suite = package.name.as_str() == "landlord-conformance";
        let allowed = if is_suite { CONFORMANCE_MAY_DEPEND } else { PLUGINS_MAY_DEPEND };
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            let name = dependency.name.as_str();
            let fine = !own.contains(name) || allowed.contains(&name);
            assert!(fine, "{} is a plugin and must not depend on {name}", package.name);
        }
    }
    assert!(judged > 3, "no plugins were found");
}

/// Licences that a dependency may have; each is compatible with Apache-2.0 distribution.
const LICENCES: [&str; 13] = [
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "MPL-2.0",
];
/// Second TLS stacks and crates that were weighed and refused.
const BANNED: [(&str, &str); 5] = [
    ("ring", "one TLS stack: rustls on aws-lc-rs"),
    ("openssl-sys", "one TLS stack: rustls on aws-lc-rs"),
    ("native-tls", "one TLS stack: rustls on aws-lc-rs"),
    ("aws-sdk-ec2", "takes minutes and gigabytes to compile; the sweep signs its few queries"),
    ("serde_yaml", "unmaintained; use serde-saphyr"),
];

#[test]
fn dependencies_are_licensed_and_single() {
    let metadata = metadata();
    let mut problems: Vec<String> = BANNED
        .iter()
        .filter(|(name, _)| is_linked(name))
        .map(|(name, why)| format!("{name} is banned: {why}"))
        .collect();
    for package in &metadata.packages {
        if package.source.is_none() {
            continue;
        }
        let licence = package.license.clone().unwrap_or_default().replace('/', " OR ");
        // Every term of an AND needs one allowed alternative of its OR.
        let fine = licence.split(" AND ").all(|term| {
            term.split(" OR ").any(|choice| {
                let choice = choice.trim_matches(['(', ')', ' ']);
                LICENCES.iter().any(|known| choice == *known || choice.starts_with(&format!("{known} WITH ")))
            })
        });
        if !fine {
            problems.push(format!("{} {} has the licence {licence:?}", package.name, package.version));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Whether anything of ours is built with a crate. The lock file also names what is not.
fn is_linked(name: &str) -> bool {
    let tree = std::process::Command::new(env!("CARGO"))
        .current_dir(checkout())
        .args(["tree", "--offline", "--workspace", "--edges", "normal,build", "--invert", name])
        .output()
        .unwrap();
    !tree.stdout.is_empty()
}

#[test]
fn files_are_small_and_say_why_they_exist() {
    let mut problems = Vec::new();
    for folder in ["daemon", "plugins", "tests", "examples", "proto"] {
        for path in sources(folder, &["rs"]) {
            let text = fs::read_to_string(&path).unwrap();
            let is_test = show(&path).contains("/tests/");
            let code = text.split("#[cfg(test)]").next().unwrap_or(&text);
            let lines = code.lines().count();
            if lines > FILE_LINES_MAX && !is_test {
                problems.push(format!("{} has {lines} lines, more than {FILE_LINES_MAX}", show(&path)));
            }
            if !text.trim_start().starts_with("//!") {
                problems.push(format!("{} does not open with why it exists (//!)", show(&path)));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_daemon_knows_no_provider() {
    let mut problems = Vec::new();
    for path in sources("daemon", &["rs", "sql"]) {
        if show(&path).contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or(&text);
        for (number, line) in code.lines().enumerate() {
            let line_code = line.split("//").next().unwrap_or(line).to_lowercase();
            for word in ["\"eks", "\"gke", "\"aks", "aws_", "plugin_eks", "plugin_gke", "plugin_aks"] {
                if line_code.contains(word) && !line_code.contains("aws_lc") {
                    problems.push(format!("{}:{}: {}", show(&path), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "provider names belong under plugins/ and config/:\n{}", problems.join("\n"));
}

#[test]
fn modules_have_telling_names() {
    for path in sources(".", &["rs"]) {
        let stem = path.file_stem().unwrap().to_string_lossy().to_string();
        assert!(
            !["utils", "util", "helpers", "helper", "misc", "manager"].contains(&stem.as_str()),
            "{}: name it after what it does",
            show(&path)
        );
    }
}
