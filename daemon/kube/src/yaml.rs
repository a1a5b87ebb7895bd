//! YAML as Kubernetes and Helm read it: version 1.1, where `0440` is octal, as file modes are written.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// How every text is read that Kubernetes or Helm reads, too.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { legacy_octal_numbers: true }
}

/// One document.
///
/// # Errors
/// Where it is no YAML, or not what is asked for.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| error.to_string())
}

/// Documents in their order; empty ones are left out.
///
/// # Errors
/// Where it is no YAML.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_empty_documents_are_none() {
        let found = documents("---\nmode: 0440\n---\n---\nport: 440\nname: \"0440\"\n").unwrap();
        assert_eq!(found, [serde_json::json!({ "mode": 288 }), serde_json::json!({ "port": 440, "name": "0440" })]);
        assert!(documents("a: [").is_err());
    }
}
