//! What an image is made of, as SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>): the crates of the programs and plugins, and the
//! files that come from elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::tree::{Content, Tree};
use crate::report::cargo;

/// Packages whose crates are in it.
const SHIPPED: [&str; 6] = [
    "landlordd",
    "landlord-cli",
    "landlord-plugin-aks",
    "landlord-plugin-eks",
    "landlord-plugin-gke",
    "landlord-plugin-kubernetes",
];

/// The document about the layers of an image.
pub(crate) fn of(layers: &[&Tree], time: u64) -> Result<Value> {
    let mut packages: Vec<Value> = crates()?;
    for (path, entry) in layers.iter().flat_map(|layer| &layer.0) {
        let is_foreign = path.starts_with("usr/lib64/") || path.contains(".so.") || path == "usr/bin/helm";
        if let (Content::File(bytes), true) = (&entry.content, is_foreign) {
            packages.push(json!({
                "SPDXID": format!("SPDXRef-file-{}", identifier(path)), "name": format!("/{path}"),
                "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
                "checksums": [{ "algorithm": "SHA256", "checksumValue": hex::encode(Sha256::digest(bytes)) }],
            }));
        }
    }
    let version = env!("CARGO_PKG_VERSION");
    let describes: Vec<Value> = packages
        .iter()
        .map(|package| {
            json!({ "spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                "relatedSpdxElement": package["SPDXID"] })
        })
        .collect();
    Ok(json!({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("landlord {version}"),
        "documentNamespace": format!("https://landlord.dev/landlord/spdx/{version}/{time}"),
        "creationInfo": { "created": date(time)?, "creators": ["Tool: cargo xtask package oci"] },
        "packages": packages, "relationships": describes,
    }))
}

/// Every crate that is linked into what is shipped, as locked.
fn crates() -> Result<Vec<Value>> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--locked", "--format-version", "1", "--filter-platform", &host];
    let output = cargo().args(arguments).output().context("can't run cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata said nothing that is JSON")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (text(&node["id"]), node)).collect();
    let is_shipped = |package: &Value| SHIPPED.contains(&package["name"].as_str().unwrap_or_default());
    let mut open: Vec<String> = packages.iter().filter(|(_, p)| is_shipped(p)).map(|(id, _)| id.clone()).collect();
    let mut linked: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(id) = open.pop() {
        for dependency in nodes.get(&id).map(|node| list(&node["deps"])).unwrap_or_default() {
            // `null`: linked in; the others are of tests and build scripts.
            let is_linked = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let id = text(&dependency["pkg"]);
            if is_linked && linked.insert(id.clone()) {
                open.push(id);
            }
        }
    }
    Ok(linked.iter().filter_map(|id| packages.get(id)).map(described).collect())
}

fn described(package: &Value) -> Value {
    let (name, version) =
        (package["name"].as_str().unwrap_or_default(), package["version"].as_str().unwrap_or_default());
    // SPDX wants OR where older crates have a slash.
    let license = package["license"].as_str().map_or("NOASSERTION".to_owned(), |license| license.replace('/', " OR "));
    let is_registered = package["source"].as_str().is_some_and(|source| source.starts_with("registry+"));
    let location = if is_registered {
        format!("https://crates.io/crates/{name}/{version}")
    } else {
        package["repository"].as_str().unwrap_or("NOASSERTION").to_owned()
    };
    json!({
        "SPDXID": format!("SPDXRef-crate-{}", identifier(&format!("{name}-{version}"))),
        "name": name, "versionInfo": version, "downloadLocation": location, "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION", "licenseDeclared": license,
        "externalRefs": [{ "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": format!("pkg:cargo/{name}@{version}") }],
    })
}

fn identifier(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

/// Seconds since 1970 as RFC 3339.
pub(crate) fn date(time: u64) -> Result<String> {
    let time = i64::try_from(time).ok().and_then(|time| jiff::Timestamp::from_second(time).ok());
    Ok(time.context("the time of the commit is out of range")?.to_string())
}
