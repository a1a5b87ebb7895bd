//! What an author outside of this repository gets: the template builds from a copy, with nothing of landlord but the two
//! packages as they would be published. Offline, from the registry crates that the workspace has, into its target folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PACKAGES: [&str; 2] = ["landlord-provider-api", "landlord-provider-sdk"];
/// What a registry requires of a manifest, and what an author needs.
const MANIFEST_KEYS: [&str; 6] = ["description", "license", "readme", "repository", "rust-version", "keywords"];
/// Begins what the template's manifest has for this repository only.
const OWN_PART: &str = "\n# -----";
/// As in the workspace, so that its registry crates need not be compiled once more.
const PROFILE: &str =
    "[profile.dev]\ndebug = \"line-tables-only\"\n[profile.dev.package.\"*\"]\ndebug = 0\nopt-level = 0\n";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn cargo(folder: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    // Not those that cargo sets for this test: they would change what build scripts see.
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        cargo.env_remove(name);
    }
    cargo.current_dir(folder).env("CARGO_TARGET_DIR", target).env("CARGO_NET_OFFLINE", "true");
    cargo
}

/// The two packages, unpacked; their names are their folders.
fn packages(folder: &Path) {
    let mut package = cargo(&checkout(), &folder.join("packed"));
    package
        .args(["package", "--no-verify", "--allow-dirty"])
        .args(PACKAGES.iter().flat_map(|name| ["--package", name]));
    run(&mut package);
    for name in PACKAGES {
        let file = folder.join(format!("packed/package/{name}-{}.crate", env!("CARGO_PKG_VERSION")));
        run(Command::new("tar").current_dir(folder).arg("xzf").arg(&file));
        fs::rename(folder.join(format!("{name}-{}", env!("CARGO_PKG_VERSION"))), folder.join(name)).unwrap();
    }
}

/// The template as an author has it: without what is for this repository, under another name, in a workspace of its own.
fn template(folder: &Path) -> PathBuf {
    let (from, to) = (checkout().join("examples/provider-template"), folder.join("template"));
    fs::create_dir_all(to.join("src")).unwrap();
    for file in fs::read_dir(from.join("src")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join("src").join(file.file_name())).unwrap();
    }
    let manifest = fs::read_to_string(from.join("Cargo.toml")).unwrap();
    let (published, _) = manifest.split_once(OWN_PART).expect("the line of dashes");
    assert!(!published.contains("workspace = true") && !published.contains("path = "), "{published}");
    let patches = PACKAGES.map(|name| format!("{name} = {{ path = \"../{name}\" }}\n")).concat();
    let own = published.replacen("\"provider-template\"", "\"provider-elsewhere\"", 1);
    fs::write(to.join("Cargo.toml"), format!("{own}\n[workspace]\n[patch.crates-io]\n{patches}{PROFILE}")).unwrap();
    // The versions of the workspace: others may not be on this machine.
    fs::copy(checkout().join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    to
}

/// The crate that the page for authors begins with, as it stands there: each block of code after the name of its file.
fn first_crate(folder: &Path) -> PathBuf {
    let page = fs::read_to_string(checkout().join("plugins/api/README.md")).unwrap();
    let to = folder.join("first");
    fs::create_dir_all(to.join("src")).unwrap();
    let patches = PACKAGES.map(|name| format!("{name} = {{ path = \"../{name}\" }}\n")).concat();
    for name in ["Cargo.toml", "src/lib.rs", "conformance.toml"] {
        let (_, rest) = page.split_once(&format!("\n`{name}`")).unwrap_or_else(|| panic!("no block for {name}"));
        let (_, rest) = rest.split_once("\n```").unwrap();
        let (_, block) = rest.split_once('\n').unwrap();
        let block = block.split("```\n").next().unwrap();
        let own = if name == "Cargo.toml" {
            format!("\n[workspace]\n[patch.crates-io]\n{patches}{PROFILE}")
        } else {
            String::new()
        };
        fs::write(to.join(name), format!("{block}{own}")).unwrap();
    }
    fs::copy(checkout().join("Cargo.lock"), to.join("Cargo.lock")).unwrap();
    to
}

#[test]
fn the_template_builds_elsewhere_with_the_packages_alone() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_path_buf();
    let folder = tempfile::tempdir().unwrap();
    packages(folder.path());
    for name in PACKAGES {
        let manifest = fs::read_to_string(folder.path().join(name).join("Cargo.toml")).unwrap();
        let missing: Vec<_> = MANIFEST_KEYS.iter().filter(|key| !manifest.contains(&format!("\n{key} = "))).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
        assert!(!manifest.contains("path = \".."), "{name} names a folder of this repository:\n{manifest}");
        let readme = fs::read_to_string(folder.path().join(name).join("README.md")).unwrap();
        assert!(readme.contains("## Versions"), "{name} promises nothing about its versions");
    }
    let proto = "landlord-provider-api/proto/landlord/provider/v1/provider.proto";
    let repository = checkout().join("proto/landlord/provider/v1/provider.proto");
    assert_eq!(fs::read(folder.path().join(proto)).unwrap(), fs::read(repository).unwrap());
    let template = template(folder.path());
    run(cargo(&template, &target).arg("build"));
    assert!(target.join("debug/libprovider_elsewhere.so").is_file());
    // And what an author has after the first page.
    run(cargo(&first_crate(folder.path()), &target).arg("build"));
    assert!(target.join("debug/libmycloud.so").is_file());
}
