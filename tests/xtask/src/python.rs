//! Python environments for the tests that foreign clients drive: one for each requirements
//! file, in the cache folder, keyed by the file's content and the Python version.

use std::path::{Path, PathBuf};

use anyhow::Result;
use landlord_test_kube::python_env;

use crate::report::{checkout, say};

/// A suite of pytest and its environment.
pub(crate) struct Venv {
    /// Folder with `requirements.txt` and the tests.
    pub(crate) suite: PathBuf,
    /// Its Python.
    pub(crate) python: PathBuf,
}

/// Folders whose requirements file is for a pytest suite.
const SUITES: [&str; 3] = ["tests/sim/tests/boto3", "tests/sim/tests/google", "tests/sim/tests/microsoft"];

/// Tools that Rust tests run, by their requirements file.
const TOOLS: [&str; 8] = [
    "daemon/deploy/tests/checkov/requirements.txt",
    "daemon/deploy/tests/files/requirements.txt",
    "daemon/grpc/tests/grpcio/requirements.txt",
    "daemon/landlordd/tests/observability/requirements.txt",
    "daemon/webhooks/tests/standardwebhooks/requirements.txt",
    "examples/portal-python/requirements.txt",
    "plugins/conformance/tests/ministack/requirements.txt",
    "tests/kube/tests/use/requirements.txt",
];

/// Makes what is missing.
pub(crate) fn all() -> Result<Vec<Venv>> {
    for tool in TOOLS {
        python_env(&checkout().join(tool))?;
    }
    SUITES.iter().map(|suite| ensure(&checkout().join(suite))).collect()
}

fn ensure(suite: &Path) -> Result<Venv> {
    let python = python_env(&suite.join("requirements.txt"))?;
    say(&format!("    {}", python.display()));
    Ok(Venv { suite: suite.to_owned(), python })
}
