//! Elastic Load Balancing v2: network load balancers that controllers of clusters made.
//!
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html>. Deleting a load balancer
//! responds at once; its interfaces stay in the subnets a little longer, which is what blocks a VPC's deletion.

use super::{ec2::interfaces, wire::unknown_action};
use crate::xml::Xml;
use crate::{arn::Arn as _, durations, kind::AwsKind, step::AwsStep};
use cloudsim_core::{
    call::{ApiError, Call, Params, Reply, Result},
    clock::iso8601,
    ctx::Ctx,
    object::{Object, Owner, Tags},
};

/// Handles a call.
///
/// # Errors
/// As ELB words them.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let p = &call.params;
    let mut x = Xml::new();
    if p.text("Version") == CLASSIC {
        return classic(call);
    }
    match call.action.as_str() {
        "DescribeLoadBalancers" => describe(ctx, call, AwsKind::LoadBalancer, &mut x)?,
        "DescribeTargetGroups" => describe(ctx, call, AwsKind::TargetGroup, &mut x)?,
        "DescribeTags" => describe_tags(ctx, &p.values("ResourceArns.member"), &mut x)?,
        "DescribeListeners" => {
            x.node("Listeners", |_| {});
        }
        "CreateLoadBalancer" => create_by_caller(ctx, p, &mut x)?,
        "DeleteLoadBalancer" => delete_load_balancer(ctx, p.text("LoadBalancerArn")),
        "DeleteTargetGroup" => delete_target_group(ctx, p.text("TargetGroupArn"))?,
        _ => return Err(unknown_action(call)),
    }
    Ok(Reply::Query(x.finish()))
}

/// The API version of Classic Load Balancers, which share the service's name and address.
const CLASSIC: &str = "2012-06-01";

/// Classic Load Balancers: accounts have none, so listing gives none and deleting succeeds.
fn classic(call: &Call) -> Result<Reply> {
    let mut x = Xml::new();
    match call.action.as_str() {
        "DescribeLoadBalancers" => x.node("LoadBalancerDescriptions", |_| {}),
        "DescribeTags" => x.node("TagDescriptions", |_| {}),
        "DeleteLoadBalancer" => &mut x,
        _ => return Err(unknown_action(call)),
    };
    Ok(Reply::Query(x.finish()))
}

fn not_found(kind: AwsKind) -> ApiError {
    match kind {
        AwsKind::LoadBalancer => ApiError::new("LoadBalancerNotFound", "One or more load balancers not found"),
        _ => ApiError::new("TargetGroupNotFound", "One or more target groups not found"),
    }
}

fn describe(ctx: &mut Ctx<'_>, call: &Call, kind: AwsKind, x: &mut Xml) -> Result<()> {
    let p = &call.params;
    let (arns_key, set) = match kind {
        AwsKind::LoadBalancer => ("LoadBalancerArns.member", "LoadBalancers"),
        _ => ("TargetGroupArns.member", "TargetGroups"),
    };
    let (arns, names) = (p.values(arns_key), p.values("Names.member"));
    let of_balancer = p.get("LoadBalancerArn");
    let mut found: Vec<Object> = ctx
        .scope()
        .of_kind(kind)
        .filter(|o| arns.is_empty() || arns.contains(&o.id))
        .filter(|o| names.is_empty() || names.iter().any(|n| o.name.as_ref() == Some(n)))
        .filter(|o| of_balancer.is_none_or(|lb| o.text("load_balancer") == lb))
        .cloned()
        .collect();
    found.retain(|o| ctx.sees(o.created_us));
    if found.len() < arns.len().max(names.len()) {
        return Err(not_found(kind));
    }
    let after = p.text("Marker");
    let size: usize = p.get("PageSize").and_then(|s| s.parse().ok()).unwrap_or(400);
    found.retain(|o| o.id.as_str() > after);
    let next = found.get(size.saturating_sub(1)).filter(|_| found.len() > size).map(|o| o.id.clone());
    found.truncate(size);
    x.list(set, "member", &found, if kind == AwsKind::LoadBalancer { render_balancer } else { render_group });
    x.leaf_opt("NextMarker", next);
    Ok(())
}

fn render_balancer(x: &mut Xml, o: &Object) {
    x.leaf("LoadBalancerArn", &o.id).leaf("LoadBalancerName", o.name.as_deref().unwrap_or_default());
    x.leaf("DNSName", o.text("dns_name")).leaf("CanonicalHostedZoneId", "Z2IFOLAFXWLO4F");
    x.leaf("CreatedTime", iso8601(o.created_us)).leaf("Scheme", o.text("scheme")).leaf("Type", "network");
    x.leaf("VpcId", o.vpc.as_deref().unwrap_or_default()).leaf("IpAddressType", "ipv4");
    x.node("State", |x| {
        x.leaf("Code", &o.state);
    });
    x.list("AvailabilityZones", "member", o.texts("subnets"), |x, subnet| {
        x.leaf("SubnetId", subnet);
    });
    x.list("SecurityGroups", "member", o.texts("groups"), |x, g| {
        x.raw(g);
    });
}

fn render_group(x: &mut Xml, o: &Object) {
    x.leaf("TargetGroupArn", &o.id).leaf("TargetGroupName", o.name.as_deref().unwrap_or_default());
    x.leaf("Protocol", "TCP").leaf("Port", 80).leaf("VpcId", o.vpc.as_deref().unwrap_or_default());
    x.leaf("TargetType", "instance");
    let balancer = Some(o.text("load_balancer")).filter(|b| !b.is_empty());
    x.list("LoadBalancerArns", "member", balancer, |x, arn| {
        x.raw(arn);
    });
}

fn describe_tags(ctx: &mut Ctx<'_>, arns: &[String], x: &mut Xml) -> Result<()> {
    let mut found = Vec::new();
    for arn in arns {
        let kind = if arn.contains(":targetgroup/") { AwsKind::TargetGroup } else { AwsKind::LoadBalancer };
        found.push(ctx.seen(arn).ok_or_else(|| not_found(kind))?);
    }
    x.list("TagDescriptions", "member", &found, |x, o| {
        x.leaf("ResourceArn", &o.id).tags("Tags", "member", ("Key", "Value"), &o.tags);
    });
    Ok(())
}

/// Deletes a load balancer; of one that is absent this succeeds, as documented.
pub(crate) fn delete_load_balancer(ctx: &mut Ctx<'_>, arn: &str) {
    let groups: Vec<String> = ctx
        .scope()
        .of_kind(AwsKind::TargetGroup)
        .filter(|g| g.text("load_balancer") == arn)
        .map(|g| g.id.clone())
        .collect();
    if ctx.delete(arn).is_none() {
        return;
    }
    for group in groups {
        ctx.adjust(&group, |g| g.set("load_balancer", ""));
    }
    let ms = ctx.draw(durations::LOAD_BALANCER_DELETE, arn);
    ctx.after(ms, AwsStep::ServiceObjectGone { id: arn.to_owned() });
}

fn delete_target_group(ctx: &mut Ctx<'_>, arn: &str) -> Result<()> {
    let group = ctx.scope().live(arn).cloned();
    if group.is_some_and(|g| !g.text("load_balancer").is_empty()) {
        let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(ApiError::new("ResourceInUse", message));
    }
    ctx.delete(arn);
    Ok(())
}

/// CreateLoadBalancer, as a controller in a cluster calls it: with a target group, which it would make by a call of its own.
fn create_by_caller(ctx: &mut Ctx<'_>, p: &Params, x: &mut Xml) -> Result<()> {
    let subnets = p.values("Subnets.member");
    let vpc = subnets.first().and_then(|id| ctx.seen(id)).and_then(|subnet| subnet.vpc);
    let vpc = vpc.ok_or_else(|| ApiError::new("SubnetNotFound", "One or more subnets not found"))?;
    let internal = p.text("Scheme") == "internal";
    let (arn, _) = create(
        ctx,
        NewBalancer {
            name: p.text("Name").to_owned(),
            vpc,
            subnets,
            groups: p.values("SecurityGroups.member"),
            scheme: if internal { "internal" } else { "internet-facing" },
            tags: p.tags("Tags.member"),
        },
    )?;
    let made = ctx.seen(&arn);
    x.list("LoadBalancers", "member", made.iter(), render_balancer);
    Ok(())
}

/// A load balancer to be made for a Service of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct NewBalancer {
    /// Its name.
    pub name: String,
    /// VPC.
    pub vpc: String,
    /// Subnets.
    pub subnets: Vec<String>,
    /// Security groups.
    pub groups: Vec<String>,
    /// `internet-facing` or `internal`.
    pub scheme: &'static str,
    /// Tags.
    pub tags: Tags,
}

/// Makes a network load balancer with a target group and interfaces; gives ARN and DNS name.
///
/// # Errors
/// The quota.
pub(crate) fn create(ctx: &mut Ctx<'_>, new: NewBalancer) -> Result<(String, String)> {
    let present = ctx.scope().count(AwsKind::LoadBalancer);
    ctx.within_quota("load-balancers", present).map_err(|_| {
        ApiError::new("TooManyLoadBalancers", "You've reached the limit on the number of load balancers")
    })?;
    let hash = ctx.world.hex(16);
    let arn = ctx.arn("elasticloadbalancing", &format!("loadbalancer/net/{}/{hash}", new.name));
    let dns_name = format!("{}-{hash}.elb.{}.amazonaws.com", new.name, ctx.key.region);
    let mut balancer = Object::new(AwsKind::LoadBalancer, &arn, arn.clone(), ctx.now);
    balancer.name = Some(new.name.clone());
    balancer.vpc = Some(new.vpc.clone());
    balancer.state = "provisioning".to_owned();
    balancer.owner = Owner::Kubernetes;
    balancer.tags = new.tags.clone();
    let balancer = balancer
        .with("dns_name", dns_name.clone())
        .with("scheme", new.scheme)
        .with("subnets", new.subnets.clone())
        .with("groups", new.groups.clone());
    ctx.create(balancer);
    let group_arn = ctx.arn("elasticloadbalancing", &format!("targetgroup/{}/{hash}", new.name));
    let mut group = Object::new(AwsKind::TargetGroup, &group_arn, group_arn.clone(), ctx.now);
    group.name = Some(new.name.clone());
    group.vpc = Some(new.vpc);
    group.owner = Owner::Kubernetes;
    group.tags = new.tags;
    ctx.create(group.with("load_balancer", arn.clone()));
    for subnet in new.subnets {
        let request = interfaces::NewInterface {
            groups: new.groups.clone(),
            description: format!("ELB net/{}/{hash}", new.name),
            interface_type: "network_load_balancer".to_owned(),
            owner: Some(Owner::Service),
            attached_to: arn.clone(),
            // An internet-facing one has a public address in each subnet, which keeps the gateway attached.
            public_ip: if new.scheme == "internal" { String::new() } else { "198.51.100.1".to_owned() },
        };
        interfaces::create_interface(ctx, &subnet, request, Tags::new())?;
    }
    let ms = ctx.draw(durations::LOAD_BALANCER_CREATE, &arn);
    ctx.begin_work("create", &arn, ms);
    ctx.after(ms, AwsStep::SetState { id: arn.clone(), state: "active".to_owned() });
    Ok((arn, dns_name))
}
