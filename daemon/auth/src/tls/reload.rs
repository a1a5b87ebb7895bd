//! Follows the files of a listener.
//!
//! The content is compared, not the time of a change: cert-manager swaps a symbolic link, ACME clients rename, network file
//! systems notify nobody.

use std::{sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Content, TlsError, TlsFiles, build, figures::TlsFigures, validity};

/// Between two observations of the files, which take microseconds; certificates are renewed weeks before they end.
pub const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Keeps a listener's TLS configuration as its files are.
pub struct Reloader {
    listener: String,
    files: TlsFiles,
    figures: TlsFigures,
    /// What is in use.
    used: Content,
    /// What could not be used, so that it is logged once.
    refused: Option<Content>,
    config: watch::Sender<Arc<ServerConfig>>,
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reloader").field("listener", &self.listener).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Reloader {
    /// Reads the files for the first time. `listener` is its name in log and figures.
    ///
    /// # Errors
    /// Files that can't be used.
    pub fn open(listener: &str, files: TlsFiles, figures: TlsFigures) -> Result<Self, TlsError> {
        let used = Content::read(&files)?;
        let (config, _) = watch::channel(Arc::new(build(&files, &used)?));
        figures.begun(listener);
        if let Some(validity) = validity(&used) {
            figures.holds(listener, validity);
        }
        Ok(Self { listener: listener.to_owned(), files, figures, used, refused: None, config })
    }

    /// The configuration for the next connection, always the newest that could be used.
    #[must_use]
    pub fn config(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.config.subscribe()
    }

    /// Follows the files until cancelled; ends with the listener and never before.
    pub async fn run(mut self, interval: Duration, stop: CancellationToken) {
        let mut unreadable = false;
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let files = self.files.clone();
            let Ok(read) = tokio::task::spawn_blocking(move || Content::read(&files)).await else { continue };
            match read {
                Ok(content) => {
                    unreadable = false;
                    self.take(content);
                }
                Err(error) if !unreadable => {
                    unreadable = true;
                    self.refuse(&error);
                }
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, content: Content) {
        if content == self.used || self.refused.as_ref() == Some(&content) {
            return;
        }
        match build(&self.files, &content) {
            Ok(config) => {
                self.config.send_replace(Arc::new(config));
                if let Some(validity) = validity(&content) {
                    self.figures.holds(&self.listener, validity);
                }
                (self.used, self.refused) = (content, None);
                self.figures.reloaded(&self.listener, true);
                tracing::info!(listener = self.listener, "new connections use the new certificate");
            }
            Err(error) => {
                self.refused = Some(content);
                self.refuse(&error);
            }
        }
    }

    fn refuse(&self, error: &TlsError) {
        self.figures.reloaded(&self.listener, false);
        let source = std::error::Error::source(error).map(tracing::field::display);
        tracing::error!(
            listener = self.listener,
            %error,
            source,
            "the changed TLS files can't be used; the certificate of before goes on, and the files are read again"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, path::Path};

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair(folder: &Path) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
        let files = TlsFiles { certificate: folder.join("tls.crt"), key: folder.join("tls.key"), client_ca: None };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o600)).unwrap();
        files
    }

    #[test]
    fn files_that_cannot_be_used_keep_the_pair_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let files = pair(folder.path());
        let figures = TlsFigures::default();
        let mut reloader = Reloader::open("test", files.clone(), figures.clone()).unwrap();
        // Seen before the first failure, or nobody would see that it increased.
        let (mut registry, mut page) = (prometheus_client::registry::Registry::default(), String::new());
        figures.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let begun = r#"landlord_tls_reloads_total{listener="test",outcome="error"} 0"#;
        assert!(page.contains(begun), "{page}");
        let config = reloader.config();
        let first = config.borrow().clone();
        // Half of a pair, as between two writes of a client that does not rename.
        let key = std::fs::read(&files.key).unwrap();
        pair(folder.path());
        let new_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, &key).unwrap();
        reloader.take(Content::read(&files).unwrap());
        reloader.take(Content::read(&files).unwrap());
        assert!(Arc::ptr_eq(&first, &config.borrow()));
        assert_eq!((figures.reloads("test", false), figures.reloads("test", true)), (1, 0));
        // The other half.
        std::fs::write(&files.key, &new_key).unwrap();
        reloader.take(Content::read(&files).unwrap());
        assert!(!Arc::ptr_eq(&first, &config.borrow()));
        assert_eq!((figures.reloads("test", false), figures.reloads("test", true)), (1, 1));
        assert!(figures.expiry("test") > 1_700_000_000, "{}", figures.expiry("test"));
        let begun = figures.expiry("test") - figures.lifetime("test");
        assert!((0..1_700_000_000).contains(&begun), "{begun}");
        for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no pem"] {
            std::fs::write(&files.certificate, text).unwrap();
            assert!(crate::tls::load(&files).is_err(), "{text}");
        }
    }

    #[test]
    fn a_key_that_everybody_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = pair(folder.path());
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = crate::tls::load(&files).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
