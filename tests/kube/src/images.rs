//! Images for real nodes, put together from Debian's and PyPI's packages by `images/build.py`, in the cache folder.
//!
//! Knows nothing about nodes.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest as _, Sha256};

use crate::{
    artifacts::cache_folder,
    error::{Error, Result},
    venv::python_env,
};

/// The builder and all that it reads.
const SOURCES: [(&str, &str); 15] = [
    ("build.py", include_str!("../images/build.py")),
    ("requirements.txt", include_str!("../images/requirements.txt")),
    ("files.txt", include_str!("../images/files.txt")),
    ("vectors.txt", include_str!("../images/vectors.txt")),
    ("chat.txt", include_str!("../images/chat.txt")),
    ("models.txt", include_str!("../images/models.txt")),
    ("llm/go.mod", include_str!("../images/llm/go.mod")),
    ("llm/go.sum", include_str!("../images/llm/go.sum")),
    ("llm/tools.go", include_str!("../images/llm/tools.go")),
    ("envoy.txt", include_str!("../images/envoy.txt")),
    ("platform/go.mod", include_str!("../platformbox/go.mod")),
    ("platform/go.sum", include_str!("../platformbox/go.sum")),
    ("platform/certmanager/main.go", include_str!("../platformbox/certmanager/main.go")),
    ("platform/certmanager/controller.go", include_str!("../platformbox/certmanager/controller.go")),
    ("platform/certmanager/webhook.go", include_str!("../platformbox/certmanager/webhook.go")),
];

/// What the platform `standard` needs on a node.
pub const PLATFORM_IMAGES: [&str; 6] = [
    "cert-manager-controller",
    "cert-manager-webhook",
    "cert-manager-cainjector",
    "cert-manager-acmesolver",
    "gateway",
    "envoy",
];
/// What the stack `ai-fileserver-pg` needs on a node.
pub const APP_IMAGES: [&str; 5] = ["pause", "vectors", "files", "llm", "chat"];
/// Beside them: a folder of models, and one of the platform's charts.
const STACK_FOLDERS: [&str; 2] = ["models", "charts"];

/// OCI images in tar files for [`Node::import`](crate::Node::import), built first if they are missing: `pause` and
/// `base` (a shell, Python) in seconds; `files`, `vectors` and `chat` (apps of a stack) from the package index, `llm` from its Go module (8 minutes of processor
/// time); of a platform `gateway` and `cert-manager-{controller,webhook,cainjector,acmesolver}` from their Go modules (11
/// minutes), `envoy` from the package index, and `charts`, a folder of their charts. `models` is a folder for the volume of `llm`.
/// An image `files` is known to a node as `landlord.test/files:1`.
///
/// Several callers build once: the others wait. An image is recreated when what it is made of changes here: pinned versions, the list
/// of Debian's packages, the builder. What is built needs no network any more, whatever versions Debian has by then.
///
/// # Errors
/// [`Error::Python`] with the builder's own words, [`Error::NoCacheFolder`], unusable files.
pub fn images(names: &[&str]) -> Result<Vec<PathBuf>> {
    images_watched(names, &mut |_| {})
}

/// Everything that a node with stack and platform needs, built first if it is missing: programs, images, models, charts.
/// Half an hour of processor time, once.
///
/// # Errors
/// As [`crate::NodeArtifacts::ensure`] and [`images`].
pub fn ensure_stack(progress: &mut dyn FnMut(&str)) -> Result<()> {
    crate::NodeArtifacts::ensure(progress)?;
    let all = [&APP_IMAGES[..], &PLATFORM_IMAGES[..], &STACK_FOLDERS[..]].concat();
    images_watched(&all, &mut |name| progress(&format!("image {name}"))).map(drop)
}

/// The same as [`images`]; `progress` gets each name before its image is looked for, and built if it is missing.
///
/// # Errors
/// As [`images`].
pub fn images_watched(names: &[&str], progress: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>> {
    let cache = cache_folder()?.join("images");
    let mut digest = Sha256::new();
    SOURCES.iter().for_each(|(_, text)| digest.update(text));
    let program = cache.join(format!("builder-{}", hex::encode(&digest.finalize()[..8])));
    for folder in ["llm", "platform/certmanager"].map(|folder| program.join(folder)) {
        std::fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    }
    let lock_path = cache.join("lock");
    let lock = std::fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    for (name, text) in SOURCES {
        let path = program.join(name);
        std::fs::write(&path, text).map_err(Error::file("write", path))?;
    }
    let python = python_env(&program.join("requirements.txt"))?;
    let tools = python.parent().unwrap_or(Path::new("/"));
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(&python);
    command.arg(program.join("build.py")).arg(&cache).args(names).env("PATH", path);
    let failed = |source: std::io::Error| Error::Python { output: source.to_string() };
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.map(|mut stderr| stderr.read_to_string(&mut text));
        text
    });
    let mut found = Vec::new();
    let mut lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()).map_while(|line| line.ok());
    for name in names {
        progress(name);
        found.extend(lines.next().map(PathBuf::from));
    }
    drop(lines);
    let status = child.wait().map_err(failed)?;
    if status.success() && found.len() == names.len() {
        return Ok(found);
    }
    Err(Error::Python { output: complaints.join().unwrap_or_default().trim().to_owned() })
}
