//! Request rates: one token bucket per account, Region, service and class of calls.
//!
//! Buckets refill in simulated time, so that a client that polls at scaled intervals meets the limits that it would
//! meet in reality. Where AWS documents a rate it is used:
//! EC2 <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html> (a bucket per action),
//! ELB <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/throttling.html>,
//! Route 53 <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html> (5 a second per account),
//! STS <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html> (600 a second),
//! tagging <https://docs.aws.amazon.com/general/latest/gr/arg.html> (15 a second).
//! CloudFormation, EKS and IAM publish none; theirs are assumptions.

use crate::clock::{Clock, Micros};
use std::collections::HashMap;

/// Size and refill per simulated second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

const fn rate(burst: f64, per_second: f64) -> Rate {
    Rate { burst, per_second }
}

/// The bucket that a call draws from, and its rate.
fn bucket(service: &str, action: &str) -> (String, Rate) {
    let reads = ["Describe", "List", "Get"].iter().any(|p| action.starts_with(p));
    match service {
        "ec2" if reads => (action.to_owned(), rate(100.0, 20.0)),
        "ec2" => (action.to_owned(), rate(50.0, 5.0)),
        "elasticloadbalancing" if reads => ("read".to_owned(), rate(40.0, 10.0)),
        "elasticloadbalancing" => ("write".to_owned(), rate(20.0, 3.0)),
        "route53" => ("all".to_owned(), rate(5.0, 5.0)),
        "sts" => ("all".to_owned(), rate(600.0, 600.0)),
        "tagging" => ("read".to_owned(), rate(15.0, 15.0)),
        "eks" if reads => ("read".to_owned(), rate(60.0, 20.0)),
        "eks" => ("write".to_owned(), rate(20.0, 5.0)),
        "cloudformation" if reads => ("read".to_owned(), rate(40.0, 10.0)),
        "cloudformation" => ("write".to_owned(), rate(20.0, 5.0)),
        _ => ("all".to_owned(), rate(50.0, 20.0)),
    }
}

#[derive(Debug)]
struct Tokens {
    left: f64,
    at: Micros,
}

/// All buckets.
#[derive(Debug, Default)]
pub struct Throttle {
    buckets: HashMap<(String, String, String, String), Tokens>,
    /// Never throttles if set.
    pub off: bool,
}

impl Throttle {
    /// Takes a token; false means that the call is refused.
    pub fn admit(
        &mut self,
        clock: &Clock,
        now: Micros,
        account: &str,
        region: &str,
        service: &str,
        action: &str,
    ) -> bool {
        if self.off || crate::azure::counts_itself(account, service) {
            // Azure counts by principal and says how much is left: `azure::throttle`.
            return true;
        }
        let (class, rate) = bucket(service, action);
        let key = (account.to_owned(), region.to_owned(), service.to_owned(), class);
        let tokens = self.buckets.entry(key).or_insert(Tokens { left: rate.burst, at: now });
        let elapsed_s = clock.sim_ms_between(tokens.at, now).max(0) as f64 / 1_000.0;
        tokens.left = (tokens.left + elapsed_s * rate.per_second).min(rate.burst);
        tokens.at = now;
        if tokens.left < 1.0 {
            return false;
        }
        tokens.left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Throttle;
    use crate::clock::Clock;

    #[test]
    fn a_bucket_empties_and_refills_in_simulated_time() {
        let clock = Clock::new(0.01);
        let mut throttle = Throttle::default();
        let mut call = |at| throttle.admit(&clock, at, "1", "r", "route53", "GetChange");
        assert!((0..5).all(|_| call(0)));
        assert!(!call(0));
        assert!(call(clock.wall_us(1_000)), "a simulated second later there are tokens again");
    }
}
