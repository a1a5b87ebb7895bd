//! The map is true: what ARCHITECTURE.md names exists, the hops of one order among them.

use std::fs;

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

/// The hops of one order: the text of each.
fn hops(page: &str) -> Vec<String> {
    let (_, rest) = page.split_once("## The path of one order").expect("the section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let mut hops: Vec<String> = Vec::new();
    for line in section.lines() {
        let number = line.split_once(". ").and_then(|(number, _)| number.parse::<usize>().ok());
        if number == Some(hops.len() + 1) {
            hops.push(line.to_owned());
        } else if let Some(hop) = hops.last_mut().filter(|_| line.starts_with("   ")) {
            hop.push('\n');
            hop.push_str(line);
        } else if !hops.is_empty() {
            break;
        }
    }
    hops
}

/// What a hop names wrongly: no file, a file that is not there, or a function that none of its files has.
fn problems_of(hop: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let named = quoted(hop);
    let files: Vec<&String> = named.iter().filter(|word| word.ends_with(".rs") || word.ends_with(".proto")).collect();
    let functions: Vec<&str> = named.iter().filter_map(|word| word.strip_suffix("()")).collect();
    let texts: Vec<Option<String>> = files.iter().map(|file| read(file)).collect();
    let mut problems: Vec<String> = files
        .iter()
        .zip(&texts)
        .filter(|(_, text)| text.is_none())
        .map(|(file, _)| format!("{file} is not there"))
        .collect();
    if files.is_empty() || functions.is_empty() {
        problems.push(format!("a hop names a file and its function: {hop}"));
    }
    let is_defined = |function: &str, text: &String| {
        ["fn ", "rpc "].iter().any(|word| {
            text.match_indices(&format!("{word}{function}"))
                .any(|(at, found)| text[at + found.len()..].starts_with(['(', '<']))
        })
    };
    let defined = |function: &&&str| texts.iter().flatten().any(|text| is_defined(function, text));
    problems.extend(
        functions
            .iter()
            .filter(|function| !defined(function))
            .map(|function| format!("no file of it has {function}()")),
    );
    problems
}

#[test]
fn functions_of_the_path_of_one_order_exist() {
    let hops = hops(&page());
    assert_eq!(hops.len(), 10, "one order has ten hops");
    let read = |file: &str| fs::read_to_string(checkout().join(file)).ok();
    let problems: Vec<String> = hops
        .iter()
        .enumerate()
        .flat_map(|(at, hop)| {
            problems_of(hop, read).into_iter().map(move |problem| format!("hop {}: {problem}", at + 1))
        })
        .collect();
    assert!(problems.is_empty(), "the path of one order is not the code's:\n{}", problems.join("\n"));
}

#[test]
fn a_hop_that_moved_is_noticed() {
    let read = |file: &str| (file == "a/b.rs").then(|| "impl T {\n    async fn run<W>(a: u8) {}\n}".to_owned());
    assert!(problems_of("1. `a/b.rs`, `run()` – works", read).is_empty());
    assert_eq!(problems_of("1. `a/b.rs`, `ran()`", read).len(), 1);
    assert_eq!(problems_of("1. `a/b.rs`, `ru()`", read).len(), 1);
    assert_eq!(problems_of("1. `a/c.rs`, `run()`", read).len(), 2);
    assert_eq!(problems_of("1. the tenant is READY", read).len(), 1);
    let page = "## The path of one order\n\n1. one\n   two\n2. three\n\nAfter\n   all\n## Next\n";
    assert_eq!(hops(page), ["1. one\n   two", "2. three"]);
}
