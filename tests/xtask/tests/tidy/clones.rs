//! What a CI compiled outlives its clone, and is used again for the same content alone.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::checkout;

/// A repository with one program, whose clones come one after another to the same place.
struct Landings {
    folder: TempDir,
}

impl Landings {
    fn new() -> Self {
        let landings = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(landings.path("origin/src")).unwrap();
        fs::create_dir_all(landings.path("target")).unwrap();
        fs::write(landings.path("origin/Cargo.toml"), "[package]\nname = 'says'\nedition = '2024'\n[workspace]\n")
            .unwrap();
        fs::write(
            landings.path("origin/Cargo.lock"),
            "version = 4\n[[package]]\nname = \"says\"\nversion = \"0.0.0\"\n",
        )
        .unwrap();
        landings.git("origin", &["init", "--quiet"]);
        landings
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn git(&self, folder: &str, arguments: &[&str]) {
        let identity = ["-c", "user.name=landlord", "-c", "user.email=landlord@example.com"];
        done(Command::new("git").current_dir(self.path(folder)).args(identity).args(arguments));
    }

    /// A clone of a program that prints this comes to `clone`, and is built there: whether cargo compiled, and what it prints.
    fn land(&self, word: &str, clone: &str) -> (bool, String) {
        fs::write(self.path("origin/src/word.txt"), word).unwrap();
        fs::write(self.path("origin/src/main.rs"), "fn main() { print!(include_str!(\"word.txt\")) }").unwrap();
        self.git("origin", &["add", "--all"]);
        self.git("origin", &["commit", "--quiet", "--allow-empty", "--message", word]);
        let _ = fs::remove_dir_all(self.path(clone));
        self.git("", &["clone", "--quiet", "origin", clone]);
        self.build(clone)
    }

    fn build(&self, clone: &str) -> (bool, String) {
        let script = checkout().join(".ci/times.py");
        done(Command::new("python3").current_dir(self.path(clone)).arg(script).arg(self.path("target")));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(self.path(clone)).args(["build", "--offline"]).env("CARGO_TARGET_DIR", self.path("target"));
        let built = done(build.env_remove("CARGO_BUILD_TARGET").env_remove("RUSTFLAGS"));
        let compiled = String::from_utf8_lossy(&built.stderr).contains("Compiling says");
        let said = done(&mut Command::new(self.path("target").join("debug/says")));
        (compiled, String::from_utf8_lossy(&said.stdout).into_owned())
    }
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn a_clone_of_the_same_content_is_not_compiled_again() {
    let landings = Landings::new();
    assert_eq!(landings.land("one", "clone"), (true, "one".into()));
    assert_eq!(landings.land("one", "clone"), (false, "one".into()));
    assert_eq!(landings.land("two", "clone"), (true, "two".into()));
    assert_eq!(landings.land("two", "clone"), (false, "two".into()));
    assert_eq!(landings.land("one", "clone"), (true, "one".into()), "content that comes back is compiled again");
}

#[test]
fn a_clone_elsewhere_and_a_changed_checkout_are_compiled() {
    let landings = Landings::new();
    assert_eq!(landings.land("one", "clone"), (true, "one".into()));
    assert_eq!(landings.land("one", "elsewhere"), (true, "one".into()), "its paths may be part of what is built");
    assert_eq!(landings.land("one", "elsewhere"), (false, "one".into()));
    let file = landings.path("elsewhere/src/word.txt");
    change(&file, "two");
    assert_eq!(landings.build("elsewhere"), (true, "two".into()));
    change(&file, "three");
    assert_eq!(landings.build("elsewhere"), (true, "three".into()));
    assert_eq!(landings.land("one", "elsewhere"), (true, "one".into()), "nothing is known of what was built before");
    assert_eq!(landings.land("one", "elsewhere"), (false, "one".into()));
}

#[test]
fn a_run_that_died_before_it_compiled_leaves_nothing_stale() {
    let landings = Landings::new();
    assert_eq!(landings.land("one", "clone"), (true, "one".into()));
    change(&landings.path("origin/src/word.txt"), "two");
    landings.git("origin", &["commit", "--quiet", "--all", "--message", "two"]);
    fs::remove_dir_all(landings.path("clone")).unwrap();
    landings.git("", &["clone", "--quiet", "origin", "clone"]);
    let script = checkout().join(".ci/times.py");
    done(Command::new("python3").current_dir(landings.path("clone")).arg(script).arg(landings.path("target")));
    assert_eq!(landings.land("two", "clone"), (true, "two".into()));
}

/// With an old time, as a checkout of another day has.
fn change(file: &Path, word: &str) {
    fs::write(file, word).unwrap();
    let day_before = std::time::SystemTime::now() - std::time::Duration::from_secs(24 * 3600);
    fs::File::options().write(true).open(file).unwrap().set_modified(day_before).unwrap();
}
