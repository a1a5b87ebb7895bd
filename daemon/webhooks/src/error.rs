//! Why a webhook can't be used.

/// Why a webhook can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not over TLS.
    #[error("is not https; events and their signatures could be read on the way (`insecure = true` allows it)")]
    Insecure,
    /// No URL of a web server.
    #[error("the scheme {0:?} is not https")]
    Scheme(String),
    /// An address that is no public one.
    #[error("{0}")]
    Address(String),
    /// CAs that can't be used.
    #[error("ca_file {path}: {problem}")]
    CaFile {
        /// Which.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The HTTP client refuses.
    #[error("the HTTP client can't be made")]
    Client(#[source] reqwest::Error),
}
