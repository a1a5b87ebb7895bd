//! Verifying a chain, entry by entry.

use serde::Deserialize;

use crate::{NONE, PRUNE, PublicKey, hash, pruning::Pruning};

/// An entry as it is kept or exported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The entry's text.
    pub entry: String,
    /// Its hash.
    pub hash: String,
    /// Id of the key that signed it as a head; empty: it is none.
    #[serde(default)]
    pub head_key_id: String,
    /// The signature.
    #[serde(default)]
    pub head_signature: String,
}

/// What an entry says about the chain.
#[derive(Deserialize)]
struct Links {
    seq: i64,
    previous: String,
    action: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    detail: String,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// An entry is no JSON object of its form.
    #[error("the entry after {after} can't be read: {problem}")]
    Unreadable {
        /// Position before it.
        after: i64,
        /// Why.
        problem: String,
    },
    /// The text is not the one that was hashed.
    #[error("entry {0} was changed: its text has another hash")]
    Changed(i64),
    /// Entries are missing, doubled or out of order.
    #[error("entry {found} stands where entry {expected} belongs: entries were removed, inserted or reordered")]
    Order {
        /// Position that is due.
        expected: i64,
        /// Position that is there.
        found: i64,
    },
    /// The entry before it is another one.
    #[error("entry {0} names another hash for the entry before it: that one was changed, or this one inserted")]
    Broken(i64),
    /// A signature that is none.
    #[error("the signature of entry {0} is wrong: the log was rewritten, or signed by another key")]
    Signature(i64),
    /// A signature by a key that is not known.
    #[error("entry {seq} is signed by the key {key}, which was not given; give its public key as well")]
    UnknownKey {
        /// Position.
        seq: i64,
        /// Id of the key.
        key: String,
    },
    /// The beginning is missing and nobody pruned it.
    #[error("the log begins with entry {0}, and no entry shows that those before it were exported and pruned")]
    Beginning(i64),
    /// The beginning is missing, and that it was pruned is signed by nobody.
    #[error(
        "the log begins with entry {first}: entry {entry} says that those before it were exported (the last to {file}) and \
         pruned, and is not signed, so whoever can write the database may have removed them; give their exports"
    )]
    UnsignedPruning {
        /// First position that is there.
        first: i64,
        /// Position of the entry that says so.
        entry: i64,
        /// File that it names.
        file: String,
    },
    /// The end is missing.
    #[error("the log ends with entry {last}, but its end is known to be entry {expected} with the hash {hash}")]
    End {
        /// Last position that is there.
        last: i64,
        /// Last position that there must be.
        expected: i64,
        /// Its hash.
        hash: String,
    },
}

/// A chain that holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Position of the first entry; 0: there is none.
    pub first: i64,
    /// Position of the last one.
    pub last: i64,
    /// Its hash.
    pub hash: String,
    /// Signed heads that were verified.
    pub heads: u64,
    /// Position of the last of them; 0: none.
    pub signed: i64,
    /// That those before the first entry were exported and pruned; `None`: the log is there from entry 1 on.
    pub pruned: Option<Pruned>,
}

/// A beginning that was exported and pruned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruned {
    /// Last position that went.
    pub through: i64,
    /// File that the last of them were exported to.
    pub file: String,
    /// Position of the entry that says so.
    pub entry: i64,
    /// Whether its signature was verified; never without keys.
    pub signed: bool,
}

/// Verifies a log from its first entry to its last.
#[derive(Debug, Default)]
pub struct Verifier {
    keys: Vec<PublicKey>,
    verified: Verified,
    /// Hash that the first entry names before it.
    before: String,
    unsigned_prunings: bool,
}

impl Verifier {
    /// `keys`: whose heads are believed; none: signatures are not looked at.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Believes entries of prunings that nobody signed, also where keys are given: daemons without a key, and those of before
    /// prunings were signed, left such.
    #[must_use]
    pub fn with_unsigned_prunings(self, believed: bool) -> Self {
        Self { unsigned_prunings: believed, ..self }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// What is wrong with it; what follows it can't be judged any more.
    pub fn take(&mut self, line: &Line) -> Result<(), Problem> {
        let after = self.verified.last;
        let unreadable = |error: serde_json::Error| Problem::Unreadable { after, problem: error.to_string() };
        let links: Links = serde_json::from_str(&line.entry).map_err(unreadable)?;
        if hash(&line.entry) != line.hash {
            return Err(Problem::Changed(links.seq));
        }
        if self.verified.first == 0 {
            self.begin(&links)?;
        } else if links.seq != after + 1 {
            return Err(Problem::Order { expected: after + 1, found: links.seq });
        } else if links.previous != self.verified.hash {
            return Err(Problem::Broken(links.seq));
        }
        self.verified.last = links.seq;
        self.verified.hash.clone_from(&line.hash);
        if links.action == PRUNE && links.resource == "auditEvents" {
            self.pruning(links.seq, &links.detail)?;
        }
        self.head(links.seq, line)
    }

    /// Takes an entry that says what was pruned. One through another position than is missing here shows nothing.
    fn pruning(&mut self, entry: i64, detail: &str) -> Result<(), Problem> {
        let Some(pruning) = Pruning::parse(detail) else { return Ok(()) };
        if pruning.seq < 1 || (pruning.seq, pruning.hash) != (self.verified.first - 1, self.before.as_str()) {
            return Ok(());
        }
        let signed = match pruning.signed.filter(|_| !self.keys.is_empty()) {
            None => false,
            Some((id, signature)) => {
                let Some(key) = self.keys.iter().find(|key| key.id() == id) else {
                    return Err(Problem::UnknownKey { seq: entry, key: id.to_owned() });
                };
                if !key.has_signed_pruning(pruning.seq, pruning.hash, signature) {
                    return Err(Problem::Signature(entry));
                }
                true
            }
        };
        if signed || self.verified.pruned.is_none() {
            let (through, file) = (pruning.seq, pruning.file.to_owned());
            self.verified.pruned = Some(Pruned { through, file, entry, signed });
        }
        Ok(())
    }

    fn begin(&mut self, links: &Links) -> Result<(), Problem> {
        if links.seq < 1 {
            return Err(Problem::Order { expected: 1, found: links.seq });
        }
        if links.seq == 1 && links.previous != NONE {
            return Err(Problem::Broken(1));
        }
        self.verified.first = links.seq;
        self.before.clone_from(&links.previous);
        Ok(())
    }

    fn head(&mut self, seq: i64, line: &Line) -> Result<(), Problem> {
        if line.head_signature.is_empty() || self.keys.is_empty() {
            return Ok(());
        }
        let Some(key) = self.keys.iter().find(|key| key.id() == line.head_key_id) else {
            return Err(Problem::UnknownKey { seq, key: line.head_key_id.clone() });
        };
        if !key.has_signed(seq, &line.hash, &line.head_signature) {
            return Err(Problem::Signature(seq));
        }
        self.verified.heads += 1;
        self.verified.signed = seq;
        Ok(())
    }

    /// Position and hash of the last entry so far.
    #[must_use]
    pub fn so_far(&self) -> (i64, &str) {
        (self.verified.last, &self.verified.hash)
    }

    /// Judges the whole. `end`: where the log is known to end, or to have been before it went on.
    ///
    /// # Errors
    /// A beginning or an end that is missing.
    pub fn end(self, end: Option<(i64, &str)>) -> Result<Verified, Problem> {
        if let Some((expected, hash)) = end
            && (expected, hash) != (self.verified.last, self.verified.hash.as_str())
            && expected > 0
        {
            return Err(Problem::End { last: self.verified.last, expected, hash: hash.to_owned() });
        }
        let first = self.verified.first;
        match &self.verified.pruned {
            None if first > 1 => Err(Problem::Beginning(first)),
            Some(Pruned { entry, file, signed: false, .. }) if !self.keys.is_empty() && !self.unsigned_prunings => {
                Err(Problem::UnsignedPruning { first, entry: *entry, file: file.clone() })
            }
            None | Some(_) => Ok(self.verified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SigningKey, pruning_detail};

    /// Made by `openssl genpkey -algorithm ed25519`, for this test only.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MC4CAQAwBQYDK2VwBCIEIL3QlMDGfnr0NgMuTfET+4fkND6wM43sm+OoKfWM4SSv\n\
                       -----END PRIVATE KEY-----\n";

    fn key() -> SigningKey {
        SigningKey::from_pem(KEY).unwrap()
    }

    /// A log of ten entries, of which the fifth and the tenth are signed.
    fn log() -> Vec<Line> {
        let (mut previous, mut lines) = (NONE.to_owned(), Vec::new());
        for seq in 1..=10 {
            let entry = format!(r#"{{"seq":{seq},"previous":"{previous}","action":"CreateTenant"}}"#);
            let hash = hash(&entry);
            let signature = if seq % 5 == 0 { key().sign(seq, &hash) } else { String::new() };
            let head_key_id = if signature.is_empty() { String::new() } else { key().id().to_owned() };
            previous.clone_from(&hash);
            lines.push(Line { entry, hash, head_key_id, head_signature: signature });
        }
        lines
    }

    fn verify(lines: &[Line]) -> Result<Verified, Problem> {
        let mut verifier = Verifier::new(vec![key().public()]);
        lines.iter().try_for_each(|line| verifier.take(line))?;
        let last = log().pop().unwrap();
        verifier.end(Some((10, &last.hash)))
    }

    #[test]
    fn a_whole_log_holds() {
        let verified = verify(&log()).unwrap();
        assert_eq!((verified.first, verified.last, verified.heads, verified.signed), (1, 10, 2, 10));
    }

    #[test]
    fn any_single_change_is_found() {
        let whole = log();
        for index in 0..whole.len() {
            let mut removed = whole.clone();
            removed.remove(index);
            verify(&removed).unwrap_err();
            let mut doubled = whole.clone();
            doubled.insert(index, whole[index].clone());
            verify(&doubled).unwrap_err();
            let mut changed = whole.clone();
            changed[index].entry = changed[index].entry.replace("Create", "Delete");
            assert_eq!(verify(&changed).unwrap_err(), Problem::Changed(index as i64 + 1));
            // Also with a hash that fits.
            changed[index].hash = hash(&changed[index].entry);
            verify(&changed).unwrap_err();
            if index > 0 {
                let mut swapped = whole.clone();
                swapped.swap(index - 1, index);
                verify(&swapped).unwrap_err();
            }
        }
    }

    #[test]
    fn a_log_that_was_rewritten_is_not_signed() {
        let mut lines = log();
        let mut previous = NONE.to_owned();
        for line in &mut lines {
            let links: Links = serde_json::from_str(&line.entry).unwrap();
            line.entry = line.entry.replace(&links.previous, &previous).replace("Create", "Delete");
            line.hash = hash(&line.entry);
            previous.clone_from(&line.hash);
        }
        let mut verifier = Verifier::new(vec![key().public()]);
        let found = lines.iter().try_for_each(|line| verifier.take(line));
        assert_eq!(found, Err(Problem::Signature(5)));
        // Who has no key verifies nothing of it, and who has another one cannot judge.
        let mut verifier = Verifier::default();
        lines.iter().try_for_each(|line| verifier.take(line)).unwrap();
        assert_eq!(verifier.end(None).unwrap().heads, 0);
    }

    #[test]
    fn a_beginning_must_have_been_pruned() {
        let mut lines = log();
        let through = lines[2].hash.clone();
        let last = lines.last().unwrap().hash.clone();
        let pruning = pruning(&last, &pruning_detail(3, &through, "audit-1-3.jsonl", None));
        lines.drain(..3);
        let judge = |lines: &[Line]| {
            let mut verifier = Verifier::default();
            lines.iter().try_for_each(|line| verifier.take(line)).unwrap();
            verifier.end(None)
        };
        assert_eq!(judge(&lines), Err(Problem::Beginning(4)));
        lines.push(pruning);
        let verified = judge(&lines).unwrap();
        assert_eq!(
            (verified.first, verified.pruned.map(|pruned| (pruned.through, pruned.signed))),
            (4, Some((3, false)))
        );
        lines.remove(0);
        assert_eq!(judge(&lines), Err(Problem::Beginning(5)));
    }

    /// Entry 11, which says what was pruned.
    fn pruning(previous: &str, detail: &str) -> Line {
        let entry = format!(
            r#"{{"seq":11,"previous":"{previous}","action":"{PRUNE}","resource":"auditEvents","detail":"{detail}"}}"#
        );
        Line { hash: hash(&entry), entry, head_key_id: String::new(), head_signature: String::new() }
    }

    #[test]
    fn with_a_key_only_the_signer_prunes() {
        let whole = log();
        let (last, through) = (whole[9].hash.clone(), whole[4].hash.clone());
        // Whoever writes the database removes five entries with their signed head, and appends an entry that says so.
        let judge = |signed: Option<(&str, &str)>, believed: bool| {
            let rest =
                [&whole[5..], &[pruning(&last, &pruning_detail(5, &through, "audit-1-5.jsonl", signed))]].concat();
            let mut verifier = Verifier::new(vec![key().public()]).with_unsigned_prunings(believed);
            rest.iter().try_for_each(|line| verifier.take(line))?;
            verifier.end(None)
        };
        let unsigned = Problem::UnsignedPruning { first: 6, entry: 11, file: "audit-1-5.jsonl".into() };
        assert_eq!(judge(None, false), Err(unsigned));
        assert!(!judge(None, true).unwrap().pruned.unwrap().signed);
        // Neither does the signature of the head that stood there make it a pruning, nor another key's.
        let (key, head) = (key(), whole[4].head_signature.clone());
        for believed in [false, true] {
            assert_eq!(judge(Some((key.id(), &head)), believed), Err(Problem::Signature(11)));
            let unknown = Problem::UnknownKey { seq: 11, key: "other".into() };
            assert_eq!(judge(Some(("other", &head)), believed), Err(unknown));
        }
        let signature = key.sign_pruning(5, &through);
        let pruned = Pruned { through: 5, file: "audit-1-5.jsonl".into(), entry: 11, signed: true };
        assert_eq!(judge(Some((key.id(), &signature)), false).unwrap().pruned, Some(pruned));
    }

    #[test]
    fn keys_are_read_as_openssl_writes_them() {
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA7LtPGmHcyV7uTr9GrerMRrdybk4zRP18SIgY/p3IJ7s=\n-----END PUBLIC KEY-----\n";
        assert_eq!(PublicKey::from_pem(public), Ok(key().public()));
        for wrong in ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(SigningKey::from_pem(wrong).is_err() && PublicKey::from_pem(wrong).is_err(), "{wrong}");
        }
    }
}
