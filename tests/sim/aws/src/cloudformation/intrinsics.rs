//! Intrinsic functions and conditions. Pure.
//!
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>.

use super::values::{invalid, scalar};
use cloudsim_core::call::Result;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Where references are looked up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lookup {
    /// The template.
    pub template: Value,
    /// Parameters and pseudo parameters.
    pub parameters: BTreeMap<String, String>,
    /// Zones of the Region.
    pub zones: Vec<String>,
    /// Physical ids (what Ref gives) by logical id.
    pub physical: BTreeMap<String, String>,
    /// Attributes by logical id.
    pub attributes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Lookup {
    /// Whether the condition called `name` holds.
    ///
    /// # Errors
    /// No such condition, or a bad one.
    pub(crate) fn condition(&self, name: &str) -> Result<bool> {
        let conditions = self.template.get("Conditions");
        let body = conditions.and_then(|c| c.get(name)).ok_or_else(|| {
            invalid(format!("Template format error: Unresolved condition dependency {name} in the template"))
        })?;
        self.truth(body)
    }

    fn truth(&self, body: &Value) -> Result<bool> {
        let bad = || invalid("Template error: every condition must be an intrinsic condition function");
        let (function, argument) = body.as_object().and_then(|o| o.iter().next()).ok_or_else(bad)?;
        let list = argument.as_array().cloned().unwrap_or_default();
        match function.as_str() {
            "Condition" => self.condition(&scalar(argument)),
            "Fn::Equals" if list.len() == 2 => Ok(self.resolve(&list[0])? == self.resolve(&list[1])?),
            "Fn::Not" if list.len() == 1 => Ok(!self.truth(&list[0])?),
            "Fn::And" => list.iter().try_fold(true, |all, c| Ok(all && self.truth(c)?)),
            "Fn::Or" => list.iter().try_fold(false, |any, c| Ok(any || self.truth(c)?)),
            _ => Err(bad()),
        }
    }

    /// Logical ids that a value refers to; parameters are left out.
    pub(crate) fn references(&self, value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|i| self.references(i, found)),
            Value::Object(fields) => {
                for (key, inner) in fields {
                    match (key.as_str(), inner) {
                        ("Ref", Value::String(name)) => self.note(name, found),
                        ("Fn::GetAtt", Value::String(path)) => self.note(path.split('.').next().unwrap_or(path), found),
                        ("Fn::GetAtt", Value::Array(parts)) => self.note(&scalar(&parts[0]), found),
                        ("Fn::Sub", Value::String(text)) => self.note_sub(text, &Map::new(), found),
                        ("Fn::Sub", Value::Array(parts)) => {
                            let own = parts.get(1).and_then(Value::as_object).cloned().unwrap_or_default();
                            self.note_sub(&scalar(&parts[0]), &own, found);
                            own.values().for_each(|v| self.references(v, found));
                        }
                        _ => self.references(inner, found),
                    }
                }
            }
            _ => {}
        }
    }

    fn note(&self, name: &str, found: &mut BTreeSet<String>) {
        if !name.starts_with("AWS::") && !self.parameters.contains_key(name) {
            found.insert(name.to_owned());
        }
    }

    fn note_sub(&self, text: &str, own: &Map<String, Value>, found: &mut BTreeSet<String>) {
        for (name, _) in placeholders(text) {
            if !own.contains_key(&name) {
                self.note(name.split('.').next().unwrap_or(&name), found);
            }
        }
    }

    /// Resolves all intrinsic functions; `AWS::NoValue` takes its field away.
    ///
    /// # Errors
    /// A function that does not fit.
    pub(crate) fn resolve(&self, value: &Value) -> Result<Value> {
        match value {
            Value::Array(items) => {
                let all: Result<Vec<Value>> = items.iter().map(|i| self.resolve(i)).collect();
                Ok(Value::Array(all?.into_iter().filter(|v| !v.is_null()).collect()))
            }
            Value::Object(fields) => {
                if let (1, Some((function, argument))) = (fields.len(), fields.iter().next())
                    && (function == "Ref" || function.starts_with("Fn::"))
                {
                    return self.call(function, argument);
                }
                let mut resolved = Map::new();
                for (key, inner) in fields {
                    let inner = self.resolve(inner)?;
                    if !inner.is_null() {
                        resolved.insert(key.clone(), inner);
                    }
                }
                Ok(Value::Object(resolved))
            }
            other => Ok(other.clone()),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Value> {
        let bad = || invalid(format!("Template error: {function} has wrong arguments: {argument}"));
        match function {
            "Ref" => self.reference(&scalar(argument)),
            "Fn::GetAtt" => {
                let (name, attribute) = match argument {
                    Value::Array(parts) if parts.len() == 2 => (scalar(&parts[0]), scalar(&self.resolve(&parts[1])?)),
                    Value::String(path) => {
                        path.split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).ok_or_else(bad)?
                    }
                    _ => return Err(bad()),
                };
                self.attribute(&name, &attribute)
            }
            "Fn::Sub" => self.substitute(argument),
            "Fn::If" => {
                let parts = argument.as_array().filter(|p| p.len() == 3).ok_or_else(bad)?;
                self.resolve(if self.condition(&scalar(&parts[0]))? { &parts[1] } else { &parts[2] })
            }
            "Fn::GetAZs" => Ok(Value::from(self.zones.clone())),
            "Fn::Join" | "Fn::Select" | "Fn::Split" | "Fn::Cidr" | "Fn::FindInMap" => {
                let parts = argument.as_array().ok_or_else(bad)?;
                let parts: Result<Vec<Value>> = parts.iter().map(|p| self.resolve(p)).collect();
                self.of_list(function, &parts?).ok_or_else(bad)
            }
            "Fn::Base64" => {
                use base64::Engine;
                let text = scalar(&self.resolve(argument)?);
                Ok(base64::engine::general_purpose::STANDARD.encode(text).into())
            }
            "Fn::Equals" | "Fn::Not" | "Fn::And" | "Fn::Or" => {
                Ok(self.truth(&serde_json::json!({ function: argument }))?.into())
            }
            _ => Err(invalid(format!("Template error: {function} is not supported"))),
        }
    }

    fn of_list(&self, function: &str, parts: &[Value]) -> Option<Value> {
        match function {
            "Fn::Join" => {
                let items: Vec<String> = parts.get(1)?.as_array()?.iter().map(scalar).collect();
                Some(items.join(parts.first()?.as_str()?).into())
            }
            "Fn::Select" => {
                let index: usize = scalar(parts.first()?).parse().ok()?;
                match parts.get(1)? {
                    Value::Array(items) => items.get(index).cloned(),
                    Value::String(list) => list.split(',').nth(index).map(|s| s.trim().into()),
                    _ => None,
                }
            }
            "Fn::Split" => {
                let (by, text) = (parts.first()?.as_str()?, parts.get(1)?.as_str()?);
                Some(text.split(by).map(str::to_owned).collect::<Vec<_>>().into())
            }
            "Fn::Cidr" => {
                let count: u32 = scalar(parts.get(1)?).parse().ok()?;
                let bits: u32 = parts.get(2).map_or(Some(8), |b| scalar(b).parse().ok())?;
                subnets_of(parts.first()?.as_str()?, count, bits).map(Value::from)
            }
            _ => {
                let [map, first, second] = [scalar(parts.first()?), scalar(parts.get(1)?), scalar(parts.get(2)?)];
                self.template.get("Mappings")?.get(map)?.get(first)?.get(second).cloned()
            }
        }
    }

    fn reference(&self, name: &str) -> Result<Value> {
        if name == "AWS::NoValue" {
            return Ok(Value::Null);
        }
        if let Some(value) = self.parameters.get(name) {
            let kind = self.template.pointer(&format!("/Parameters/{name}/Type")).and_then(Value::as_str);
            let listed = kind.is_some_and(|k| k.starts_with("List<") || k == "CommaDelimitedList");
            return Ok(if listed {
                value.split(',').map(|v| v.trim().to_owned()).collect::<Vec<_>>().into()
            } else {
                value.clone().into()
            });
        }
        let found = self.physical.get(name).cloned().map(Value::from);
        found.ok_or_else(|| invalid(format!("Template format error: Unresolved reference {name}")))
    }

    fn attribute(&self, name: &str, attribute: &str) -> Result<Value> {
        let found = self.attributes.get(name).and_then(|a| a.get(attribute)).cloned();
        found.map(Value::from).ok_or_else(|| {
            invalid(format!(
                "Template error: resource {name} does not support attribute type {attribute} in Fn::GetAtt"
            ))
        })
    }

    fn substitute(&self, argument: &Value) -> Result<Value> {
        let (text, own) = match argument {
            Value::Array(parts) => {
                let own = parts.get(1).and_then(Value::as_object).cloned().unwrap_or_default();
                (scalar(parts.first().unwrap_or(&Value::Null)), own)
            }
            other => (scalar(other), Map::new()),
        };
        let mut result = text.clone();
        for (name, whole) in placeholders(&text) {
            let value = if let Some(own) = own.get(&name) {
                self.resolve(own)?
            } else if let Some((resource, attribute)) = name.split_once('.') {
                self.attribute(resource, attribute)?
            } else {
                self.reference(&name)?
            };
            result = result.replace(&whole, &scalar(&value));
        }
        Ok(result.replace("${!", "${").into())
    }
}

/// `${name}` in a text: the name and the whole placeholder; `${!literal}` is none.
fn placeholders(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        let whole = &rest[start..=start + length];
        let name = &whole[2..whole.len() - 1];
        if !name.starts_with('!') {
            found.push((name.trim().to_owned(), whole.to_owned()));
        }
        rest = &rest[start + length + 1..];
    }
    found
}

/// The first `count` blocks with `bits` host bits in `block`.
fn subnets_of(block: &str, count: u32, bits: u32) -> Option<Vec<String>> {
    let (address, length) = block.split_once('/')?;
    let base = u32::from(address.parse::<std::net::Ipv4Addr>().ok()?);
    let length: u32 = length.parse().ok()?;
    let room = 1_u64.checked_shl(32_u32.checked_sub(length)?.checked_sub(bits)?)?;
    if u64::from(count) > room || bits > 31 {
        return None;
    }
    Some((0..count).map(|n| format!("{}/{}", std::net::Ipv4Addr::from(base + (n << bits)), 32 - bits)).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::template::graph, Lookup, subnets_of};
    use serde_json::json;

    fn lookup() -> Lookup {
        Lookup {
            template: json!({
                "Parameters": { "Zones": { "Type": "CommaDelimitedList" } },
                "Conditions": { "Two": { "Fn::Equals": [ { "Ref": "Count" }, "2" ] } },
                "Resources": {
                    "A": { "Type": "T" },
                    "B": { "Type": "T", "Properties": { "X": { "Fn::Sub": "${A.Arn}-${AWS::Region}" } } },
                    "C": { "Type": "T", "Condition": "Two", "DependsOn": ["B"] },
                },
            }),
            parameters: [("Count", "2"), ("Zones", "x,y"), ("AWS::Region", "r")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
            zones: vec!["ra".to_owned(), "rb".to_owned()],
            physical: [("A".to_owned(), "a-1".to_owned())].into(),
            attributes: [("A".to_owned(), [("Arn".to_owned(), "arn:a".to_owned())].into())].into(),
        }
    }

    #[test]
    fn functions_resolve() {
        for (input, expected) in [
            (json!({"Ref": "A"}), json!("a-1")),
            (json!({"Ref": "Zones"}), json!(["x", "y"])),
            (json!({"Fn::GetAtt": ["A", "Arn"]}), json!("arn:a")),
            (json!({"Fn::Sub": "${A}/${A.Arn}/${!kept}"}), json!("a-1/arn:a/${kept}")),
            (json!({"Fn::Sub": ["${v}", {"v": {"Ref": "A"}}]}), json!("a-1")),
            (json!({"Fn::Select": ["1", {"Fn::GetAZs": ""}]}), json!("rb")),
            (json!({"Fn::Join": ["-", ["p", {"Ref": "A"}]]}), json!("p-a-1")),
            (json!({"Fn::If": ["Two", 1, 2]}), json!(1)),
            (json!({"a": {"Ref": "AWS::NoValue"}, "b": 1}), json!({"b": 1})),
            (json!({"Fn::Select": [1, {"Fn::Cidr": ["10.0.0.0/16", 4, 12]}]}), json!("10.0.16.0/20")),
        ] {
            assert_eq!(lookup().resolve(&input).unwrap(), expected, "{input}");
        }
    }

    #[test]
    fn dependencies_follow_references_and_conditions() {
        let needs = graph(&lookup()).unwrap();
        assert!(needs["B"].contains("A") && needs["C"].contains("B"));
        let mut without = lookup();
        without.parameters.insert("Count".to_owned(), "1".to_owned());
        assert!(!graph(&without).unwrap().contains_key("C"));
        let mut circular = lookup();
        circular.template["Resources"]["A"]["DependsOn"] = json!("C");
        assert!(graph(&circular).unwrap_err().message.starts_with("Circular dependency"));
    }

    #[test]
    fn cidr_blocks_have_room_or_not() {
        assert_eq!(subnets_of("10.0.0.0/24", 2, 7).unwrap(), ["10.0.0.0/25", "10.0.0.128/25"]);
        assert!(subnets_of("10.0.0.0/24", 3, 7).is_none());
    }
}
