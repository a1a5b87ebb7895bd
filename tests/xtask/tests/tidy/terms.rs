//! Words that say less than the field's own: requests, responses, events, observations and owners are called so.

use std::fs;

use crate::{checkout, show, sources};

/// What nobody writes, and what is written instead.
const TERMS: [(&str, &str); 8] = [
    ("anew", "again, recreated, rebuilt"),
    ("lets in", "admits, authorizes"),
    ("put right", "reconciled"),
    ("stranger", "foreign, not owned by landlord"),
    ("strangers", "foreign, not owned by landlord"),
    ("tells", "reports, shows, names"),
    ("told", "reported, notified, emitted"),
    ("trouble", "failure, degraded, transient error"),
];

/// Folders whose text is ours.
const FOLDERS: [&str; 6] = ["daemon", "plugins", "proto/landlord", "tests", "examples", "config/observability"];

/// What uses a word as a value: ids of clients in a test, this list.
const VALUES: [&str; 2] = ["tests/sim/tests/it/azure_behaviour.rs", "tests/xtask/tests/tidy/terms.rs"];

fn has(line: &str, term: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    line.match_indices(term)
        .any(|(at, _)| !inside(line[..at].chars().next_back()) && !inside(line[at + term.len()..].chars().next()))
}

#[test]
fn words_of_the_field_are_used() {
    let mut files: Vec<_> = FOLDERS.iter().flat_map(|folder| sources(folder, &["rs", "md", "proto"])).collect();
    files.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| checkout().join(name)));
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !VALUES.contains(&show(file).as_str())) {
        for (line, text) in fs::read_to_string(file).unwrap().lines().enumerate() {
            let text = text.to_lowercase();
            for (term, instead) in TERMS.iter().filter(|(term, _)| has(&text, term)) {
                found.push(format!("{}:{}: {term:?}: say {instead}", show(file), line + 1));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_part_of_a_longer_word_is_none() {
    assert!(has("what it told_us", "told") && has("(told)", "told"));
    assert!(!has("untold, troubleshoot", "told") && !has("troubleshoot", "trouble"));
}
