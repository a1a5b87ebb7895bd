//! The chain of the audit log: what whoever writes it and whoever verifies it must agree upon. Knows neither stores nor the API,
//! so that a log can be verified by a program that trusts no daemon.
//!
//! # The chain
//! An entry is a JSON object, kept as the text that was written. Its members `seq` (1, 2, 3, …) and `previous` (the hash of the
//! entry before it, hexadecimal; of the first: [`NONE`]) are part of the text, and its hash is the SHA-256 of the text. So a
//! changed, removed, inserted or reordered entry breaks the chain at the next one.
//!
//! # Heads
//! Whoever can write all of the log can also write a whole new chain. A *head* is a position and its hash, signed (Ed25519) by a
//! key that the database does not have: what stands before a signed head that somebody else knows too can't be rewritten without
//! that key. The daemon signs what the database shows it: whoever rewrites the whole log and takes the heads away gets a new one, so
//! an earlier head must be kept elsewhere. What stands behind the last one is as safe as the database.
//!
//! # The beginning
//! Old entries may be exported and pruned. The entry that records it names the last pruned position, its hash and the file, with the
//! signer's signature ([`pruning_detail`]): a missing beginning that nobody pruned is found, also where whoever can write the database
//! appended an entry that says so.

mod key;
mod pruning;
mod verify;

use sha2::{Digest as _, Sha256};

pub use key::{KeyError, PublicKey, SigningKey};
pub use verify::{Line, Problem, Pruned, Verified, Verifier};

/// What the first entry names as the hash before it.
pub const NONE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Action of the entry that records a pruning.
pub const PRUNE: &str = "PruneAuditEvents";

/// The hash of an entry's text, hexadecimal.
#[must_use]
pub fn hash(entry: &str) -> String {
    hex::encode(Sha256::digest(entry))
}

/// What is signed of a head.
fn message(seq: i64, hash: &str) -> Vec<u8> {
    format!("landlord audit head 1\n{seq}\n{hash}\n").into_bytes()
}

/// What is signed of a pruning. Another text than a head's: the log has signed heads of positions that nobody pruned.
fn pruning_message(seq: i64, hash: &str) -> Vec<u8> {
    format!("landlord audit pruned through 1\n{seq}\n{hash}\n").into_bytes()
}

/// The detail of the entry that records a pruning: `SEQ HASH FILE`, and behind that `KEY SIGNATURE` if it is signed.
///
/// `file`: without blanks. `signed`: the key's id and its signature ([`SigningKey::sign_pruning`]).
#[must_use]
pub fn pruning_detail(seq: i64, hash: &str, file: &str, signed: Option<(&str, &str)>) -> String {
    match signed {
        Some((key, signature)) => format!("{seq} {hash} {file} {key} {signature}"),
        None => format!("{seq} {hash} {file}"),
    }
}
