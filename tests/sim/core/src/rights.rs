//! Whether callers may do what they ask for: what a policy document grants, and which of it was needed.
//!
//! Off until a test names the document, so that it can hold what is shipped to what is really called. Each cloud reads its own
//! form of document (`Cloud::grants`) and says what a call needs (`Cloud::rights`).

use crate::{call::Caller, faults::glob};
use std::collections::{BTreeMap, BTreeSet};

/// Something that a caller must be allowed to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The action, as the cloud's documents name it.
    pub action: String,
    /// What it is done to; empty if the action is on nothing of its own.
    pub resource: String,
    /// What conditions inspect, by key.
    pub context: BTreeMap<String, String>,
}

impl Need {
    /// An action on nothing of its own.
    #[must_use]
    pub fn of(action: impl Into<String>) -> Self {
        Self { action: action.into(), ..Self::default() }
    }

    /// An action on a resource.
    #[must_use]
    pub fn on(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), ..Self::default() }
    }

    /// The same, with a value that conditions may inspect.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.insert(key.to_owned(), value.into());
        self
    }
}

/// One pattern of actions that a document grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Pattern of the action: `eks:Describe*`.
    pub action: String,
    /// Patterns of what it may be done to; empty: everything.
    pub resources: Vec<String>,
    /// What must hold of a need's context: by key, patterns of which one must fit.
    pub conditions: BTreeMap<String, Vec<String>>,
}

impl Grant {
    /// A pattern of actions on everything, always.
    #[must_use]
    pub fn always(action: impl Into<String>) -> Self {
        Self { action: action.into(), ..Self::default() }
    }

    fn covers(&self, need: &Need) -> bool {
        // Azure and AWS compare actions without case.
        glob(&self.action.to_lowercase(), &need.action.to_lowercase())
            && (self.resources.is_empty() || self.resources.iter().any(|pattern| glob(pattern, &need.resource)))
            && self.conditions.iter().all(|(key, patterns)| {
                need.context.get(key).is_some_and(|value| patterns.iter().any(|pattern| glob(pattern, value)))
            })
    }

    /// As the report names it.
    fn name(&self) -> String {
        let conditions: Vec<&str> = self.conditions.keys().map(String::as_str).collect();
        if conditions.is_empty() {
            self.action.clone()
        } else {
            format!("{} if {}", self.action, conditions.join(", "))
        }
    }
}

/// What an account's callers may do, and what they requested.
#[derive(Debug, Default)]
struct Rights {
    grants: Vec<Grant>,
    credentials: Vec<String>,
    used: BTreeSet<Need>,
    missing: BTreeSet<Need>,
}

/// Rights by account; an account without an entry may do everything.
#[derive(Debug, Default)]
pub struct AllRights(BTreeMap<String, Rights>);

impl AllRights {
    /// From now on the callers of `account` whose credential fits one of the patterns (all, if there is none) may do what is
    /// granted, and nothing else.
    pub fn set(&mut self, account: String, credentials: Vec<String>, grants: Vec<Grant>) {
        self.0.insert(account, Rights { grants, credentials, ..Rights::default() });
    }

    /// Notes what `caller` needs; the first need that is not granted, if any.
    pub fn missing(&mut self, caller: &Caller, needs: Vec<Need>) -> Option<Need> {
        let rights = self.0.get_mut(&caller.account)?;
        let held = &rights.credentials;
        if !held.is_empty() && !held.iter().any(|pattern| glob(pattern, &caller.credential)) {
            return None;
        }
        for need in needs {
            if !rights.grants.iter().any(|grant| grant.covers(&need)) {
                rights.missing.insert(need.clone());
                return Some(need);
            }
            rights.used.insert(need);
        }
        None
    }

    /// By account: the actions that were used and missing, and the grants that nothing needed.
    #[must_use]
    pub fn report(&self) -> serde_json::Value {
        let of = |rights: &Rights| {
            let unused: Vec<String> = rights
                .grants
                .iter()
                .filter(|grant| !rights.used.iter().any(|need| grant.covers(need)))
                .map(Grant::name)
                .collect();
            let actions =
                |needs: &BTreeSet<Need>| needs.iter().map(|need| need.action.clone()).collect::<BTreeSet<_>>();
            let on: BTreeMap<&String, &String> = rights.missing.iter().map(|n| (&n.action, &n.resource)).collect();
            serde_json::json!({ "used": actions(&rights.used), "missing": actions(&rights.missing), "missing_on": on,
                                "unused": unused })
        };
        self.0.iter().map(|(account, rights)| (account.clone(), of(rights))).collect::<serde_json::Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{AllRights, Grant, Need};
    use crate::call::Caller;

    fn caller(account: &str, credential: &str) -> Caller {
        Caller { account: account.to_owned(), credential: credential.to_owned(), ..Caller::default() }
    }

    #[test]
    fn what_is_missing_and_what_nothing_needed() {
        let mut rights = AllRights::default();
        let one = caller("1", "key");
        let missing = |rights: &mut AllRights, caller: &Caller, need: Need| rights.missing(caller, vec![need]);
        assert_eq!(missing(&mut rights, &one, Need::of("eks:CreateCluster")), None, "no document, no limit");
        let grants = ["eks:Describe*", "sts:Get*"].map(Grant::always).to_vec();
        rights.set("1".to_owned(), vec!["key*".to_owned()], grants);
        assert_eq!(missing(&mut rights, &one, Need::of("eks:DescribeCluster")), None);
        let tag = Need::of("eks:TagResource");
        assert_eq!(missing(&mut rights, &one, tag.clone()), Some(tag.clone()));
        assert_eq!(missing(&mut rights, &caller("1", "other"), tag), None, "somebody else's credential");
        let report = rights.report();
        assert_eq!(report["1"]["unused"], serde_json::json!(["sts:Get*"]));
        assert_eq!(report["1"]["missing"], serde_json::json!(["eks:TagResource"]));
    }

    #[test]
    fn a_grant_holds_for_its_resources_and_under_its_conditions() {
        let grant = Grant {
            action: "iam:CreateRole".to_owned(),
            resources: vec!["arn:aws:iam::*:role/landlord-*".to_owned()],
            conditions: [("aws:CalledVia".to_owned(), vec!["cloudformation.amazonaws.com".to_owned()])].into(),
        };
        let need = |role: &str| Need::on("iam:CreateRole", format!("arn:aws:iam::1:role/{role}"));
        assert!(grant.covers(&need("landlord-a").with("aws:CalledVia", "cloudformation.amazonaws.com")));
        assert!(!grant.covers(&need("other").with("aws:CalledVia", "cloudformation.amazonaws.com")));
        assert!(!grant.covers(&need("landlord-a")), "called by hand");
    }
}
