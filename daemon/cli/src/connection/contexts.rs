//! The configuration file with its contexts: `$LANDLORD_CONFIG`, else `landlord/config.yaml` in the user's configuration
//! folder. It names files with secrets, and holds none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::Connection;
use crate::{
    error::Error,
    user_files::{Lock, folder, replace},
};

/// Another program that changes the file needs milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);

/// The file's content.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// Context in use; empty: none.
    #[serde(default)]
    current_context: String,
    /// Contexts by name.
    #[serde(default)]
    contexts: BTreeMap<String, Connection>,
}

/// The configuration file.
#[derive(Debug)]
pub(crate) struct Contexts {
    path: Option<PathBuf>,
    file: File,
}

impl Contexts {
    /// Reads it; one that does not exist has no contexts.
    pub(crate) fn load() -> Result<Self, Error> {
        Self::load_from(path())
    }

    fn load_from(path: Option<PathBuf>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self { path: None, file: File::default() }) };
        let wrong = |problem: &dyn std::fmt::Display| Error::Usage(format!("{}: {problem}", path.display()));
        let file = match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => File::default(),
            Ok(text) => serde_saphyr::from_str(&text).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(wrong(&format!("can't be read: {error}"))),
        };
        Ok(Self { path: Some(path), file })
    }

    /// Name of the context in use.
    pub(crate) fn current(&self) -> Option<&str> {
        Some(self.file.current_context.as_str()).filter(|name| !name.is_empty())
    }

    /// All contexts by name.
    pub(crate) fn all(&self) -> &BTreeMap<String, Connection> {
        &self.file.contexts
    }

    /// The context of this name, or else the one in use; `None`: neither.
    pub(crate) fn chosen(&self, name: Option<&str>) -> Result<Option<&Connection>, Error> {
        let Some(name) = name.or_else(|| self.current()) else { return Ok(None) };
        match self.file.contexts.get(name) {
            Some(context) => Ok(Some(context)),
            None => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let known: Vec<&str> = self.file.contexts.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let path = self.path.as_deref().unwrap_or(Path::new("config.yaml"));
        Error::Usage(format!("{}: there is no context {name:?}; there are: {known}", path.display()))
    }

    /// Makes a context the one in use.
    pub(crate) fn choose(&mut self, name: &str) -> Result<(), Error> {
        let lock = self.begin()?;
        if !self.file.contexts.contains_key(name) {
            return Err(self.unknown(name));
        }
        name.clone_into(&mut self.file.current_context);
        self.save(&lock)
    }

    /// Makes or changes a context; the first one is in use from now on.
    pub(crate) fn set(&mut self, name: &str, change: impl FnOnce(&mut Connection)) -> Result<(), Error> {
        let lock = self.begin()?;
        let context = self.file.contexts.entry(name.to_owned()).or_default();
        change(context);
        // Names of files mean the same wherever the client is run.
        let login = context.login.as_mut().and_then(|login| login.ca_file.as_mut());
        let files = [&mut context.ca_file, &mut context.client_cert, &mut context.client_key, &mut context.token_file];
        for file in files.into_iter().filter_map(Option::as_mut).chain(login) {
            *file = std::path::absolute(&*file).unwrap_or_else(|_| file.clone());
        }
        if self.file.current_context.is_empty() {
            name.clone_into(&mut self.file.current_context);
        }
        self.save(&lock)
    }

    /// Removes a context.
    pub(crate) fn delete(&mut self, name: &str) -> Result<(), Error> {
        let lock = self.begin()?;
        if self.file.contexts.remove(name).is_none() {
            return Err(self.unknown(name));
        }
        if self.file.current_context == name {
            self.file.current_context.clear();
        }
        self.save(&lock)
    }

    fn known_path(&self) -> Result<&Path, Error> {
        let unknown = || Error::Usage("no home folder is known; set LANDLORD_CONFIG to a file".into());
        self.path.as_deref().ok_or_else(unknown)
    }

    /// Begins a change: of the file as it is now, so that what two programs change at the same moment is both in it.
    fn begin(&mut self) -> Result<Lock, Error> {
        let path = self.known_path()?.to_owned();
        let until = Instant::now() + LOCK_TIMEOUT;
        let lock = loop {
            match Lock::of(&path) {
                Ok(Some(lock)) => break lock,
                Ok(None) if Instant::now() < until => std::thread::sleep(LOCK_INTERVAL),
                Ok(None) => {
                    let secs = LOCK_TIMEOUT.as_secs();
                    let path = path.display();
                    return Err(Error::TimedOut(format!("another landlord has been changing {path} for {secs} s")));
                }
                Err(error) => return Err(Error::Usage(format!("{} can't be locked: {error}", path.display()))),
            }
        };
        *self = Self::load_from(Some(path))?;
        Ok(lock)
    }

    fn save(&self, lock: &Lock) -> Result<(), Error> {
        let text = serde_saphyr::to_string(&self.file).map_err(|error| Error::Usage(error.to_string()))?;
        replace(self.known_path()?, lock, text.as_bytes())
    }
}

/// Where the file is; `None`: no home is known.
fn path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LANDLORD_CONFIG").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("landlord").join("config.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_change_at_the_same_moment_is_both_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        let open = || Contexts::load_from(Some(path.clone())).unwrap();
        let (mut one, mut other) = (open(), open());
        one.set("prod", |c| c.server = "https://prod.example.com:7443".into()).unwrap();
        other.set("test", |c| c.server = "unix:///run/test.sock".into()).unwrap();
        assert_eq!(open().all().keys().collect::<Vec<_>>(), ["prod", "test"]);
        assert_eq!(open().current(), Some("prod"));
    }

    #[test]
    fn contexts_are_kept_chosen_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("config.yaml");
        let open = || Contexts::load_from(Some(path.clone())).unwrap();
        let mut contexts = open();
        assert!(contexts.chosen(None).unwrap().is_none());
        contexts.set("prod", |c| c.server = "https://prod.example.com:7443".into()).unwrap();
        contexts.set("test", |c| c.server = "unix:///run/test.sock".into()).unwrap();
        contexts.set("prod", |c| c.token_file = Some("/run/token".into())).unwrap();
        let mut contexts = open();
        assert_eq!(contexts.current(), Some("prod"));
        let prod = contexts.chosen(None).unwrap().unwrap();
        assert_eq!(prod.server, "https://prod.example.com:7443");
        assert_eq!(prod.token_file.as_deref(), Some(Path::new("/run/token")));
        assert_eq!(contexts.chosen(Some("test")).unwrap().unwrap().server, "unix:///run/test.sock");
        assert!(contexts.chosen(Some("prdo")).unwrap_err().to_string().contains("there are: prod, test"));
        contexts.choose("test").unwrap();
        contexts.delete("test").unwrap();
        assert!(contexts.choose("test").is_err());
        assert_eq!(open().current(), None);
        contexts.set("prod", |c| c.ca_file = Some("tls.crt".into())).unwrap();
        assert_eq!(open().current(), Some("prod"), "there is no other");
        let ca_file = open().chosen(Some("prod")).unwrap().unwrap().ca_file.clone().unwrap();
        assert!(ca_file.is_absolute() && ca_file.ends_with("tls.crt"), "{ca_file:?}");
        std::fs::write(&path, "contexts: {a: {sever: x}}").unwrap();
        assert!(Contexts::load_from(Some(path.clone())).unwrap_err().to_string().contains("sever"));
    }
}
