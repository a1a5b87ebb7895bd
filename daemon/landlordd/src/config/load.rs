//! Reads and merges the layers. Knows files and environment, not what the values mean.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Map, Value},
};

use super::{Config, check::check};
use crate::trust;

/// Prefix of the environment variables.
const ENV_PREFIX: &str = "LANDLORDD_";
/// Problems that are named at most.
const PROBLEMS_MAX: usize = 100;
/// Who mistypes a name gets most of it right: of so many letters at most one is another.
const LETTERS_OF_A_MISTAKE: usize = 3;

/// Largest file: configurations are written by people, with some hundred bytes for a class or a customer.
const FILE_BYTES_MAX: u64 = 4 << 20;

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

/// The main file and those of `conf.d` beside it, in the order in which they are merged.
///
/// # Errors
/// One that is missing, or that others than the daemon's operators may write.
pub(crate) fn files(file: &Path) -> Result<Vec<PathBuf>, LoadError> {
    if file.is_dir() {
        return Err(LoadError(format!(
            "{} is a folder; name the configuration file in it with --config",
            file.display()
        )));
    }
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
        if let Some(problem) = more.iter().find_map(|path| trust::problem(path)) {
            return Err(LoadError(problem));
        }
        all.append(&mut more);
    }
    if let Some(problem) = all.iter().find_map(|path| unlikely(path)) {
        return Err(LoadError(problem));
    }
    Ok(all)
}

/// Why a file is none of a configuration: reading a FIFO or a device may never end.
fn unlikely(path: &Path) -> Option<String> {
    let is_small = |metadata: std::fs::Metadata| metadata.is_file() && metadata.len() <= FILE_BYTES_MAX;
    // What can't be looked at is found when it is read.
    if std::fs::metadata(path).map_or(true, is_small) {
        return None;
    }
    let problem = "is no regular file, or has more than";
    Some(format!("{} {problem} {FILE_BYTES_MAX} bytes; remove it, or write to it what is meant", path.display()))
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
    let (mut found, mut removed) = (Vec::new(), BTreeSet::new());
    // Nothing where a file is no TOML at all.
    let mut left = figment.extract::<Value>().ok();
    let (mut error, mut is_whole) = (first, true);
    while found.len() < PROBLEMS_MAX {
        let path = culprit(&error);
        let lacks = if let Kind::MissingField(field) = &error.kind { Some(joined(&path, field)) } else { None };
        is_whole &= lacks.is_none();
        // What was taken away here is not missing there.
        if lacks.is_none_or(|field| !removed.contains(&field)) {
            error.metadata = error.metadata.take().or_else(|| figment.find_metadata(&path.join(".")).cloned());
            found.push(describe(error));
        }
        let Some(value) = left.as_mut() else { break };
        if !remove(value, &path) {
            break;
        }
        removed.insert(path.join("."));
        match value.deserialize::<Config>() {
            Ok(config) => {
                // Without a section that was taken away whole, what refers to it would seem wrong.
                let more = check(&config).err().filter(|_| is_whole).unwrap_or_default();
                found.extend(more.into_iter().filter(|problem| !removed.iter().any(|path| is_about(problem, path))));
                break;
            }
            Err(next) => error = next,
        }
    }
    found.join("\n")
}

/// Whether a problem is one of the value at `path`, or of something in it.
fn is_about(problem: &str, path: &str) -> bool {
    problem.strip_prefix(path).is_some_and(|rest| rest.starts_with([':', '.', '[']))
}

fn joined(path: &[String], field: &str) -> String {
    path.iter().map(String::as_str).chain([field]).collect::<Vec<_>>().join(".")
}

/// Path of the value that an error is about; of a value that is missing, of what lacks it.
fn culprit(error: &figment::Error) -> Vec<String> {
    let mut path = error.path.clone();
    // The path ends with the field itself for some providers.
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
    match value {
        Value::Dict(_, dict) if rest.is_empty() => dict.remove(first).is_some(),
        Value::Dict(_, dict) => dict.get_mut(first).is_some_and(|inner| remove(inner, rest)),
        // An item stays: those after it are named by their numbers.
        Value::Array(_, list) => {
            let item = first.parse::<usize>().ok().and_then(|index| list.get_mut(index));
            item.is_some_and(|item| remove(item, rest))
        }
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => false,
    }
}

fn describe(problem: figment::Error) -> String {
    let path = culprit(&problem).join(".");
    let text = match &problem.kind {
        Kind::UnknownField(field, expected) => match nearest(field, expected) {
            Some(known) => format!("unknown key {path:?}; did you mean {known:?}?"),
            None => format!("unknown key {path:?}; known here are: {}", expected.join(", ")),
        },
        Kind::UnknownVariant(value, expected) => {
            format!("{path}: unknown value {value:?}; known here are: {}", expected.join(", "))
        }
        // A file that is no TOML.
        kind if path.is_empty() => kind.to_string(),
        kind => format!("{path}: {kind}"),
    };
    let text = text.trim_end();
    let Some(metadata) = &problem.metadata else { return text.to_owned() };
    let origin = metadata.source.as_ref().map_or_else(|| metadata.name.to_string(), ToString::to_string);
    // A parser's message has lines with the place in the file.
    if text.contains('\n') { format!("{origin}: {text}") } else { format!("{text} (in {origin})") }
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= name.len().div_ceil(LETTERS_OF_A_MISTAKE))
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
