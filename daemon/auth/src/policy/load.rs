//! Policies from files, validated as one set.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use cedar_policy::{PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::small_file;

const SHIPPED: &str = include_str!("../../policies/landlord.cedar");
/// Largest policy file, and most files: policies are written by people.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const FILES_MAX: usize = 200;

/// Policies that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The folder or a file can't be read.
    #[error("{path} can't be read")]
    Read {
        /// File or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More or larger files than policies have.
    #[error("{path}: {problem}")]
    Bounds {
        /// File or folder.
        path: PathBuf,
        /// What is too much.
        problem: String,
    },
    /// Policies that do not parse or do not fit the schema; every problem, one a line.
    #[error("{0}")]
    Invalid(String),
    /// The shipped schema itself.
    #[error("the schema of policies can't be used: {0}")]
    Schema(String),
}

/// The `*.cedar` files of a folder in the order of their names.
pub(crate) fn read(folder: Option<&Path>) -> Result<Vec<(PathBuf, String)>, PolicyError> {
    let mut content = vec![(PathBuf::from("shipped"), SHIPPED.to_owned())];
    let Some(folder) = folder else { return Ok(content) };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PolicyError::Read { path, source }
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "cedar") {
            paths.push(path);
        }
    }
    if paths.len() > FILES_MAX {
        return Err(PolicyError::Bounds {
            path: folder.to_owned(),
            problem: format!("has more than {FILES_MAX} policies"),
        });
    }
    paths.sort();
    for path in paths {
        let (bytes, _) = small_file::read(&path, FILE_BYTES_MAX).map_err(|source| match source.kind() {
            io::ErrorKind::FileTooLarge => PolicyError::Bounds { path: path.clone(), problem: source.to_string() },
            _ => PolicyError::Read { path: path.clone(), source },
        })?;
        let text = String::from_utf8(bytes).map_err(|_| failed(&path)(io::Error::other("it is no text (UTF-8)")))?;
        content.push((path, text));
    }
    Ok(content)
}

/// All policies as one set that fits the schema, each called FILE/NAME; those that are shipped `shipped/NAME`.
pub(crate) fn validated(schema: &Schema, content: &[(PathBuf, String)]) -> Result<PolicySet, PolicyError> {
    let mut problems = Vec::new();
    let mut all = PolicySet::new();
    for (path, text) in content {
        // With its ending: no file of a site's is called as the shipped set.
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let parsed = match PolicySet::from_str(text) {
            Ok(parsed) => parsed,
            Err(errors) => {
                problems.extend(errors.iter().map(|error| format!("{}: {error}", path.display())));
                continue;
            }
        };
        if parsed.templates().next().is_some() {
            problems.push(format!("{}: templates are not supported; write policies", path.display()));
        }
        for policy in parsed.policies() {
            let name = policy.annotation("id").map_or_else(|| policy.id().to_string(), str::to_owned);
            let id = PolicyId::new(format!("{file}/{name}"));
            if let Err(error) = all.add(policy.new_id(id)) {
                problems.push(format!("{}: {error}", path.display()));
            }
        }
    }
    let result = Validator::new(schema.clone()).validate(&all, ValidationMode::Strict);
    problems.extend(result.validation_errors().map(ToString::to_string));
    if problems.is_empty() { Ok(all) } else { Err(PolicyError::Invalid(problems.join("\n"))) }
}
