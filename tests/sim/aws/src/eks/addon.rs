//! EKS add-ons.
//!
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAddon.html>. An add-on that runs as a Deployment
//! needs nodes: without them it becomes DEGRADED with `InsufficientNumberOfReplicas`, and ACTIVE once they join.

use super::{
    access, active_cluster, amend, check_role, cluster, document, fingerprint, in_use, invalid, is_replay, not_found,
    request_tags, updates,
};
use crate::{
    arn::Arn as _,
    durations,
    kind::AwsKind,
    step::{AwsStep, EksStep},
};
use cloudsim_core::{
    call::{Call, Result},
    clock::epoch_seconds,
    ctx::Ctx,
    object::{Object, Tags},
};
use serde_json::{Value, json};

/// Name, default version, whether it needs nodes.
pub(crate) const ADDONS: &[(&str, &str, bool)] = &[
    ("vpc-cni", "v1.21.1-eksbuild.1", false),
    ("kube-proxy", "v1.36.0-eksbuild.2", false),
    ("coredns", "v1.13.1-eksbuild.1", true),
    ("aws-ebs-csi-driver", "v1.54.0-eksbuild.1", true),
    ("eks-pod-identity-agent", "v1.3.10-eksbuild.1", false),
    ("metrics-server", "v0.8.0-eksbuild.3", true),
    ("cert-manager", "v1.19.1-eksbuild.1", true),
    ("external-dns", "v0.20.0-eksbuild.1", true),
    ("snapshot-controller", "v8.3.0-eksbuild.1", true),
    ("aws-efs-csi-driver", "v2.1.13-eksbuild.1", true),
    ("amazon-cloudwatch-observability", "v4.6.0-eksbuild.1", true),
];

/// Where add-ons run.
const NAMESPACE: &str = "kube-system";

/// Whether the add-on called `name` runs only once there are nodes.
#[must_use]
pub(crate) fn needs_nodes(name: &str) -> bool {
    ADDONS.iter().any(|a| a.0 == name && a.2)
}

/// The add-on of a cluster.
///
/// # Errors
/// ResourceNotFoundException, naming cluster or add-on.
pub(crate) fn existing(ctx: &mut Ctx<'_>, cluster_name: &str, name: &str) -> Result<Object> {
    cluster(ctx, cluster_name)?;
    ctx.named(AwsKind::Addon, &format!("{cluster_name}/{name}"))
        .ok_or_else(|| not_found(format!("No addon: {name} found in cluster: {cluster_name}")))
}

/// Creates an add-on, or gives the one that this very request made.
///
/// # Errors
/// Cluster absent or not active, add-on present, unknown add-on or version.
pub(crate) fn create(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (cluster_name, name) = (call.var(0), call.field("addonName"));
    let parent = active_cluster(ctx, cluster_name)?;
    let unique = format!("{cluster_name}/{name}");
    if let Some(present) = ctx.scope().named(AwsKind::Addon, &unique).cloned() {
        if is_replay(&present, call) {
            return Ok(json!({ "addon": document(&present) }));
        }
        return Err(in_use("Addon already exists.").field("clusterName", cluster_name).field("addonName", name));
    }
    let Some((_, default_version, _)) = ADDONS.iter().find(|a| a.0 == name) else {
        return Err(invalid(format!("Addon {name} specified is not supported")).field("addonName", name));
    };
    let version = call.json.get("addonVersion").and_then(Value::as_str).unwrap_or(default_version);
    if !version.starts_with('v') {
        return Err(invalid("Addon version specified is not supported").field("addonName", name));
    }
    let identities = associate(ctx, call, cluster_name)?;
    let uuid = ctx.world.uuid();
    let arn = ctx.arn("eks", &format!("addon/{cluster_name}/{name}/{uuid}"));
    let of = |key: &str| call.json.get(key).cloned().unwrap_or(Value::Null);
    let doc = json!({
        "addonName": name, "clusterName": cluster_name, "status": "CREATING", "addonVersion": version,
        "health": { "issues": [] }, "addonArn": arn,
        "createdAt": epoch_seconds(ctx.now), "modifiedAt": epoch_seconds(ctx.now),
        "serviceAccountRoleArn": of("serviceAccountRoleArn"),
        "configurationValues": of("configurationValues"),
        "podIdentityAssociations": identities,
    });
    let mut object = Object::new(AwsKind::Addon, &arn, arn.clone(), ctx.now);
    object.name = Some(unique.clone());
    object.state = "CREATING".to_owned();
    object.tags = request_tags(call);
    let object = object
        .with("doc", doc)
        .with("token", call.client_token().unwrap_or_default())
        .with("request", fingerprint(call))
        .with("cluster", parent.id);
    let response = document(&object);
    ctx.create(object);
    let ms = ctx.draw(durations::ADDON_CREATE, &unique);
    ctx.begin_work("create", &arn, ms);
    ctx.after(ms, AwsStep::Eks { id: arn, step: EksStep::AddonSettled });
    Ok(json!({ "addon": response }))
}

/// Makes the pod identities that an add-on requests, which go with it:
/// <https://docs.aws.amazon.com/eks/latest/userguide/add-ons-iam.html>. They carry no tags of the request.
fn associate(ctx: &mut Ctx<'_>, call: &Call, cluster_name: &str) -> Result<Vec<String>> {
    let wanted = call.json.get("podIdentityAssociations").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |v: &Value, key: &str| v[key].as_str().unwrap_or_default().to_owned();
    for one in &wanted {
        check_role(ctx, &text(one, "roleArn"))?;
    }
    let mut arns = Vec::new();
    for one in wanted {
        let (account, role) = (text(&one, "serviceAccount"), text(&one, "roleArn"));
        let unique = format!("{cluster_name}/{NAMESPACE}/{account}");
        if ctx.scope().named(AwsKind::PodIdentityAssociation, &unique).is_some() {
            return Err(in_use(format!("Association already exists for {account}")));
        }
        let made = access::new_association(ctx, cluster_name, (NAMESPACE, &account), &role, Tags::new());
        arns.push(made.arn.clone());
        ctx.create(made);
    }
    Ok(arns)
}

/// Begins to delete an add-on.
///
/// # Errors
/// Not found.
pub(crate) fn delete(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = existing(ctx, call.var(0), call.var(1))?;
    if object.state != "DELETING" {
        ctx.change(&object.id, |o| o.state = "DELETING".to_owned());
        let ms = ctx.draw(durations::ADDON_DELETE, object.name.as_deref().unwrap_or_default());
        ctx.begin_work("delete", &object.id, ms);
        ctx.after(ms, AwsStep::Eks { id: object.id.clone(), step: EksStep::AddonGone });
    }
    Ok(json!({ "addon": document(&existing(ctx, call.var(0), call.var(1))?) }))
}

/// Changes an add-on's version or configuration.
///
/// # Errors
/// Not found, or busy.
pub(crate) fn update(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let object = existing(ctx, call.var(0), call.var(1))?;
    if !matches!(object.state.as_str(), "ACTIVE" | "DEGRADED" | "CREATE_FAILED" | "UPDATE_FAILED") {
        return Err(in_use(format!("Addon {} is {}", call.var(1), object.state)));
    }
    let request = call.json.clone();
    ctx.change(&object.id, |o| {
        o.state = "UPDATING".to_owned();
        amend(o, |doc| {
            for key in ["addonVersion", "configurationValues", "serviceAccountRoleArn"] {
                if let Some(value) = request.get(key).filter(|v| !v.is_null()) {
                    doc.insert(key.to_owned(), value.clone());
                }
            }
        });
    });
    let update = updates::new_update(ctx, &object.id, "AddonUpdate", &request);
    let ms = ctx.draw(durations::ADDON_CREATE, update["id"].as_str().unwrap_or_default());
    ctx.begin_work("update", &object.id, ms);
    ctx.after(ms, AwsStep::Eks { id: object.id, step: EksStep::AddonSettled });
    Ok(json!({ "update": update }))
}

/// DescribeAddonVersions.
pub(crate) fn versions(call: &Call) -> Value {
    let wanted = call.params.get("addonName");
    let kubernetes = call.params.get("kubernetesVersion");
    let all: Vec<Value> = ADDONS
        .iter()
        .filter(|a| wanted.is_none_or(|w| w == a.0))
        .map(|(name, version, _)| {
            let compatibilities: Vec<Value> = super::cluster::VERSIONS
                .iter()
                .filter(|v| kubernetes.is_none_or(|k| k == **v))
                .map(|v| json!({ "clusterVersion": v, "platformVersions": ["*"], "defaultVersion": true }))
                .collect();
            json!({ "addonName": name, "type": "networking", "publisher": "eks", "owner": "aws",
                    "addonVersions": [ { "addonVersion": version, "architecture": ["amd64", "arm64"],
                        "compatibilities": compatibilities, "requiresConfiguration": false } ] })
        })
        .collect();
    json!({ "addons": all, "nextToken": null })
}
