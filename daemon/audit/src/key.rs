//! Keys that sign heads, and those that verify them.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};

use crate::{message, pruning_message};

/// Bytes of an Ed25519 public key.
const KEY_BYTES: usize = 32;
/// What a SubjectPublicKeyInfo of Ed25519 begins with (RFC 8410); the key follows.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Digits of a key's id.
const ID_CHARS: usize = 16;

/// A key that can't be used. The text holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key.
    #[error("holds no Ed25519 private key in PEM (PKCS #8); make one with `openssl genpkey -algorithm ed25519`")]
    Private,
    /// No public key.
    #[error("holds no Ed25519 public key in PEM; `openssl pkey -in KEY -pubout` writes one")]
    Public,
}

/// Signs heads.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Of a PEM file's content (PKCS #8, as `openssl genpkey -algorithm ed25519` writes it).
    ///
    /// # Errors
    /// [`KeyError::Private`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Private)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| KeyError::Private)?;
        let id = id(pair.public_key().as_ref());
        Ok(Self { pair, id })
    }

    /// Which key it is: the beginning of the SHA-256 of the public key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The signature of a head, hexadecimal.
    #[must_use]
    pub fn sign(&self, seq: i64, hash: &str) -> String {
        hex::encode(self.pair.sign(&message(seq, hash)))
    }

    /// The signature of a pruning through a position, hexadecimal.
    #[must_use]
    pub fn sign_pruning(&self, seq: i64, hash: &str) -> String {
        hex::encode(self.pair.sign(&pruning_message(seq, hash)))
    }

    /// The key that verifies its signatures.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { bytes: self.pair.public_key().as_ref().to_vec(), id: self.id.clone() }
    }
}

/// Verifies heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: Vec<u8>,
    id: String,
}

impl PublicKey {
    /// Of a PEM file's content (`openssl pkey -in KEY -pubout`).
    ///
    /// # Errors
    /// [`KeyError::Public`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Public)?;
        match der.as_ref().strip_prefix(&SPKI_PREFIX) {
            Some(bytes) if bytes.len() == KEY_BYTES => Ok(Self { bytes: bytes.to_vec(), id: id(bytes) }),
            _ => Err(KeyError::Public),
        }
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is its private key's signature of a head.
    pub(crate) fn has_signed(&self, seq: i64, hash: &str, signature: &str) -> bool {
        self.verifies(&message(seq, hash), signature)
    }

    /// Whether it is its private key's signature of a pruning.
    pub(crate) fn has_signed_pruning(&self, seq: i64, hash: &str, signature: &str) -> bool {
        self.verifies(&pruning_message(seq, hash), signature)
    }

    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, &signature).is_ok()
    }
}

fn id(public: &[u8]) -> String {
    let mut id = hex::encode(Sha256::digest(public));
    id.truncate(ID_CHARS);
    id
}
