//! A whole life in the simulated Azure, over HTTP: group, network, cluster, pool, zone, and all of it deleted again.
use crate::azure_common::{
    Azure, RESOURCES, SUBSCRIPTION, cluster, group, id_of_network, of_cluster, of_network, of_zone,
};
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_created_is_deleted_again() {
    let azure = Azure::start(0.0005, true).await;
    let subnet = azure.network("rg").await;
    let network = azure.get(&of_network("rg", "virtualnetworks/NET")).await;
    assert_eq!(
        network.body["properties"]["subnets"][0]["properties"]["natGateway"]["id"],
        id_of_network("rg", "natGateways/nat")
    );
    assert_eq!(network.body["name"], "net", "ids are compared without case and shown as made");

    let begun = azure.put(&of_cluster("rg", "c"), cluster(&subnet)).await;
    assert_eq!((begun.status, begun.body["properties"]["provisioningState"].as_str()), (201, Some("Creating")));
    let made = azure.get(&of_cluster("rg", "c")).await.body;
    assert_eq!(made["properties"]["provisioningState"], "Succeeded");
    assert_eq!(made["properties"]["currentKubernetesVersion"], "1.35.4");
    assert_eq!(made["properties"]["agentPoolProfiles"][0]["provisioningState"], "Succeeded");
    let nodes = azure.get(&format!("{}/resources?api-version={RESOURCES}", group("rg-nodes"))).await;
    assert_eq!(nodes.status, 200, "{}", nodes.body);
    let pool = json!({ "properties": { "count": 1, "vmSize": "Standard_D4s_v5", "mode": "User", "vnetSubnetID": subnet,
        "nodeLabels": { "a": "b" }, "nodeTaints": ["k=v:NoSchedule"] } });
    azure.put(&of_cluster("rg", "c/agentPools/main"), pool).await;
    let credential = azure.call("POST", &of_cluster("rg", "c/listClusterUserCredential"), Value::Null).await;
    assert_eq!(credential.body["kubeconfigs"][0]["name"], "clusterUser");
    let admin = azure.call("POST", &of_cluster("rg", "c/listClusterAdminCredential"), Value::Null).await;
    assert_eq!((admin.status, admin.code()), (400, "BadRequest"));

    azure.put(&of_zone("rg", "dnsZones/a.example"), json!({ "location": "global" })).await;
    let record = json!({ "properties": { "TTL": 60, "ARecords": [{ "ipv4Address": "192.0.2.1" }] } });
    assert_eq!(azure.put(&of_zone("rg", "dnsZones/a.example/A/www"), record).await.status, 201);

    azure.delete(&of_zone("rg", "dnsZones/a.example")).await;
    azure.delete(&of_cluster("rg", "c/agentPools/main")).await;
    azure.delete(&of_cluster("rg", "c")).await;
    assert_eq!(
        azure.get(&format!("{}?api-version={RESOURCES}", group("rg-nodes"))).await.code(),
        "ResourceGroupNotFound"
    );
    azure.delete(&of_network("rg", "virtualNetworks/net")).await;
    azure.delete(&of_network("rg", "natGateways/nat")).await;
    azure.delete(&of_network("rg", "publicIPAddresses/nat")).await;
    azure.delete(&format!("{}?api-version={RESOURCES}", group("rg"))).await;
    assert_eq!(azure.objects().await, Vec::<Value>::new());

    let entries = azure.journal().await;
    let ids = |effect: &str| {
        let mut found: Vec<String> = entries
            .iter()
            .filter(|e| e["effect"] == effect)
            .flat_map(|e| e["objects"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()))
            .collect();
        found.sort();
        found
    };
    assert_eq!(ids("created"), ids("deleted"));
    assert!(entries.iter().all(|e| e["account"] == SUBSCRIPTION), "the account is the subscription");
    azure.handle.stop().await;
}
