//! The configuration, read again on SIGHUP and when its files change: used whole or not at all. What can't change while the daemon
//! runs is named, so that nobody believes it in force. (Certificates, token keys and policies follow their files by themselves.)

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use landlord_core::{Catalog, CurrentCatalog, ports::TenantStore};
use serde_json::Value;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::{
    class_drift,
    config::{Checked, Config, Layers, check, files, load},
    in_cluster::Names,
    systemd,
    telemetry::LogFilter,
};

/// What takes effect at once, with everything below it; the rest needs a restart.
const RELOADED: [&str; 5] = ["log.filter", "classes", "placement", "residency", "domains"];
/// Between two looks at the files. What two of them saw alike is read: whoever writes a file may not be done at the first.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Where a running daemon's configuration comes from.
#[derive(Debug)]
pub struct Sources {
    /// Its layers.
    pub layers: Layers,
    /// Changes what is logged.
    pub log: LogFilter,
    /// SIGHUP.
    pub hangup: Signal,
}

/// What of a running daemon a reload changes.
pub(crate) struct Reload {
    /// In force, but for keys that need a restart: those are as at the start.
    pub(crate) used: Config,
    pub(crate) sources: Sources,
    pub(crate) catalog: Arc<CurrentCatalog>,
    /// Stacks and platforms that were read at the start.
    pub(crate) names: Names,
    pub(crate) store: Arc<dyn TenantStore>,
}

impl Reload {
    /// Follows signal and files until cancelled.
    pub(crate) async fn follow(mut self, stop: CancellationToken) {
        let mut contents = Contents::new(self.sources.layers.clone());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = self.sources.hangup.recv() => {}
                () = contents.changed() => {}
            }
            systemd::reloading();
            contents.used = contents.read();
            let offers_changed = self.again();
            systemd::ready();
            if offers_changed {
                class_drift::report(self.store.clone(), self.catalog.now(), stop.clone()).await;
            }
        }
    }

    /// Reads, and puts in force; logs what came of it. Gives whether there are other classes.
    fn again(&mut self) -> bool {
        match read(&self.sources.layers).and_then(|new| self.apply(&new)) {
            Ok(changes) => {
                changes.log();
                changes.in_force.iter().any(|key| key.starts_with("classes"))
            }
            Err(problem) => {
                let problem = format!("{problem:#}");
                tracing::error!(problem, "the changed configuration is not used; that of before goes on");
                false
            }
        }
    }

    /// Puts in force what can be.
    fn apply(&mut self, new: &Config) -> Result<Changes> {
        let changes = Changes::between(&self.used, new)?;
        let mut next = self.used.clone();
        next.log.filter.clone_from(&new.log.filter);
        next.classes.clone_from(&new.classes);
        next.placement.clone_from(&new.placement);
        next.residency.clone_from(&new.residency);
        next.domains.clone_from(&new.domains);
        let checked = fits(&next).context("beside what only a restart changes")?;
        self.names.check(&checked.catalog)?;
        self.sources.log.set(&next.log.filter)?;
        // Stacks and platforms are those that were read at the start.
        self.catalog.replace(Catalog { revisions: self.catalog.now().revisions.clone(), ..checked.catalog });
        self.used = next;
        Ok(changes)
    }
}

fn read(layers: &Layers) -> Result<Config> {
    let config = load(layers)?.config;
    fits(&config)?;
    Ok(config)
}

fn fits(config: &Config) -> Result<Checked> {
    check(config).or_else(|problems| bail!("the configuration does not fit together: {}", problems.join("; ")))
}

/// Keys whose values differ. Values are not shown: some are nobody's business.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    in_force: Vec<String>,
    waiting: Vec<String>,
}

impl Changes {
    fn between(before: &Config, after: &Config) -> Result<Self> {
        let mut changes = Self::default();
        changes.compare("", &serde_json::to_value(before)?, &serde_json::to_value(after)?);
        Ok(changes)
    }

    fn compare(&mut self, at: &str, before: &Value, after: &Value) {
        let (Value::Object(old), Value::Object(new)) = (before, after) else {
            if before != after {
                let is_below = |rest: &str| rest.is_empty() || rest.starts_with('.');
                let is_reloaded = RELOADED.iter().any(|key| at.strip_prefix(key).is_some_and(is_below));
                let keys = if is_reloaded { &mut self.in_force } else { &mut self.waiting };
                keys.push(at.to_owned());
            }
            return;
        };
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            self.compare(&at, old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        }
    }

    fn log(&self) {
        let (in_force, waiting) = (self.in_force.join(", "), self.waiting.join(", "));
        if self.waiting.is_empty() {
            tracing::info!(in_force, "the configuration was read again and is in force");
        } else {
            tracing::warn!(
                in_force,
                waiting,
                "the configuration was read again; what is waiting needs a restart of landlordd"
            );
        }
    }
}

/// The files of a configuration, as read last.
struct Contents {
    layers: Layers,
    used: Vec<(PathBuf, Vec<u8>)>,
}

impl Contents {
    fn new(layers: Layers) -> Self {
        let mut contents = Self { layers, used: Vec::new() };
        contents.used = contents.read();
        contents
    }

    /// A file that can't be read is like an empty one: the reload itself says what is wrong.
    fn read(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let paths = self.layers.file.as_deref().map(files).transpose().ok().flatten().unwrap_or_default();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap_or_default())).collect()
    }

    /// Waits until they are others than were used, and stay so for a moment. A dropped wait loses nothing.
    async fn changed(&self) {
        let mut before = self.used.clone();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now = self.read();
            if now != self.used && now == before {
                return;
            }
            before = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn class(region: &str) -> landlord_core::Class {
        let text = serde_json::json!({ "level": "CLUSTER", "provider": "fake", "credentials": "a", "regions": [region],
            "machine_type": "small", "node_count": 1 });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn what_can_be_reloaded_and_what_waits_is_named_by_key() {
        let used = Config::default();
        let mut new = Config::default();
        new.log.filter = "debug".into();
        new.engine.passes_max = 7;
        new.server.metrics_listen = "127.0.0.1:9464".into();
        new.classes.insert("small".into(), class("x-1"));
        let changes = Changes::between(&used, &new).unwrap();
        assert_eq!(changes.in_force, ["classes.small", "log.filter"]);
        assert_eq!(changes.waiting, ["engine.passes_max", "server.metrics_listen"]);
    }

    /// The shipped stack and platform, and a class that leaves out a check and orders a part.
    fn offering(folder: &Path, check: &str, part: &str) -> Config {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("config");
        let text = format!(
            "[providers.sky]\nplugin = '/nowhere.so'\nallow_unpinned = true\n[providers.sky.credentials.main]\n\
             [deploy]\nstacks_dir = '{0}/stacks'\nplatforms_dir = '{0}/platforms'\n[classes.small]\nlevel = 'CLUSTER'\nprovider = 'sky'\ncredentials = 'main'\n\
             regions = ['x-1']\nmachine_type = 'small'\nnode_count = 1\nnode_count_max = 1\n\
             stack = 'ai-fileserver-pg'\nplatform = 'standard'\nskip_checks = [{check}]\n[classes.small.platform_options.parts]\n{part}\n",
            shipped.display()
        );
        let file = folder.join("landlord.toml");
        std::fs::write(&file, text).unwrap();
        load(&Layers { file: Some(file), ..Layers::default() }).unwrap().config
    }

    #[tokio::test]
    async fn a_reload_refuses_classes_that_a_start_would_refuse() {
        let folder = tempfile::tempdir().unwrap();
        let used = offering(folder.path(), "", "");
        let checked = fits(&used).unwrap();
        let options = landlord_store::SqliteOptions { create: true, ..Default::default() };
        let store = landlord_store::sqlite::open(&folder.path().join("landlord.db"), options).await.unwrap();
        let mut reload = Reload {
            names: Names::read(&used, &checked).unwrap(),
            sources: Sources {
                layers: Layers::default(),
                log: crate::telemetry::init(&used.log, &used.telemetry).unwrap().0,
                hangup: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap(),
            },
            catalog: Arc::new(CurrentCatalog::new(checked.catalog)),
            store: Arc::new(store),
            used,
        };
        let refused = reload.apply(&offering(folder.path(), "'no-such-check'", "no-such-part = true")).unwrap_err();
        let refused = refused.to_string();
        for expected in ["classes.small.skip_checks", "no-such-check", "platform_options.parts", "no-such-part"] {
            assert!(refused.contains(expected), "{expected}: {refused}");
        }
        let changes = reload.apply(&offering(folder.path(), "'documents'", "")).unwrap();
        assert_eq!(changes.in_force, ["classes.small.skip_checks"], "{changes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_read_when_they_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("landlord.toml");
        std::fs::write(&file, "").unwrap();
        let contents = Contents::new(Layers { file: Some(file.clone()), ..Layers::default() });
        let minute = Duration::from_secs(60);
        assert!(tokio::time::timeout(minute, contents.changed()).await.is_err(), "nothing has changed");
        let started = tokio::time::Instant::now();
        std::fs::write(&file, "[log]\n").unwrap();
        contents.changed().await;
        assert_eq!(started.elapsed(), POLL_INTERVAL * 2, "seen twice");
        // A file beside it counts as well.
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(folder.path().join("conf.d")).unwrap();
        std::fs::write(folder.path().join("conf.d/10.toml"), "[log]\n").unwrap();
        tokio::time::timeout(minute, contents.changed()).await.unwrap();
    }
}
