//! The simulated AWS: CloudFormation, EKS, EC2, ELBv2, IAM, STS, Route 53 and the Resource Groups Tagging API.

mod arn;
mod cloud;
mod cloudformation;
mod control;
mod critical_path;
mod dispatch;
mod durations;
mod ec2;
mod eks;
mod elbv2;
mod iam;
mod identify;
mod kind;
mod kubernetes;
mod logs;
mod quotas;
mod rates;
mod rights;
mod route53;
mod secret;
mod sigv4;
mod state;
mod step;
mod sts;
mod tagging;
mod token;
mod wire;
mod xml;

pub use cloud::Aws;
