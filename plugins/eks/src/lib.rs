//! Amazon EKS provider for landlord.
