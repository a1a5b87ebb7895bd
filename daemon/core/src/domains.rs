//! Which domains tenants may have: no public suffix, nothing reserved, only what is allowed. Pure; the list of public
//! suffixes (<https://publicsuffix.org>) is compiled in.

use serde::{Deserialize, Serialize};

use crate::environment::Domain;

/// Which domains tenants may have. The default allows every domain that can be somebody's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Domains {
    /// No tenant has one of these domains, or one below it.
    pub reserved_parents: Vec<String>,
    /// Every tenant's domain is below one of these; empty: any domain.
    pub allowed_parents: Vec<String>,
}

impl Default for Domains {
    /// Names that never belong to a customer: RFC 6761, 6762, 7686, 3172.
    fn default() -> Self {
        let reserved = ["arpa", "invalid", "local", "localhost", "onion"];
        Self { reserved_parents: reserved.map(str::to_owned).to_vec(), allowed_parents: Vec::new() }
    }
}

impl Domains {
    /// Everything that forbids a domain; none: it may be a tenant's.
    #[must_use]
    pub fn forbid(&self, domain: &Domain) -> Vec<String> {
        let text = domain.as_str();
        let mut faults = Vec::new();
        if psl::suffix_str(text) == Some(text) && psl::suffix(text.as_bytes()).is_some_and(|suffix| suffix.is_known()) {
            faults.push(format!("{text} is a public suffix, which is nobody's own; order a domain below it"));
        }
        if let Some(parent) = self.reserved_parents.iter().find(|parent| is_within(text, parent)) {
            faults
                .push(format!("{parent} is reserved by the operator (domains.reserved_parents); order another domain"));
        }
        let below = |parent: &String| is_within(text, parent) && text != parent;
        if !self.allowed_parents.is_empty() && !self.allowed_parents.iter().any(below) {
            let allowed = self.allowed_parents.join(", ");
            faults.push(format!("must be below one of the domains that the operator allows: {allowed}"));
        }
        faults
    }

    /// What is wrong with the lists themselves, each with its list's name.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let lists = [("reserved_parents", &self.reserved_parents), ("allowed_parents", &self.allowed_parents)];
        let wrong = |list: &str, parent: &String| {
            // One label alone is fine for a parent.
            let problem = Domain::try_from(format!("x.{parent}")).err()?;
            Some(format!("{list}: {parent:?} {problem}"))
        };
        lists.iter().flat_map(|(list, parents)| parents.iter().filter_map(|parent| wrong(list, parent))).collect()
    }
}

/// Whether `domain` is `parent` or below it.
fn is_within(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nobodys_own_is_forbidden() {
        let domains = Domains {
            reserved_parents: vec!["corp.example.com".into(), "localhost".into()],
            allowed_parents: Vec::new(),
        };
        for (text, word) in [
            ("acme.com", None),
            ("acme.co.uk", None),
            ("co.uk", Some("public suffix")),
            ("github.io", Some("public suffix")),
            ("acme.github.io", None),
            ("a.b.internal", None),
            ("xn--mnchen-3ya.de", None),
            ("corp.example.com", Some("reserved")),
            ("a.corp.example.com", Some("reserved")),
            ("xcorp.example.com", None),
            ("acme.localhost", Some("reserved")),
        ] {
            let faults = domains.forbid(&Domain::try_from(text.to_owned()).unwrap());
            match word {
                None => assert!(faults.is_empty(), "{text}: {faults:?}"),
                Some(word) => assert!(faults.len() == 1 && faults[0].contains(word), "{text}: {faults:?}"),
            }
        }
    }

    #[test]
    fn an_allow_list_allows_what_is_below_it() {
        let domains = Domains { allowed_parents: vec!["customers.example.com".into()], ..Domains::default() };
        let forbidden = |text: &str| !domains.forbid(&Domain::try_from(text.to_owned()).unwrap()).is_empty();
        assert!(!forbidden("acme.customers.example.com"));
        assert!(
            forbidden("customers.example.com") && forbidden("acme.com") && forbidden("acme.xcustomers.example.com")
        );
        assert!(domains.problems().is_empty());
        let wrong = Domains { allowed_parents: vec!["A_b".into(), String::new()], ..Domains::default() };
        assert_eq!(wrong.problems().len(), 2);
    }
}
