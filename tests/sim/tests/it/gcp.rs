//! The simulated GCP over HTTP: refusals in Google's shapes, operations, faults, holds, consistency.
use crate::common::{self, Cloud};
use cloudsim::{Options, Simulator};
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;

const PROJECT: &str = "acme-prod";
const REGION: &str = "europe-west1";
const TOKEN: &str = "ya29.sim-acme-prod.test";
const UUID: &str = "5f3d8f9a-6f0e-4c39-9d0a-2a1b3c4d5e6f";

/// Calls of one project.
trait Google {
    /// A request; the error is a dropped connection.
    async fn try_google(&self, method: &str, path: &str, body: Value, token: &str) -> reqwest::Result<(u16, Value)>;

    async fn google(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_google(method, path, body, TOKEN).await.unwrap()
    }

    /// A request to Compute, below the project.
    async fn compute(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.google(method, &format!("/compute/v1/projects/{PROJECT}/{path}"), body).await
    }

    /// A request to GKE, below the region.
    async fn gke(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.google(method, &format!("/v1/projects/{PROJECT}/locations/{REGION}/{path}"), body).await
    }

    /// Waits until an operation of Compute is done, and gives it.
    async fn finished(&self, operation: &Value) -> Value {
        let link = operation["selfLink"].as_str().unwrap();
        let path = link.split("googleapis.com").nth(1).unwrap();
        for _ in 0..1_000 {
            let (_, now) = self.google("GET", path, Value::Null).await;
            if now["status"] == "DONE" {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{operation} never ended");
    }

    async fn finished_gke(&self, operation: &Value) -> Value {
        let path = format!("operations/{}", operation["name"].as_str().unwrap());
        for _ in 0..2_000 {
            let (_, now) = self.gke("GET", &path, Value::Null).await;
            if now["status"] == "DONE" {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{operation} never ended");
    }

    async fn make_network(&self, name: &str) {
        let marks = json!({ "landlord-tenant-uid": name }).to_string();
        let body = json!({ "name": name, "autoCreateSubnetworks": false, "description": marks });
        let (status, operation) = self.compute("POST", "global/networks", body).await;
        assert_eq!(status, 200, "{operation}");
        self.finished(&operation).await;
        let network = format!("projects/{PROJECT}/global/networks/{name}");
        let body = json!({ "name": name, "network": network, "ipCidrRange": "10.0.0.0/20", "description": marks });
        let (_, operation) = self.compute("POST", &format!("regions/{REGION}/subnetworks"), body).await;
        self.finished(&operation).await;
    }

    async fn make_cluster(&self, name: &str, labels: Value) -> Value {
        let cluster = json!({ "name": name, "network": name, "subnetwork": name, "resourceLabels": labels,
            "nodePools": [{ "name": "main", "initialNodeCount": 1, "config": { "machineType": "e2-standard-2" } }] });
        let (status, operation) = self.gke("POST", "clusters", json!({ "cluster": cluster })).await;
        assert_eq!(status, 200, "{operation}");
        operation
    }
}

impl Google for Cloud {
    async fn try_google(&self, method: &str, path: &str, body: Value, token: &str) -> reqwest::Result<(u16, Value)> {
        let url = format!("{}{path}", self.handle.url());
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(token);
        if !body.is_null() {
            request = request.body(body.to_string());
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), serde_json::from_str(&response.text().await?).unwrap()))
    }
}

fn reason(body: &Value) -> &str {
    body["error"]["errors"][0]["reason"].as_str().unwrap_or_default()
}

async fn objects(cloud: &Cloud, kind: &str) -> Vec<Value> {
    let path = format!("objects?account={PROJECT}&type={kind}");
    cloud.control("GET", &path, Value::Null).await["objects"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_service_throttles_in_its_own_shape() {
    let options = Options { time_scale: 1.0, seed: 1, ..Options::default() };
    let cloud =
        Cloud { handle: Simulator::start(options).await.unwrap(), http: reqwest::Client::new(), secret: String::new() };
    let mut refused = None;
    for _ in 0..=1_500 {
        let (status, body) = cloud.compute("GET", "global/networks/n", Value::Null).await;
        if status != 404 {
            refused = Some((status, body));
        }
    }
    let (status, body) = refused.expect("1,500 reads a minute are the quota");
    assert_eq!((status, reason(&body)), (403, "rateLimitExceeded"), "{body}");
    assert_eq!(body["error"]["errors"][0]["domain"], "usageLimits");
    assert_eq!(body["error"]["details"][0]["reason"], "RATE_LIMIT_EXCEEDED");
    let (status, _) = cloud.compute("GET", "global/networks", Value::Null).await;
    assert_eq!(status, 200, "lists are another group");
    cloud.control("POST", "faults", json!({ "kind": "throttle", "service": "container", "count": 1 })).await;
    let (status, body) = cloud.gke("GET", "clusters", Value::Null).await;
    assert_eq!((status, &body["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")), "{body}");
    cloud.handle.stop().await;
}

#[tokio::test]
async fn what_is_in_use_or_not_ready_is_not_touched() {
    // Slow enough that the second request arrives while the first is still at work, on a busy machine too.
    let cloud = Cloud::start(0.02).await;
    let (_, creating) = cloud.compute("POST", "global/networks", json!({ "name": "net" })).await;
    assert_eq!((&creating["status"], &creating["kind"]), (&json!("RUNNING"), &json!("compute#operation")));
    let subnetwork = json!({ "name": "sub", "network": "global/networks/net", "ipCidrRange": "10.0.0.0/20" });
    let subnetworks = format!("regions/{REGION}/subnetworks");
    let (status, body) = cloud.compute("POST", &subnetworks, subnetwork.clone()).await;
    assert_eq!((status, reason(&body)), (400, "resourceNotReady"), "{body}");
    cloud.finished(&creating).await;
    let (_, operation) = cloud.compute("POST", &subnetworks, subnetwork.clone()).await;
    cloud.finished(&operation).await;
    let clash = json!({ "name": "other", "network": "global/networks/net", "ipCidrRange": "10.0.8.0/24" });
    assert_eq!(cloud.compute("POST", &subnetworks, clash).await.0, 400);
    let (status, body) = cloud.compute("DELETE", "global/networks/net", Value::Null).await;
    assert_eq!((status, reason(&body)), (400, "resourceInUseByAnotherResource"));
    let words = format!(
        "The network resource 'projects/{PROJECT}/global/networks/net' is already being used by \
         'projects/{PROJECT}/regions/{REGION}/subnetworks/sub'"
    );
    assert_eq!(body["error"]["message"], words);
    for path in [format!("{subnetworks}/sub"), "global/networks/net".to_owned()] {
        let (_, operation) = cloud.compute("DELETE", &path, Value::Null).await;
        assert!(cloud.finished(&operation).await.get("error").is_none());
        let (status, body) = cloud.compute("GET", &path, Value::Null).await;
        assert_eq!((status, reason(&body)), (404, "notFound"));
    }
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_lost_response_is_made_good_by_the_same_request_id() {
    let cloud = Cloud::start(0.001).await;
    cloud.control("POST", "faults", json!({ "kind": "lost_answer", "action": "networks.insert", "count": 1 })).await;
    let path = format!("/compute/v1/projects/{PROJECT}/global/networks?requestId={UUID}");
    let body = json!({ "name": "net", "autoCreateSubnetworks": false });
    assert!(cloud.try_google("POST", &path, body.clone(), TOKEN).await.is_err());
    let (status, again) = cloud.google("POST", &path, body.clone()).await;
    assert_eq!((status, &again["clientOperationId"]), (200, &json!(UUID)));
    let (_, third) = cloud.google("POST", &path, body.clone()).await;
    assert_eq!(again["name"], third["name"]);
    assert_eq!(objects(&cloud, "compute.googleapis.com/Network").await.len(), 1);
    let (status, body) = cloud.compute("POST", "global/networks", body).await;
    assert_eq!((status, reason(&body)), (409, "alreadyExists"));
    let journal = cloud.journal().await;
    let lost = journal.iter().find(|e| e["outcome"] == "lost_answer").unwrap();
    assert_eq!((&lost["client_token"], &lost["effect"]), (&json!(UUID), &json!("created")));
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_cluster_takes_its_time_and_one_change_at_once() {
    let cloud = Cloud::start(0.0005).await;
    cloud.make_network("t-1").await;
    let labels = json!({ "landlord-tenant-uid": "t-1" });
    let creating = cloud.make_cluster("t-1", labels).await;
    let name = creating["name"].as_str().unwrap();
    for (method, path) in [("DELETE", "clusters/t-1"), ("POST", "clusters/t-1/nodePools")] {
        let (status, body) = cloud.gke(method, path, json!({ "nodePool": { "name": "more" } })).await;
        assert_eq!((status, &body["error"]["status"]), (400, &json!("FAILED_PRECONDITION")));
        assert_eq!(body["error"]["message"], format!("Cluster is running incompatible operation {name}."));
    }
    let begun = cloud.wait_for(|e| e["action"] == "CreateCluster").await;
    let ready = cloud.wait_for(|e| e["action"] == "ClusterReady").await;
    let foretold = begun["ready_in_ms"].as_i64().unwrap();
    let lasted = ready["sim_ms"].as_i64().unwrap() - begun["sim_ms"].as_i64().unwrap();
    assert!((foretold - lasted).abs() < 200, "foretold {foretold} ms, lasted {lasted} ms");
    assert!((210_000..=570_200).contains(&lasted), "{lasted}");
    assert_eq!((&ready["account"], &ready["region"]), (&json!(PROJECT), &json!(REGION)));
    assert_eq!(ready["caller"], "container.googleapis.com");
    let path = cloud.control("GET", "critical-path?tag=landlord-tenant-uid", Value::Null).await;
    let parts = &path["t-1"]["parts_sim_ms"];
    assert!((parts["cluster"].as_i64().unwrap() - lasted).abs() < 200, "{path}");
    assert!(parts["network"].as_i64().unwrap() > 0 && parts["subnetwork"].as_i64().unwrap() > 0);
    let pool = json!({ "nodePool": { "name": "big", "initialNodeCount": 9 } });
    let (status, body) = cloud.gke("POST", "clusters/t-1/nodePools", pool).await;
    assert_eq!((status, reason(&body)), (403, "forbidden"));
    assert!(
        body["error"]["message"].as_str().unwrap().contains("resource \"CPUS\": request requires '54.0'"),
        "{body}"
    );
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_failure_that_comes_late_is_in_the_operation() {
    let cloud = Cloud::start(0.0005).await;
    cloud.make_network("t-1").await;
    let error = json!({ "code": "RESOURCE_EXHAUSTED", "status": 429, "message": "no machines" });
    let rule =
        json!({ "kind": "error", "service": "container", "action": "NodePoolReady", "count": 1, "error": error });
    cloud.control("POST", "faults", rule).await;
    let creating = cloud.make_cluster("t-1", json!({})).await;
    let ended = cloud.finished_gke(&creating).await;
    assert_eq!(ended["error"], json!({ "code": 8, "message": "no machines" }));
    let (_, cluster) = cloud.gke("GET", "clusters/t-1", Value::Null).await;
    assert_eq!((&cluster["status"], &cluster["statusMessage"]), (&json!("ERROR"), &json!("no machines")));
    assert_eq!(cloud.gke("POST", "clusters/t-1/nodePools", json!({ "nodePool": { "name": "x" } })).await.0, 400);
    let (_, deleting) = cloud.gke("DELETE", "clusters/t-1", Value::Null).await;
    assert!(cloud.finished_gke(&deleting).await.get("error").is_none());
    let left: Vec<Value> = objects(&cloud, "container.googleapis.com/Cluster").await;
    assert!(left.is_empty(), "{left:?}");
    let rule = json!({ "kind": "error", "service": "compute", "action": "Operation:networks.insert", "error":
        { "code": "INTERNAL_ERROR", "status": 503, "message": "no luck" } });
    cloud.control("POST", "faults", rule).await;
    let (_, operation) = cloud.compute("POST", "global/networks", json!({ "name": "late" })).await;
    let ended = cloud.finished(&operation).await;
    assert_eq!(ended["error"]["errors"][0], json!({ "code": "INTERNAL_ERROR", "message": "no luck" }));
    assert_eq!(ended["httpErrorStatusCode"], 503);
    assert_eq!(cloud.compute("GET", "global/networks/late", Value::Null).await.0, 404);
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_machine_without_room_is_a_zone_without_machines() {
    let cloud = Cloud::start(0.0005).await;
    cloud.make_network("t-1").await;
    cloud.handle.shared().world.lock().kubernetes_capacity = Some(0);
    let creating = cloud.make_cluster("t-1", json!({})).await;
    let ended = cloud.finished_gke(&creating).await;
    assert_eq!(ended["error"]["code"], 8);
    let (_, cluster) = cloud.gke("GET", "clusters/t-1", Value::Null).await;
    assert_eq!((&cluster["status"], &cluster["conditions"][0]["code"]), (&json!("ERROR"), &json!("GCE_STOCKOUT")));
    let words = cluster["statusMessage"].as_str().unwrap();
    assert!(words.contains("does not have enough resources available to fulfill the request"), "{words}");
    let (_, deleting) = cloud.gke("DELETE", "clusters/t-1", Value::Null).await;
    assert!(cloud.finished_gke(&deleting).await.get("error").is_none());
    cloud.handle.stop().await;
}

#[tokio::test]
async fn no_token_or_another_projects_is_refused() {
    let cloud = Cloud::start(0.001).await;
    let path = format!("/v1/projects/{PROJECT}/locations/{REGION}/clusters");
    for (token, status, word) in [
        ("nonsense", 401, "UNAUTHENTICATED"),
        ("ya29.never-given", 401, "UNAUTHENTICATED"),
        ("ya29.sim-other.x", 403, "PERMISSION_DENIED"),
    ] {
        let (found, body) = cloud.try_google("GET", &path, Value::Null, token).await.unwrap();
        assert_eq!((found, &body["error"]["status"]), (status, &json!(word)), "{token}");
    }
    let review = |token: &str| {
        let body = json!({ "kind": "TokenReview", "spec": { "token": token } });
        let path = format!("webhook/projects/{PROJECT}/locations/{REGION}/clusters/t-1");
        let cloud = &cloud;
        async move { cloud.control("POST", &path, body).await["status"].clone() }
    };
    let good = review(TOKEN).await;
    assert_eq!((&good["authenticated"], &good["user"]["groups"]), (&json!(true), &json!(["system:masters"])));
    for token in ["ya29.sim-other.x", "ya29.never-given", "a.b.c", ""] {
        assert_eq!(review(token).await["authenticated"], false, "{token}");
    }
    cloud.handle.stop().await;
}

#[tokio::test]
async fn holds_and_stale_reads_work_as_anywhere() {
    let cloud = Cloud::start(0.001).await;
    for (phase, verdict, effect, responded) in
        [("before", "drop", 0, false), ("after", "drop", 1, false), ("before", "release", 2, true)]
    {
        let rule =
            json!({ "kind": "hold", "service": "dns", "action": "managedZones.create", "phase": phase, "count": 1 });
        cloud.control("POST", "faults", rule).await;
        let zone = json!({ "name": format!("z-{phase}-{verdict}"), "dnsName": "t.example.", "description": "d" });
        let path = format!("/dns/v1/projects/{PROJECT}/managedZones");
        let (call, ()) = tokio::join!(cloud.try_google("POST", &path, zone, TOKEN), async {
            let holds = cloud.control("GET", "holds?wait_ms=10000", Value::Null).await;
            let hold = &holds["holds"][0];
            assert_eq!((hold["account"].as_str(), hold["phase"].as_str()), (Some(PROJECT), Some(phase)));
            cloud.control("POST", &format!("holds/{}/{verdict}", hold["id"]), Value::Null).await;
        });
        assert_eq!(call.is_ok(), responded, "{phase} {verdict}");
        assert_eq!(objects(&cloud, "dns.googleapis.com/ManagedZone").await.len(), effect, "{phase} {verdict}");
    }
    cloud.control("POST", "faults", json!({ "kind": "stale", "lag_ms": 3_600_000, "count": 1 })).await;
    let path = format!("/dns/v1/projects/{PROJECT}/managedZones/z-before-release");
    assert_eq!(cloud.google("GET", &path, Value::Null).await.0, 404);
    assert_eq!(cloud.google("GET", &path, Value::Null).await.0, 200);
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_change_of_records_applies_whole_or_not() {
    let cloud = Cloud::start(0.001).await;
    let zones = format!("/dns/v1/projects/{PROJECT}/managedZones");
    let zone = json!({ "name": "z", "dnsName": "t.example.", "description": "d" });
    assert_eq!(cloud.google("POST", &zones, zone).await.0, 200);
    let record =
        |name: &str, kind: &str, data: &str| json!({ "name": name, "type": kind, "ttl": 60, "rrdatas": [data] });
    let (a, other) = (record("a.t.example.", "A", "192.0.2.1"), record("a.t.example.", "A", "192.0.2.2"));
    let changes = format!("{zones}/z/changes");
    let change = |additions: Vec<Value>, deletions: Vec<Value>| {
        let body = json!({ "additions": additions, "deletions": deletions });
        let (cloud, changes) = (&cloud, &changes);
        async move { cloud.google("POST", changes, body).await }
    };
    assert_eq!(change(vec![a.clone()], vec![]).await.0, 200);
    for (additions, deletions, status, word) in [
        (vec![a.clone()], vec![], 409, "alreadyExists"),
        (vec![record("b.t.example.", "A", "192.0.2.1"), record("x.other.", "A", "192.0.2.1")], vec![], 400, "invalid"),
        (vec![], vec![other.clone()], 412, "conditionNotMet"),
        (vec![], vec![record("c.t.example.", "A", "192.0.2.1")], 404, "notFound"),
        (vec![record("a.t.example.", "CNAME", "t.example.")], vec![], 400, "cnameResourceRecordSetConflict"),
    ] {
        let (found, body) = change(additions, deletions).await;
        assert_eq!((found, reason(&body)), (status, word), "{body}");
    }
    assert_eq!(change(vec![other], vec![a]).await.0, 200);
    let (_, listed) = cloud.google("GET", &format!("{zones}/z/rrsets?type=A"), Value::Null).await;
    assert_eq!(listed["rrsets"].as_array().unwrap().len(), 1);
    assert_eq!(listed["rrsets"][0]["rrdatas"], json!(["192.0.2.2"]));
    let (status, body) = cloud.google("DELETE", &format!("{zones}/z"), Value::Null).await;
    assert_eq!((status, reason(&body)), (400, "containerNotEmpty"));
    cloud.handle.stop().await;
}

#[tokio::test]
async fn a_thousand_clusters_in_flight() {
    const CLUSTERS: usize = 1_000;
    const CALLS: usize = 64;
    let _alone = common::THOUSAND.lock().await;
    // Slow enough that all are in flight at once.
    let cloud = Cloud::start(0.05).await;
    let limits = json!({ "gke-clusters-per-region": 2_000, "CPUS": 1_000_000, "IN_USE_ADDRESSES": 1_000_000 });
    cloud.control("POST", "quotas", json!({ "limits": limits })).await;
    cloud.make_network("net").await;
    let one = |i: usize| {
        let cloud = &cloud;
        async move {
            let cluster =
                json!({ "name": format!("c{i}"), "network": "net", "subnetwork": "net", "initialNodeCount": 1 });
            let (status, response) = cloud.gke("POST", "clusters", json!({ "cluster": cluster })).await;
            assert_eq!(status, 200, "{response}");
            assert_eq!(cloud.gke("GET", &format!("clusters/c{i}"), Value::Null).await.0, 200);
        }
    };
    futures::stream::iter(0..CLUSTERS).for_each_concurrent(CALLS, one).await;
    assert_eq!(objects(&cloud, "container.googleapis.com/Cluster").await.len(), CLUSTERS);
    let created = cloud.journal().await.iter().filter(|e| e["action"] == "CreateCluster").count();
    assert_eq!(created, CLUSTERS);
    cloud.handle.stop().await;
}

#[tokio::test]
async fn somebody_can_edit_the_marks_of_any_object() {
    let cloud = Cloud::start(0.0005).await;
    cloud.make_network("net").await;
    let id = format!("projects/{PROJECT}/global/networks/net");
    let edit = json!({ "id": id, "remove": ["landlord-tenant-uid"], "set": { "cost-center": "7" } });
    let edited = cloud.control("POST", "tags", edit).await;
    assert_eq!(edited["before"]["landlord-tenant-uid"], "net");
    let (_, network) = cloud.compute("GET", "global/networks/net", Value::Null).await;
    assert_eq!(network["description"], r#"{"cost-center":"7"}"#, "a resource without labels carries them there");
    let shown = objects(&cloud, "compute.googleapis.com/Network").await;
    assert_eq!(shown[0]["tags"], json!({ "cost-center": "7" }));
    cloud.control("POST", "tags", json!({ "id": id, "set": edited["before"] })).await;
    let (_, network) = cloud.compute("GET", "global/networks/net", Value::Null).await;
    assert!(network["description"].as_str().unwrap().contains("landlord-tenant-uid"));
    assert!(cloud.journal().await.iter().any(|e| e["action"] == "EditTags" && e["effect"] == "changed"));
    let missing = cloud.control("POST", "tags", json!({ "id": "nothing" })).await;
    assert_eq!(missing["error"], "there is no object nothing");
}
