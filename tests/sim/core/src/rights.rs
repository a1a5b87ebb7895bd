//! Whether callers may do what they ask for: the actions that a policy document allows, and which of them were needed.
//!
//! Off until a test names the actions, so that it can hold the documents that are shipped to what is really called.

use crate::faults::glob;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What an account's callers may do, and what they asked for.
#[derive(Debug, Default, Serialize)]
pub struct Rights {
    /// Patterns of actions, as the policy document has them: `eks:Describe*`.
    allow: Vec<String>,
    /// Actions that were needed and allowed.
    used: BTreeSet<String>,
    /// Actions that were needed and refused.
    missing: BTreeSet<String>,
}

/// Rights by account; an account without an entry may do everything.
#[derive(Debug, Default)]
pub struct AllRights(BTreeMap<String, Rights>);

impl AllRights {
    /// From now on the callers of `account` may do what one of the patterns names, and nothing else.
    pub fn set(&mut self, account: String, allow: Vec<String>) {
        self.0.insert(account, Rights { allow, ..Rights::default() });
    }

    /// Notes what a call needs; the first action that is not allowed, if any.
    pub fn missing(&mut self, account: &str, needed: Vec<String>) -> Option<String> {
        let rights = self.0.get_mut(account)?;
        for action in needed {
            // Azure and AWS compare without case.
            let lower = action.to_lowercase();
            if !rights.allow.iter().any(|pattern| glob(&pattern.to_lowercase(), &lower)) {
                rights.missing.insert(action.clone());
                return Some(action);
            }
            rights.used.insert(action);
        }
        None
    }

    /// By account: the patterns, what was used and missing, and the patterns that nothing needed.
    #[must_use]
    pub fn report(&self) -> serde_json::Value {
        let of = |rights: &Rights| {
            let fits = |pattern: &str| rights.used.iter().any(|a| glob(&pattern.to_lowercase(), &a.to_lowercase()));
            let unused: Vec<&String> = rights.allow.iter().filter(|pattern| !fits(pattern)).collect();
            serde_json::json!({ "allow": rights.allow, "used": rights.used, "missing": rights.missing, "unused": unused })
        };
        self.0.iter().map(|(account, rights)| (account.clone(), of(rights))).collect::<serde_json::Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::AllRights;

    #[test]
    fn what_is_missing_and_what_nothing_needed() {
        let mut rights = AllRights::default();
        assert_eq!(rights.missing("1", vec!["eks:CreateCluster".to_owned()]), None, "no document, no limit");
        rights.set("1".to_owned(), vec!["eks:Describe*".to_owned(), "sts:Get*".to_owned()]);
        assert_eq!(rights.missing("1", vec!["eks:DescribeCluster".to_owned()]), None);
        assert_eq!(rights.missing("1", vec!["eks:TagResource".to_owned()]).as_deref(), Some("eks:TagResource"));
        let report = rights.report();
        assert_eq!(report["1"]["unused"], serde_json::json!(["sts:Get*"]));
        assert_eq!(report["1"]["missing"], serde_json::json!(["eks:TagResource"]));
    }
}
