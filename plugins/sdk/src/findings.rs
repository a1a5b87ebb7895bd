//! What a `validate` finds: all violations at once, in the words that every provider shares. Whether a name of a region or a
//! machine is one, only a provider knows.

use std::{collections::BTreeSet, ops::RangeInclusive};

use landlord_provider_api::v1;

use crate::cidr::Cidr;

/// Longest name in DNS (RFC 1035, 2.3.4), and longest label of one.
const DOMAIN_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// What a cloud takes as a node pool.
#[derive(Debug, Clone)]
pub struct PoolBounds<'a> {
    /// Nodes at most.
    pub nodes_max: i32,
    /// Boot disk, in GiB.
    pub disk_gib: RangeInclusive<i32>,
    /// Prefixes of labels that the cloud keeps to itself.
    pub reserved_labels: &'a [&'a str],
}

/// Violations so far.
#[derive(Debug, Default)]
pub struct Findings(Vec<v1::FieldViolation>);

impl Findings {
    /// All of them.
    #[must_use]
    pub fn into_violations(self) -> Vec<v1::FieldViolation> {
        self.0
    }

    /// One more.
    pub fn add(&mut self, field: &str, description: impl Into<String>) {
        self.0.push(v1::FieldViolation { field: field.to_owned(), description: description.into() });
    }

    /// One more unless `good`.
    pub fn check(&mut self, good: bool, field: &str, description: impl FnOnce() -> String) {
        if !good {
            self.add(field, description());
        }
    }

    /// One more unless `value` is among the `known`.
    pub fn one_of(&mut self, field: &str, value: &str, known: &[&str]) {
        self.check(known.contains(&value), field, || format!("{value:?} is none of {}", known.join(", ")));
    }

    /// One more if a name stands there twice.
    pub fn distinct(&mut self, field: &str, names: &[String], what: &str) {
        let distinct: BTreeSet<_> = names.iter().collect();
        self.check(distinct.len() == names.len(), field, || format!("names {what} twice"));
    }

    /// One more unless a disk of `gib` GiB is within `bounds`.
    pub fn disk(&mut self, field: &str, gib: i32, bounds: &RangeInclusive<i32>) {
        self.check(bounds.contains(&gib), field, || {
            format!("must be between {} and {} GiB", bounds.start(), bounds.end())
        });
    }

    /// The network that `text` is, if it is for private use and its prefix within `bounds`.
    pub fn network(&mut self, field: &str, text: &str, bounds: &RangeInclusive<u8>) -> Option<Cidr> {
        let cidr = match text.parse::<Cidr>() {
            Ok(cidr) => cidr,
            Err(why) => {
                self.add(field, why);
                return None;
            }
        };
        self.check(bounds.contains(&cidr.prefix()), field, || {
            format!("{cidr} must be between /{} and /{}", bounds.start(), bounds.end())
        });
        self.check(cidr.is_private(), field, || format!("{cidr} is not a network for private use"));
        Some(cidr)
    }

    /// Who may reach an API server: named always, so that nobody opens one to everybody by saying nothing.
    pub fn access(&mut self, field: &str, cidrs: Option<&[String]>, most: usize) {
        let Some(cidrs) = cidrs else {
            return self.add(
                field,
                "must be given: the networks that may reach the API server, [] for private access only, [\"0.0.0.0/0\"] \
                 for everybody",
            );
        };
        self.check(cidrs.len() <= most, field, || format!("must be at most {most} networks"));
        for cidr in cidrs {
            if let Err(why) = cidr.parse::<Cidr>() {
                self.add(field, why);
            }
        }
    }

    /// A node pool's numbers, taints and labels.
    pub fn pool(&mut self, pool: &v1::NodePoolSpec, bounds: &PoolBounds<'_>) {
        let nodes_max = bounds.nodes_max;
        self.check((1..=nodes_max).contains(&pool.node_count), "node_count", || {
            format!("must be between 1 and {nodes_max}")
        });
        let most = pool.node_count_max;
        self.check(most == 0 || (pool.node_count..=nodes_max).contains(&most), "node_count_max", || {
            format!("must be between node_count and {nodes_max}")
        });
        if pool.disk_size_gib != 0 {
            self.disk("disk_size_gib", pool.disk_size_gib, &bounds.disk_gib);
        }
        for taint in &pool.taints {
            let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str());
            self.check(known && !taint.key.is_empty(), "node_pool.taints", || {
                format!(
                    "{}={}:{} needs a key and the effect NoSchedule, PreferNoSchedule or NoExecute",
                    taint.key, taint.value, taint.effect
                )
            });
        }
        for key in pool.labels.keys() {
            let reserved = bounds.reserved_labels.iter().find(|prefix| key.starts_with(**prefix));
            self.check(!key.is_empty(), "node_pool.labels", || "a key is empty".to_owned());
            self.check(reserved.is_none(), "node_pool.labels", || {
                format!("{key:?} has the prefix {:?}, which the cloud keeps to itself", reserved.unwrap_or(&""))
            });
        }
    }

    /// A zone's domain.
    pub fn domain(&mut self, domain: &str) {
        let labels: Vec<&str> = domain.split('.').collect();
        let good = labels.len() >= 2 && domain.len() <= DOMAIN_MAX && labels.iter().all(|label| is_label(label));
        self.check(good, "domain", || format!("{domain:?} is not a domain in lower case, like acme.example.com"));
        let numeric = labels.last().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
        self.check(!good || !numeric, "domain", || format!("{domain:?} ends in a number"));
    }
}

/// A label as RFC 1123 wants it, in lower case: letters, digits, hyphens within, at most 63.
#[must_use]
pub fn is_label(text: &str) -> bool {
    (1..=LABEL_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{Findings, PoolBounds, is_label};
    use landlord_provider_api::v1::{NodePoolSpec, Taint};

    fn found(check: impl FnOnce(&mut Findings)) -> Vec<(String, String)> {
        let mut findings = Findings::default();
        check(&mut findings);
        findings.into_violations().into_iter().map(|found| (found.field, found.description)).collect()
    }

    #[test]
    fn a_pool_is_held_to_its_bounds() {
        let bounds = PoolBounds { nodes_max: 10, disk_gib: 20..=100, reserved_labels: &["cloud.example/"] };
        let good = NodePoolSpec { node_count: 2, node_count_max: 10, disk_size_gib: 20, ..NodePoolSpec::default() };
        assert_eq!(found(|findings| findings.pool(&good, &bounds)), []);
        let bad = NodePoolSpec {
            node_count: 11,
            node_count_max: 5,
            disk_size_gib: 19,
            labels: [("cloud.example/x".to_owned(), String::new())].into(),
            taints: vec![Taint { key: "x".to_owned(), ..Taint::default() }],
            ..NodePoolSpec::default()
        };
        let fields: Vec<_> = found(|findings| findings.pool(&bad, &bounds)).into_iter().map(|found| found.0).collect();
        assert_eq!(fields, ["node_count", "node_count_max", "disk_size_gib", "node_pool.taints", "node_pool.labels"]);
    }

    #[test]
    fn who_may_reach_an_api_server_is_always_named() {
        assert!(found(|findings| findings.access("cidrs", None, 2))[0].1.contains("must be given"));
        assert_eq!(found(|findings| findings.access("cidrs", Some(&[]), 2)), []);
        let three = ["10.0.0.0/8", "x", "10.0.0.0/8"].map(str::to_owned);
        assert_eq!(found(|findings| findings.access("cidrs", Some(&three), 2)).len(), 2);
    }

    #[test]
    fn networks_domains_and_labels() {
        assert_eq!(found(|findings| assert!(findings.network("net", "10.0.0.0/16", &(12..=18)).is_some())), []);
        for bad in ["8.8.0.0/16", "10.0.0.0/8", "x"] {
            assert_eq!(
                found(|findings| assert!(findings.network("net", bad, &(12..=18)).is_none_or(|_| bad != "x"))).len(),
                1,
                "{bad}"
            );
        }
        assert_eq!(found(|findings| findings.domain("acme.example.com")), []);
        for bad in ["acme", "Acme.example.com", "acme..com", "acme.1", "-a.example.com"] {
            assert_eq!(found(|findings| findings.domain(bad)).len(), 1, "{bad}");
        }
        assert!(is_label("a-1") && !is_label("") && !is_label("a-") && !is_label(&"a".repeat(64)));
    }
}
