//! Instances of one's own, as a node autoscaler inside a cluster runs them, and the end of any instance.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/terminating-instances.html>.

use super::{interfaces, network};
use crate::{arn::Arn as _, kind::AwsKind, xml::Xml};
use cloudsim_core::{
    call::{Call, Params, Reply, Result},
    ctx::Ctx,
    object::{Object, Owner, Tags},
};

/// Size of a root disk that the request says nothing about, GiB.
const ROOT_GIB: u64 = 20;

fn tags_for(p: &Params, kind: &str) -> Tags {
    let specified = p.items("TagSpecification");
    specified.iter().filter(|of| of.text("ResourceType") == kind).flat_map(|of| of.tags("Tag")).collect()
}

/// RunInstances, as far as an autoscaler uses it: machines in one subnet, each with an interface and a root disk that go with it.
///
/// # Errors
/// No such subnet, or a full one.
pub(crate) fn run(ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply> {
    let p = &call.params;
    let count = p.get("MinCount").and_then(|n| n.parse().ok()).unwrap_or(1_u64);
    let mut x = Xml::new();
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(start(ctx, p)?);
    }
    x.leaf("reservationId", format!("r-{}", ctx.world.hex(17)));
    x.list("instancesSet", "item", made, |x, instance| {
        x.leaf("instanceId", &instance.id).leaf("subnetId", instance.text("subnet"));
    });
    Ok(Reply::Query(x.finish()))
}

fn start(ctx: &mut Ctx<'_>, p: &Params) -> Result<Object> {
    let id = format!("i-{}", ctx.world.hex(17));
    let request = interfaces::NewInterface {
        groups: p.values("SecurityGroupId"),
        owner: Some(Owner::Service),
        attached_to: id.clone(),
        ..interfaces::NewInterface::default()
    };
    let interface = interfaces::create_interface(ctx, p.text("SubnetId"), request, tags_for(p, "network-interface"))?;
    let interface = super::existing(ctx, AwsKind::NetworkInterface, &interface)?;
    let address = interface.text("ip").to_owned();
    let arn = ctx.arn("ec2", &format!("instance/{id}"));
    let mut instance = Object::new(AwsKind::Instance, &id, arn, ctx.now);
    "running".clone_into(&mut instance.state);
    instance.vpc.clone_from(&interface.vpc);
    instance.tags = tags_for(p, "instance");
    let private_dns = format!("ip-{}.{}.compute.internal", address.replace('.', "-"), ctx.key.region);
    let instance = instance
        .with("subnet", p.text("SubnetId"))
        .with("zone", interface.text("zone"))
        .with("ip", address)
        .with("private_dns", private_dns)
        .with("instance_type", p.text("InstanceType"));
    let disk = network::create_volume(ctx, ROOT_GIB, interface.text("zone"), tags_for(p, "volume"), Owner::Service);
    attach_root(ctx, &disk, &id);
    ctx.create(instance.clone());
    Ok(instance)
}

/// Attaches a disk that goes with its instance.
pub(crate) fn attach_root(ctx: &mut Ctx<'_>, disk: &str, instance: &str) {
    ctx.adjust(disk, |o| {
        "in-use".clone_into(&mut o.state);
        o.name = Some(format!("{instance}/{}", o.id));
        o.set("attached_to", instance);
        o.set("delete_on_termination", true);
    });
}

/// TerminateInstances.
///
/// # Errors
/// No such instance.
pub(crate) fn terminate(ctx: &mut Ctx<'_>, p: &Params) -> Result<Reply> {
    let ids = p.values("InstanceId");
    for id in &ids {
        super::existing(ctx, AwsKind::Instance, id)?;
    }
    for id in &ids {
        end(ctx, id);
    }
    let mut x = Xml::new();
    x.list("instancesSet", "item", ids, |x, id| {
        x.leaf("instanceId", id);
    });
    Ok(Reply::Query(x.finish()))
}

/// Ends an instance with its interfaces; its root disk goes, others that are attached to it come loose.
pub(crate) fn end(ctx: &mut Ctx<'_>, id: &str) {
    interfaces::service_object_gone(ctx, id);
    let prefix = format!("{id}/");
    let attached: Vec<Object> = ctx.scope().named_under(AwsKind::Volume, &prefix).cloned().collect();
    for volume in attached {
        if volume.props.contains_key("delete_on_termination") {
            ctx.delete(&volume.id);
            continue;
        }
        ctx.change(&volume.id, |o| {
            "available".clone_into(&mut o.state);
            o.name = None;
            o.set("attached_to", "");
        });
    }
    ctx.retire(id, "terminated");
}
