//! Reads and merges the layers. Knows files and environment, not what the values mean.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Value},
};

use super::Config;
use crate::trust;

/// Prefix of the environment variables.
const ENV_PREFIX: &str = "LANDLORDD_";
/// Problems that are named at most.
const PROBLEMS_MAX: usize = 100;
/// Names further apart than this are no typing mistake.
const NEAREST_DISTANCE_MAX: usize = 4;

/// Where the layers are.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Main file; `None`: defaults only.
    pub file: Option<PathBuf>,
    /// `key.path=value` from the command line, in order.
    pub sets: Vec<String>,
    /// Whether the environment is read.
    pub environment: bool,
}

/// The merged configuration, with the origin of each value.
pub struct Loaded {
    /// Values.
    pub config: Config,
    pub(super) figment: Figment,
}

/// A configuration that can't be used; every problem, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(String);

/// Reads and merges the layers.
///
/// # Errors
/// A file that can't be read, an unknown key (with the nearest known one), a value of the
/// wrong kind: all of them at once, each with its origin.
pub fn load(layers: &Layers) -> Result<Loaded, LoadError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    if let Some(file) = &layers.file {
        for path in files(file)? {
            figment = figment.merge(Toml::file_exact(path));
        }
    }
    if layers.environment {
        figment = figment.merge(Env::prefixed(ENV_PREFIX).split("__"));
    }
    for set in &layers.sets {
        figment = figment.merge(Set::parse(set)?);
    }
    match figment.extract::<Config>() {
        Ok(config) => Ok(Loaded { config, figment }),
        Err(error) => Err(LoadError(problems(&figment, error))),
    }
}

fn files(file: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if !file.is_file() {
        return Err(LoadError(format!(
            "configuration file {} does not exist; create it or name another with --config",
            file.display()
        )));
    }
    let mut all = vec![file.to_owned()];
    let folder = file.with_file_name("conf.d");
    let own = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Whoever writes the configuration chooses the plugins, which hold the clouds' credentials.
    if let Some(problem) = [file, own, &folder].into_iter().find_map(trust::problem) {
        return Err(LoadError(problem));
    }
    if folder.is_dir() {
        let entries = std::fs::read_dir(&folder)
            .map_err(|error| LoadError(format!("can't list {}: {error}", folder.display())))?;
        let mut more: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        more.sort();
        all.append(&mut more);
    }
    Ok(all)
}

/// One `--set key.path=value`; the value is TOML, or a plain string where it is none.
struct Set {
    key: String,
    value: Value,
}

impl Set {
    fn parse(text: &str) -> Result<Self, LoadError> {
        let Some((key, value)) = text.split_once('=') else {
            return Err(LoadError(format!("--set {text:?}: must be key.path=value")));
        };
        let parsed = format!("v = {value}").parse::<toml::Table>().ok();
        let value = parsed
            .and_then(|mut table| table.remove("v"))
            .and_then(|value| Value::serialize(value).ok())
            .unwrap_or_else(|| Value::from(value));
        Ok(Self { key: key.trim().to_owned(), value })
    }
}

impl figment::Provider for Set {
    fn metadata(&self) -> figment::Metadata {
        figment::Metadata::named(format!("--set {}", self.key))
    }

    fn data(&self) -> Result<Map<figment::Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        let dict = nested.into_dict().unwrap_or_default();
        Ok(figment::Profile::Default.collect(dict))
    }
}

/// Everything that is wrong, one a line. Reading ends at the first mistake, so each that was found is taken away, and the
/// rest is read again.
fn problems(figment: &Figment, first: figment::Error) -> String {
    let mut found = Vec::new();
    let mut left = figment.extract::<Value>().ok();
    let mut error = first;
    while found.len() < PROBLEMS_MAX {
        let path = culprit(&error);
        error.metadata = error.metadata.take().or_else(|| figment.find_metadata(&path.join(".")).cloned());
        found.push(describe(error));
        let Some(value) = left.as_mut().filter(|value| remove(value, &path)) else { break };
        match value.deserialize::<Config>() {
            Ok(_) => break,
            Err(next) => error = next,
        }
    }
    found.dedup();
    found.join("\n")
}

/// Path of the value that an error is about.
fn culprit(error: &figment::Error) -> Vec<String> {
    let mut path = error.path.clone();
    if let Kind::UnknownField(field, _) = &error.kind
        && path.last() != Some(field)
    {
        path.push(field.clone());
    }
    path
}

/// Takes a value away; whether it was there.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let Value::Dict(_, dict) = value else { return false };
    match dict.get_mut(first) {
        Some(_) if rest.is_empty() => dict.remove(first).is_some(),
        Some(inner) => remove(inner, rest),
        None => false,
    }
}

fn describe(error: figment::Error) -> String {
    let mut text = String::new();
    for problem in error {
        if !text.is_empty() {
            text.push('\n');
        }
        let path = problem.path.join(".");
        match &problem.kind {
            Kind::UnknownField(field, expected) => {
                let full = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
                // figment's path ends with the field itself for some providers
                let full = full.replace(&format!("{field}.{field}"), field);
                let _ = write!(text, "unknown key {full:?}");
                match nearest(field, expected) {
                    Some(known) => {
                        let _ = write!(text, "; did you mean {known:?}?");
                    }
                    None => {
                        let _ = write!(text, "; known here are: {}", expected.join(", "));
                    }
                }
            }
            kind => {
                let _ = write!(text, "{path}: {kind}");
            }
        }
        if let Some(metadata) = &problem.metadata {
            let _ = match &metadata.source {
                Some(source) => write!(text, " (in {source})"),
                None => write!(text, " (in {})", metadata.name),
            };
        }
    }
    text
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= NEAREST_DISTANCE_MAX)
        .min()
        .map(|(_, candidate)| candidate)
}

impl Loaded {
    /// Where the value at `path` comes from.
    pub(super) fn origin(&self, path: &str) -> String {
        match self.figment.find_metadata(path) {
            Some(metadata) => match &metadata.source {
                Some(figment::Source::File(file)) => file.display().to_string(),
                _ if metadata.name.contains("Config") => "default".into(),
                _ => metadata.name.to_string(),
            },
            None => "default".into(),
        }
    }
}
