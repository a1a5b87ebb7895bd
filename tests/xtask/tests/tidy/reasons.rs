//! The tables of reasons of events and conditions in `proto/REASONS.md` are what the code emits.

use std::{collections::BTreeSet, fs};

use crate::{checkout, code_of};

/// Where events are made.
const SOURCES: [&str; 6] = [
    "daemon/engine/src/events.rs",
    "daemon/store/src/contract/accept.rs",
    "daemon/store/src/contract/availability.rs",
    "daemon/store/src/contract/credentials.rs",
    "daemon/store/src/contract/tenants.rs",
    "daemon/core/src/lifecycle.rs",
];

/// Types of conditions that stand in these files too.
const CONDITIONS: [&str; 1] = ["Progressing"];

/// Reasons of events.
fn reasons(code: &str) -> BTreeSet<String> {
    words(code).into_iter().filter(|word| !CONDITIONS.contains(&word.as_str())).collect()
}

/// Literals in CamelCase: reasons and types, and nothing else in these files.
fn words(code: &str) -> BTreeSet<String> {
    let word = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_uppercase())
            && text.len() > 3
            && text.chars().all(|c| c.is_ascii_alphabetic())
            && text.chars().any(|c| c.is_ascii_lowercase())
    };
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(word)
        .map(str::to_owned)
        .collect()
}

/// Where conditions are made; reasons that others know, too, stand there by a name.
const CONDITIONS_SOURCE: &str = "daemon/engine/src/conditions.rs";
const BY_NAME: [(&str, &str); 3] = [
    ("daemon/core/src/lifecycle.rs", "HeldAfterRestore"),
    ("daemon/core/src/environment/status.rs", "CustomerFrozen"),
    ("daemon/core/src/environment/status.rs", "VerifyFailed"),
];

fn read(path: &str) -> String {
    fs::read_to_string(checkout().join(path)).unwrap()
}

/// The rows of a table of `proto/REASONS.md`, each with its words in code style.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = read("proto/REASONS.md");
    let table = text.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let cells = |line: &str| {
        let words = line.split('|').filter_map(|cell| cell.trim().strip_prefix('`')?.strip_suffix('`'));
        words.map(str::to_owned).collect()
    };
    table.lines().skip(1).filter(|line| line.starts_with("| `")).map(cells).collect()
}

#[test]
fn the_table_of_event_reasons_is_the_codes() {
    let documented: BTreeSet<String> = rows("## Events").into_iter().map(|cells| cells[0].clone()).collect();
    let emitted: BTreeSet<String> = SOURCES.iter().flat_map(|path| reasons(code_of(&read(path)))).collect();
    assert_eq!(documented, emitted);
}

#[test]
fn the_table_of_conditions_is_the_codes() {
    let rows = rows("## Conditions");
    assert!(rows.iter().all(|cells| cells.len() == 2), "type and reason: {rows:?}");
    let documented: BTreeSet<String> = rows.iter().flatten().cloned().collect();
    let code = read(CONDITIONS_SOURCE);
    let mut set = words(code_of(&code));
    for (path, reason) in BY_NAME {
        assert!(words(&read(path)).contains(reason));
        set.insert(reason.to_owned());
    }
    assert_eq!(documented, set);
    let pairs: BTreeSet<&Vec<String>> = rows.iter().collect();
    assert_eq!(pairs.len(), rows.len(), "a row stands there twice");
}
