//! Lifecycles, faults, holds, consistency and tokens, over HTTP against a simulator in this process.
use crate::common;
use crate::common::{ACCOUNT, Cloud};
use futures::StreamExt;
use serde_json::{Value, json};

const VPC: [(&str, &str); 3] = [("Action", "CreateVpc"), ("Version", "2016-11-15"), ("CidrBlock", "10.0.0.0/16")];

fn vpcs(objects: &[Value]) -> usize {
    objects.iter().filter(|o| o["type"] == "AWS::EC2::VPC").count()
}

#[tokio::test]
async fn a_lifecycle_lasts_as_long_as_the_journal_foretold() {
    let cloud = Cloud::start(0.0005).await;
    let done = cloud.create_stack("net").await;
    let begun = cloud.wait_for(|e| e["action"] == "CreateStack").await;
    let foretold = begun["ready_in_ms"].as_i64().unwrap();
    let lasted = done["sim_ms"].as_i64().unwrap() - begun["sim_ms"].as_i64().unwrap();
    // Steps are applied at their own due times, so only rounding to microseconds is between the two.
    assert!((foretold - lasted).abs() < 200, "foretold {foretold} ms, lasted {lasted} ms");
    assert!((100_000..400_000).contains(&lasted), "a NAT gateway and CloudFormation's own time");
    let request = cloud.cluster_request("net", "c").await;
    assert_eq!(cloud.eks("POST", "/clusters", request).await.0, 200);
    let begun = cloud.wait_for(|e| e["action"] == "CreateCluster").await;
    let ready = cloud.wait_for(|e| e["action"] == "ClusterReady").await;
    let lasted = ready["sim_ms"].as_i64().unwrap() - begun["sim_ms"].as_i64().unwrap();
    assert!((480_000..=960_200).contains(&lasted), "{lasted}");
    cloud.handle.stop().await;
}

#[tokio::test]
async fn held_calls_have_no_effect_before_and_all_of_it_after() {
    let cloud = Cloud::start(0.001).await;
    for (phase, verdict, effect, responded) in [
        ("before", "drop", 0, false),
        ("before", "release", 1, true),
        ("after", "drop", 2, false),
        ("after", "release", 3, true),
    ] {
        let rule = json!({ "kind": "hold", "service": "ec2", "action": "CreateVpc", "phase": phase, "count": 1 });
        cloud.control("POST", "faults", rule).await;
        let before = vpcs(&cloud.objects().await);
        let (call, ()) = tokio::join!(cloud.query("ec2", &VPC), async {
            let holds = cloud.control("GET", "holds?wait_ms=10000", Value::Null).await;
            let hold = &holds["holds"][0];
            assert_eq!((hold["action"].as_str(), hold["phase"].as_str()), (Some("CreateVpc"), Some(phase)));
            assert_eq!(vpcs(&cloud.objects().await), before + usize::from(phase == "after"));
            cloud.control("POST", &format!("holds/{}/{verdict}", hold["id"]), Value::Null).await;
        });
        assert_eq!(call.is_ok(), responded, "{phase} {verdict}");
        assert_eq!(vpcs(&cloud.objects().await), effect, "{phase} {verdict}");
    }
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_call_whose_caller_died_is_still_processed() {
    let cloud = Cloud::start(0.001).await;
    cloud.control("POST", "faults", json!({ "kind": "hold", "action": "CreateVpc", "count": 1 })).await;
    {
        let call = cloud.query("ec2", &VPC);
        tokio::pin!(call);
        tokio::select! {
            _ = &mut call => panic!("the call is held"),
            _ = cloud.control("GET", "holds?wait_ms=10000", Value::Null) => {}
        }
    }
    let holds = cloud.control("GET", "holds", Value::Null).await;
    cloud.control("POST", &format!("holds/{}/release", holds["holds"][0]["id"]), Value::Null).await;
    cloud.wait_for(|e| e["action"] == "CreateVpc" && e["outcome"] == "ok").await;
    assert_eq!(vpcs(&cloud.objects().await), 1);
    cloud.handle.stop().await;
}

#[tokio::test]
async fn young_objects_are_hidden_from_stale_reads() {
    let cloud = Cloud::start(0.001).await;
    cloud.query("ec2", &VPC).await.unwrap();
    cloud.control("POST", "faults", json!({ "kind": "stale", "lag_ms": 3_600_000, "count": 1 })).await;
    let list = [("Action", "DescribeVpcs"), ("Version", "2016-11-15")];
    assert!(!cloud.query("ec2", &list).await.unwrap().1.contains("vpc-"));
    assert!(cloud.query("ec2", &list).await.unwrap().1.contains("vpc-"));
    cloud.handle.stop().await;
}

#[tokio::test]
async fn the_cloud_itself_can_be_made_to_fail() {
    let cloud = Cloud::start(0.0005).await;
    cloud.create_stack("net").await;
    let error = json!({ "code": "InternalFailure", "message": "no luck" });
    cloud
        .control(
            "POST",
            "faults",
            json!({ "kind": "error", "service": "eks", "action": "ClusterReady", "error": error }),
        )
        .await;
    let request = cloud.cluster_request("net", "c").await;
    cloud.eks("POST", "/clusters", request).await;
    cloud.wait_for(|e| e["action"] == "ClusterReady").await;
    let (_, response) = cloud.eks("GET", "/clusters/c", Value::Null).await;
    assert_eq!(response["cluster"]["status"], "FAILED");
    assert_eq!(response["cluster"]["health"]["issues"][0]["message"], "no luck");
    cloud.handle.stop().await;
}

#[tokio::test]
async fn tokens_are_checked_and_mapped_by_access_entries() {
    let cloud = Cloud::start(0.0005).await;
    cloud.create_stack("net").await;
    for name in ["c", "other"] {
        let request = cloud.cluster_request("net", name).await;
        cloud.eks("POST", "/clusters", request).await;
    }
    let arn = format!("arn:aws:eks:{}:{ACCOUNT}:cluster/c", common::REGION);
    let host = "sts.eu-west-1.amazonaws.com";
    let review = |token: String| {
        let body = json!({ "kind": "TokenReview", "spec": { "token": token } });
        let path = format!("webhook/{arn}");
        let cloud = &cloud;
        async move { cloud.control("POST", &path, body).await["status"].clone() }
    };
    let good = review(cloud.token("c", host, 60)).await;
    assert_eq!(good["authenticated"], true, "{good}");
    assert_eq!(good["user"]["groups"], json!(["system:masters"]));
    assert_eq!(good["user"]["username"], format!("arn:aws:iam::{ACCOUNT}:user/cloudsim"));
    for (token, reason) in [
        (cloud.token("other", host, 60), "signature"),
        (cloud.token("c", "sts.example.com", 60), "host of STS"),
        (cloud.token("c", host, 3_600), "X-Amz-Expires"),
        ("abc".to_owned(), "k8s-aws-v1"),
    ] {
        let status = review(token).await;
        assert_eq!(status["authenticated"], false);
        assert!(status["error"].as_str().unwrap().contains(reason), "{status}");
    }
    let me = format!("arn%3Aaws%3Aiam%3A%3A{ACCOUNT}%3Auser%2Fcloudsim");
    assert_eq!(cloud.eks("DELETE", &format!("/clusters/c/access-entries/{me}"), Value::Null).await.0, 200);
    let foreign = review(cloud.token("c", host, 60)).await;
    assert_eq!(foreign["authenticated"], false, "{foreign}");
    cloud.handle.stop().await;
}

#[tokio::test]
async fn unsigned_and_unknown_requests_are_refused_in_words() {
    let cloud = Cloud::start(0.001).await;
    let response = cloud.http.post(cloud.handle.url()).body("Action=DescribeVpcs").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
    let (status, body) = cloud.query("ec2", &[("Action", "PurchaseHostReservation")]).await.unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("InvalidAction"), "{body}");
    cloud
        .control(
            "POST",
            "credentials",
            json!({ "access_key_id": format!("AKIA{ACCOUNT}TEST"), "secret_access_key": "else" }),
        )
        .await;
    let (status, body) = cloud.query("ec2", &VPC).await.unwrap();
    assert_eq!(status, 403);
    assert!(body.contains("SignatureDoesNotMatch"), "{body}");
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_thousand_clusters_in_flight() {
    const CLUSTERS: usize = 1_000;
    // A thousand connections at once would be a test of this machine's kernel.
    const CALLS: usize = 64;
    let _alone = common::THOUSAND.lock().await;
    // Slow enough that all are in flight at once.
    let cloud = Cloud::start(0.05).await;
    cloud.control("POST", "quotas", json!({ "limits": { "clusters": 2_000 } })).await;
    let zones = ["a", "b"].map(|z| format!("eu-west-1{z}"));
    let (_, body) = cloud.query("ec2", &VPC).await.unwrap();
    let vpc = body.split("<vpcId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    for (i, zone) in zones.iter().enumerate() {
        // Each cluster takes an address in each of them.
        let cidr = format!("10.0.{}.0/20", i * 16);
        let params =
            [("Action", "CreateSubnet"), ("VpcId", vpc.as_str()), ("CidrBlock", &cidr), ("AvailabilityZone", zone)];
        assert_eq!(cloud.query("ec2", &params).await.unwrap().0, 200);
    }
    let role = [("Action", "CreateRole"), ("RoleName", "r"), ("AssumeRolePolicyDocument", "{}")];
    assert_eq!(cloud.query("iam", &role).await.unwrap().0, 200);
    let subnets: Vec<Value> =
        cloud.objects().await.iter().filter(|o| o["type"] == "AWS::EC2::Subnet").map(|o| o["id"].clone()).collect();
    let one = |i: usize| {
        let (cloud, subnets) = (&cloud, &subnets);
        async move {
            let role = format!("arn:aws:iam::{ACCOUNT}:role/r");
            let request =
                json!({ "name": format!("c{i}"), "roleArn": role, "resourcesVpcConfig": { "subnetIds": subnets } });
            let (status, response) = cloud.eks("POST", "/clusters", request).await;
            assert_eq!(status, 200, "{response}");
            assert_eq!(cloud.eks("GET", &format!("/clusters/c{i}"), Value::Null).await.0, 200);
        }
    };
    futures::stream::iter(0..CLUSTERS).for_each_concurrent(CALLS, one).await;
    let objects = cloud.objects().await;
    assert_eq!(objects.iter().filter(|o| o["type"] == "AWS::EKS::Cluster").count(), CLUSTERS);
    let created = cloud.journal().await.iter().filter(|e| e["action"] == "CreateCluster").count();
    assert_eq!(created, CLUSTERS);
}

#[tokio::test]
async fn calls_are_held_to_a_policy_document() {
    let cloud = Cloud::start(0.0005).await;
    cloud.control("POST", "rights", json!({ "account": ACCOUNT, "allow": ["eks:List*", "ec2:Describe*"] })).await;
    assert_eq!(cloud.eks("GET", "/clusters", Value::Null).await.0, 200);
    let (status, refused) = cloud.eks("GET", "/clusters/c", Value::Null).await;
    assert_eq!(status, 403, "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("perform: eks:DescribeCluster"), "{refused}");
    let report = cloud.control("GET", "rights", Value::Null).await;
    let of_account = &report[ACCOUNT];
    assert_eq!(of_account["missing"], json!(["eks:DescribeCluster"]));
    assert_eq!(of_account["unused"], json!(["ec2:Describe*"]));
}
