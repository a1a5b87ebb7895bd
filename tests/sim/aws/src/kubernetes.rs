//! What the controllers of a cluster make in the account: load balancers for Services, disks for claims.
//!
//! Tags and names are those of the AWS Load Balancer Controller
//! (<https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/>) and of the EBS
//! CSI driver (<https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md>). What they made stays
//! behind when the cluster is deleted first. Disks need the EBS CSI add-on, as on EKS
//! (<https://docs.aws.amazon.com/eks/latest/userguide/ebs-csi.html>).

use super::{
    ec2::{network, security},
    eks::{doc_text, doc_texts},
    elbv2,
};
use crate::cloud::Aws;
use crate::kind::AwsKind;
use cloudsim_core::{
    cluster::{RecordSeen, ServiceSeen, StorageClassSeen, VolumeSeen},
    ctx::Ctx,
    in_cluster::InCluster,
    object::{Object, Owner, Tags},
    scope::Scope,
};
use sha2::{Digest, Sha256};

/// Annotations by which a Service requests an internal load balancer.
const INTERNAL: [(&str, &str); 1] = [("service.beta.kubernetes.io/aws-load-balancer-scheme", "internal")];

impl InCluster for Aws {
    /// `gp2`, which every EKS cluster has, and the default class that the EBS CSI add-on makes when configured to.
    fn storage_classes(&self) -> Vec<StorageClassSeen> {
        let default = StorageClassSeen {
            name: "ebs-csi-default-sc",
            provisioner: "ebs.csi.aws.com",
            parameters: &[],
            is_default: true,
            expandable: true,
        };
        let gp2 = StorageClassSeen {
            name: "gp2",
            provisioner: "kubernetes.io/aws-ebs",
            parameters: &[("type", "gp2"), ("fsType", "ext4")],
            is_default: false,
            expandable: false,
        };
        vec![gp2, default]
    }

    fn records(&self, scope: &Scope) -> Vec<RecordSeen> {
        scope.of_kind(AwsKind::HostedZone).filter(|zone| zone.is_live()).flat_map(crate::route53::served).collect()
    }

    fn internal_annotations(&self) -> &'static [(&'static str, &'static str)] {
        &INTERNAL
    }

    /// Makes the load balancer of a Service with its security group; gives its DNS name once it is active.
    fn ensure_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<String> {
        let present =
            owned(ctx, cluster, AwsKind::LoadBalancer).into_iter().find(|o| o.text("service_uid") == service.uid);
        if let Some(balancer) = present {
            return (balancer.state == "active").then(|| balancer.text("dns_name").to_owned());
        }
        let group = ensure_group(ctx, cluster, service)?;
        let hash = hex::encode(Sha256::digest(format!("{}{}", cluster.id, service.uid)));
        let short = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(8).collect::<String>();
        let new = elbv2::NewBalancer {
            name: format!("k8s-{}-{}-{}", short(&service.namespace), short(&service.name), &hash[..10]),
            vpc: cluster.text("vpc").to_owned(),
            subnets: doc_texts(cluster, "/resourcesVpcConfig/subnetIds").into_iter().take(2).collect(),
            groups: vec![group.clone()],
            scheme: if service.internal { "internal" } else { "internet-facing" },
            tags: service_tags(cluster, service),
        };
        match elbv2::create(ctx, new) {
            Ok((arn, _)) => {
                ctx.adjust(&arn, |o| o.set("service_uid", service.uid.clone()));
                ctx.adjust(&group, |o| o.set("balancer", arn));
            }
            Err(error) => ctx.remark(format!("no load balancer for {}/{}: {error}", service.namespace, service.name)),
        }
        None
    }

    /// Deletes the load balancer of a Service, then its group; true once nothing is left.
    fn delete_load_balancer(&self, ctx: &mut Ctx<'_>, cluster: &Object, uid: &str) -> bool {
        let of_service = |o: &Object| o.text("service_uid") == uid;
        if let Some(balancer) = owned(ctx, cluster, AwsKind::LoadBalancer).into_iter().find(of_service) {
            let groups = owned(ctx, cluster, AwsKind::TargetGroup);
            elbv2::delete_load_balancer(ctx, &balancer.id);
            for group in groups.iter().filter(|g| g.text("load_balancer") == balancer.id) {
                ctx.delete(&group.id);
            }
            return false;
        }
        let Some(group) = owned(ctx, cluster, AwsKind::SecurityGroup).into_iter().find(of_service) else {
            return true;
        };
        let interfaces = format!("{}/", group.text("balancer"));
        if ctx.scope().named_under(AwsKind::NetworkInterface, &interfaces).next().is_some() {
            return false;
        }
        forget_group(ctx, &group);
        security::delete_group(ctx, &group.id).is_ok()
    }

    /// Makes the disk of a claim and attaches it to a node of its zone; `None` while the driver does not run.
    fn ensure_volume(&self, ctx: &mut Ctx<'_>, cluster: &Object, volume: &VolumeSeen) -> Option<String> {
        let name = name_of(cluster);
        let driver = ctx.scope().named(AwsKind::Addon, &format!("{name}/{DISK_DRIVER}")).map(|a| a.state.clone());
        if !matches!(driver.as_deref(), Some("ACTIVE" | "UPDATING")) {
            return None;
        }
        let of_claim = |o: &Object| o.tags.get("CSIVolumeName") == Some(&volume.volume);
        if let Some(present) = owned(ctx, cluster, AwsKind::Volume).into_iter().find(of_claim) {
            return Some(present.id);
        }
        let tags = Tags::from([
            ("ebs.csi.aws.com/cluster".to_owned(), "true".to_owned()),
            ("CSIVolumeName".to_owned(), volume.volume.clone()),
            ("KubernetesCluster".to_owned(), name.clone()),
            (format!("kubernetes.io/cluster/{name}"), "owned".to_owned()),
            ("kubernetes.io/created-for/pvc/name".to_owned(), volume.claim.clone()),
            ("kubernetes.io/created-for/pvc/namespace".to_owned(), volume.namespace.clone()),
            ("kubernetes.io/created-for/pv/name".to_owned(), volume.volume.clone()),
            ("Name".to_owned(), format!("{name}-dynamic-{}", volume.volume)),
        ]);
        let zone = volume.zone.clone().unwrap_or_else(|| format!("{}a", ctx.key.region));
        let instance = ctx
            .scope()
            .tagged("eks:cluster-name", &name)
            .find(|o| o.kind == AwsKind::Instance && o.is_live() && o.text("zone") == zone)
            .map(|o| o.id.clone());
        let id = network::create_volume(ctx, volume.size_gib, &zone, tags, Owner::Kubernetes);
        if let Some(instance) = instance {
            ctx.change(&id, |o| {
                o.state = "in-use".to_owned();
                o.name = Some(format!("{instance}/{}", o.id));
                o.set("attached_to", instance);
            });
        }
        Some(id)
    }

    fn set_volume_size(&self, ctx: &mut Ctx<'_>, id: &str, size_gib: u64) {
        ctx.change(id, |o| o.set("size", size_gib));
    }

    /// Detaches and deletes a disk.
    fn delete_volume(&self, ctx: &mut Ctx<'_>, id: &str) {
        ctx.delete(id);
    }
}

/// The add-on without which claims stay pending.
const DISK_DRIVER: &str = "aws-ebs-csi-driver";

fn name_of(cluster: &Object) -> String {
    cluster.name.clone().unwrap_or_default()
}

/// Live objects of `kind` that controllers of the cluster made.
fn owned(ctx: &mut Ctx<'_>, cluster: &Object, kind: AwsKind) -> Vec<Object> {
    let key = format!("kubernetes.io/cluster/{}", name_of(cluster));
    let made = |o: &&Object| o.kind == kind && o.is_live() && o.owner == Owner::Kubernetes;
    ctx.scope().tagged(&key, "owned").filter(made).cloned().collect()
}

fn service_tags(cluster: &Object, service: &ServiceSeen) -> Tags {
    let (name, service) = (name_of(cluster), format!("{}/{}", service.namespace, service.name));
    Tags::from([
        (format!("kubernetes.io/cluster/{name}"), "owned".to_owned()),
        ("elbv2.k8s.aws/cluster".to_owned(), name),
        ("kubernetes.io/service-name".to_owned(), service.clone()),
        ("service.k8s.aws/stack".to_owned(), service),
    ])
}

/// The load balancer's own security group, let into the cluster's group: a reference that must go before the group can.
fn ensure_group(ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<String> {
    let present =
        owned(ctx, cluster, AwsKind::SecurityGroup).into_iter().find(|o| o.text("service_uid") == service.uid);
    if let Some(group) = present {
        return Some(group.id);
    }
    let uid: String = service.uid.chars().filter(|c| *c != '-').take(32).collect();
    let (vpc, tags) = (cluster.text("vpc").to_owned(), service_tags(cluster, service));
    let description = format!("Security group for Kubernetes ELB {uid} ({}/{})", service.namespace, service.name);
    let group = security::create_group(ctx, &vpc, &format!("k8s-elb-{uid}"), &description, tags).ok()?;
    ctx.adjust(&group, |o| {
        o.owner = Owner::Kubernetes;
        o.set("service_uid", service.uid.clone());
    });
    let nodes = doc_text(cluster, "/resourcesVpcConfig/clusterSecurityGroupId").to_owned();
    let rule = security::Permission {
        protocol: "tcp".to_owned(),
        from: service.ports.iter().copied().map(i64::from).min(),
        to: service.ports.iter().copied().map(i64::from).max(),
        cidrs: Vec::new(),
        groups: vec![group.clone()],
    };
    // Another Service with the same ports may have made an equal rule for its own group only: no conflict.
    let _ = security::add_rule(ctx, &nodes, "ingress", rule);
    Some(group)
}

/// Removes the rules of other groups that name this one.
fn forget_group(ctx: &mut Ctx<'_>, group: &Object) {
    let names_it = |r: &security::Permission| r.groups.contains(&group.id);
    let vpc = group.vpc.clone().unwrap_or_default();
    let referring: Vec<Object> = ctx
        .scope()
        .in_vpc(&vpc)
        .filter(|o| o.kind == AwsKind::SecurityGroup && o.id != group.id)
        .filter(|o| security::rules(o, "ingress").iter().any(names_it))
        .cloned()
        .collect();
    for other in referring {
        for rule in security::rules(&other, "ingress").iter().filter(|r| names_it(r)) {
            security::remove_rule(ctx, &other.id, "ingress", rule);
        }
    }
}
