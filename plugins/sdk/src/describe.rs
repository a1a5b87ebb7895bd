//! A description from tables of constants, as providers keep them: each line beside its source.

use landlord_provider_api::v1;

/// What a provider is and can do.
#[derive(Debug, Clone, Copy)]
pub struct Tables<'a> {
    /// What it can do that the contract has no word for: the contract's words are derived from the traits.
    pub capabilities: &'a [&'a str],
    /// Bucket, calls per second, burst in calls, source of the figures.
    pub buckets: &'a [(&'a str, f64, f64, &'a str)],
    /// Method, bucket, calls that one call of the method typically makes.
    pub costs: &'a [(&'a str, &'a str, f64)],
    /// Method, typical and slow duration in seconds.
    pub durations: &'a [(&'a str, i64, i64)],
}

/// Methods that a cloud with one rate bucket charges.
const CHARGED: [&str; 11] = [
    "EnsureNetwork",
    "EnsureCluster",
    "EnsureAddons",
    "EnsureNodePool",
    "EnsureDnsZone",
    "EnsureDnsRecords",
    "EnsureIdentity",
    "KubeAccess",
    "Observe",
    "Delete",
    "ListOwned",
];
/// Of these, the first ones make something.
const ENSURES: usize = 7;

/// Costs of a cloud with one rate bucket: so many calls a method.
#[must_use]
pub const fn one_bucket(bucket: &'static str, calls: f64) -> [(&'static str, &'static str, f64); CHARGED.len()] {
    let mut costs = [("", bucket, calls); CHARGED.len()];
    let mut at = 0;
    while at < CHARGED.len() {
        costs[at].0 = CHARGED[at];
        at += 1;
    }
    costs
}

/// Durations of a cloud that makes everything equally fast: typical and slow, in seconds.
#[must_use]
pub const fn same_durations(typical: i64, slow: i64) -> [(&'static str, i64, i64); ENSURES] {
    let mut durations = [("", typical, slow); ENSURES];
    let mut at = 0;
    while at < ENSURES {
        durations[at].0 = CHARGED[at];
        at += 1;
    }
    durations
}

impl Tables<'_> {
    /// The contract's message; the schemas are JSON Schemas of the settings and of the class parameters.
    #[must_use]
    pub fn describe(
        &self,
        name: &str,
        version: &str,
        config_schema: String,
        parameters_schema: String,
    ) -> v1::DescribeResponse {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let durations = self.durations.iter().map(|(method, typical, slow)| v1::ExpectedDuration {
            method: (*method).to_owned(),
            typical: seconds(*typical),
            slow: seconds(*slow),
        });
        let buckets = self.buckets.iter().map(|(name, rate, burst, source)| v1::RateBucket {
            name: (*name).to_owned(),
            rate_per_second: *rate,
            burst: *burst,
            source: (*source).to_owned(),
        });
        let costs = self.costs.iter().map(|(method, bucket, cost)| v1::MethodCost {
            method: (*method).to_owned(),
            bucket: (*bucket).to_owned(),
            cost: *cost,
        });
        v1::DescribeResponse {
            name: name.to_owned(),
            version: version.to_owned(),
            capabilities: self.capabilities.iter().map(|one| (*one).to_owned()).collect(),
            config_schema,
            parameters_schema,
            expected_durations: durations.collect(),
            rate_buckets: buckets.collect(),
            method_costs: costs.collect(),
        }
    }

    /// What is wrong with the tables: costs in unknown buckets, a duration that is slow before it is typical or belongs to
    /// no method that costs anything. For a provider's own tests.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let known = |bucket: &str| self.buckets.iter().any(|known| known.0 == bucket);
        let unknown = self.costs.iter().filter(|cost| !known(cost.1));
        let mut problems: Vec<_> = unknown.map(|cost| format!("{} costs in no bucket: {}", cost.0, cost.1)).collect();
        for (method, typical, slow) in self.durations {
            if typical >= slow || !self.costs.iter().any(|cost| cost.0 == *method) {
                problems.push(format!("{method} takes {typical} to {slow} s"));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::{Tables, one_bucket, same_durations};
    use landlord_provider_api::Method;

    #[test]
    fn a_cloud_with_one_bucket_charges_every_method() {
        let (costs, durations) = (one_bucket("cloud/api", 1.5), same_durations(2, 60));
        let buckets = [("cloud/api", 10.0, 20.0, "its documentation (2026-11)")];
        let tables = Tables { capabilities: &[], buckets: &buckets, costs: &costs, durations: &durations };
        assert_eq!(tables.problems(), [""; 0]);
        let free = ["Describe", "Configure", "Validate"];
        for method in Method::ALL.iter().map(|method| method.name()).filter(|name| !free.contains(name)) {
            assert!(costs.iter().any(|cost| cost.0 == method), "{method}");
            assert!(!method.starts_with("Ensure") || durations.iter().any(|one| one.0 == method), "{method}");
        }
    }
}
