//! Request rates, where AWS documents them:
//! EC2 <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html> (a bucket per action),
//! ELB <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/throttling.html>,
//! Route 53 <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html> (5 a second per account),
//! STS <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html> (600 a second),
//! logs <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html> (5 to 10 a second),
//! tagging <https://docs.aws.amazon.com/general/latest/gr/arg.html> (15 a second).
//! CloudFormation, EKS and IAM publish none; theirs are assumptions.

use cloudsim_core::{
    call::{ApiError, Call},
    throttle::Rate,
};

/// The class of calls that `call` shares a bucket with, and its rate.
pub(crate) fn bucket(call: &Call) -> (String, Rate) {
    let reads = ["Describe", "List", "Get"].iter().any(|p| call.action.starts_with(p));
    match call.service.as_str() {
        "ec2" if reads => (call.action.clone(), Rate::new(100.0, 20.0)),
        "ec2" => (call.action.clone(), Rate::new(50.0, 5.0)),
        "elasticloadbalancing" if reads => ("read".to_owned(), Rate::new(40.0, 10.0)),
        "elasticloadbalancing" => ("write".to_owned(), Rate::new(20.0, 3.0)),
        "route53" => ("all".to_owned(), Rate::new(5.0, 5.0)),
        "sts" => ("all".to_owned(), Rate::new(600.0, 600.0)),
        "tagging" => ("read".to_owned(), Rate::new(15.0, 15.0)),
        "logs" => (call.action.clone(), Rate::new(10.0, 10.0)),
        "eks" if reads => ("read".to_owned(), Rate::new(60.0, 20.0)),
        "eks" => ("write".to_owned(), Rate::new(20.0, 5.0)),
        "cloudformation" if reads => ("read".to_owned(), Rate::new(40.0, 10.0)),
        "cloudformation" => ("write".to_owned(), Rate::new(20.0, 5.0)),
        _ => ("all".to_owned(), Rate::new(50.0, 20.0)),
    }
}

/// How `service` says that it throttles.
pub(crate) fn throttled(service: &str) -> ApiError {
    match service {
        "ec2" => ApiError::new("RequestLimitExceeded", "Request limit exceeded.").status(503),
        "eks" => ApiError::new("ThrottlingException", "Rate exceeded").status(429),
        "logs" => ApiError::new("ThrottlingException", "Rate exceeded"),
        "tagging" => ApiError::new("ThrottledException", "Rate exceeded"),
        _ => ApiError::new("Throttling", "Rate exceeded"),
    }
}
