//! An IAM policy document, as far as the shipped one uses the language; what else one may hold is refused, so that nothing in
//! it is without effect here and with effect there.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use cloudsim_core::rights::Grant;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    #[serde(rename = "Version")]
    _version: String,
    statement: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "Sid", default)]
    _sid: String,
    effect: String,
    action: Texts,
    resource: Texts,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Texts>>,
}

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// What the document grants.
///
/// # Errors
/// What in it is not simulated.
pub(crate) fn grants(document: &str) -> Result<Vec<Grant>, String> {
    let document: Document = serde_json::from_str(document).map_err(|error| error.to_string())?;
    let mut grants = Vec::new();
    for statement in document.statement {
        if statement.effect != "Allow" {
            return Err(format!("the effect {} is not simulated", statement.effect));
        }
        let mut conditions = BTreeMap::new();
        for (operator, keys) in statement.condition {
            if !matches!(operator.as_str(), "StringEquals" | "StringLike" | "ForAnyValue:StringEquals") {
                return Err(format!("the condition operator {operator} is not simulated"));
            }
            conditions.extend(keys.into_iter().map(|(key, values)| (key, values.list())));
        }
        let mut resources = statement.resource.list();
        if resources.iter().any(|resource| resource == "*") {
            resources.clear();
        }
        let of = |action| Grant { action, resources: resources.clone(), conditions: conditions.clone() };
        grants.extend(statement.action.list().into_iter().map(of));
    }
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::grants;

    #[test]
    fn what_is_not_simulated_is_refused() {
        let policy = |statement: &str| format!(r#"{{ "Version": "2012-10-17", "Statement": [{statement}] }}"#);
        let good = r#"{ "Effect": "Allow", "Action": "a:B", "Resource": ["arn:x", "arn:y"], "Condition": { "StringLike": { "k": "v*" } } }"#;
        let read = grants(&policy(good)).unwrap();
        assert_eq!((read.len(), read[0].resources.len(), read[0].conditions["k"][0].as_str()), (1, 2, "v*"));
        for bad in [
            r#"{ "Effect": "Deny", "Action": "a:B", "Resource": "*" }"#,
            r#"{ "Effect": "Allow", "NotAction": "a:B", "Resource": "*" }"#,
            r#"{ "Effect": "Allow", "Action": "a:B", "Resource": "*", "Condition": { "Bool": { "k": "true" } } }"#,
        ] {
            assert!(grants(&policy(bad)).is_err(), "{bad}");
        }
    }
}
