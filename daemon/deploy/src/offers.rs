//! What a tenant may set in the stacks: the paths that a manifest leaves to tenants, checked against the charts' schemas
//! before anything is made.

use std::{collections::BTreeMap, fmt};

use jsonschema::Validator;
use landlord_core::{
    StackName, Violation,
    ports::{StackParameter, Stacks},
};
use landlord_kube::{file, yaml};
use serde_json::{Map, Value};

use crate::{
    chart::CHART_FILE_BYTES_MAX,
    error::{Error, Result},
    render::forbidden,
    stack::{Release, Stack},
};

/// The stacks, as far as tenants set values in them.
pub struct StackOffers {
    stacks: BTreeMap<StackName, Vec<Offer>>,
}

/// A release, with what its chart says of its values.
struct Offer {
    release: Release,
    /// `None`: the chart has no schema, or is not here.
    schema: Option<Value>,
    validator: Option<Validator>,
    defaults: Value,
}

impl fmt::Debug for StackOffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackOffers").field("stacks", &self.stacks.keys()).finish()
    }
}

impl StackOffers {
    /// Reads the charts' schemas and default values.
    ///
    /// # Errors
    /// [`Error::Stack`] for a schema or values that can't be read.
    pub fn load(stacks: &BTreeMap<StackName, Stack>) -> Result<Self> {
        let offers = |stack: &Stack| -> Result<Vec<Offer>> {
            stack.manifest.releases.iter().map(|release| offer(stack, release)).collect()
        };
        let stacks = stacks.iter().map(|(name, stack)| Ok((name.clone(), offers(stack)?)));
        Ok(Self { stacks: stacks.collect::<Result<_>>()? })
    }
}

fn offer(stack: &Stack, release: &Release) -> Result<Offer> {
    let (mut schema, mut defaults) = (None, Value::Null);
    if let Some(folder) = stack.chart_folder(release) {
        let path = folder.join("values.schema.json");
        let problem = |problem: String| Error::Stack { path: path.clone(), problem };
        if path.is_file() {
            let text = file::text(&path, CHART_FILE_BYTES_MAX).map_err(Error::file("read", &path))?;
            let mut whole: Value = serde_json::from_str(&text).map_err(|error| problem(error.to_string()))?;
            drop_required(&mut whole);
            schema = Some(whole);
        }
        let path = folder.join("values.yaml");
        if path.is_file() {
            let text = file::text(&path, CHART_FILE_BYTES_MAX).map_err(Error::file("read", &path))?;
            let problem = |problem: String| Error::Stack { path: path.clone(), problem };
            defaults = yaml::read(&text).map_err(problem)?;
        }
    }
    let validator = schema.as_ref().map(jsonschema::validator_for).transpose();
    let validator = validator.map_err(|error| Error::Stack {
        path: stack.chart_folder(release).unwrap_or_default().join("values.schema.json"),
        problem: error.to_string(),
    })?;
    Ok(Offer { release: release.clone(), schema, validator, defaults })
}

/// What a tenant sets is a part of the values: the rest is the stack's.
fn drop_required(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            // A property may have this name too; it is then a schema, not a list of names.
            if map.get("required").is_some_and(Value::is_array) {
                map.remove("required");
            }
            map.values_mut().for_each(drop_required);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_required),
        _ => {}
    }
}

impl Stacks for StackOffers {
    fn check(&self, stack: &StackName, values: &Map<String, Value>) -> Vec<Violation> {
        let Some(offers) = self.stacks.get(stack) else {
            let problem = format!("the stack {stack} does not exist; ask the operator");
            return vec![Violation { field: "stack_values".into(), description: problem }];
        };
        let mut violations = Vec::new();
        for (app, value) in values {
            match offers.iter().find(|offer| offer.release.name.as_str() == app) {
                Some(offer) => violations.extend(offer.check(value)),
                None => {
                    let apps: Vec<&str> = offers.iter().map(|offer| offer.release.name.as_str()).collect();
                    let description = format!("the stack {stack} has no such app; it has: {}", apps.join(", "));
                    violations.push(Violation { field: format!("stack_values.{app}"), description });
                }
            }
        }
        violations
    }

    fn parameters(&self, stack: &StackName) -> Vec<StackParameter> {
        let offers = self.stacks.get(stack).map(Vec::as_slice).unwrap_or_default();
        let of = |offer: &Offer| offer.release.tenant_values.iter().map(|path| offer.parameter(path)).collect();
        offers.iter().flat_map(|offer| -> Vec<StackParameter> { of(offer) }).collect()
    }
}

impl Offer {
    fn check(&self, value: &Value) -> Vec<Violation> {
        let app = &self.release.name;
        if !value.is_object() {
            let description = "must be an object with values of the app".to_owned();
            return vec![Violation { field: format!("stack_values.{app}"), description }];
        }
        let mut violations = Vec::new();
        let allowed = self.release.tenant_values.join(", ");
        for path in forbidden(&self.release, value) {
            let description = match allowed.as_str() {
                "" => "can't be set; the app leaves nothing to tenants".to_owned(),
                allowed => format!("can't be set; a tenant may set: {allowed}"),
            };
            violations.push(Violation { field: format!("stack_values.{app}.{path}"), description });
        }
        let Some(validator) = &self.validator else { return violations };
        for error in validator.iter_errors(value) {
            let path = error.instance_path().to_string().replace('/', ".");
            let field = format!("stack_values.{app}{path}");
            // What is not the tenant's to set needs no second complaint.
            if !violations.iter().any(|known| known.field.starts_with(&field)) {
                violations.push(Violation { field, description: error.to_string() });
            }
        }
        violations
    }

    fn parameter(&self, path: &str) -> StackParameter {
        let within = |start: Option<&Value>, level: Option<&str>| -> Option<Value> {
            let found = path.split('.').try_fold(start?, |value, key| match level {
                Some(level) => value.get(level)?.get(key),
                None => value.get(key),
            });
            found.cloned()
        };
        let stacks_own = Value::Object(self.release.values.clone());
        StackParameter {
            path: format!("{}.{path}", self.release.name),
            schema: within(self.schema.as_ref(), Some("properties")),
            default_value: within(Some(&stacks_own), None).or_else(|| within(Some(&self.defaults), None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn offers() -> StackOffers {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/stacks");
        StackOffers::load(&crate::stack::load_all(&folder, &BTreeMap::new(), &BTreeMap::new()).unwrap()).unwrap()
    }

    #[test]
    fn whatever_the_charts_would_refuse_is_refused_before_with_all_faults_at_once() {
        let offers = offers();
        let check = |values: Value| -> Vec<String> {
            let found = offers.check(&"ai-fileserver".parse().unwrap(), values.as_object().unwrap());
            found.into_iter().map(|violation| violation.field).collect()
        };
        assert_eq!(check(json!({})), [""; 0]);
        let fine = json!({"ollama": {"keepAlive": "10m"}, "open-webui": {"files": {"intervalSeconds": 60}}});
        assert_eq!(check(fine), [""; 0]);
        for (values, expected) in [
            (json!({"nope": {"a": 1}}), vec!["stack_values.nope"]),
            (json!({"ollama": 3}), vec!["stack_values.ollama"]),
            (json!({"ollama": {"networkPolicy": {"enabled": {}}}}), vec!["stack_values.ollama.networkPolicy.enabled"]),
            (json!({"ollama": {"networkPolicy": {}}}), vec!["stack_values.ollama.networkPolicy"]),
            (json!({"ollama": {"keepAlive": 3}}), vec!["stack_values.ollama.keepAlive"]),
            (json!({"ollama": {"keepAlive": null}}), vec!["stack_values.ollama.keepAlive"]),
            (
                json!({"open-webui": {"files": {"intervalSeconds": "often"}}, "ollama": {"models": "llama", "x": 1}}),
                vec![
                    "stack_values.ollama.x",
                    "stack_values.ollama.models",
                    "stack_values.open-webui.files.intervalSeconds",
                ],
            ),
        ] {
            let (mut found, mut expected) = (check(values.clone()), expected);
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected, "{values}");
        }
        let unknown = offers.check(&"none".parse().unwrap(), &Map::new());
        assert_eq!(unknown.len(), 1);
    }

    #[test]
    fn every_parameter_of_every_stack_has_a_schema() {
        let offers = offers();
        for stack in offers.stacks.keys() {
            let parameters = offers.parameters(stack);
            assert!(!parameters.is_empty(), "{stack}");
            for parameter in parameters {
                assert!(parameter.schema.is_some(), "{stack}: {parameter:?}");
            }
        }
    }
}
