//! The table of event reasons in `proto/REASONS.md` is what the code emits.

use std::{collections::BTreeSet, fs};

use crate::{checkout, code_of};

/// Where events are made.
const SOURCES: [&str; 4] = [
    "daemon/engine/src/events.rs",
    "daemon/store/src/contract/accept.rs",
    "daemon/store/src/contract/tenants.rs",
    "daemon/core/src/lifecycle.rs",
];

/// Types of conditions that stand in these files too.
const CONDITIONS: [&str; 1] = ["Progressing"];

/// Literals in CamelCase: reasons, and nothing else in these files.
fn reasons(code: &str) -> BTreeSet<String> {
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
        .filter(|text| !CONDITIONS.contains(text))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_of_event_reasons_is_the_codes() {
    let read = |path: &str| fs::read_to_string(checkout().join(path)).unwrap();
    let text = read("proto/REASONS.md");
    let table = text.split("## Events").nth(1).unwrap();
    let documented: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `").and_then(|rest| rest.split('`').next()))
        .map(str::to_owned)
        .collect();
    let emitted: BTreeSet<String> = SOURCES.iter().flat_map(|path| reasons(code_of(&read(path)))).collect();
    assert_eq!(documented, emitted);
}
