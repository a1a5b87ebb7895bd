//! Which packages have an example in their pages that rustdoc compiles: it expands the whole of a crate to find out, for each of forty
//! some five seconds of processor time.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// What a fence may say of an example that is compiled.
/// <https://doc.rust-lang.org/rustdoc/write-documentation/documentation-tests.html#attributes>
const COMPILED: [&str; 5] = ["", "rust", "no_run", "should_panic", "compile_fail"];

/// The arguments of cargo that compile and run the examples of all packages that have one.
pub(crate) fn arguments(folders: &BTreeMap<String, PathBuf>) -> Result<String> {
    let mut arguments = "test --doc --quiet".to_owned();
    for (package, folder) in folders {
        if folder.join("src").is_dir() && folder_has_one(&folder.join("src"))? {
            arguments.push_str(" --package=");
            arguments.push_str(package);
        }
    }
    Ok(arguments)
}

fn folder_has_one(folder: &Path) -> Result<bool> {
    let shown = || format!("can't read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(shown)? {
        let path = entry.with_context(shown)?.path();
        let found = match path.is_dir() {
            true => folder_has_one(&path)?,
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                text_has_one(&fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?)
            }
            false => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a page of a source has a block that rustdoc compiles.
fn text_has_one(text: &str) -> bool {
    let mut is_inside = false;
    text.lines().any(|line| {
        let line = line.trim_start();
        let page = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"));
        let Some(fence) = page.and_then(|page| page.trim().strip_prefix("```")) else { return false };
        is_inside = !is_inside;
        is_inside && fence.split(',').all(|word| COMPILED.contains(&word.trim()) || word.trim().starts_with("edition"))
    })
}

#[cfg(test)]
mod tests {
    use super::text_has_one;

    #[test]
    fn only_what_rustdoc_compiles_is_an_example() {
        for text in
            ["//! ```\n//! a();\n//! ```", "    /// ```no_run\n", "/// ```text\n/// ```\n/// ```rust,edition2024\n"]
        {
            assert!(text_has_one(text), "{text}");
        }
        for text in ["//! ```text\n//! a\n//! ```", "/// ```ignore\n/// a\n/// ```", "// ```\n", "let fence = \"```\";"]
        {
            assert!(!text_has_one(text), "{text}");
        }
    }
}
