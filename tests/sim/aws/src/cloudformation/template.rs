//! Templates: validation, parameters, dependencies. Pure: no world, no clock.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>. JSON
//! only; YAML is refused as AWS refuses what it cannot parse.

use super::{
    intrinsics::Lookup,
    values::{invalid, scalar},
};
use cloudsim_core::call::Result;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Parses a template.
///
/// # Errors
/// Not JSON, or without resources.
pub(crate) fn parse(body: &str) -> Result<Value> {
    let template: Value =
        serde_json::from_str(body).map_err(|_| invalid("Template format error: JSON not well-formed."))?;
    let resources = template.get("Resources").and_then(Value::as_object);
    if resources.is_none_or(Map::is_empty) {
        return Err(invalid("Template format error: At least one Resources member must be defined."));
    }
    Ok(template)
}

/// The parameters in force: given ones over defaults.
///
/// # Errors
/// Missing, unknown, or not allowed values.
pub(crate) fn parameters(template: &Value, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let none = Map::new();
    let declared = template.get("Parameters").and_then(Value::as_object).unwrap_or(&none);
    let unknown: Vec<&str> = given.keys().filter(|k| !declared.contains_key(*k)).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(invalid(format!("Parameters: [{}] do not exist in the template", unknown.join(", "))));
    }
    let mut all = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, declaration) in declared {
        let default = declaration.get("Default").map(scalar);
        let Some(value) = given.get(name).cloned().or(default) else {
            missing.push(name.as_str());
            continue;
        };
        let allowed = declaration.get("AllowedValues").and_then(Value::as_array);
        if allowed.is_some_and(|a| !a.iter().any(|v| scalar(v) == value)) {
            return Err(invalid(format!("Parameter '{name}' must be one of AllowedValues")));
        }
        all.insert(name.clone(), value);
    }
    if !missing.is_empty() {
        return Err(invalid(format!("Parameters: [{}] must have values", missing.join(", "))));
    }
    Ok(all)
}

/// The resources whose condition holds, with what each needs.
///
/// # Errors
/// Unresolved or circular dependencies, bad conditions.
pub(crate) fn graph(lookup: &Lookup) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let none = Map::new();
    let declared = lookup.template.get("Resources").and_then(Value::as_object).unwrap_or(&none);
    let mut included = BTreeSet::new();
    for (name, resource) in declared {
        let holds = match resource.get("Condition").and_then(Value::as_str) {
            Some(condition) => lookup.condition(condition)?,
            None => true,
        };
        if holds {
            included.insert(name.clone());
        }
    }
    let mut needs = BTreeMap::new();
    let mut unresolved = BTreeSet::new();
    for name in &included {
        let mut found = BTreeSet::new();
        let resource = &declared[name];
        lookup.references(resource.get("Properties").unwrap_or(&Value::Null), &mut found);
        match resource.get("DependsOn") {
            Some(Value::String(one)) => drop(found.insert(one.clone())),
            Some(Value::Array(many)) => found.extend(many.iter().map(scalar)),
            _ => {}
        }
        unresolved.extend(found.iter().filter(|f| !declared.contains_key(*f)).cloned());
        found.retain(|f| included.contains(f));
        needs.insert(name.clone(), found);
    }
    if !unresolved.is_empty() {
        let names: Vec<String> = unresolved.into_iter().collect();
        return Err(invalid(format!(
            "Template format error: Unresolved resource dependencies [{}] in the Resources block of the template",
            names.join(", ")
        )));
    }
    refuse_cycles(&needs)?;
    Ok(needs)
}

fn refuse_cycles(needs: &BTreeMap<String, BTreeSet<String>>) -> Result<()> {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < needs.len() {
        let ready: Vec<&str> = needs
            .iter()
            .filter(|(name, wants)| !done.contains(name.as_str()) && wants.iter().all(|w| done.contains(w.as_str())))
            .map(|(name, _)| name.as_str())
            .collect();
        if ready.is_empty() {
            let rest: Vec<&str> = needs.keys().map(String::as_str).filter(|n| !done.contains(n)).collect();
            return Err(invalid(format!("Circular dependency between resources: [{}]", rest.join(", "))));
        }
        done.extend(ready);
    }
    Ok(())
}
