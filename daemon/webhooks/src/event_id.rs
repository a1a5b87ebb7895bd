//! Ids of events as receivers know them: one for each position, the same at every attempt, and telling nothing of how much
//! happens to others.

use aws_lc_rs::{
    cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey},
    hmac,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

/// Bytes of a block of AES: a position, and zeros by which a made-up id is known.
const BLOCK_BYTES: usize = 16;
const POSITION_BYTES: usize = 8;
/// What ids begin with, as Standard Webhooks recommends.
const PREFIX: &str = "evt_";

/// Makes and reads ids by the store's secret: every daemon on one store makes the same. One block under one cipher is a
/// permutation, so that no two positions share an id.
pub(crate) struct EventIds {
    key: [u8; 32],
}

impl EventIds {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), b"landlord webhook event ids");
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        Self { key }
    }

    /// The id of a position; `None`: the cryptographic library refuses, which it never does for a key of this length.
    pub(crate) fn id(&self, position: i64) -> Option<String> {
        let key = EncryptingKey::ecb(UnboundCipherKey::new(&AES_256, &self.key).ok()?).ok()?;
        let mut block = [0; BLOCK_BYTES];
        block[..POSITION_BYTES].copy_from_slice(&position.to_be_bytes());
        key.encrypt(&mut block).ok()?;
        Some(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(block)))
    }

    /// The position of an id; `None`: it was not made by this store.
    pub(crate) fn position(&self, id: &str) -> Option<i64> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(id.strip_prefix(PREFIX)?).ok()?;
        let mut block: [u8; BLOCK_BYTES] = bytes.try_into().ok()?;
        let key = DecryptingKey::ecb(UnboundCipherKey::new(&AES_256, &self.key).ok()?).ok()?;
        let plain = key.decrypt(&mut block, DecryptionContext::None).ok()?;
        let (position, zeros) = plain.split_first_chunk::<POSITION_BYTES>()?;
        zeros.iter().all(|byte| *byte == 0).then(|| i64::from_be_bytes(*position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_always_the_same_and_reveals_nothing() {
        let ids = EventIds::new(&[7; 32]);
        for position in [1, 2, 4_711, i64::MAX] {
            let id = ids.id(position).unwrap();
            assert_eq!(EventIds::new(&[7; 32]).id(position).unwrap(), id);
            assert_eq!(ids.position(&id), Some(position));
            assert_eq!(EventIds::new(&[8; 32]).position(&id), None);
        }
        let (first, second) = (ids.id(1).unwrap(), ids.id(2).unwrap());
        let alike = first.chars().zip(second.chars()).skip(PREFIX.len()).filter(|(a, b)| a == b).count();
        assert!(alike < 8, "{first} {second}");
        for bad in ["", "evt_", "1", "evt_AAAAAAAAAAAAAAAAAAAAAA", "evt_!", &first[1..]] {
            assert_eq!(ids.position(bad), None, "{bad}");
        }
    }
}
