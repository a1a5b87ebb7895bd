//! The IAM roles in a tenant's stack: what the control plane, the nodes and three service
//! accounts may do, and no more.

use serde_json::{Value, json};

use super::template::{Builder, attribute, list};
use crate::aws;

/// Principal of EKS Pod Identity.
const PODS: &str = "pods.eks.amazonaws.com";

fn policy(name: &str, statements: Value) -> Value {
    json!({ "PolicyName": name, "PolicyDocument": { "Version": "2012-10-17", "Statement": statements } })
}

impl Builder<'_> {
    pub(super) fn roles(&mut self) {
        let partition = aws::partition(&self.input.scope.region);
        let managed = |names: &[&str]| -> Value {
            names.iter().map(|n| json!(format!("arn:{partition}:iam::aws:policy/{n}"))).collect()
        };
        let ec2 = format!("ec2.{}", aws::dns_suffix(&self.input.scope.region));
        let zones = format!("arn:{partition}:route53:::hostedzone/*");
        let all = |actions: &[&str]| json!({ "Effect": "Allow", "Action": actions, "Resource": "*" });
        self.role(
            "cluster",
            "ClusterRole",
            "eks.amazonaws.com",
            json!({
                "ManagedPolicyArns": managed(&["AmazonEKSClusterPolicy"]),
            }),
        );
        self.role(
            "node",
            "NodeRole",
            &ec2,
            json!({
                "ManagedPolicyArns": managed(&[
                    "AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryPullOnly",
                ]),
            }),
        );
        self.role(
            "ebs-csi",
            "EbsCsiRole",
            PODS,
            json!({
                "ManagedPolicyArns": managed(&["service-role/AmazonEBSCSIDriverPolicy"]),
            }),
        );
        self.role(
            "external-dns",
            "ExternalDnsRole",
            PODS,
            json!({ "Policies": [policy("records", json!([
                { "Effect": "Allow", "Action": ["route53:ChangeResourceRecordSets"], "Resource": zones },
                all(&["route53:ListHostedZones", "route53:ListResourceRecordSets", "route53:ListTagsForResources"]),
            ]))]}),
        );
        self.role("cert-manager", "CertManagerRole", PODS, json!({ "Policies": [policy("challenges", json!([
            { "Effect": "Allow", "Action": ["route53:GetChange"], "Resource": format!("arn:{partition}:route53:::change/*") },
            {
                "Effect": "Allow", "Action": ["route53:ChangeResourceRecordSets"], "Resource": zones,
                "Condition": { "ForAllValues:StringEquals": { "route53:ChangeResourceRecordSetsRecordTypes": ["TXT"] } }
            },
            all(&["route53:ListResourceRecordSets", "route53:ListHostedZonesByName"]),
        ]))]}));
    }

    fn role(&mut self, role: &str, id: &str, principal: &str, policies: Value) {
        let actions =
            if principal == PODS { json!(["sts:AssumeRole", "sts:TagSession"]) } else { json!(["sts:AssumeRole"]) };
        let mut properties = json!({
            "RoleName": self.input.names.role(role),
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{ "Effect": "Allow", "Principal": { "Service": principal }, "Action": actions }],
            },
            "Tags": list(self.tags(&format!("{role}-role"))),
        });
        for (key, value) in policies.as_object().into_iter().flatten() {
            properties[key] = value.clone();
        }
        self.add(id, "AWS::IAM::Role", properties);
        self.output(&format!("{id}Arn"), attribute(id, "Arn"));
    }
}
