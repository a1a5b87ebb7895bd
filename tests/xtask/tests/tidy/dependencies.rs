//! Which crate may know which, under which licences, and that one crate alone is compiled as in the whole.

use std::{collections::BTreeSet, fs};

use cargo_metadata::DependencyKind;

use crate::{checkout, code_of, metadata, show, sources};

/// Has no code and so nothing to know; see its first lines.
const FEATURES_ONLY: &str = "workspace-hack";

/// Own crates that each crate of the daemon may depend on, outside its tests.
const MAY_DEPEND: [(&str, &[&str]); 20] = [
    ("landlord-provider-api", &[]),
    ("landlord-provider-sdk", &["landlord-provider-api"]),
    ("landlord-proto", &[]),
    ("landlord-core", &["landlord-provider-api"]),
    ("landlord-audit", &[]),
    ("landlord-store", &["landlord-audit", "landlord-core"]),
    ("landlord-trace", &["landlord-core"]),
    ("landlord-engine", &["landlord-core", "landlord-provider-api", "landlord-trace"]),
    ("landlord-plugin-host", &["landlord-core", "landlord-provider-api", "landlord-trace"]),
    ("landlord-kube", &["landlord-core"]),
    ("landlord-isolation", &["landlord-core", "landlord-kube"]),
    ("landlord-deploy", &["landlord-core", "landlord-kube"]),
    ("landlord-auth", &["landlord-core"]),
    ("landlord-grpc", &["landlord-core", "landlord-proto", "landlord-trace"]),
    ("landlord-webhooks", &["landlord-core", "landlord-trace"]),
    ("landlord-cli", &["landlord-audit", "landlord-proto"]),
    ("landlord-plugin-eks", &["landlord-provider-api", "landlord-provider-sdk"]),
    ("landlord-plugin-aks", &["landlord-provider-api", "landlord-provider-sdk"]),
    ("landlord-plugin-gke", &["landlord-provider-api", "landlord-provider-sdk"]),
    ("landlord-plugin-kubernetes", &["landlord-provider-api", "landlord-provider-sdk"]),
];

#[test]
fn dependencies_point_inward() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let own: BTreeSet<&str> =
        packages.iter().map(|package| package.name.as_str()).filter(|name| *name != FEATURES_ONLY).collect();
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
const PLUGINS_MAY_DEPEND: &[&str] = &["landlord-provider-api", "landlord-provider-sdk"];
const CONFORMANCE_MAY_DEPEND: &[&str] = &["landlord-core", "landlord-plugin-host", "landlord-provider-api"];

#[test]
fn plugins_know_the_contract_and_nothing_else() {
    let metadata = metadata();
    let packages = metadata.workspace_packages();
    let own: BTreeSet<&str> =
        packages.iter().map(|package| package.name.as_str()).filter(|name| *name != FEATURES_ONLY).collect();
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
const LICENCES: [&str; 14] = [
    "Apache-2.0",
    "MIT",
    "MIT-0",
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

/// Crates that are used outside of this workspace, where the crate with the features does not exist: they name it as a
/// dev-dependency, which cargo leaves out of a package.
const PUBLISHED: [&str; 3] = ["landlord-provider-api", "landlord-provider-sdk", "provider-template"];

#[test]
fn one_crate_alone_compiles_what_the_workspace_does() {
    let metadata = metadata();
    let remedy = "run `cargo hakari generate` (cargo install cargo-hakari) and see CONTRIBUTING.md";
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let mut named = package.dependencies.iter().filter(|dependency| dependency.name == FEATURES_ONLY);
        let kind = if PUBLISHED.contains(&name) { DependencyKind::Development } else { DependencyKind::Normal };
        let fine = name == FEATURES_ONLY || named.any(|dependency| dependency.kind == kind);
        assert!(fine, "{name}: [{kind}] must name {FEATURES_ONLY}, so that its features are the workspace's; {remedy}");
    }
    let whole = features(&["--workspace"]);
    let mut problems = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let alone = features(&["--package", package.name.as_str()]);
        problems.extend(alone.difference(&whole).map(|line| format!("{}: {line}", package.name)));
    }
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "would be compiled once more for one crate; {remedy}:\n{}", problems.join("\n"));
}

/// Registry crates that cargo would compile, each with its features.
fn features(selection: &[&str]) -> BTreeSet<String> {
    let output = std::process::Command::new(env!("CARGO"))
        .current_dir(checkout())
        .args(["tree", "--offline", "--edges", "normal,build,dev", "--prefix", "none", "--format", "{p} {f}"])
        .args(selection)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.contains(" (/")).collect()
}

#[test]
fn the_daemon_knows_no_provider() {
    let mut problems = Vec::new();
    for path in sources("daemon", &["rs", "sql"]) {
        if show(&path).contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = code_of(&text);
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
