//! The map is true: what ARCHITECTURE.md names exists, the hops of one order among them.

use std::{collections::BTreeSet, fs};

use crate::{checkout, sources};

fn page() -> String {
    fs::read_to_string(checkout().join("ARCHITECTURE.md")).unwrap()
}

/// What stands in back quotes, outside of fenced blocks.
fn quoted(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("```").step_by(2) {
        found.extend(
            part.split('`').skip(1).step_by(2).map(|word| word.split_whitespace().collect::<Vec<_>>().join(" ")),
        );
    }
    found
}

/// Whether a path exists, from the root or (as `store.rs`, `engine/src/execute.rs`) below one of the folders.
fn exists(path: &str) -> bool {
    let root = checkout();
    root.join(path).exists()
        || sources(".", &["rs", "toml", "md", "proto"]).iter().any(|file| file.ends_with(path.trim_end_matches('/')))
        || ["daemon", "tests", "plugins"].iter().any(|folder| root.join(folder).join(path).exists())
}

#[test]
fn files_that_architecture_names_exist() {
    let missing: Vec<String> = quoted(&page())
        .into_iter()
        .filter(|word| {
            word.contains('/') && !word.contains([' ', '{', '*', '<', '…', ':', '.']) || word.ends_with(".rs")
        })
        .filter(|word| !word.contains(' ') && !exists(word))
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what does not exist: {}", missing.join(", "));
}

#[test]
fn functions_of_the_path_of_one_order_exist() {
    let page = page();
    let (_, rest) = page.split_once("## The path of one order").expect("the section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let mut defined = BTreeSet::new();
    for file in sources(".", &["rs"]) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        defined.extend(
            text.split("fn ")
                .skip(1)
                .map(|after| after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()),
        );
    }
    // Functions are written with their parentheses.
    let named = quoted(section).into_iter().filter_map(|word| Some(word.strip_suffix("()")?.to_owned()));
    let named: BTreeSet<String> =
        named.map(|path| path.rsplit([':', '.']).next().unwrap_or_default().to_owned()).collect();
    let missing: Vec<&String> = named.difference(&defined).collect();
    assert!(missing.is_empty(), "the path of one order names functions that do not exist: {missing:?}");
    let hops = section.lines().filter(|line| line.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok()));
    assert_eq!(hops.count(), 10, "one order has ten hops");
}
