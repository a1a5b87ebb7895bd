//! The tenant's network and base identities: one CloudFormation stack. CloudFormation closes
//! the gap that EC2 leaves, whose CreateVpc and AllocateAddress take no client token: a stack
//! has a unique name and a token, rolls back as a whole and is deleted in order.

pub(crate) mod reason;
mod removal;
mod roles;
pub(crate) mod stack;
pub(crate) mod template;

pub(crate) use removal::{delete, observe};

use aws_sdk_cloudformation::types::StackStatus;
use landlord_provider_api::{ErrorKind, ProviderError, v1};

use self::stack::Found;
use crate::{
    action,
    aws::Clients,
    error::{Result, incomplete, invalid},
    names::Names,
    parameters::{Nat, Parameters, Zones},
    progress::{self, Outcome},
    tags,
};

/// Zones that have no room for an EKS control plane:
/// <https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html>, read 2026-11.
const ZONES_WITHOUT_EKS: [&str; 3] = ["use1-az3", "usw1-az2", "cac1-az3"];
/// Seconds between observations of a stack under way.
const POLL_S: i64 = 8;

/// Makes the stack be as the parameters say.
pub(crate) async fn ensure(
    aws: &Clients,
    scope: &v1::Scope,
    parameters: &Parameters,
) -> Result<(Outcome, Option<v1::NetworkStatus>)> {
    let names = Names::new(scope)?;
    let Some(stack) = stack::find(aws, names.stack()).await? else {
        return create(aws, scope, &names, parameters).await;
    };
    if !stack.is_ours(scope) {
        return Err(tags::name_taken("CloudFormation stack", names.stack()).into());
    }
    match stack.status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::UpdateRollbackComplete => {
            bring_up_to_date(aws, scope, &names, parameters, &stack, None).await
        }
        _ => under_way(aws, &names, &stack).await.map(|outcome| (outcome, None)),
    }
}

/// What a stack that is neither complete nor absent means.
async fn under_way(aws: &Clients, names: &Names, stack: &Found) -> Result<Outcome> {
    let pending = |detail: String| Ok(progress::pending(POLL_S, detail));
    let name = names.stack();
    match stack.status.as_str() {
        "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED" => {
            // Such a stack can only be deleted. The name is then free for the next attempt.
            let failure = stack::failure(aws, stack).await?;
            stack::delete(aws, &stack.id).await?;
            Err(creation_failed(name, stack, failure).into())
        }
        "UPDATE_ROLLBACK_FAILED" => Err(ProviderError::new(
            ErrorKind::Conflict,
            format!("the update of CloudFormation stack {name} failed and so did its rollback: {}", stack.reason),
        )
        .with_remedy("continue the rollback of the stack in the CloudFormation console, then retry")
        .into()),
        "DELETE_FAILED" => {
            stack::delete(aws, &stack.id).await?;
            pending(format!("CloudFormation stack {name} is left half deleted; deleting it before making it again"))
        }
        "DELETE_IN_PROGRESS" => pending(format!("CloudFormation stack {name} is being deleted before it is recreated")),
        "ROLLBACK_IN_PROGRESS" => {
            let why = stack::failure(aws, stack).await?.map(|e| e.message).unwrap_or_default();
            pending(format!("CloudFormation stack {name} is rolling back: {why}"))
        }
        other => pending(format!("CloudFormation stack {name} is {other}")),
    }
}

fn creation_failed(name: &str, stack: &Found, failure: Option<ProviderError>) -> ProviderError {
    let mut error = failure
        .unwrap_or_else(|| ProviderError::new(ErrorKind::Transient, format!("no resource says why: {}", stack.reason)));
    error.message = format!("the network could not be made (stack {name}): {}", error.message);
    error
}

async fn create(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
) -> Result<(Outcome, Option<v1::NetworkStatus>)> {
    let zones = zones(aws, parameters).await?;
    let template = write(scope, names, parameters, &zones, parameters.node_disk_gib)?;
    let tags = tags::all(scope, "network");
    let token = names.token("network", format_args!("create/{}/{}", scope.generation, template.hash));
    let mut result = stack::create(aws, names.stack(), &template.body, &tags, &token).await;
    if let Err(error) = &result
        && error.code() == "TokenAlreadyExistsException"
    {
        // The token of a stack that is gone. Its name still admits only one stack.
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        let token = names.token("network", format_args!("create/{}/{now}", scope.generation));
        result = stack::create(aws, names.stack(), &template.body, &tags, &token).await;
    }
    match result {
        Ok(()) => {}
        Err(error) if error.code() == "AlreadyExistsException" => {
            // Somebody was faster, perhaps an earlier call of ours whose response was lost.
            let there = stack::find(aws, names.stack()).await?;
            if there.is_some_and(|s| !s.is_ours(scope)) {
                return Err(tags::name_taken("CloudFormation stack", names.stack()).into());
            }
        }
        Err(error) => return Err(error),
    }
    Ok((progress::pending(POLL_S, format!("CloudFormation stack {} is being created", names.stack())), None))
}

/// Compares a complete stack with what is wanted, and updates it if need be.
async fn bring_up_to_date(
    aws: &Clients,
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    stack: &Found,
    node_disk_gib: Option<i32>,
) -> Result<(Outcome, Option<v1::NetworkStatus>)> {
    let zones = fixed_facts(parameters, stack)?;
    // The pool's own setting, once granted, stays: the class's default must not undo it.
    let granted = stack.output("NodeDiskGib").parse().ok();
    let disk = node_disk_gib.or(granted).unwrap_or(parameters.node_disk_gib);
    let template = write(scope, names, parameters, &zones, disk)?;
    if stack.output("TemplateHash") == template.hash {
        return Ok((progress::ready(), Some(status(stack)?)));
    }
    let failed = match stack.status {
        StackStatus::UpdateRollbackComplete => stack::failure(aws, stack).await?,
        _ => None,
    };
    let tags = tags::all(scope, "network");
    let token = names.token("network", format_args!("update/{}/{}", scope.generation, template.hash));
    let begun = match stack::update(aws, names.stack(), &template.body, &tags, &token).await {
        Err(error) if error.code() == "TokenAlreadyExistsException" => {
            let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
            stack::update(aws, names.stack(), &template.body, &tags, &names.token("network", now)).await?
        }
        result => result?,
    };
    if !begun {
        return Ok((progress::ready(), Some(status(stack)?)));
    }
    // The last update's failure is reported although the next attempt has just begun: whoever
    // decides to go on finds it under way.
    if let Some(mut failure) = failed {
        failure.message = format!("the network could not be changed (stack {}): {}", names.stack(), failure.message);
        return Err(failure.into());
    }
    Ok((progress::pending(POLL_S, format!("CloudFormation stack {} is being updated", names.stack())), None))
}

/// What a network cannot change once it exists; gives its zones.
fn fixed_facts(parameters: &Parameters, stack: &Found) -> Result<Vec<String>> {
    let cidr = stack.output("VpcCidr");
    if cidr != parameters.vpc_cidr {
        return Err(invalid(format!(
            "parameters.vpc_cidr: the tenant's network is {cidr} and cannot become {}; put the old value back or make a new tenant",
            parameters.vpc_cidr
        )));
    }
    if (stack.output("NodeSubnets") == "public") != (parameters.nat == Nat::None) {
        return Err(invalid(
            "parameters.nat: the nodes of a tenant that exists cannot move between public and private subnets; put the old value back or make a new tenant",
        ));
    }
    let zones: Vec<String> = stack.output("Zones").split(',').map(str::to_owned).collect();
    let same = match &parameters.availability_zones {
        Zones::Count(count) => *count == zones.len(),
        Zones::Named(names) => *names == zones,
    };
    if same {
        return Ok(zones);
    }
    Err(invalid(format!(
        "parameters.availability_zones: the tenant's network lies in {}, which cannot change; put the old value back or make a new tenant",
        zones.join(", ")
    )))
}

fn write(
    scope: &v1::Scope,
    names: &Names,
    parameters: &Parameters,
    zones: &[String],
    node_disk_gib: i32,
) -> Result<template::Template> {
    template::build(&template::Input {
        scope,
        names,
        vpc: parameters.vpc()?,
        zones,
        nat: parameters.nat,
        node_disk_gib,
        ami_type: &parameters.ami_type,
    })
}

/// The zones for a new network.
async fn zones(aws: &Clients, parameters: &Parameters) -> Result<Vec<String>> {
    let count = match &parameters.availability_zones {
        Zones::Named(names) => return Ok(names.clone()),
        Zones::Count(count) => *count,
    };
    let filters = [("state", &["available".to_owned()][..])];
    let items = aws.query.describe(action::DESCRIBE_AVAILABILITY_ZONES, "availabilityZoneInfo", &filters).await?;
    let mut zones: Vec<String> = items
        .iter()
        .filter(|z| matches!(z.text("zoneType"), "" | "availability-zone"))
        .filter(|z| !ZONES_WITHOUT_EKS.contains(&z.text("zoneId")))
        .map(|z| z.text("zoneName").to_owned())
        .collect();
    zones.sort();
    zones.truncate(count);
    if zones.len() == count {
        return Ok(zones);
    }
    Err(invalid(format!(
        "parameters.availability_zones: {} offers EKS in {} zones only, not in {count}",
        aws.region,
        zones.len()
    )))
}

/// The contract's view of a complete stack.
pub(crate) fn status(stack: &Found) -> Result<v1::NetworkStatus> {
    let get = |name: &str| match stack.output(name) {
        "" => Err(incomplete(action::DESCRIBE_STACKS, &format!("the output {name}"))),
        value => Ok(value.to_owned()),
    };
    let zones = get("Zones")?.split(',').count();
    let subnets = |kind: &str| (1..=zones).map(|n| get(&format!("{kind}{n}"))).collect::<Result<Vec<_>>>();
    let attributes = [
        ("cluster_role_arn", "ClusterRoleArn"),
        ("node_role_arn", "NodeRoleArn"),
        ("ebs_csi_role_arn", "EbsCsiRoleArn"),
        ("external_dns_role_arn", "ExternalDnsRoleArn"),
        ("cert_manager_role_arn", "CertManagerRoleArn"),
        ("control_plane_security_group_id", "ControlPlaneSecurityGroupId"),
        ("launch_template_id", "NodeTemplateId"),
        ("launch_template_version", "NodeTemplateVersion"),
        ("node_disk_gib", "NodeDiskGib"),
        ("node_subnets", "NodeSubnets"),
        ("zones", "Zones"),
    ];
    Ok(v1::NetworkStatus {
        network_id: get("VpcId")?,
        private_subnet_ids: subnets("PrivateSubnet")?,
        public_subnet_ids: subnets("PublicSubnet")?,
        attributes: attributes
            .into_iter()
            .map(|(name, output)| Ok((name.to_owned(), get(output)?)))
            .collect::<Result<_>>()?,
    })
}

/// Makes the launch template have a disk of this size, for a pool that requests it. `Ok(None)`:
/// under way; `Ok(Some)`: the network with the launch template as it now is.
pub(crate) async fn ensure_node_disk(
    aws: &Clients,
    scope: &v1::Scope,
    parameters: &Parameters,
    node_disk_gib: i32,
) -> Result<(Outcome, Option<v1::NetworkStatus>)> {
    let names = Names::new(scope)?;
    let Some(stack) = stack::find(aws, names.stack()).await? else {
        return Err(ProviderError::new(ErrorKind::Conflict, "the network is gone while a node pool is made").into());
    };
    if !stack.is_ours(scope) {
        return Err(tags::name_taken("CloudFormation stack", names.stack()).into());
    }
    match stack.status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::UpdateRollbackComplete => {
            bring_up_to_date(aws, scope, &names, parameters, &stack, Some(node_disk_gib)).await
        }
        _ => under_way(aws, &names, &stack).await.map(|outcome| (outcome, None)),
    }
}
