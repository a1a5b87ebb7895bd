//! Files and functions that one can read, with names that say what they do.

use std::{fs, path::Path};

use crate::{code_of, show, sources};

/// A file longer than this is two files.
const FILE_LINES_MAX: usize = 400;
/// A function longer than this does two things. Aim at 40.
const FUNCTION_LINES_MAX: usize = 70;
const FOLDERS: [&str; 5] = ["daemon", "plugins", "tests", "examples", "proto"];

fn is_test(path: &Path) -> bool {
    let shown = show(path);
    // What stands under `tests/CRATE/src` is what tests are made with, and code like any other.
    shown.split_once("/tests/").is_some_and(|(_, inside)| !inside.contains("/src/"))
}

#[test]
fn files_are_small_and_say_why_they_exist() {
    let mut problems = Vec::new();
    for path in FOLDERS.iter().flat_map(|folder| sources(folder, &["rs"])) {
        let text = fs::read_to_string(&path).unwrap();
        let lines = code_of(&text).lines().count();
        if lines > FILE_LINES_MAX && !is_test(&path) {
            problems.push(format!("{} has {lines} lines, more than {FILE_LINES_MAX}", show(&path)));
        }
        if !text.trim_start().starts_with("//!") {
            problems.push(format!("{} does not open with why it exists (//!)", show(&path)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn functions_are_small() {
    let mut problems = Vec::new();
    for path in FOLDERS.iter().flat_map(|folder| sources(folder, &["rs"])).filter(|path| !is_test(path)) {
        let text = fs::read_to_string(&path).unwrap();
        for (name, line, lines) in functions(code_of(&text)) {
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!("{}:{line}: {name} has {lines} lines", show(&path)));
            }
        }
    }
    assert!(problems.is_empty(), "functions longer than {FUNCTION_LINES_MAX} lines:\n{}", problems.join("\n"));
}

/// Name, first line and number of lines of each function; rustfmt closes one at the indentation at which it opened.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut open: Vec<(usize, String, usize)> = Vec::new();
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        let before = line.split("fn ").next().unwrap_or_default().trim();
        let is_head = before.split_whitespace().all(|word| {
            word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\"", "in"].contains(&word)
        });
        if is_head && line.contains("fn ") && !line.ends_with(['}', ';']) {
            let name = line.split("fn ").nth(1).unwrap_or_default().split(['(', '<']).next().unwrap_or_default();
            open.push((indentation, name.to_owned(), number));
        } else if line.trim() == "}" {
            // One without a body (a trait's) never closes: what stands deeper is over.
            while open.last().is_some_and(|(deep, _, _)| *deep > indentation) {
                open.pop();
            }
            if let Some((_, name, start)) = open.pop_if(|(deep, _, _)| *deep == indentation) {
                found.push((name, start + 1, number - start + 1));
            }
        }
    }
    found
}

#[test]
fn the_length_of_a_function_is_its_own() {
    let code = "trait T {\n    fn no_body(\n        a: u8,\n    );\n}\nimpl T for U {\n    async fn short() {\n        1\n    }\n\n    pub(crate) fn long(\n        a: u8,\n    ) {\n        if a {\n        }\n    }\n}\n";
    assert_eq!(functions(code), [("short".to_owned(), 7, 3), ("long".to_owned(), 11, 6)]);
}

#[test]
fn modules_have_telling_names() {
    for path in sources(".", &["rs"]) {
        let stem = path.file_stem().unwrap().to_string_lossy().to_string();
        assert!(
            !["utils", "util", "helpers", "helper", "misc", "manager"].contains(&stem.as_str()),
            "{}: name it after what it does",
            show(&path)
        );
    }
}
