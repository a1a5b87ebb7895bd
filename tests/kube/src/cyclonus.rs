//! An engine for network policies that is not Kubernetes' and not ours.
//!
//! Knows nothing about control planes: it reads policies and judges traffic in files.

use std::path::PathBuf;

use crate::{error::Result, go_program::GoProgram};

const PROGRAM: GoProgram = GoProgram {
    name: "cyclonus",
    sources: &[
        ("go.mod", include_str!("../cyclonus/go.mod")),
        ("go.sum", include_str!("../cyclonus/go.sum")),
        ("tools.go", include_str!("../cyclonus/tools.go")),
    ],
    command: "github.com/mattfenwick/cyclonus/cmd/cyclonus",
    folders: &[],
};

/// Path of the binary, built first if it is missing: 1.5 minutes on two cores. Use `analyze --mode query-traffic`.
///
/// Several callers build once: the others wait. An interrupted build leaves nothing that would be taken for a finished one.
///
/// # Errors
/// [`Error::GoMissing`](crate::Error::GoMissing), [`Error::Build`](crate::Error::Build) with the compiler's own words,
/// [`Error::NoCacheFolder`](crate::Error::NoCacheFolder), unusable cache folder.
pub fn cyclonus(progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    PROGRAM.ensure(progress)
}
