//! A provider's example configuration (`config/examples`), as its plugin is handed it. Knows the form of the daemon's
//! configuration as far as examples need it, and no cloud.

use landlord_provider_api::v1;
use toml::{Table, Value};

/// One file with one provider.
#[derive(Debug)]
pub struct Example {
    classes: Table,
    provider: Table,
}

fn table(value: &Value) -> &Table {
    value.as_table().expect("a table")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("JSON")
}

impl Example {
    /// The file's text.
    #[must_use]
    pub fn parse(provider: &str, text: &str) -> Self {
        let all: Table = text.parse().expect("TOML");
        Self { classes: table(&all["classes"]).clone(), provider: table(&all["providers"][provider]).clone() }
    }

    /// How the plugin validates classes of level CLUSTER, once a region. `request` makes a good one of parameters.
    pub fn requests(
        &self,
        classes: &[&str],
        request: impl Fn(&str) -> v1::ValidateRequest,
    ) -> Vec<v1::ValidateRequest> {
        let mut all = Vec::new();
        for class in classes.iter().map(|name| &self.classes[*name]) {
            for region in class["regions"].as_array().expect("a list") {
                let mut request = request(&json(&class["parameters"]));
                text(region).clone_into(&mut request.scope.as_mut().expect("a scope").region);
                let pool = request.node_pool.as_mut().expect("a pool");
                text(&class["machine_type"]).clone_into(&mut pool.machine_type);
                all.push(request);
            }
        }
        all
    }

    /// The provider's settings, JSON.
    #[must_use]
    pub fn settings(&self) -> String {
        json(&self.provider["settings"])
    }

    /// A credential scope, JSON. The daemon keeps the account to itself, and replaces a key that ends in `_file` by one
    /// without that ending; what is in the file does not matter here.
    #[must_use]
    pub fn credential(&self, scope: &str) -> String {
        let keys = table(&self.provider["credentials"][scope]).iter().filter(|(key, _)| *key != "account");
        let handed = keys.map(|(key, value)| (key.strip_suffix("_file").unwrap_or(key).to_owned(), value.clone()));
        json(&handed.collect::<Table>())
    }
}
