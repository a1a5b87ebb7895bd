//! How the simulated Azure refuses, delays, loses and fails, over HTTP against a simulator in this process.
use crate::azure_common::{
    AKS, Azure, LOCATION, OTHER, RESOURCES, SUBSCRIPTION, cluster, group, id_of_network, of_cluster, of_network,
    of_zone,
};
use cloudsim::{Options, Simulator};
use serde_json::{Value, json};
use std::time::Duration;

/// Real time: nothing refills while a test runs.
const REAL_TIME: f64 = 1.0;
const FAST: f64 = 0.0005;

fn of_group(name: &str) -> String {
    format!("{}?api-version={RESOURCES}", group(name))
}

fn here() -> Value {
    json!({ "location": LOCATION })
}

#[tokio::test]
async fn rates_are_limited_in_arms_shape() {
    let azure = Azure::start(REAL_TIME, true).await;
    let path = of_group("rg");
    let first = azure.get(&path).await;
    assert_eq!((first.status, first.header("x-ms-ratelimit-remaining-subscription-reads")), (404, "249"));
    let mut refused = None;
    for _ in 0..400 {
        let response = azure.get(&path).await;
        if response.status == 429 {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("250 and what refills meanwhile are less than 400");
    assert_eq!(refused.code(), "SubscriptionRequestsThrottled");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("x-ms-ratelimit-remaining-subscription-reads"), "0");
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("'read' requests") && message.contains("exceeded the limit of '250'"), "{message}");
    // Writes are counted apart, and so is another principal.
    assert_eq!(azure.call("PUT", &path, here()).await.header("x-ms-ratelimit-remaining-subscription-writes"), "199");
    let other = Azure { token: format!("sim-{SUBSCRIPTION}-other"), ..azure };
    assert_eq!(other.get(&path).await.status, 200);
    other.handle.stop().await;
}

#[tokio::test]
async fn aks_limits_puts_of_one_cluster() {
    let azure = Azure::start(REAL_TIME, true).await;
    azure.put(&of_group("rg"), here()).await;
    for n in 0..20 {
        assert_eq!(azure.call("PUT", &of_cluster("rg", "c"), here()).await.status, 400, "{n}");
    }
    let refused = azure.call("PUT", &of_cluster("rg", "c"), here()).await;
    assert_eq!((refused.status, refused.code()), (429, "TooManyRequests"));
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 30, "a token a minute");
    assert_eq!(azure.call("PUT", &of_cluster("rg", "d"), here()).await.status, 400, "another cluster has its own");
    azure.handle.stop().await;
}

#[tokio::test]
async fn tokens_and_subscriptions() {
    let azure = Azure::start(FAST, false).await;
    let path = of_group("rg");
    let url = format!("{}{path}", azure.handle.url());
    let bare = azure.http.get(&url).send().await.unwrap();
    assert!(bare.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer authorization_uri="));
    assert_eq!(bare.status().as_u16(), 401);
    let body: Value = serde_json::from_str(&bare.text().await.unwrap()).unwrap();
    assert_eq!(body["error"]["code"], "AuthenticationFailed");

    let imds = |resource: &str| {
        let url =
            format!("{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource}", azure.handle.url());
        azure.http.get(url)
    };
    assert_eq!(imds("https://management.azure.com/").send().await.unwrap().status().as_u16(), 400, "no header");
    let mut tokens = Vec::new();
    for resource in ["https://management.azure.com/", "https://vault.azure.net"] {
        let response = imds(resource).header("Metadata", "true").send().await.unwrap().text().await.unwrap();
        let response: Value = serde_json::from_str(&response).unwrap();
        tokens.push(response["access_token"].as_str().unwrap().to_owned());
    }
    for (token, status, code) in [
        (tokens[0].clone(), 404, "ResourceGroupNotFound"),
        (tokens[1].clone(), 401, "InvalidAuthenticationTokenAudience"),
        (format!("{}x", tokens[0]), 401, "InvalidAuthenticationToken"),
        (format!("sim-{OTHER}-test"), 403, "AuthorizationFailed"),
        ("nonsense".to_owned(), 401, "InvalidAuthenticationToken"),
    ] {
        let response = azure.http.get(&url).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{token}");
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], code);
    }
    assert!(
        azure.journal().await.iter().any(|e| e["outcome"] == "AuthorizationFailed" && e["account"] == SUBSCRIPTION)
    );
    azure.handle.stop().await;
}

#[tokio::test]
async fn versions_paths_and_groups_are_checked() {
    let azure = Azure::start(FAST, false).await;
    for (path, status, code) in [
        (group("rg"), 400, "MissingApiVersionParameter"),
        (format!("{}?api-version=2099-01-01", group("rg")), 400, "InvalidApiVersionParameter"),
        (of_network("rg", "natGateways/n").replace("2024-05-01", "2099-01-01"), 400, "NoRegisteredProviderFound"),
        (of_network("rg", "natGateways/n"), 404, "ResourceGroupNotFound"),
        (of_network("rg", "bastionHosts/n"), 404, "InvalidResourceType"),
        (format!("/subscriptions/abc/resourceGroups/rg?api-version={RESOURCES}"), 400, "InvalidSubscriptionId"),
    ] {
        let response = azure.get(&path).await;
        assert_eq!((response.status, response.code()), (status, code), "{path}");
    }
    let listed = azure.get(&format!("{}?api-version=2099-01-01", group("rg"))).await;
    assert!(listed.body["error"]["message"].as_str().unwrap().contains(RESOURCES));
    azure.put(&of_group("rg"), here()).await;
    assert_eq!(azure.get(&of_network("RG", "natGateways/n")).await.code(), "ResourceNotFound");
    let moved = azure.call("PUT", &of_group("rg"), json!({ "location": "eastus" })).await;
    assert_eq!((moved.status, moved.code()), (409, "InvalidResourceGroupLocation"));
    azure.handle.stop().await;
}

#[tokio::test]
async fn a_put_of_a_network_deletes_the_subnets_that_it_lacks() {
    let azure = Azure::start(FAST, false).await;
    let subnet = azure.network("rg").await;
    let bare =
        json!({ "location": LOCATION, "properties": { "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] } } });
    azure.put(&of_network("rg", "virtualNetworks/net"), bare.clone()).await;
    assert_eq!(azure.get(&of_network("rg", "virtualNetworks/net/subnets/nodes")).await.code(), "ResourceNotFound");
    azure.network("rg").await;
    azure.put(&of_cluster("rg", "c"), cluster(&subnet)).await;
    let refused = azure.call("PUT", &of_network("rg", "virtualNetworks/net"), bare).await;
    assert_eq!((refused.status, refused.code()), (400, "InUseSubnetCannotBeDeleted"));
    for (prefix, code) in [("10.0.1.0/24", "NetcfgSubnetRangesOverlap"), ("10.9.0.0/24", "NetcfgInvalidSubnet")] {
        let body = json!({ "properties": { "addressPrefix": prefix } });
        let refused = azure.call("PUT", &of_network("rg", "virtualNetworks/net/subnets/more"), body).await;
        assert_eq!(refused.code(), code);
    }
    let gone = json!({ "location": LOCATION, "properties": { "publicIpAddresses": [{ "id": id_of_network("rg", "publicIPAddresses/no") }] } });
    assert_eq!(azure.call("PUT", &of_network("rg", "natGateways/x"), gone).await.code(), "InvalidResourceReference");
    azure.handle.stop().await;
}

#[tokio::test]
async fn conditions_protect_where_azure_heeds_them() {
    let azure = Azure::start(FAST, false).await;
    let subnet = azure.network("rg").await;
    let create_only = [("if-none-match", "*")];
    azure.put(&of_zone("rg", "dnsZones/a.example"), json!({ "location": "global" })).await;
    let record = json!({ "properties": { "TTL": 60, "ARecords": [{ "ipv4Address": "192.0.2.1" }] } });
    let www = of_zone("rg", "dnsZones/a.example/A/www");
    let first = azure.send("PUT", &www, &create_only, &record).await.unwrap();
    assert_eq!(first.status, 201);
    let second = azure.send("PUT", &www, &create_only, &record).await.unwrap();
    assert_eq!((second.status, second.code()), (412, "PreconditionFailed"));
    let etag = first.body["etag"].as_str().unwrap().to_owned();
    assert_eq!(azure.send("PUT", &www, &[("if-match", &etag)], &record).await.unwrap().status, 200);
    assert_eq!(azure.send("DELETE", &www, &[("if-match", &etag)], &Value::Null).await.unwrap().status, 412);
    azure.put(&of_cluster("rg", "c"), cluster(&subnet)).await;
    let again = azure.send("PUT", &of_cluster("rg", "c"), &create_only, &cluster(&subnet)).await.unwrap();
    assert_eq!((again.status, again.code()), (412, "PreconditionFailed"));
    // The network provider knows no If-None-Match: it overwrites.
    let nat = azure.send("PUT", &of_network("rg", "natGateways/nat"), &create_only, &here()).await.unwrap();
    assert_eq!(nat.status, 200);
    azure.handle.stop().await;
}

#[tokio::test]
async fn one_change_at_a_time() {
    let azure = Azure::start(0.2, false).await;
    let subnet = azure.network("rg").await;
    let nat = of_network("rg", "natGateways/slow");
    assert_eq!(azure.call("PUT", &nat, here()).await.status, 201);
    let busy = azure.call("PUT", &nat, here()).await;
    assert_eq!((busy.status, busy.code()), (409, "AnotherOperationInProgress"));
    assert_eq!(azure.call("PUT", &of_cluster("rg", "c"), cluster(&subnet)).await.status, 201);
    let busy = azure.call("PUT", &of_cluster("rg", "c"), cluster(&subnet)).await;
    assert_eq!((busy.status, busy.code()), (409, "OperationNotAllowed"));
    assert!(
        busy.body["message"].as_str().unwrap().contains("Another operation (Creating) is in progress"),
        "{}",
        busy.body
    );
    assert_eq!(azure.call("DELETE", &of_cluster("rg", "c"), Value::Null).await.status, 409);
    azure.handle.stop().await;
}

#[tokio::test]
async fn what_is_referred_to_must_be_ready_and_free() {
    let azure = Azure::start(0.2, false).await;
    azure.put(&of_group("rg"), here()).await;
    let address = azure.call("PUT", &of_network("rg", "publicIPAddresses/a"), here()).await;
    let nat = json!({ "location": LOCATION, "properties": {
        "publicIpAddresses": [{ "id": id_of_network("rg", "publicIPAddresses/a") }] } });
    let early = azure.call("PUT", &of_network("rg", "natGateways/one"), nat.clone()).await;
    assert_eq!((early.status, early.code()), (429, "RetryableError"));
    let detail = &early.body["error"]["details"][0];
    assert_eq!(detail["code"], "ReferencedResourceNotProvisioned");
    assert!(detail["message"].as_str().unwrap().contains("is not in Succeeded state. Resource is in Updating state"));
    azure.finish(&address).await;
    azure.put(&of_network("rg", "natGateways/one"), nat.clone()).await;
    let taken = azure.call("PUT", &of_network("rg", "natGateways/two"), nat).await;
    assert_eq!((taken.status, taken.code()), (400, "PublicIPAddressInUse"));
    azure.handle.stop().await;
}

#[tokio::test]
async fn hundreds_of_clusters_in_flight() {
    const CLUSTERS: usize = 300;
    // Slow enough that all are in flight at once.
    let azure = std::sync::Arc::new(Azure::start(0.02, false).await);
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..CLUSTERS {
        let azure = azure.clone();
        tasks.spawn(async move {
            let name = format!("rg{i}");
            azure.put(&of_group(&name), here()).await;
            let network = json!({ "location": LOCATION, "properties": {
                "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
                "subnets": [{ "name": "nodes", "properties": { "addressPrefix": "10.0.0.0/20" } }] } });
            azure.put(&of_network(&name, "virtualNetworks/net"), network).await;
            let mut body = cluster(&id_of_network(&name, "virtualNetworks/net/subnets/nodes"));
            body["properties"]["nodeResourceGroup"] = format!("{name}-nodes").into();
            let response = azure.call("PUT", &of_cluster(&name, "c"), body).await;
            assert_eq!(response.status, 201, "{}", response.body);
            assert_eq!(azure.get(&of_cluster(&name, "c")).await.status, 200);
        });
    }
    tasks.join_all().await;
    let made =
        azure.objects().await.iter().filter(|o| o["type"] == "Microsoft.ContainerService/ManagedClusters").count();
    assert_eq!(made, CLUSTERS);
    let created = azure.journal().await;
    let created =
        created.iter().filter(|e| e["action"] == "managedClusters.CreateOrUpdate" && e["effect"] == "created");
    assert_eq!(created.count(), CLUSTERS);
}

#[tokio::test]
async fn work_fails_late_where_a_rule_reports_it() {
    let azure = Azure::start(FAST, false).await;
    azure.network("rg").await;
    let error = json!({ "code": "InternalServerError", "message": "no luck" });
    for action in ["natGateways.Ready", "publicIPAddresses.Gone", "resourceGroups.Gone"] {
        let rule = json!({ "kind": "error", "action": action, "count": 1, "error": error });
        azure.control("POST", "faults", rule).await;
    }
    let response = azure.call("PUT", &of_network("rg", "natGateways/bad"), here()).await;
    let end = azure.finish(&response).await;
    assert_eq!((end["status"].as_str(), end["error"]["code"].as_str()), (Some("Failed"), Some("InternalServerError")));
    let failed = azure.get(&of_network("rg", "natGateways/bad")).await;
    assert_eq!(failed.body["properties"]["provisioningState"], "Failed");
    azure.put(&of_network("rg", "natGateways/bad"), here()).await;
    azure.put(&of_network("rg", "publicIPAddresses/bad"), here()).await;
    let response = azure.call("DELETE", &of_network("rg", "publicIPAddresses/bad"), Value::Null).await;
    assert_eq!(azure.finish(&response).await["status"], "Failed");
    let response = azure.call("DELETE", &of_group("rg"), Value::Null).await;
    let end = azure.finish(&response).await;
    assert_eq!((end["status"].as_u64(), end["error"]["message"].as_str()), (Some(500), Some("no luck")));
    azure.delete(&of_group("rg")).await;
    assert_eq!(azure.objects().await, Vec::<Value>::new());
    azure.handle.stop().await;
}

#[tokio::test]
async fn a_group_whose_subnet_is_used_elsewhere_stays() {
    let azure = Azure::start(FAST, false).await;
    let subnet = azure.network("rg").await;
    azure.put(&of_group("other"), here()).await;
    azure.put(&of_cluster("other", "c"), cluster(&subnet)).await;
    let response = azure.call("DELETE", &of_group("rg"), Value::Null).await;
    assert_eq!((response.status, response.header("azure-asyncoperation")), (202, ""));
    assert_eq!(azure.call("PUT", &of_network("rg", "natGateways/x"), here()).await.code(), "ResourceGroupBeingDeleted");
    let end = azure.finish(&response).await;
    assert_eq!(
        (end["status"].as_u64(), end["error"]["code"].as_str()),
        (Some(409), Some("ResourceGroupDeletionBlocked"))
    );
    azure.delete(&of_group("other")).await;
    azure.delete(&of_group("rg")).await;
    assert_eq!(azure.objects().await, Vec::<Value>::new());
    azure.handle.stop().await;
}

#[tokio::test]
async fn a_group_waits_for_what_is_being_made_in_it() {
    let azure = Azure::start(FAST, false).await;
    let subnet = azure.network("rg").await;
    azure.put(&of_cluster("rg", "c"), cluster(&subnet)).await;
    let pool = json!({ "properties": { "count": 1, "vmSize": "Standard_D4s_v5", "vnetSubnetID": subnet } });
    assert_eq!(azure.call("PUT", &of_cluster("rg", "c/agentPools/main"), pool).await.status, 201);
    azure.delete(&of_group("rg")).await;
    assert_eq!(azure.objects().await, Vec::<Value>::new());
    azure.handle.stop().await;
}

#[tokio::test]
async fn lost_responses_and_held_calls() {
    let azure = Azure::start(FAST, false).await;
    for (kind, made) in [("lost_answer", true), ("lost_request", false)] {
        let rule =
            json!({ "kind": kind, "service": "resources", "action": "resourceGroups.CreateOrUpdate", "count": 1 });
        azure.control("POST", "faults", rule).await;
        assert!(azure.send("PUT", &of_group(kind), &[], &here()).await.is_err(), "{kind}");
        assert_eq!(azure.get(&of_group(kind)).await.status == 200, made, "{kind}");
    }
    azure
        .control("POST", "faults", json!({ "kind": "hold", "service": "resources", "phase": "after", "count": 1 }))
        .await;
    let path = of_group("held");
    let body = here();
    let (response, ()) = tokio::join!(azure.send("PUT", &path, &[], &body), async {
        let holds = azure.control("GET", "holds?wait_ms=10000", Value::Null).await;
        assert_eq!(holds["holds"][0]["account"], SUBSCRIPTION);
        azure.control("POST", &format!("holds/{}/drop", holds["holds"][0]["id"]), Value::Null).await;
    });
    assert!(response.is_err());
    assert_eq!(azure.get(&of_group("held")).await.status, 200);
    azure.handle.stop().await;
}

#[tokio::test]
async fn lists_by_tag_lag_behind() {
    let azure = Azure::start(0.1, false).await;
    let tagged = json!({ "location": LOCATION, "tags": { "owner": "t 1" } });
    azure.put(&of_group("rg"), tagged.clone()).await;
    let query = |what: &str| {
        format!(
            "/subscriptions/{SUBSCRIPTION}/{what}?api-version={RESOURCES}&$filter=tagName%20eq%20%27owner%27%20and%20tagValue%20eq%20%27t%201%27"
        )
    };
    let count = async |what: &str| azure.get(&query(what)).await.body["value"].as_array().unwrap().len();
    assert_eq!(count("resourceGroups").await, 1, "groups are listed from the truth");
    azure.call("PUT", &of_network("rg", "publicIPAddresses/a"), tagged).await;
    assert_eq!(count("resources").await, 0);
    let known = azure.get(&format!("/subscriptions/{SUBSCRIPTION}/providers?api-version={RESOURCES}")).await;
    assert!(known.body["value"].as_array().unwrap().iter().all(|p| p["registrationState"] == "Registered"));
    azure
        .control("POST", "faults", json!({ "kind": "stale", "lag_ms": 3_600_000, "action": "*.Get", "count": 1 }))
        .await;
    let address = of_network("rg", "publicIPAddresses/a");
    assert_eq!(azure.get(&address).await.status, 404, "a stale read does not see what is young");
    assert_eq!(azure.get(&address).await.status, 200);
    let listed = async |wanted: usize| {
        for _ in 0..1_000 {
            if count("resources").await == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never {wanted} in the list");
    };
    listed(1).await;
    assert_eq!(azure.call("DELETE", &address, Value::Null).await.status, 202);
    while azure.get(&address).await.status != 404 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(count("resources").await, 1, "what was deleted lingers, a simulated second at least");
    listed(0).await;
    azure.handle.stop().await;
}

#[tokio::test]
async fn clusters_take_entra_tokens_of_their_owners() {
    let azure = Azure::start(FAST, false).await;
    let subnet = azure.network("rg").await;
    azure.put(&of_cluster("rg", "c"), cluster(&subnet)).await;
    let principal = json!({ "tenant": "t", "client_id": "stranger", "client_secret": "s", "subscriptions": [OTHER] });
    azure.control("POST", "principals", principal).await;
    let token = async |client: &str, secret: &str, scope: &str| {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", secret),
            ("scope", &format!("{scope}/.default")),
        ];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let url = format!("{}/t/oauth2/v2.0/token", azure.handle.url());
        let response = azure.http.post(url).body(form).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&response).unwrap()["access_token"].as_str().unwrap_or_default().to_owned()
    };
    let server = "6dae42f8-4368-4678-94ff-3960e28e3630";
    let id = of_cluster("rg", "c").split('?').next().unwrap().to_owned();
    for (token, good) in [
        (token("me", "cloudsim", server).await, true),
        (format!("sim-{SUBSCRIPTION}-kubectl"), true),
        (token("me", "cloudsim", "https://management.azure.com").await, false),
        (token("stranger", "s", server).await, false),
        (format!("sim-{OTHER}-kubectl"), false),
        ("nonsense".to_owned(), false),
    ] {
        let body = json!({ "kind": "TokenReview", "spec": { "token": token } });
        let review = azure.control("POST", &format!("webhook/{id}"), body).await;
        assert_eq!(review["status"]["authenticated"], good, "{review}");
        assert_eq!(review["status"]["user"]["groups"] == json!(["system:masters"]), good);
    }
    assert_eq!(token("me", "wrong", server).await, "");
    azure.handle.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options {
        time_scale: 0.001,
        seed: 1,
        no_throttle: true,
        data_dir: Some(folder.path().to_owned()),
        ..Options::default()
    };
    let mut azure = Azure::start(0.001, false).await;
    azure.handle.stop().await;
    azure.handle = Simulator::start(options()).await.unwrap();
    let subnet = azure.network("rg").await;
    let begun = azure.call("PUT", &of_cluster("rg", "c"), cluster(&subnet)).await;
    assert_eq!(begun.status, 201, "{}", begun.body);
    azure.handle.stop().await;
    azure.handle = Simulator::start(options()).await.unwrap();
    assert_eq!(azure.finish(&begun).await["status"], "Succeeded");
    let path = format!("{}/providers/Microsoft.ContainerService/managedClusters?api-version={AKS}", group("rg"));
    let listed = azure.get(&path).await.body;
    assert_eq!(listed["value"][0]["properties"]["provisioningState"], "Succeeded");
    azure.delete(&of_group("rg")).await;
    assert_eq!(azure.objects().await, Vec::<Value>::new());
    azure.handle.stop().await;
}
