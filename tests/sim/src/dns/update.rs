//! Records that somebody adds by dynamic update, as an operator's own name server takes them: for challenges by DNS-01, where the
//! cloud's API is not used. Without signatures: whoever reaches the socket is in the node.
//!
//! <https://www.rfc-editor.org/rfc/rfc2136>

use super::{CLASS_IN, HEADER_BYTES, read_name};
use cloudsim_core::cluster::RecordSeen;
use std::sync::{Arc, Mutex, PoisonError};

const OPCODE: u8 = 5;
const TXT: u16 = 16;
/// Type and class of a zone's line; type, class, time to live and length of a record's.
const ZONE_BYTES: usize = 4;
const RECORD_BYTES: usize = 10;
/// Response to an update.
const FLAGS: u16 = 0xA800;
const NOT_IMPLEMENTED: u16 = 4;
/// Far above the challenges of a node's tenants.
const RECORDS_MAX: usize = 1_000;

/// What was added. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Updates(Arc<Mutex<Vec<RecordSeen>>>);

impl Updates {
    pub(super) fn records(&self) -> Vec<RecordSeen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer to an update; `None`: the message is none.
    pub(super) fn answer(&self, message: &[u8]) -> Option<Vec<u8>> {
        if (message.get(2)? >> 3) & 0xF != OPCODE {
            return None;
        }
        let code = if self.take(message).is_some() { 0 } else { NOT_IMPLEMENTED };
        let mut answer = message.get(..2)?.to_vec();
        for field in [FLAGS | code, 0, 0, 0, 0] {
            answer.extend(field.to_be_bytes());
        }
        Some(answer)
    }

    /// Takes the changes; `None`: something else than a TXT record without conditions.
    fn take(&self, message: &[u8]) -> Option<()> {
        let number = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
        let (zones, conditions, changes) = (number(4)?, number(6)?, number(8)?);
        if (zones, conditions) != (1, 0) {
            return None;
        }
        let mut at = read_name(message, HEADER_BYTES)?.1 + ZONE_BYTES;
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..changes {
            let (name, end) = read_name(message, at)?;
            let (kind, class, length) = (number(end)?, number(end + 2)?, usize::from(number(end + 8)?));
            let data = message.get(end + RECORD_BYTES..end + RECORD_BYTES + length)?;
            at = end + RECORD_BYTES + length;
            if kind != TXT {
                return None;
            }
            let value = String::from_utf8_lossy(data.get(1..).unwrap_or_default()).into_owned();
            let record = RecordSeen { name, kind: "TXT".into(), ttl_seconds: 0, values: vec![value] };
            // Any other class takes away.
            records.retain(|known| known.name != record.name || (length > 0 && known.values != record.values));
            if class == CLASS_IN && records.len() < RECORDS_MAX {
                records.push(record);
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_added_and_taken_away() {
        let message = |class: u16| {
            let mut message = vec![1, 2, OPCODE << 3, 0, 0, 1, 0, 0, 0, 1, 0, 0];
            message.extend(super::super::name("acme.example.com"));
            message.extend([0, 6, 0, 1]);
            message.extend(super::super::name("_acme-challenge.acme.example.com"));
            message.extend([0, 16]);
            message.extend(class.to_be_bytes());
            message.extend([0, 0, 0, 60, 0, 4, 3, b'a', b'b', b'c']);
            message
        };
        let updates = Updates::default();
        assert_eq!(updates.answer(&message(1)).unwrap_or_default()[..4], [1, 2, 0xA8, 0]);
        let found = updates.records();
        assert_eq!((found[0].name.as_str(), found[0].values[0].as_str()), ("_acme-challenge.acme.example.com", "abc"));
        assert_eq!(updates.answer(&message(254)).unwrap_or_default()[3], 0);
        assert_eq!(updates.records(), []);
        assert_eq!(updates.answer(&[0; 12]), None, "a question");
    }
}
