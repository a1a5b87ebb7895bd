//! What Kubernetes made in the cloud for this tenant's cluster and left behind: machines, load
//! balancers, network interfaces, security groups, volumes and their snapshots. Found by the tag that carries the
//! cluster's name, hence the tenant's uid, or by lying in the tenant's own VPC with the mark
//! of a Kubernetes controller; nothing else is touched.

mod balancers;
mod groups;

use landlord_provider_api::{MARKER_INSTALLATION, MARKER_TENANT_UID, v1};

use crate::{
    action::{self, Action},
    aws::Clients,
    error::Result,
    logs,
    names::Names,
    progress::{self, Outcome},
    query::{self, Params},
    xml::Element,
};

/// Seconds between observations.
const POLL_S: i64 = 10;

/// A leftover, and what became of it.
pub(crate) struct Leftover {
    object: v1::OwnedObject,
    /// Whether its deletion was requested in this call.
    removed: bool,
}

/// A kind of storage that the EBS driver makes.
struct Storage {
    describe: Action,
    /// Element with the items of the response, and the one with an item's id.
    set: &'static str,
    id: &'static str,
    delete: Action,
    /// Parameter of the deletion.
    parameter: &'static str,
    type_name: &'static str,
}

const STORAGE: [Storage; 2] = [
    Storage {
        describe: action::DESCRIBE_SNAPSHOTS,
        set: "snapshotSet",
        id: "snapshotId",
        delete: action::DELETE_SNAPSHOT,
        parameter: "SnapshotId",
        type_name: "AWS::EC2::Snapshot",
    },
    Storage {
        describe: action::DESCRIBE_VOLUMES,
        set: "volumeSet",
        id: "volumeId",
        delete: action::DELETE_VOLUME,
        parameter: "VolumeId",
        type_name: "AWS::EC2::Volume",
    },
];

/// What all parts need.
pub(crate) struct Sweep<'a> {
    aws: &'a Clients,
    scope: &'a v1::Scope,
    names: &'a Names,
    /// The tenant's VPC, if it is still there.
    vpc: Option<String>,
    /// Observe only.
    dry: bool,
}

impl<'a> Sweep<'a> {
    async fn new(aws: &'a Clients, scope: &'a v1::Scope, names: &'a Names, dry: bool) -> Result<Self> {
        let values = |v: &str| vec![v.to_owned()];
        let (installation, uid) = (values(&scope.installation), values(&scope.tenant_uid));
        let (by_installation, by_uid) = (format!("tag:{MARKER_INSTALLATION}"), format!("tag:{MARKER_TENANT_UID}"));
        let filters = [(by_installation.as_str(), &installation[..]), (by_uid.as_str(), &uid[..])];
        let vpcs = aws.query.describe(action::DESCRIBE_VPCS, "vpcSet", &filters).await?;
        let vpc = vpcs.first().map(|v| v.text("vpcId").to_owned());
        Ok(Self { aws, scope, names, vpc, dry })
    }

    fn object(&self, kind: &str, id: &str, name: &str) -> v1::OwnedObject {
        v1::OwnedObject {
            r#type: kind.to_owned(),
            id: id.to_owned(),
            name: name.to_owned(),
            role: "leftover".to_owned(),
            tenant_uid: String::new(),
            region: self.scope.region.clone(),
        }
    }

    /// Whether a tag is a Kubernetes controller's for this cluster.
    fn is_cluster_tag(&self, key: &str, value: &str) -> bool {
        let cluster = self.names.cluster();
        match key {
            "elbv2.k8s.aws/cluster"
            | "cluster.k8s.amazonaws.com/name"
            | "KubernetesCluster"
            | "aws:eks:cluster-name"
            | "eks:cluster-name"
            | "eks:eks-cluster-name" => value == cluster,
            // "shared" is what others, our own subnets among them, carry.
            key => key == self.names.cluster_tag() && value == "owned",
        }
    }

    fn has_cluster_tag(&self, item: &Element) -> bool {
        let tags = item.child("tagSet").or_else(|| item.child("groupSet"));
        tags.is_some_and(|set| set.children("item").any(|t| self.is_cluster_tag(t.text("key"), t.text("value"))))
    }

    /// Deletes one object by one parameter; false if something still uses it.
    async fn delete(&self, action: Action, parameter: &str, id: &str) -> Result<bool> {
        if self.dry {
            return Ok(false);
        }
        let params: Params = vec![(parameter.to_owned(), id.to_owned())];
        match self.aws.query.call(action, query::EC2, id, &params).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_absent() => Ok(true),
            Err(error) if error.is_busy() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Interfaces that the CNI or a load balancer left detached, or that still hang on one.
    async fn interfaces(&self, found: &mut Vec<Leftover>) -> Result<()> {
        let Some(vpc) = &self.vpc else { return Ok(()) };
        let filters = [("vpc-id", std::slice::from_ref(vpc))];
        let items =
            self.aws.query.describe(action::DESCRIBE_NETWORK_INTERFACES, "networkInterfaceSet", &filters).await?;
        for item in items {
            let (id, description) = (item.text("networkInterfaceId"), item.text("description"));
            let by_kubernetes = self.has_cluster_tag(&item)
                || description.starts_with("aws-K8S-")
                || description.starts_with("ELB ")
                || description == format!("Amazon EKS {}", self.names.cluster());
            if !by_kubernetes {
                continue;
            }
            // One in use goes with what it is attached to.
            let free = item.text("status") == "available";
            let removed = free && self.delete(action::DELETE_NETWORK_INTERFACE, "NetworkInterfaceId", id).await?;
            found.push(Leftover { object: self.object("AWS::EC2::NetworkInterface", id, description), removed });
        }
        Ok(())
    }

    /// What the EBS driver made, which tags it with the cluster's name: volumes of claims, snapshots of VolumeSnapshots. Those
    /// that their class says to keep are leftovers, too: nobody else knows of them.
    async fn storage(&self, kind: &Storage, found: &mut Vec<Leftover>) -> Result<()> {
        let mut seen = std::collections::BTreeSet::new();
        let by_tag = format!("tag:{}", self.names.cluster_tag());
        let (owned, cluster) = (["owned".to_owned()], [self.names.cluster().to_owned()]);
        for (filter, values) in [(by_tag.as_str(), &owned[..]), ("tag:KubernetesCluster", &cluster[..])] {
            let items = self.aws.query.describe(kind.describe, kind.set, &[(filter, values)]).await?;
            for item in items {
                let id = item.text(kind.id);
                if matches!(item.text("status"), "deleting" | "deleted") || !seen.insert(id.to_owned()) {
                    continue;
                }
                let removed = self.delete(kind.delete, kind.parameter, id).await?;
                let name =
                    item.tag("kubernetes.io/created-for/pvc/name").or_else(|| item.tag("Name")).unwrap_or_default();
                found.push(Leftover { object: self.object(kind.type_name, id, name), removed });
            }
        }
        Ok(())
    }

    /// Machines that a node autoscaler in the cluster started: without the cluster nobody ends them, and they hold the network.
    /// Those of node groups end with their group.
    async fn instances(&self, found: &mut Vec<Leftover>) -> Result<()> {
        let by_tag = format!("tag:{}", self.names.cluster_tag());
        let states = ["pending", "running", "stopping", "stopped"].map(str::to_owned);
        let filters = [(by_tag.as_str(), &["owned".to_owned()][..]), ("instance-state-name", &states[..])];
        let reservations = self.aws.query.describe(action::DESCRIBE_INSTANCES, "reservationSet", &filters).await?;
        let items = reservations.iter().flat_map(|r| r.children("instancesSet")).flat_map(|set| set.children("item"));
        for item in items.filter(|item| item.tag("eks:nodegroup-name").is_none()) {
            let id = item.text("instanceId");
            let removed = self.delete(action::TERMINATE_INSTANCES, "InstanceId.1", id).await?;
            let name = item.tag("Name").unwrap_or_default();
            found.push(Leftover { object: self.object("AWS::EC2::Instance", id, name), removed });
        }
        Ok(())
    }

    async fn all(&self) -> Result<Vec<Leftover>> {
        let mut found = Vec::new();
        let logs = if self.dry {
            logs::observe(self.aws, self.scope, self.names).await?
        } else {
            logs::delete(self.aws, self.scope, self.names).await?
        };
        found.extend(logs.map(|object| Leftover { object, removed: !self.dry }));
        self.instances(&mut found).await?;
        self.load_balancers(&mut found).await?;
        self.interfaces(&mut found).await?;
        self.security_groups(&mut found).await?;
        for kind in &STORAGE {
            self.storage(kind, &mut found).await?;
        }
        Ok(found)
    }
}

/// Makes leftovers be absent: requests what can go now, Pending while anything is there.
pub(crate) async fn delete(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let found = Sweep::new(aws, scope, &names, false).await?.all().await?;
    if found.is_empty() {
        return Ok((Outcome::Gone, Vec::new()));
    }
    let kept: Vec<&str> = found.iter().filter(|l| !l.removed).map(|l| l.object.id.as_str()).collect();
    let detail = if kept.is_empty() {
        format!("{} leftovers of the cluster are going", found.len())
    } else {
        format!("leftovers of the cluster are still in use: {}", kept.join(", "))
    };
    let removed = found.into_iter().filter(|l| l.removed).map(|l| l.object).collect();
    Ok((progress::pending(POLL_S, detail), removed))
}

/// Observes.
pub(crate) async fn observe(aws: &Clients, scope: &v1::Scope) -> Result<(Outcome, Vec<v1::OwnedObject>)> {
    let names = Names::new(scope)?;
    let found = Sweep::new(aws, scope, &names, true).await?.all().await?;
    let outcome = if found.is_empty() { Outcome::Gone } else { progress::ready() };
    Ok((outcome, found.into_iter().map(|l| l.object).collect()))
}

/// How the descriptions of interfaces begin that EKS, the CNI, load balancers and NAT gateways make.
const DESCRIPTIONS: [&str; 4] = ["Amazon EKS ", "aws-K8S-", "ELB ", "Interface for NAT Gateway"];

/// Interfaces in the tenant's VPC that neither landlord nor the cluster brought there: the VPC cannot go before them.
pub(crate) async fn foreign_interfaces(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Vec<String>> {
    let sweep = Sweep::new(aws, scope, names, true).await?;
    let Some(vpc) = &sweep.vpc else { return Ok(Vec::new()) };
    let filters = [("vpc-id", std::slice::from_ref(vpc))];
    let reservations = aws.query.describe(action::DESCRIBE_INSTANCES, "reservationSet", &filters).await?;
    let machines = reservations.iter().flat_map(|r| r.children("instancesSet")).flat_map(|set| set.children("item"));
    let nodes: Vec<&str> = machines.filter(|m| sweep.has_cluster_tag(m)).map(|m| m.text("instanceId")).collect();
    let all = aws.query.describe(action::DESCRIBE_NETWORK_INTERFACES, "networkInterfaceSet", &filters).await?;
    let is_known = |item: &&Element| {
        let instance = item.child("attachment").map_or("", |attachment| attachment.text("instanceId"));
        item.tag(MARKER_TENANT_UID) == Some(scope.tenant_uid.as_str())
            || sweep.has_cluster_tag(item)
            || nodes.contains(&instance)
            || matches!(item.text("interfaceType"), "nat_gateway" | "network_load_balancer")
            || DESCRIPTIONS.iter().any(|start| item.text("description").starts_with(start))
    };
    let named = |item: &Element| match item.text("description") {
        "" => item.text("networkInterfaceId").to_owned(),
        description => format!("{} ({description})", item.text("networkInterfaceId")),
    };
    let mut unknown: Vec<&Element> = all.iter().filter(|item| !is_known(item)).collect();
    if !unknown.is_empty() {
        let gateways = aws.query.describe(action::DESCRIBE_NAT_GATEWAYS, "natGatewaySet", &filters).await?;
        let addresses =
            gateways.iter().flat_map(|g| g.children("natGatewayAddressSet")).flat_map(|s| s.children("item"));
        let own: Vec<&str> = addresses.map(|address| address.text("networkInterfaceId")).collect();
        unknown.retain(|item| !own.contains(&item.text("networkInterfaceId")));
    }
    Ok(unknown.into_iter().map(named).collect())
}
