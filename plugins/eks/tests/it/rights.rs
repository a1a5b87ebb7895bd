//! A recorded run of whatever the provider does, held to the IAM policy that is shipped: no call may be refused, and no grant
//! may be without use. The simulated cloud authorizes each call, and what CloudFormation and EKS do in the caller's name.

use crate::{
    common::{self, Flow, Made, PARAMETERS},
    simulator::{ACCOUNT, Cloud, foreign_eks, foreign_query, zone},
};
use landlord_provider_api::{Cluster as _, ErrorKind, v1};
use serde_json::{Value, json};

/// The account of a provisioner of nodes.
const KARPENTER: &str = "landlord-node-scaling/karpenter";
const POLICY: &str = include_str!("../../iam-policy.json");

/// Only sessions of the role are held to the policy; other callers come with keys.
async fn hold(cloud: &Cloud, document: &str) {
    let rights = json!({ "account": ACCOUNT, "cloud": "aws", "document": document, "credentials": ["ASIA*"] });
    cloud.post("/_sim/rights", rights).await;
}

/// A tenant whose provider works as the role `landlord`, taken with keys of another account.
async fn flow(cloud: &Cloud, config: &str) -> Flow {
    let role = format!("arn:aws:iam::{ACCOUNT}:role/landlord");
    let credential = json!({ "kind": "assume_role", "role_arn": role,
        "source": { "kind": "static", "access_key_id": "AKIA999988887777TEST", "secret_access_key": "test" } });
    let mut flow = cloud.flow().await;
    flow.provider = common::provider(&cloud.sim.url(), &credential.to_string(), config).await;
    flow
}

/// Roles that the account has without landlord.
async fn roles(cloud: &Cloud, names: &[&str]) {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow",
        "Principal": { "Service": "pods.eks.amazonaws.com" }, "Action": ["sts:AssumeRole", "sts:TagSession"] }] });
    for name in names {
        let role = [("Action", "CreateRole"), ("RoleName", name), ("AssumeRolePolicyDocument", &trust.to_string())];
        foreign_query(cloud, "iam", "2010-05-08", &role).await;
    }
}

/// Whatever the class may change, once.
async fn change(cloud: &Cloud, flow: &mut Flow, made: &Made) {
    // Other labels: every tagged object of the stack changes. One gateway for all zones: a route changes.
    flow.scope.labels.insert("team".to_owned(), "blue".to_owned());
    let parameters = PARAMETERS.replace("1.35", "1.36").replace("203.0.113.0/24", "198.51.100.0/24");
    let mut parameters: Value = serde_json::from_str(&parameters).unwrap();
    parameters["addon_versions"] = json!({ "coredns": "v1.12.4-eksbuild.1" });
    parameters["node_disk_gib"] = json!(120);
    parameters["admin_principal_arns"] = json!([format!("arn:aws:iam::{ACCOUNT}:role/admins")]);
    roles(cloud, &["landlord-karpenter", "landlord-karpenter-2"]).await;
    let of_karpenter = |role: &str| json!({ KARPENTER: format!("arn:aws:iam::{ACCOUNT}:role/landlord-{role}") });
    parameters["pod_identities"] = of_karpenter("karpenter");
    flow.parameters = parameters.to_string();
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let made = Made { network, cluster, ..made.clone() };
    flow.pool.node_count = 3;
    flow.node_pool(&made).await.unwrap();
    flow.addons(&made).await.unwrap();
    parameters["pod_identities"] = of_karpenter("karpenter-2");
    flow.parameters = parameters.to_string();
    flow.addons(&made).await.unwrap();
    // Somebody changes a pod identity's policy: it is put back.
    let path = format!("/clusters/{}/pod-identity-associations", made.cluster.name);
    let listed: Value = serde_json::from_str(&foreign_eks(cloud, "GET", &path, Value::Null).await).unwrap();
    let id = listed["associations"].as_array().unwrap().iter().find(|a| a["serviceAccount"] == "external-dns").unwrap();
    let one = format!("{path}/{}", id["associationId"].as_str().unwrap());
    let (namespace, account) = KARPENTER.split_once('/').unwrap();
    let is_karpenters = |a: &&Value| a["namespace"] == namespace && a["serviceAccount"] == account;
    let karpenters = listed["associations"].as_array().unwrap().iter().find(is_karpenters).unwrap();
    let path = format!("{path}/{}", karpenters["associationId"].as_str().unwrap());
    let shown: Value = serde_json::from_str(&foreign_eks(cloud, "GET", &path, Value::Null).await).unwrap();
    assert!(shown["association"]["roleArn"].as_str().unwrap().ends_with("role/landlord-karpenter-2"), "{shown}");
    foreign_eks(cloud, "POST", &one, json!({ "policy": "{}", "disableSessionTags": true })).await;
    flow.identity(&made).await.unwrap();
}

#[tokio::test]
async fn a_recorded_run_needs_every_right_of_the_policy_and_no_other() {
    let cloud = Cloud::start().await;
    hold(&cloud, POLICY).await;
    let parent = zone(&cloud, "example.com").await;
    let mut flow = flow(&cloud, &json!({ "parent_zones": { "example.com": parent } }).to_string()).await;
    let mut parameters: Value = serde_json::from_str(PARAMETERS).unwrap();
    parameters["nat"] = json!("per_zone");
    parameters["capacity_type"] = json!("spot");
    parameters["secrets_kms_key_arn"] = json!(format!("arn:aws:kms:{}:{ACCOUNT}:key/1", common::REGION));
    flow.parameters = parameters.to_string();
    // Why a stack failed is read from its events.
    cloud
        .fault(
            json!({ "service": "cloudformation", "action": "Resource:AWS::EC2::NatGateway", "kind": "error", "count": 1,
            "error": { "code": "InvalidParameter", "status": 400, "message": "no" } }),
        )
        .await;
    flow.network().await.unwrap_err();
    let made = flow.create().await.unwrap();
    let access = v1::KubeAccessRequest { scope: Some(flow.scope.clone()), cluster: Some(made.cluster.clone()) };
    flow.provider.kube_access(access).await.unwrap();
    change(&cloud, &mut flow, &made).await;
    crate::simulator::leave(&cloud, &made).await;
    flow.owned().await.unwrap();
    flow.delete().await.unwrap();
    flow.owned_is_empty().await;
    let report: Value = serde_json::from_str(&cloud.get("/_sim/rights").await).unwrap();
    let report = &report[ACCOUNT];
    assert_eq!(report["missing"], json!([]), "{}", report["missing_on"]);
    assert_eq!(report["unused"], json!([]));
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_its_remedy() {
    let cloud = Cloud::start().await;
    let flow = flow(&cloud, "").await;
    for (action, of) in [
        ("ec2:CreateNatGateway", v1::ResourceKind::Network),
        ("iam:PassRole", v1::ResourceKind::Cluster),
        ("route53:CreateHostedZone", v1::ResourceKind::DnsZone),
    ] {
        let document: String = POLICY.replace(&format!("\"{action}\""), "\"none:None\"");
        assert_ne!(document, POLICY, "{action}");
        hold(&cloud, &document).await;
        let error = match of {
            v1::ResourceKind::Network => flow.network().await.unwrap_err(),
            v1::ResourceKind::DnsZone => flow.zone().await.unwrap_err(),
            _ => {
                let network = flow.network().await.unwrap();
                flow.cluster(&network).await.unwrap_err()
            }
        };
        assert_eq!(error.kind, ErrorKind::Auth, "{action}: {error}");
        assert!(error.remedy.contains(action), "{action}: {}", error.remedy);
        hold(&cloud, POLICY).await;
    }
}
