//! The pages for plugin authors name what there is: every method, every case, every key.

use std::{fs, path::Path};

use landlord_conformance::{CASES, Config};
use landlord_provider_api::Method;

fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

#[test]
fn every_method_has_its_page() {
    let contract = page("api/docs/contract.md");
    for method in Method::ALL {
        let heading = format!("\n## {}\n", method.name());
        let (_, section) = contract.split_once(&heading).unwrap_or_else(|| panic!("{} has no page", method.name()));
        let section = section.split("\n## ").next().unwrap();
        for part in ["**Expected flow.**", "**Guarantees.**", "**Errors.**"] {
            assert!(section.contains(part), "{} says nothing under {part}", method.name());
        }
    }
}

#[test]
fn every_case_is_described() {
    let readme = page("README.md");
    for case in CASES {
        assert!(readme.contains(&format!("| `{}` |", case.name)), "{} is not in plugins/README.md", case.name);
    }
}

#[test]
fn every_key_is_described() {
    let readme = page("README.md");
    // The parser itself lists the keys that it knows.
    let known = Config::parse("no_such_key = 1").unwrap_err();
    let (_, listed) = known.split_once("expected one of").unwrap_or_else(|| panic!("{known}"));
    let keys: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() > 20, "{known}");
    for key in keys {
        assert!(readme.contains(&format!("`{key}`")), "{key} is not in plugins/README.md");
    }
}
