//! Credential scopes: where the kubeconfig comes from. Secrets enter here and stay in types that
//! do not print them.

use std::path::PathBuf;

use landlord_provider_api::ProviderError;
use landlord_provider_sdk::settings;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{access::Access, files::read_private, kubeconfig};

/// A kubeconfig with a hundred clusters and their certificates has about this size.
const KUBECONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// `credential_json`.
#[derive(Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scope {
    /// The kubeconfig itself.
    Kubeconfig {
        /// Its text.
        kubeconfig: SecretString,
        /// Context; empty: its current one.
        #[serde(default)]
        context: String,
    },
    /// A file, read again for every use.
    KubeconfigFile {
        /// Where; the sandbox must let it be read.
        path: PathBuf,
        /// Context; empty: its current one.
        #[serde(default)]
        context: String,
    },
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kubeconfig { .. } => "Scope::Kubeconfig",
            Self::KubeconfigFile { .. } => "Scope::KubeconfigFile",
        })
    }
}

impl Scope {
    /// Parses a scope.
    ///
    /// # Errors
    /// INVALID. The message never holds a value.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ProviderError> {
        let remedy = "use {\"kind\": \"kubeconfig\", \"kubeconfig\": \"…\"} (in the daemon's configuration: kubeconfig_file = \
                      \"PATH\") or {\"kind\": \"kubeconfig_file\", \"path\": \"…\"}; `context` chooses one of several";
        settings::credential(bytes, remedy)
    }

    /// The access as it is now: files are read at every call, so that what is rotated is seen.
    ///
    /// # Errors
    /// INVALID: what can't be read or used, with what to do.
    pub(crate) fn access(&self) -> Result<Access, ProviderError> {
        match self {
            Self::Kubeconfig { kubeconfig, context } => {
                let chosen = kubeconfig::choose(kubeconfig.expose_secret(), context)?;
                Access::resolve(chosen, None)
            }
            Self::KubeconfigFile { path, context } => {
                let text = read_private(path, KUBECONFIG_BYTES_MAX)?;
                let chosen = kubeconfig::choose(text.expose_secret(), context)?;
                Access::resolve(chosen, path.parent())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_parsed_and_never_printed() {
        for text in [
            r#"{"kind":"kubeconfig","kubeconfig":"hunter2"}"#,
            r#"{"kind":"kubeconfig","kubeconfig":"hunter2","context":"prod"}"#,
            r#"{"kind":"kubeconfig_file","path":"/hunter2"}"#,
        ] {
            let scope = Scope::parse(text.as_bytes()).unwrap();
            assert!(!format!("{scope:?}").contains("hunter2"));
        }
        for text in [
            "",
            r#"{"kind":"kubeconfig"}"#,
            r#"{"kind":"hunter2"}"#,
            r#"{"kind":"kubeconfig","kubeconfig":["hunter2"]}"#,
            r#"{"kind":"kubeconfig","kubeconfig":"hunter2","kontext":"x"}"#,
        ] {
            let error = Scope::parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(error.remedy.contains("kubeconfig_file"));
        }
    }
}
