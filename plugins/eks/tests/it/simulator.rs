//! The provider against the simulated AWS. The simulator's own list of objects and journal are
//! the judge, not what the provider says.

use crate::common;
use crate::common::{DOMAIN, Flow, Made, keys};
use cloudsim::{Handle, Options, Simulator};
use landlord_provider_api::{Cluster as _, Dns as _, ErrorKind, v1};
use landlord_test_driver::simulated::{Facts, Foreign, Marked, Metered, Quota};
use serde_json::{Value, json};

/// A lifecycle takes about a second.
const SCALE: f64 = 0.0005;
pub(crate) const ACCOUNT: &str = "444455556666";

/// What the cases of all plugins need to know.
const FACTS: Facts = Facts {
    cloud: common::CLOUD,
    account: ACCOUNT,
    uid: common::UID,
    credential: || keys(ACCOUNT),
    made: &[
        ("AWS::CloudFormation::Stack", 1),
        ("AWS::EC2::VPC", 1),
        ("AWS::EKS::Cluster", 1),
        ("AWS::EKS::Nodegroup", 1),
        ("AWS::Route53::HostedZone", 1),
    ],
    owned: &[
        "AWS::CloudFormation::Stack",
        "AWS::EKS::Cluster",
        "AWS::EKS::Nodegroup",
        "AWS::Route53::HostedZone",
        "AWS::EC2::VPC",
    ],
    removed: &["AWS::CloudFormation::Stack", "AWS::EKS::Cluster", "AWS::EKS::Nodegroup", "AWS::Route53::HostedZone"],
    // Made by AWS itself.
    marked: Marked::AllBut(&[
        "::networkinterface",
        "::securitygroup",
        "::accessentry",
        "::instance",
        "::volume",
        "::podidentityassociation",
    ]),
    holds: |made| {
        assert_eq!(made.network.private_subnet_ids.len(), 2);
        assert_eq!(made.zone.name_servers.len(), 4);
    },
    quotas: &[
        Quota { stage: Metered::Network, name: "vpcs", low: 0, high: 5, words: &["VPCs per Region", "L-F678F1CE"] },
        Quota { stage: Metered::Network, name: "eips", low: 0, high: 5, words: &["L-0263D0A3"] },
    ],
    buckets: &[("cloudformation", v1::ResourceKind::Network, "cloudformation/read")],
    states_wait: false,
    held: &[
        ("AWS::EKS::Nodegroup", &[v1::ResourceKind::NodePool]),
        (
            "AWS::EKS::Cluster",
            &[
                v1::ResourceKind::Addons,
                v1::ResourceKind::NodePool,
                v1::ResourceKind::Identity,
                v1::ResourceKind::Cluster,
            ],
        ),
        ("AWS::CloudFormation::Stack", &[v1::ResourceKind::Network]),
    ],
    other_machine_type: "c7i.large",
    minors: ["1.34", "1.35", "1.37"],
    token_prefix: "k8s-aws-v1.",
    foreign: |sim, call| Box::pin(signed(sim, "route53", call, "application/xml")),
    record: |zone, name| Foreign {
        method: "POST",
        path: format!("/2013-04-01/hostedzone/{zone}/rrset"),
        body: format!(
            r#"<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Changes><Change><Action>CREATE</Action><ResourceRecordSet><Name>{name}.{DOMAIN}</Name><Type>A</Type><TTL>60</TTL><ResourceRecords><ResourceRecord><Value>192.0.2.9</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"#
        ),
    },
    listed: |zone| Foreign { method: "GET", path: format!("/2013-04-01/hostedzone/{zone}/rrset"), body: String::new() },
};

landlord_test_driver::every_plugin_on_its_cloud!(landlord_plugin_eks::Eks, FACTS);

pub(crate) struct Cloud {
    pub(crate) sim: Handle,
    http: reqwest::Client,
}

impl Cloud {
    pub(crate) async fn start() -> Self {
        let options = Options { time_scale: SCALE, seed: 7, no_throttle: true, ..Options::default() };
        Self { sim: Simulator::start(options).await.unwrap(), http: reqwest::Client::new() }
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.sim.url())).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) {
        let response = self.http.post(format!("{}{path}", self.sim.url())).json(&body).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
    }

    pub(crate) async fn fault(&self, rule: Value) {
        self.post("/_sim/faults", rule).await;
    }

    /// Live objects of the account.
    async fn objects(&self) -> Vec<Value> {
        let text = self.get(&format!("/_sim/objects?account={ACCOUNT}")).await;
        serde_json::from_str::<Value>(&text)
            .map(|v| v.as_array().cloned().or_else(|| v["objects"].as_array().cloned()))
            .unwrap()
            .unwrap()
    }

    async fn of_type(&self, kind: &str) -> Vec<Value> {
        self.objects().await.into_iter().filter(|o| o["type"] == kind).collect()
    }

    /// State of the cluster of that name.
    async fn get_state(&self, name: &str) -> String {
        let found = self.of_type("AWS::EKS::Cluster").await.into_iter().find(|cluster| cluster["name"] == name);
        found.and_then(|cluster| cluster["state"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    async fn journal(&self) -> Vec<Value> {
        let text = self.get("/_sim/journal?since=0").await;
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) async fn flow(&self) -> Flow {
        common::flow(&self.sim.url(), &keys(ACCOUNT)).await
    }

    async fn is_empty(&self) {
        let left = self.objects().await;
        assert!(left.is_empty(), "left over: {left:#?}");
    }
}

/// A call by somebody else: a signed request of the query protocol or of EKS's REST.
async fn signed(sim: &Handle, service: &str, call: Foreign, content_type: &str) -> String {
    use aws_sigv4::{
        http_request::{SignableBody, SignableRequest, SigningSettings, sign},
        sign::v4,
    };
    let url = format!("{}{}", sim.url(), call.path);
    let identity =
        aws_credential_types::Credentials::new(format!("AKIA{ACCOUNT}OTHER"), "test", None, None, "x").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(common::REGION)
        .name(service)
        .time(std::time::SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let host = sim.address().to_string();
    let headers = [("host", host.as_str()), ("content-type", content_type)];
    let signable =
        SignableRequest::new(call.method, &url, headers.into_iter(), SignableBody::Bytes(call.body.as_bytes()))
            .unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request =
        reqwest::Client::new().request(call.method.parse().unwrap(), &url).header("content-type", content_type);
    for (name, value) in instructions.headers() {
        request = request.header(name, value);
    }
    let response = request.body(call.body).send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{status} {text}");
    text
}

async fn foreign(
    cloud: &Cloud,
    service: &str,
    method: &'static str,
    path: &str,
    body: String,
    content_type: &str,
) -> String {
    signed(&cloud.sim, service, Foreign { method, path: path.to_owned(), body }, content_type).await
}

pub(crate) async fn foreign_query(cloud: &Cloud, service: &str, version: &str, params: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Version", version).extend_pairs(params);
    foreign(cloud, service, "POST", "/", form.finish(), "application/x-www-form-urlencoded").await
}

pub(crate) async fn foreign_eks(cloud: &Cloud, method: &'static str, path: &str, body: Value) -> String {
    foreign(cloud, "eks", method, path, body.to_string(), "application/json").await
}

/// Whatever was made by whomever is in the list of what appears and who removes it.
async fn what_appears_is_documented(cloud: &Cloud) {
    let page = include_str!("../../README.md");
    let lines = cloud.journal().await;
    let created = lines.iter().filter(|line| line["effect"] == "created");
    let kinds = created.flat_map(|line| line["objects"].as_array().cloned().unwrap_or_default());
    let kinds: std::collections::BTreeSet<String> =
        kinds.filter_map(|object| object["type"].as_str().map(str::to_owned)).collect();
    assert!(kinds.len() > 5, "{kinds:?}");
    let missing: Vec<&String> = kinds.iter().filter(|kind| !page.contains(&format!("`{kind}`"))).collect();
    assert!(missing.is_empty(), "the README does not say who removes {missing:?}");
}

#[tokio::test]
async fn a_foreign_cluster_and_node_group_are_never_touched() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    let name = format!("landlord-{}", common::UID.replace('-', ""));
    let body = json!({ "name": name, "roleArn": network.attributes["cluster_role_arn"],
        "resourcesVpcConfig": { "subnetIds": network.private_subnet_ids } });
    foreign_eks(&cloud, "POST", "/clusters", body).await;
    let error = flow.cluster(&network).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    let removed = flow.delete_kind(v1::ResourceKind::Cluster).await.unwrap();
    assert!(removed.is_empty());
    assert_eq!(cloud.of_type("AWS::EKS::Cluster").await.len(), 1);
}

#[tokio::test]
async fn a_foreign_node_group_in_our_cluster_is_never_touched() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let made = Made { network, cluster, ..Made::default() };
    let body = json!({ "nodegroupName": "landlord-default", "nodeRole": made.network.attributes["node_role_arn"],
        "subnets": made.network.private_subnet_ids, "scalingConfig": { "minSize": 1, "maxSize": 1, "desiredSize": 1 } });
    foreign_eks(&cloud, "POST", &format!("/clusters/{}/node-groups", made.cluster.name), body).await;
    let error = flow.node_pool(&made).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NameTaken, "{error}");
    let removed = flow.delete_kind(v1::ResourceKind::NodePool).await.unwrap();
    assert!(removed.is_empty());
    assert_eq!(cloud.of_type("AWS::EKS::Nodegroup").await.len(), 1);
}

/// What Kubernetes leaves in a tenant's VPC when its cluster goes: a volume with a snapshot of it, security groups that name each
/// other, a load balancer, a machine of a
/// node autoscaler's, an interface; beside them a volume and a snapshot of another cluster's.
pub(crate) async fn leave(cloud: &Cloud, made: &Made) {
    let tag = format!("kubernetes.io/cluster/{}", made.cluster.name);
    let ec2 = async |params: &[(&str, &str)]| foreign_query(cloud, "ec2", "2016-11-15", params).await;
    for key in [tag.as_str(), "kubernetes.io/cluster/somebody-else"] {
        let tagged = |kind: &'static str| {
            [
                ("TagSpecification.1.ResourceType", kind),
                ("TagSpecification.1.Tag.1.Key", key),
                ("TagSpecification.1.Tag.1.Value", "owned"),
            ]
        };
        let volume = [("Action", "CreateVolume"), ("Size", "8"), ("AvailabilityZone", "eu-central-1a")];
        let response = ec2(&[&volume[..], &tagged("volume")].concat()).await;
        let id = response.split("<volumeId>").nth(1).unwrap().split('<').next().unwrap();
        ec2(&[&[("Action", "CreateSnapshot"), ("VolumeId", id)][..], &tagged("snapshot")].concat()).await;
    }
    let mut groups = Vec::new();
    for name in ["k8s-elb-one", "k8s-elb-two"] {
        let response = ec2(&[
            ("Action", "CreateSecurityGroup"),
            ("VpcId", &made.network.network_id),
            ("GroupName", name),
            ("GroupDescription", "x"),
            ("TagSpecification.1.ResourceType", "security-group"),
            ("TagSpecification.1.Tag.1.Key", &tag),
            ("TagSpecification.1.Tag.1.Value", "owned"),
        ])
        .await;
        groups.push(response.split("<groupId>").nth(1).unwrap().split('<').next().unwrap().to_owned());
    }
    for (action, a, b) in [
        ("AuthorizeSecurityGroupIngress", 0, 1),
        ("AuthorizeSecurityGroupIngress", 1, 0),
        ("AuthorizeSecurityGroupEgress", 0, 1),
    ] {
        ec2(&[
            ("Action", action),
            ("GroupId", &groups[a]),
            ("IpPermissions.1.IpProtocol", "tcp"),
            ("IpPermissions.1.FromPort", "443"),
            ("IpPermissions.1.ToPort", "443"),
            ("IpPermissions.1.Groups.1.GroupId", &groups[b]),
        ])
        .await;
    }
    // A machine of a node autoscaler's.
    ec2(&[
        ("Action", "RunInstances"),
        ("MinCount", "1"),
        ("MaxCount", "1"),
        ("InstanceType", "m7i.large"),
        ("SubnetId", &made.network.private_subnet_ids[0]),
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", &tag),
        ("TagSpecification.1.Tag.1.Value", "owned"),
    ])
    .await;
    let balancer = [
        ("Action", "CreateLoadBalancer"),
        ("Name", "k8s-files-web"),
        ("Subnets.member.1", &made.network.public_subnet_ids[0]),
        ("Tags.member.1.Key", &tag),
        ("Tags.member.1.Value", "owned"),
    ];
    foreign_query(cloud, "elasticloadbalancing", "2015-12-01", &balancer).await;
    ec2(&[
        ("Action", "CreateNetworkInterface"),
        ("SubnetId", &made.network.private_subnet_ids[0]),
        ("Description", "aws-K8S-i-0123456789"),
    ])
    .await;
}

/// A hosted zone of somebody else's; its id.
pub(crate) async fn zone(cloud: &Cloud, name: &str) -> String {
    let body = format!(
        r#"<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>{name}</Name><CallerReference>parent</CallerReference></CreateHostedZoneRequest>"#
    );
    let response = foreign(cloud, "route53", "POST", "/2013-04-01/hostedzone", body, "application/xml").await;
    response.split("/hostedzone/").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn leftovers_of_kubernetes_go_and_others_stay() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    leave(&cloud, &made).await;
    let removed = flow.delete().await.unwrap();
    for kind in [
        "AWS::EC2::Instance",
        "AWS::EC2::Volume",
        "AWS::EC2::Snapshot",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::NetworkInterface",
        "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "AWS::ElasticLoadBalancingV2::TargetGroup",
    ] {
        assert!(removed.iter().any(|o| o.r#type == kind), "{kind} is not reported: {removed:#?}");
    }
    flow.owned_is_empty().await;
    let left = cloud.objects().await;
    let kinds: Vec<&Value> = left.iter().map(|object| &object["type"]).collect();
    assert!(
        kinds.len() == 2 && kinds.contains(&&json!("AWS::EC2::Snapshot")),
        "what is a foreign one stays: {left:#?}"
    );
    assert!(kinds.contains(&&json!("AWS::EC2::Volume")), "{left:#?}");
    what_appears_is_documented(&cloud).await;
}

#[tokio::test]
async fn a_pool_takes_taints() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    flow.pool.taints =
        vec![v1::Taint { key: "only".to_owned(), value: "acme".to_owned(), effect: "NoSchedule".to_owned() }];
    flow.node_pool(&made).await.unwrap();
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_pools_disk_is_granted_and_kept() {
    let cloud = Cloud::start().await;
    let mut flow = cloud.flow().await;
    flow.pool.disk_size_gib = 200;
    flow.create().await.unwrap();
    assert_eq!(
        flow.network().await.unwrap().attributes["node_disk_gib"],
        "200",
        "the network stage keeps the pool's disk"
    );
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_parent_zone_delegates_and_the_delegation_goes_with_the_zone() {
    let cloud = Cloud::start().await;
    let parent = zone(&cloud, "example.com").await;
    let mut flow = cloud.flow().await;
    let config = json!({ "parent_zones": { "example.com": parent } }).to_string();
    flow.provider = common::provider(&cloud.sim.url(), &keys(ACCOUNT), &config).await;
    flow.zone().await.unwrap();
    let path = format!("/2013-04-01/hostedzone/{parent}/rrset");
    let listed = foreign(&cloud, "route53", "GET", &path, String::new(), "application/xml").await;
    assert!(listed.contains(&format!("<Name>{DOMAIN}.</Name>")), "{listed}");
    flow.delete_kind(v1::ResourceKind::DnsZone).await.unwrap();
    let listed = foreign(&cloud, "route53", "GET", &path, String::new(), "application/xml").await;
    assert!(!listed.contains(DOMAIN), "{listed}");
    assert_eq!(cloud.of_type("AWS::Route53::HostedZone").await.len(), 1);
}

#[tokio::test]
async fn access_is_a_token_of_the_assumed_role() {
    let cloud = Cloud::start().await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/landlord");
    cloud.post("/_sim/roles", json!({ "arn": role, "external_id": "secret-id" })).await;
    let credential = json!({ "kind": "assume_role", "role_arn": role, "external_id": "secret-id",
        "source": { "kind": "static", "access_key_id": "AKIA999988887777TEST", "secret_access_key": "test" } });
    let mut flow = cloud.flow().await;
    flow.provider = common::provider(&cloud.sim.url(), &credential.to_string(), "").await;
    let request = |cluster| v1::KubeAccessRequest { scope: Some(flow.scope.clone()), cluster };
    let network = flow.network().await.unwrap();
    let cluster = flow.cluster(&network).await.unwrap();
    let access = flow.provider.kube_access(request(Some(cluster.clone()))).await.unwrap();
    assert!(access.token.starts_with("k8s-aws-v1."));
    assert_eq!(access.endpoint, cluster.endpoint);
    assert!(access.expire_time.is_some());
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn wrong_external_id_is_an_auth_error_without_the_id() {
    let cloud = Cloud::start().await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/landlord");
    cloud.post("/_sim/roles", json!({ "arn": role, "external_id": "right" })).await;
    let credential = json!({ "kind": "assume_role", "role_arn": role, "external_id": "wrong-hunter2",
        "source": { "kind": "static", "access_key_id": "AKIA999988887777TEST", "secret_access_key": "test" } });
    let eks = common::provider(&cloud.sim.url(), &credential.to_string(), "").await;
    let request = v1::EnsureDnsZoneRequest {
        scope: Some(common::scope(common::UID)),
        spec: Some(v1::DnsZoneSpec { domain: DOMAIN.to_owned() }),
        checkpoint: Vec::new(),
    };
    let error = eks.ensure_dns_zone(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_failed_cluster_is_reported_and_the_next_attempt_succeeds() {
    let cloud = Cloud::start().await;
    cloud
        .fault(json!({ "service": "eks", "action": "ClusterReady", "kind": "error", "count": 1,
        "error": { "code": "InsufficientFreeAddresses", "status": 400, "message": "no addresses" } }))
        .await;
    let flow = cloud.flow().await;
    let network = flow.network().await.unwrap();
    flow.cluster(&network).await.unwrap();
    flow.delete().await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_stack_that_cannot_be_deleted_at_once_is_deleted_later() {
    let cloud = Cloud::start().await;
    cloud.fault(json!({ "service": "cloudformation", "action": "DeleteResource:AWS::EC2::Subnet", "kind": "error", "count": 2,
        "error": { "code": "DependencyViolation", "status": 400, "message": "The subnet has dependencies and cannot be deleted." } })).await;
    let flow = cloud.flow().await;
    flow.network().await.unwrap();
    flow.delete_kind(v1::ResourceKind::Network).await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn what_holds_a_removal_is_named_before_its_first_step() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let made = flow.create().await.unwrap();
    let path = format!("/clusters/{}", made.cluster.name);
    let protect = async |on: bool| {
        // One change at a time.
        while !cloud.get_state(&made.cluster.name).await.eq("ACTIVE") {
            tokio::time::sleep(flow.pause).await;
        }
        foreign_eks(&cloud, "POST", &format!("{path}/update-config"), json!({ "deletionProtection": on })).await;
    };
    let body = json!({ "nodegroupName": "customer-gpu", "nodeRole": made.network.attributes["node_role_arn"],
        "subnets": made.network.private_subnet_ids, "scalingConfig": { "minSize": 1, "maxSize": 1, "desiredSize": 1 } });
    foreign_eks(&cloud, "POST", &format!("{path}/node-groups"), body).await;
    let profile = json!({ "fargateProfileName": "customer-batch", "podExecutionRoleArn": made.network.attributes["node_role_arn"],
        "selectors": [{ "namespace": "batch" }] });
    foreign_eks(&cloud, "POST", &format!("{path}/fargate-profiles"), profile).await;
    let interface = [
        ("Action", "CreateNetworkInterface"),
        ("SubnetId", made.network.private_subnet_ids[0].as_str()),
        ("Description", "AWS Lambda VPC ENI-customer"),
    ];
    let interface = foreign_query(&cloud, "ec2", "2016-11-15", &interface).await;
    let interface = interface.split("<networkInterfaceId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let stack = async |on: &str| {
        let params = [
            ("Action", "UpdateTerminationProtection"),
            ("StackName", made.cluster.name.as_str()),
            ("EnableTerminationProtection", on),
        ];
        foreign_query(&cloud, "cloudformation", "2010-05-15", &params).await
    };
    stack("true").await;
    protect(true).await;
    let names = [
        "customer-gpu",
        "deletion protection",
        "customer-batch",
        "AWS Lambda VPC ENI-customer",
        "has termination protection",
    ];
    flow.is_held_first(&names).await;
    for (kind, count) in [("AWS::EKS::Cluster", 1), ("AWS::EKS::Nodegroup", 2), ("AWS::Route53::HostedZone", 1)] {
        assert_eq!(cloud.of_type(kind).await.len(), count, "{kind}");
    }
    assert!(!cloud.of_type("AWS::EKS::Addon").await.is_empty());
    protect(false).await;
    stack("false").await;
    foreign_eks(&cloud, "DELETE", &format!("{path}/fargate-profiles/customer-batch"), json!({})).await;
    let gone = [("Action", "DeleteNetworkInterface"), ("NetworkInterfaceId", interface.as_str())];
    foreign_query(&cloud, "ec2", "2016-11-15", &gone).await;
    while cloud.of_type("AWS::EKS::Nodegroup").await.iter().any(|group| group["state"] == "CREATING") {
        tokio::time::sleep(flow.pause).await;
    }
    foreign_eks(&cloud, "DELETE", &format!("{path}/node-groups/customer-gpu"), json!({})).await;
    while cloud.of_type("AWS::EKS::Nodegroup").await.len() > 1 {
        tokio::time::sleep(flow.pause).await;
    }
    flow.delete().await.unwrap();
    cloud.is_empty().await;
    what_appears_is_documented(&cloud).await;
}

#[tokio::test]
async fn a_wildcard_record_is_made_once_and_goes() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    let zone = flow.zone().await.unwrap();
    let record = v1::DnsRecord {
        name: format!("*.{DOMAIN}"),
        r#type: "A".to_owned(),
        ttl_seconds: 60,
        values: vec!["192.0.2.1".to_owned()],
    };
    flow.records(&zone, vec![record.clone()]).await.unwrap();
    let path = format!("/2013-04-01/hostedzone/{}/rrset", zone.zone_id);
    let listed = foreign(&cloud, "route53", "GET", &path, String::new(), "application/xml").await;
    assert!(listed.contains(&format!(r"<Name>\052.{DOMAIN}.</Name>")), "as Route 53 writes a star: {listed}");
    let changes = async || {
        let lines = cloud.journal().await;
        lines.iter().filter(|line| line["action"] == "ChangeResourceRecordSets").count()
    };
    let before = changes().await;
    flow.records(&zone, vec![record]).await.unwrap();
    assert_eq!(changes().await, before, "it is there, and nothing is written again");
    let removed = flow.delete_kind(v1::ResourceKind::DnsRecords).await.unwrap();
    assert_eq!(removed.len(), 2, "the record and the registry: {removed:?}");
    flow.delete_kind(v1::ResourceKind::DnsZone).await.unwrap();
    cloud.is_empty().await;
}

#[tokio::test]
async fn a_policy_of_the_organization_is_named_as_such() {
    let cloud = Cloud::start().await;
    let flow = cloud.flow().await;
    cloud.post("/_sim/policies", json!({ "account": ACCOUNT, "forbid": ["route53:Create*"] })).await;
    let error = flow.zone().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Auth, "{error}");
    assert!(error.remedy.contains("administrator of the AWS organization"), "{}", error.remedy);
    cloud.post("/_sim/policies", json!({ "account": ACCOUNT, "forbid": [] })).await;
    flow.zone().await.unwrap();
}
