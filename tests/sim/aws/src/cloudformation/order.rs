//! What a template orders of one resource, and what came of it.

use super::values::scalar;
use cloudsim_core::object::Tags;
use serde_json::Value;
use std::collections::BTreeMap;

/// What to make.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// Type.
    pub kind: &'a str,
    /// `stack/logical`, which draws its duration.
    pub name: String,
    /// Resolved properties.
    pub properties: &'a Value,
    /// All tags.
    pub tags: Tags,
    /// The physical name if none is given.
    pub default_name: String,
}

impl Order<'_> {
    /// A property as text, empty if absent.
    pub(super) fn text(&self, key: &str) -> String {
        self.properties.get(key).map(scalar).unwrap_or_default()
    }

    /// A list property as texts.
    pub(super) fn texts(&self, key: &str) -> Vec<String> {
        self.properties.get(key).and_then(Value::as_array).into_iter().flatten().map(scalar).collect()
    }

    /// The name given, or CloudFormation's own.
    pub(super) fn name_or_default(&self, key: &str) -> String {
        let given = self.text(key);
        if given.is_empty() { self.default_name.chars().take(64).collect() } else { given }
    }
}

/// What was made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Physical id, which Ref gives.
    pub physical: String,
    /// What Fn::GetAtt gives.
    pub attributes: BTreeMap<String, String>,
}

pub(super) fn made(physical: impl Into<String>, attributes: &[(&str, String)]) -> Made {
    Made {
        physical: physical.into(),
        attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
    }
}

/// The tags that a `TagSpecifications` list gives to a kind of resource.
#[must_use]
pub(crate) fn specified_tags(holder: &Value, kind: &str) -> Tags {
    let lists = holder.get("TagSpecifications").and_then(Value::as_array).into_iter().flatten();
    let tags = lists.filter(|l| l["ResourceType"] == kind).filter_map(|l| l["Tags"].as_array()).flatten();
    tags.map(|t| (scalar(&t["Key"]), scalar(&t["Value"]))).collect()
}
