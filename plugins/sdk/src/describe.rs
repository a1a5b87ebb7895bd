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
