//! Drives the real Helm. Each run has a private folder for the access and the values, an empty
//! environment, no shell, no terminal, bounded output and a deadline, and dies with its parent.
//! Helm is never made to wait for anything: readiness is judged elsewhere.

use std::{
    fs::{self, DirBuilder},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use landlord_core::ports::KubeCredentials;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
};

use landlord_kube::client;
use tracing::Instrument as _;

use super::slots::Slots;
use crate::{
    chart::ChartRef,
    driver::ReleaseRef,
    error::{Error, Result},
    figures::DeployFigures,
};

/// Longest run. Applying a chart takes a second or two; a slow API server many times that.
const DEADLINE: Duration = Duration::from_secs(180);
/// What Helm gives a single operation (hooks of foreign charts): it should end before we end it.
const OPERATION_TIMEOUT: &str = "150s";
/// `helm version` on a machine that swaps.
const VERSION_DEADLINE: Duration = Duration::from_secs(30);
/// Complaints kept of a run; what is more is read and dropped.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// Output kept of a run: what charts render to. A release is kept in one Secret, packed about 1:10 into at most 1 MiB.
const RENDERED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Revisions that Helm keeps: the present one, the last, and one more to compare with.
const HISTORY_MAX: &str = "3";
/// Label of a release's record that holds the digest of chart and values.
pub(crate) const DIGEST_LABEL: &str = "landlord-digest";

/// The pinned Helm.
#[derive(Debug)]
pub(crate) struct Helm {
    path: PathBuf,
    runs: PathBuf,
    slots: Slots,
    figures: DeployFigures,
}

/// Whose runs wait behind one another: a namespace of a cluster.
fn environment(release: ReleaseRef<'_>) -> String {
    format!("{}/{}", release.access.endpoint, release.namespace)
}

impl Helm {
    /// Checks the binary and makes its folder; what an earlier daemon left there goes.
    pub(crate) async fn open(path: &Path, requirement: &str, state_dir: &Path, processes_max: u32) -> Result<Self> {
        let incompatible = |problem: String| Error::HelmIncompatible { path: path.to_owned(), problem };
        let required = semver::VersionReq::parse(requirement)
            .map_err(|error| incompatible(format!("deploy.helm_version {requirement:?} is no requirement: {error}")))?;
        if processes_max == 0 {
            return Err(incompatible("deploy.helm_processes_max must be at least 1".into()));
        }
        let path = path.canonicalize().map_err(|error| {
            incompatible(format!("can't be found ({error}); install Helm 4 or set deploy.helm_path"))
        })?;
        private_dir(state_dir)?;
        let runs = state_dir.join("runs");
        if runs.exists() {
            fs::remove_dir_all(&runs).map_err(Error::file("empty", &runs))?;
        }
        private_dir(&runs)?;
        let slots = Slots::new(usize::try_from(processes_max).unwrap_or(usize::MAX));
        let helm = Self { path, runs, slots, figures: DeployFigures::default() };
        let version = helm.version().await?;
        if !required.matches(&version) {
            return Err(Error::HelmIncompatible {
                path: helm.path,
                problem: format!(
                    "is version {version}, but {requirement} is needed; install one or set deploy.helm_path"
                ),
            });
        }
        tracing::info!(path = %helm.path.display(), %version, "helm is fit");
        Ok(helm)
    }

    pub(crate) fn figures(&self) -> &DeployFigures {
        &self.figures
    }

    async fn version(&self) -> Result<semver::Version> {
        let folder = self.folder()?;
        let output = self
            .run(&folder, "", "version", &["version", "--template", "{{.Version}}"], VERSION_DEADLINE)
            .await
            .map_err(|error| Error::HelmIncompatible { path: self.path.clone(), problem: error.to_string() })?;
        let text = output.trim().trim_start_matches('v');
        // A build without version flags reports major and minor only.
        let text = if text.matches('.').count() == 1 { format!("{text}.0") } else { text.to_owned() };
        semver::Version::parse(&text).map_err(|_| Error::HelmIncompatible {
            path: self.path.clone(),
            problem: format!("says its version is {output:?}; is it Helm?"),
        })
    }

    /// Installs or upgrades a release, and returns without waiting for what it made.
    pub(crate) async fn upgrade(
        &self,
        place: ReleaseRef<'_>,
        chart: &ChartRef,
        values: &Value,
        digest: &str,
    ) -> Result<()> {
        let folder = self.folder()?;
        let kubeconfig = self.kubeconfig(&folder, place.access)?;
        let values_file = folder.path().join("values.json");
        write_private(&values_file, &values.to_string())?;
        let values_file = values_file.display().to_string();
        let label = format!("{DIGEST_LABEL}={digest}");
        let mut arguments = vec![
            "upgrade",
            place.release,
            chart.location.as_str(),
            "--install",
            "--namespace",
            place.namespace,
            "--kubeconfig",
            kubeconfig.as_str(),
            "--values",
            values_file.as_str(),
            "--reset-values",
            "--labels",
            label.as_str(),
            "--history-max",
            HISTORY_MAX,
            "--timeout",
            OPERATION_TIMEOUT,
            "--hide-notes",
            // What somebody else changed becomes again as the chart says.
            "--server-side=true",
            "--force-conflicts",
            // With server-side apply the API server itself refuses fields that it does not know. Helm's own observation of them
            // first loads the schemas of all kinds, which takes longer than all the rest, and finds nothing more.
            "--disable-openapi-validation",
        ];
        if let Some(version) = &chart.version {
            arguments.extend(["--version", version.as_str()]);
        }
        self.run(&folder, &environment(place), &format!("upgrade {}", place.release), &arguments, DEADLINE)
            .await
            .map(drop)
    }

    /// What a release would consist of, hooks and custom resources included. Talks to no cluster.
    pub(crate) async fn template(&self, place: ReleaseRef<'_>, chart: &ChartRef, values: &Value) -> Result<String> {
        let folder = self.folder()?;
        let values_file = folder.path().join("values.json");
        write_private(&values_file, &values.to_string())?;
        let values_file = values_file.display().to_string();
        let mut arguments = vec![
            "template",
            place.release,
            chart.location.as_str(),
            "--namespace",
            place.namespace,
            "--values",
            values_file.as_str(),
            "--include-crds",
        ];
        if let Some(version) = &chart.version {
            arguments.extend(["--version", version.as_str()]);
        }
        let what = format!("template {}", place.release);
        let rendered = self.run(&folder, &environment(place), &what, &arguments, DEADLINE).await?;
        if rendered.len() >= RENDERED_BYTES_MAX {
            // What was cut off could be anything.
            return Err(Error::helm(
                what,
                &format!("execution error at its end: more than {RENDERED_BYTES_MAX} bytes"),
            ));
        }
        Ok(rendered)
    }

    /// Removes a release; one that is not there is no error.
    pub(crate) async fn uninstall(&self, place: ReleaseRef<'_>) -> Result<()> {
        let folder = self.folder()?;
        let kubeconfig = self.kubeconfig(&folder, place.access)?;
        let arguments = [
            "uninstall",
            place.release,
            "--namespace",
            place.namespace,
            "--kubeconfig",
            kubeconfig.as_str(),
            "--ignore-not-found",
            "--no-hooks",
            "--timeout",
            OPERATION_TIMEOUT,
        ];
        self.run(&folder, &environment(place), &format!("uninstall {}", place.release), &arguments, DEADLINE)
            .await
            .map(drop)
    }

    /// A folder of mode 0700 that goes with the run.
    fn folder(&self) -> Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("run-")
            .tempdir_in(&self.runs)
            .map_err(Error::file("make a folder in", &self.runs))
    }

    fn kubeconfig(&self, folder: &tempfile::TempDir, access: &KubeCredentials) -> Result<String> {
        let path = folder.path().join("kubeconfig");
        write_private(&path, &client::kubeconfig(access))?;
        Ok(path.display().to_string())
    }

    async fn run(
        &self,
        folder: &tempfile::TempDir,
        environment: &str,
        what: &str,
        arguments: &[&str],
        deadline: Duration,
    ) -> Result<String> {
        let waits = self.figures.waits();
        let slot = self.slots.acquire(environment).await;
        drop(waits);
        let (_runs, began) = (self.figures.runs(), Instant::now());
        let span = tracing::debug_span!("helm", otel.kind = "client", command = what);
        let result = self.run_now(folder, what, arguments, deadline).instrument(span).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(Error::HelmDeadline { .. }) => "deadline",
            Err(_) => "error",
        };
        self.figures.ended(what, outcome, began.elapsed());
        if result.is_err() {
            self.slots.forget(environment);
        }
        drop(slot);
        result
    }

    async fn run_now(
        &self,
        folder: &tempfile::TempDir,
        what: &str,
        arguments: &[&str],
        deadline: Duration,
    ) -> Result<String> {
        let home = folder.path();
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .env_clear()
            // Discovery is cached below HOME by host and port, which another cluster may have next.
            .env("HOME", home)
            .env("HELM_CACHE_HOME", home.join("cache"))
            .env("HELM_CONFIG_HOME", home.join("config"))
            .env("HELM_DATA_HOME", home.join("data"))
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        dies_with_parent(&mut command);
        let mut child = command.spawn().map_err(Error::file("run", &self.path))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let all = async {
            let (stdout, stderr, status) =
                tokio::join!(bounded(stdout, RENDERED_BYTES_MAX), bounded(stderr, OUTPUT_BYTES_MAX), child.wait());
            (stdout, stderr, status)
        };
        let Ok((stdout, stderr, status)) = tokio::time::timeout(deadline, all).await else {
            return Err(Error::HelmDeadline { command: what.to_owned(), deadline_s: deadline.as_secs() });
        };
        let status = status.map_err(Error::file("wait for", &self.path))?;
        if status.success() {
            return Ok(stdout);
        }
        let output = if stderr.trim().is_empty() { format!("ended with {status}: {stdout}") } else { stderr };
        Err(Error::helm(what.to_owned(), &output))
    }
}

/// The kernel kills Helm when the daemon dies: a Helm that outlived it could write under an old
/// fence.
#[expect(unsafe_code, reason = "the only way to set the parent death signal")]
fn dies_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; the closure makes two
    // plain system calls, compares integers, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                // The parent died before the signal was set.
                Err(rustix::io::Errno::SRCH.into())
            }
        });
    }
}

/// The first `most` bytes; the rest is read so that the writer does not block.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, most: usize) -> String {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return String::new() };
    let mut buffer = [0; 8 * 1024];
    while let Ok(count) = stream.read(&mut buffer).await {
        if count == 0 {
            break;
        }
        let room = most.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn private_dir(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file("make", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(Error::file("protect", path))
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program in Helm's place that runs `script`.
    fn program(folder: &Path, script: &str) -> PathBuf {
        let path = folder.join("helm");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    async fn open(script: &str, requirement: &str) -> Result<Helm> {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path(), script);
        Helm::open(&path, requirement, &folder.path().join("state"), 1).await
    }

    #[tokio::test]
    async fn an_incompatible_helm_is_refused_with_a_reason() {
        let cases = [
            ("echo v3.18.0", ">=4.3.0, <5.0.0", "is version 3.18.0"),
            ("echo nonsense", ">=4.3.0", "is it Helm?"),
            ("exit 3", ">=4.3.0", "exit status: 3"),
            ("echo v4.3.1", "four", "is no requirement"),
        ];
        for (script, requirement, part) in cases {
            let error = open(script, requirement).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(open("echo v4.3.1", ">=4.3.0, <5.0.0").await.is_ok());
        assert!(open("echo v4.3", ">=4.3.0, <5.0.0").await.is_ok(), "a build without version flags");
        let error = Helm::open(Path::new("/nonexistent/helm"), "*", Path::new("/nonexistent"), 1).await.unwrap_err();
        assert!(error.to_string().contains("deploy.helm_path"), "{error}");
    }

    #[tokio::test]
    async fn the_environment_is_empty_and_output_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(
            folder.path(),
            "if [ \"$1\" = version ]; then echo v4.3.1; else env >&2; head -c 300000 /dev/zero >&2; exit 1; fi",
        );
        let helm = Helm::open(&path, "*", &folder.path().join("state"), 1).await.unwrap();
        let run = helm.folder().unwrap();
        let Err(Error::Helm { .. }) = helm.run(&run, "x", "x", &["x"], DEADLINE).await else { panic!() };
        let path = program(folder.path(), "env");
        let helm = Helm { path, ..helm };
        let output = helm.run(&run, "x", "x", &["x"], DEADLINE).await.unwrap();
        let foreign: Vec<&str> = output
            .lines()
            .filter(|line| {
                !["HOME=", "HELM_", "PWD=", "_=", "SHLVL=", "OLDPWD="].iter().any(|own| line.starts_with(own))
            })
            .collect();
        assert!(foreign.is_empty(), "{foreign:?}");
    }

    #[tokio::test]
    async fn runs_are_counted_by_command_and_outcome_and_whoever_waits_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path =
            program(folder.path(), "case \"$1\" in version) echo v4.3.1 ;; upgrade) exit 1 ;; slow) sleep 60 ;; esac");
        let helm = Helm::open(&path, "*", &folder.path().join("state"), 1).await.unwrap();
        let run = helm.folder().unwrap();
        helm.run(&run, "x", "upgrade acme", &["upgrade"], DEADLINE).await.unwrap_err();
        helm.run(&run, "x", "slow", &["slow"], Duration::from_millis(100)).await.unwrap_err();
        let shown = || {
            let mut registry = prometheus_client::registry::Registry::default();
            helm.figures().register(&mut registry);
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            text
        };
        let text = shown();
        for line in [
            "landlord_helm_run_duration_seconds_count{command=\"version\",outcome=\"ok\"} 1",
            "landlord_helm_run_duration_seconds_count{command=\"upgrade\",outcome=\"error\"} 1",
            "landlord_helm_run_duration_seconds_count{command=\"slow\",outcome=\"deadline\"} 1",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("acme"), "{text}");
        // One runs, and one waits until it is given up.
        let (one, two) = (["slow"], ["slow"]);
        let both = async {
            tokio::join!(helm.run(&run, "x", "slow", &one, DEADLINE), helm.run(&run, "x", "slow", &two, DEADLINE))
        };
        let _ = tokio::time::timeout(Duration::from_millis(200), async {
            tokio::join!(both, async {
                tokio::task::yield_now().await;
                let text = shown();
                assert!(
                    text.contains("landlord_helm_runs_running 1") && text.contains("landlord_helm_runs_waiting 1"),
                    "{text}"
                );
            })
        })
        .await;
        let text = shown();
        assert!(
            text.contains("landlord_helm_runs_running 0") && text.contains("landlord_helm_runs_waiting 0"),
            "{text}"
        );
    }

    #[test]
    fn private_files_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        write_private(&path, "x").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
