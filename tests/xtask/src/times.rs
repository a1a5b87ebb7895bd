//! How long each suite took last time, kept in the cache folder: what takes longest starts first.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anyhow::Result;
use landlord_test_kube::cache_folder;

/// Seconds of wall time by the suite's name.
#[derive(Debug, Default)]
pub(crate) struct Times(BTreeMap<String, f64>);

impl Times {
    /// What was kept; nothing of a file that can't be read, since it only orders.
    pub(crate) fn read() -> Self {
        let text = file().ok().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
        Self(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Longest first; what was never seen before all others.
    pub(crate) fn expected(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::MAX)
    }

    /// Takes down one more.
    pub(crate) fn note(&mut self, name: &str, wall: Duration) {
        self.0.insert(name.to_owned(), wall.as_secs_f64());
    }

    /// Keeps them for the next time.
    pub(crate) fn write(&self) -> Result<()> {
        let file = file()?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, serde_json::to_string_pretty(&self.0)?)?;
        Ok(())
    }
}

fn file() -> Result<PathBuf> {
    Ok(cache_folder()?.join("suite-times.json"))
}
