//! What can go wrong here, worded so that the reader knows what to do.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why binaries could not be built, or a control plane not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no place for the cache.
    #[error("no folder for the cache: set LANDLORD_CACHE_DIR, XDG_CACHE_HOME or HOME")]
    NoCacheFolder,
    /// Go is not installed, or does not run.
    #[error("the Go toolchain does not run: install Go 1.26 or newer (https://go.dev/dl) and put `go` on the PATH")]
    GoMissing {
        /// Why it did not run.
        #[source]
        source: std::io::Error,
    },
    /// Go reported an error.
    #[error("`go {command}` failed for the Kubernetes parts in {folder}: {output}")]
    Build {
        /// The subcommand.
        command: &'static str,
        /// Where it ran.
        folder: PathBuf,
        /// The end of what it wrote.
        output: String,
    },
    /// A Python environment could not be made.
    #[error(
        "a Python environment could not be made: install Python 3.11 or newer (Debian: python3 python3-venv): {output}"
    )]
    Python {
        /// The message.
        output: String,
    },
    /// Packages could not be had.
    #[error(
        "Debian packages could not be unpacked: a real node takes them by apt-get and dpkg-deb, from Debian 12: {output}"
    )]
    Debian {
        /// The message.
        output: String,
    },
    /// This machine cannot run a node.
    #[error("this machine cannot run a real node; it lacks {missing}")]
    NodeUnsupported {
        /// What it lacks.
        missing: String,
    },
    /// This machine makes no namespaces without network.
    #[error(
        "this machine can't be without network for a test, which needs root and the right to make namespaces: {reported}"
    )]
    OfflineUnsupported {
        /// The system's words.
        reported: String,
    },
    /// The node did not take an image.
    #[error("the node did not take the image {image}: {output}")]
    Image {
        /// Its file.
        image: PathBuf,
        /// The message.
        output: String,
    },
    /// A file or folder could not be used.
    #[error("could not {action} {path}")]
    File {
        /// `read`, `write` and the like.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A node's network could not be made.
    #[error("{command} in a node: {output}")]
    Network {
        /// What was run.
        command: String,
        /// Its own words.
        output: String,
    },
    /// A program could not be started.
    #[error("could not start {part}")]
    Spawn {
        /// Which part of the control plane.
        part: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A part of the control plane ended by itself.
    #[error("{part} ended by itself while the control plane started; the end of {log}:\n{tail}")]
    Exited {
        /// Which part.
        part: &'static str,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The control plane did not respond in time.
    #[error(
        "the control plane in {folder} was not ready within {waited_ms} ms ({last}); its logs are in {folder}/logs"
    )]
    NotReady {
        /// Its data folder.
        folder: PathBuf,
        /// How long was waited.
        waited_ms: u64,
        /// The last thing seen.
        last: String,
    },
    /// Certificates could not be made.
    #[cfg(feature = "cluster")]
    #[error("could not make the control plane's certificates")]
    Certificates(#[from] rcgen::Error),
    /// The client could not be made, or the API server refused.
    #[cfg(feature = "cluster")]
    #[error("the Kubernetes API refused: {doing}")]
    Kubernetes {
        /// What was being done.
        doing: String,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },
    /// Something that was generated here cannot be read back.
    #[error("{what} in {path} is damaged: delete the folder and start again")]
    Damaged {
        /// What it should be.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err`: `action` on `path` failed.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// For `map_err`: the API server did not do what was requested.
    #[cfg(feature = "cluster")]
    pub(crate) fn kubernetes(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Kubernetes { doing, source: Box::new(source) }
    }
}
