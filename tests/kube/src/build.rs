//! Builds the Go module once into the cache, telling honestly how far it is.
//!
//! Knows nothing about what the binaries do. Everything happens in a folder beside the final one, under a lock
//! that dies with its holder, and becomes visible by one rename.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is linked besides the module's own command.
const COMMANDS: [&str; 3] = [".", "helm.sh/helm/v4/cmd/helm", "sigs.k8s.io/kwok/cmd/kwok"];
/// The module whose manifests are copied.
const GATEWAY_API: &str = "sigs.k8s.io/gateway-api";
/// Ending of the folder that a build happens in, before the builder's process id.
const UNFINISHED: &str = "unfinished-";
/// How often somebody who watches wants to hear something.
const TELL_INTERVAL: Duration = Duration::from_secs(5);
/// Lines of the compiler's output that an error shows: enough for a few errors with their context.
const OUTPUT_LINES_MAX: usize = 30;

/// Version of a module as `go.mod` pins it.
fn pinned(module: &str) -> &'static str {
    let go_mod = SOURCES.iter().find(|(name, _)| *name == "go.mod").map_or("", |(_, text)| *text);
    go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix(module)?.strip_prefix(' ')?.split_whitespace().next())
        .unwrap_or("")
}

/// Flags of the build, which are part of its key.
pub(crate) fn flags() -> Vec<String> {
    let kubernetes = pinned("k8s.io/kubernetes");
    let mut parts = kubernetes.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let version = "k8s.io/component-base/version";
    // Without the versions, clients cannot parse what the API server says about itself, and Helm says only "v4.3".
    let linker = format!(
        "-s -w -X {version}.gitVersion={kubernetes} -X {version}.gitMajor={major} -X {version}.gitMinor={minor} \
         -X {version}.gitTreeState=clean -X helm.sh/helm/v4/internal/version.version={}",
        pinned("helm.sh/helm/v4"),
    );
    vec!["-mod=readonly".into(), "-buildvcs=false".into(), "-trimpath".into(), format!("-ldflags={linker}")]
}

/// Builds into `folder` unless somebody else has by the time the lock is ours.
pub(crate) fn build(folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    if lock.try_lock().is_err() {
        progress("waiting for another build of the Kubernetes parts");
        lock.lock().map_err(Error::file("lock", &lock_path))?;
    }
    if folder.join(MANIFEST).is_file() {
        return Ok(());
    }
    remove_stale(folder, parent)?;
    let unfinished = folder.with_extension(format!("{UNFINISHED}{}", std::process::id()));
    let module = unfinished.join("module");
    std::fs::create_dir_all(&module).map_err(Error::file("create", &module))?;
    for (name, text) in SOURCES {
        let path = module.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    fill(&unfinished, &module, progress)?;
    std::fs::remove_dir_all(&module).map_err(Error::file("remove", module))?;
    std::fs::rename(&unfinished, folder).map_err(Error::file("rename", unfinished))
}

/// Under the lock: what killed builders left. Their `go` may still run, so nobody uses their folders again.
fn remove_stale(folder: &Path, parent: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = format!("{name}.{UNFINISHED}");
    let entries = std::fs::read_dir(parent).map_err(Error::file("read", parent))?;
    for entry in entries.filter_map(std::result::Result::ok) {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found == name || found.starts_with(&unfinished) {
            let path = entry.path();
            std::fs::remove_dir_all(&path).map_err(Error::file("remove", path))?;
        }
    }
    Ok(())
}

fn fill(target: &Path, module: &Path, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let started = Instant::now();
    let mut modules = 0;
    let listed = go(module, "list", &["-mod=readonly", "-deps", COMMANDS[0], COMMANDS[1], COMMANDS[2]], &mut |line| {
        modules += usize::from(line.is_some_and(|line| line.starts_with("go: downloading")));
        progress(&format!("{modules} Go modules downloaded, {} s", started.elapsed().as_secs()));
    })?;
    let packages = listed.lines().count();
    copy_gateway_crds(target, module)?;
    let mut compiled = 0;
    let mut arguments: Vec<String> = flags();
    arguments.extend(["-v".into(), "-o".into(), format!("{}/", target.display())]);
    arguments.extend(COMMANDS.map(Into::into));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    go(module, "build", &arguments, &mut |line| {
        compiled += usize::from(line.is_some());
        progress(&format!(
            "{compiled} Go packages compiled (at most {packages}; then linking), {} s",
            started.elapsed().as_secs()
        ));
    })?;
    let manifest = Manifest {
        helm_version: reported_by(&target.join("helm"), &["version", "--template", "{{.Version}}"])?,
        kubernetes_version: pinned("k8s.io/kubernetes").to_owned(),
    };
    let path = target.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    std::fs::write(&path, text).map_err(Error::file("write", path))
}

/// Runs `go`; `watch` hears every line of its standard error, and `None` when it has been silent for a while.
/// Returns standard output.
pub(crate) fn go(
    folder: &Path,
    command: &'static str,
    arguments: &[&str],
    watch: &mut dyn FnMut(Option<&str>),
) -> Result<String> {
    go_with(folder, command, arguments, &[("CGO_ENABLED", "0".to_owned())], watch)
}

/// The same with more in its environment.
pub(crate) fn go_with(
    folder: &Path,
    command: &'static str,
    arguments: &[&str],
    environment: &[(&str, String)],
    watch: &mut dyn FnMut(Option<&str>),
) -> Result<String> {
    let mut child = Command::new("go")
        .arg(command)
        .args(arguments)
        .current_dir(folder)
        // The user's settings for other projects must not change what is built here.
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| Error::GoMissing { source })?;
    let (lines, output) = watch_output(&mut child, watch);
    let status = child.wait().map_err(Error::file("run `go` in", folder))?;
    if status.success() {
        return Ok(output);
    }
    let shown = lines.len().saturating_sub(OUTPUT_LINES_MAX);
    Err(Error::Build { command, folder: folder.to_owned(), output: lines[shown..].join("\n") })
}

/// Reads both outputs to their ends: the lines of standard error and the whole of standard output.
fn watch_output(child: &mut Child, watch: &mut dyn FnMut(Option<&str>)) -> (Vec<String>, String) {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let output = scope.spawn(move || {
            let mut text = String::new();
            if let Some(mut stdout) = stdout {
                let _ = stdout.read_to_string(&mut text);
            }
            text
        });
        scope.spawn(move || {
            for line in stderr.into_iter().flat_map(|stderr| BufReader::new(stderr).lines()).map_while(|line| line.ok())
            {
                let _ = sender.send(line);
            }
        });
        let mut lines = Vec::new();
        loop {
            match receiver.recv_timeout(TELL_INTERVAL) {
                Ok(line) => {
                    watch(Some(&line));
                    lines.push(line);
                }
                Err(RecvTimeoutError::Timeout) => watch(None),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        (lines, output.join().unwrap_or_default())
    })
}

/// Where Go put a module.
#[derive(Deserialize)]
struct Downloaded {
    #[serde(rename = "Dir")]
    dir: PathBuf,
}

/// Writes the standard manifests of the Gateway API that `module` pins into one file in `target`.
pub(crate) fn copy_gateway_crds(target: &Path, module: &Path) -> Result<()> {
    let reported = go(module, "mod", &["download", "-json", GATEWAY_API], &mut |_| {})?;
    let downloaded: Downloaded = serde_json::from_str(&reported)
        .map_err(|_| Error::Damaged { what: "Go's response about the Gateway API", path: module.to_owned() })?;
    let source = downloaded.dir.join("config/crd/standard");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&source)
        .map_err(Error::file("read", &source))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter(|path| path.file_name().is_some_and(|name| name != "kustomization.yaml"))
        .collect();
    files.sort();
    let documents = files
        .iter()
        .map(|path| std::fs::read_to_string(path).map_err(Error::file("read", path)))
        .collect::<Result<Vec<String>>>()?;
    let path = target.join("gateway-crds.yaml");
    std::fs::write(&path, documents.join("\n---\n")).map_err(Error::file("write", path))
}

fn reported_by(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().map_err(Error::file("run", program))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The Go module that pins everything.
pub(crate) const SOURCES: [(&str, &str); 4] = [
    ("go.mod", include_str!("../kubebox/go.mod")),
    ("go.sum", include_str!("../kubebox/go.sum")),
    ("main.go", include_str!("../kubebox/main.go")),
    ("tools.go", include_str!("../kubebox/tools.go")),
];

/// Shows what was built; written last, so a folder without it is not one of ours.
pub(crate) const MANIFEST: &str = "artifacts.json";

/// What [`MANIFEST`] holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) helm_version: String,
    pub(crate) kubernetes_version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_builds_leftovers_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["key", "key.unfinished-7", "key2", "key2.unfinished-7"] {
            std::fs::create_dir_all(parent.path().join(name).join("module")).unwrap();
        }
        remove_stale(&parent.path().join("key"), parent.path()).unwrap();
        let left = std::fs::read_dir(parent.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["key2", "key2.unfinished-7"]);
    }

    #[test]
    fn versions_come_from_the_pins() {
        assert!(pinned("k8s.io/kubernetes").starts_with("v1."));
        assert!(pinned("helm.sh/helm/v4").starts_with("v4."));
        assert!(pinned(GATEWAY_API).starts_with("v1."));
        assert_eq!(pinned("example.com/none"), "");
        let flags = flags().join(" ");
        assert!(flags.contains("gitVersion=v1.37.") && flags.contains("gitMinor=37 "), "{flags}");
    }
}
