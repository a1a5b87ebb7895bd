//! Secrets that need no declaration, and the keyed hash that signatures are made of.

use sha2::{Digest, Sha256};

/// Secrets that are taken where none is known yet.
pub const WELL_KNOWN_SECRETS: [&str; 4] = ["cloudsim", "test", "testing", "secret"];

const BLOCK: usize = 64;

/// HMAC-SHA256.
#[must_use]
pub fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}
