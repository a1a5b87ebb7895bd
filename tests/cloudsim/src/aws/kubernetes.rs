//! What Kubernetes controllers of a cluster make in the account: load balancers for Services, disks for claims.
//!
//! Tags and names are those of the AWS Load Balancer Controller
//! (<https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/>) and of the EBS
//! CSI driver (<https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/tagging.md>). They act only
//! while their cluster lives; what they made before stays behind when the cluster is deleted first.

use super::{
    ec2::{network, security},
    elbv2,
};
use crate::{
    object::{Kind, Object, Owner, Tags},
    runtime::{RuntimeCommand, ServiceSeen, VolumeSeen},
    world::Ctx,
};
use sha2::{Digest, Sha256};

/// Brings the account's load balancers and disks to what the cluster has now.
pub fn reconcile(ctx: &mut Ctx<'_>, cluster: &Object, subnets: &[String], services: &[ServiceSeen], volumes: &[VolumeSeen]) {
    if !matches!(cluster.state.as_str(), "ACTIVE" | "UPDATING") {
        return;
    }
    let name = cluster.name.clone().unwrap_or_default();
    balancers(ctx, cluster, &name, subnets, services);
    disks(ctx, cluster, &name, volumes);
}

fn owned(ctx: &mut Ctx<'_>, kind: Kind, name: &str) -> Vec<Object> {
    let key = format!("kubernetes.io/cluster/{name}");
    let scope = ctx.scope();
    scope.tagged(&key, "owned").filter(|o| o.kind == kind && o.is_live() && o.owner == Owner::Kubernetes).cloned().collect()
}

fn service_tags(cluster: &str, service: &str) -> Tags {
    Tags::from([
        (format!("kubernetes.io/cluster/{cluster}"), "owned".to_owned()),
        ("elbv2.k8s.aws/cluster".to_owned(), cluster.to_owned()),
        ("kubernetes.io/service-name".to_owned(), service.to_owned()),
        ("service.k8s.aws/stack".to_owned(), service.to_owned()),
    ])
}

fn balancers(ctx: &mut Ctx<'_>, cluster: &Object, name: &str, subnets: &[String], services: &[ServiceSeen]) {
    let present = owned(ctx, Kind::LoadBalancer, name);
    let of = |o: &Object| o.tags.get("kubernetes.io/service-name").cloned().unwrap_or_default();
    for gone in present.iter().filter(|o| !services.iter().any(|s| s.name == of(o))) {
        remove_balancer(ctx, name, gone, &of(gone));
    }
    for service in services {
        if let Some(balancer) = present.iter().find(|o| of(o) == service.name) {
            announce(ctx, cluster, &service.name, balancer);
            continue;
        }
        let hash = hex::encode(Sha256::digest(format!("{}{}", cluster.id, service.uid)));
        let short: String = service.name.replace('/', "-").chars().take(20).collect();
        let group_name = format!("k8s-elb-{}", &hash[..16]);
        let vpc = cluster.text("vpc").to_owned();
        let tags = service_tags(name, &service.name);
        let description = format!("Security group for Kubernetes ELB {} ({})", &hash[..16], service.name);
        let group = security::create_group(ctx, &vpc, &group_name, &description, tags.clone());
        let Ok(group) = group.or_else(|_| existing_group(ctx, &vpc, &group_name).ok_or(())) else { continue };
        ctx.adjust(&group, |o| o.owner = Owner::Kubernetes);
        allow_nodes(ctx, cluster, &group, service);
        let new = elbv2::NewBalancer {
            name: format!("k8s-{short}-{}", &hash[..10]).chars().take(32).collect(),
            vpc,
            subnets: subnets.iter().take(2).cloned().collect(),
            groups: vec![group],
            scheme: if service.internal { "internal" } else { "internet-facing" },
            tags,
        };
        if let Err(error) = elbv2::create(ctx, new) {
            ctx.remark(format!("no load balancer for {}: {error}", service.name));
        }
    }
}

fn existing_group(ctx: &mut Ctx<'_>, vpc: &str, name: &str) -> Option<String> {
    ctx.scope().named(Kind::SecurityGroup, &format!("{vpc}/{name}")).map(|o| o.id.clone())
}

/// The controller lets its group into the cluster's group, a reference that keeps both from being deleted carelessly.
fn allow_nodes(ctx: &mut Ctx<'_>, cluster: &Object, group: &str, service: &ServiceSeen) {
    let nodes = super::eks::doc_text(cluster, "/resourcesVpcConfig/clusterSecurityGroupId").to_owned();
    let port = |p: &i32| i64::from(*p);
    let rule = security::Permission {
        protocol: "tcp".to_owned(),
        from: service.ports.iter().map(port).min(),
        to: service.ports.iter().map(port).max(),
        cidrs: Vec::new(),
        groups: vec![group.to_owned()],
    };
    let _ = security::add_rule(ctx, &nodes, "ingress", rule);
}

/// Once the balancer is active, its name becomes the Service's address.
fn announce(ctx: &mut Ctx<'_>, cluster: &Object, service: &str, balancer: &Object) {
    if balancer.state != "active" || balancer.props.contains_key("announced") {
        return;
    }
    let hostname = balancer.text("dns_name").to_owned();
    ctx.adjust(&balancer.id, |o| o.set("announced", true));
    ctx.world.outbox.push(RuntimeCommand::ServiceAddress {
        arn: cluster.id.clone(),
        service: service.to_owned(),
        hostname,
    });
}

fn remove_balancer(ctx: &mut Ctx<'_>, name: &str, balancer: &Object, service: &str) {
    elbv2::delete_load_balancer(ctx, &balancer.id);
    for group in owned(ctx, Kind::TargetGroup, name) {
        if group.tags.get("kubernetes.io/service-name").map(String::as_str) == Some(service) {
            ctx.delete(&group.id);
        }
    }
    for group in balancer.texts("groups").map(str::to_owned).collect::<Vec<_>>() {
        let vpc = balancer.vpc.clone().unwrap_or_default();
        let referring: Vec<Object> = ctx
            .scope()
            .in_vpc(&vpc)
            .filter(|o| o.kind == Kind::SecurityGroup && o.id != group)
            .filter(|o| security::rules(o, "ingress").iter().any(|r| r.groups.contains(&group)))
            .cloned()
            .collect();
        for other in referring {
            for rule in security::rules(&other, "ingress").iter().filter(|r| r.groups.contains(&group)) {
                security::remove_rule(ctx, &other.id, "ingress", rule);
            }
        }
        // The controller waits for the interfaces; here they and the group go together.
        network::service_object_gone(ctx, &balancer.id);
        let _ = security::delete_group(ctx, &group);
    }
}

fn disks(ctx: &mut Ctx<'_>, cluster: &Object, name: &str, volumes: &[VolumeSeen]) {
    let present = owned(ctx, Kind::Volume, name);
    let of = |o: &Object| o.tags.get("CSIVolumeName").cloned().unwrap_or_default();
    for gone in present.iter().filter(|o| !volumes.iter().any(|v| v.volume == of(o))) {
        ctx.delete(&gone.id);
    }
    for volume in volumes.iter().filter(|v| !present.iter().any(|o| of(o) == v.volume)) {
        let tags = Tags::from([
            ("ebs.csi.aws.com/cluster".to_owned(), "true".to_owned()),
            ("CSIVolumeName".to_owned(), volume.volume.clone()),
            ("KubernetesCluster".to_owned(), name.to_owned()),
            (format!("kubernetes.io/cluster/{name}"), "owned".to_owned()),
            ("kubernetes.io/created-for/pvc/name".to_owned(), volume.claim.clone()),
            ("kubernetes.io/created-for/pvc/namespace".to_owned(), volume.namespace.clone()),
            ("kubernetes.io/created-for/pv/name".to_owned(), volume.volume.clone()),
            ("Name".to_owned(), format!("{name}-dynamic-{}", volume.volume)),
        ]);
        let instance = ctx
            .scope()
            .tagged("eks:cluster-name", name)
            .find(|o| o.kind == Kind::Instance && o.is_live())
            .map(|o| (o.id.clone(), o.text("zone").to_owned()));
        let (instance, zone) = instance.unwrap_or_else(|| (String::new(), format!("{}a", ctx.key.region)));
        let id = network::create_volume(ctx, volume.size_gib, &zone, tags, Owner::Kubernetes);
        if !instance.is_empty() {
            ctx.adjust(&id, |o| {
                o.state = "in-use".to_owned();
                o.name = Some(format!("{instance}/{}", o.id));
                o.set("attached_to", instance);
            });
        }
    }
    tracing::trace!(cluster = cluster.id, disks = volumes.len(), "disks are as the cluster has them");
}
