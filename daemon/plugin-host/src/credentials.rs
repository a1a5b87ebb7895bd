//! Where a plugin's credential scope is read again.

/// Reads a credential scope again, as JSON: what `ConfigureRequest.credential_json` holds.
pub struct CredentialSource(Box<dyn Fn() -> Result<Vec<u8>, String> + Send + Sync>);

impl CredentialSource {
    /// A source. `read` returns at once, and says what is wrong without repeating a secret.
    pub fn new(read: impl Fn() -> Result<Vec<u8>, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    pub(crate) fn read(&self) -> Result<Vec<u8>, String> {
        (self.0)()
    }
}

impl std::fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialSource")
    }
}
