//! The project, its regions and zones, with the quotas in force.
//!
//! <https://cloud.google.com/compute/docs/reference/rest/v1/regions>, quotas:
//! <https://cloud.google.com/compute/resource-usage>.

use super::{collections, page};
use crate::{
    error::no_resource,
    kinds::GcpKind,
    names::{COMPUTE, REGIONS, doc_text, is_zone, last, numeric, region_of, scope_of, zones_of},
};
use cloudsim_core::{
    call::{Call, Result},
    ctx::Ctx,
};
use serde_json::{Value, json};

/// Handles a call about places.
///
/// # Errors
/// notFound.
pub(crate) fn handle(ctx: &mut Ctx<'_>, call: &Call) -> Result<Value> {
    let (project, name) = (call.var(0).to_owned(), call.var(1).to_owned());
    let all_zones = || REGIONS.iter().flat_map(|r| zones_of(r));
    let id = |level: &str| format!("projects/{project}/{level}");
    Ok(match call.action.as_str() {
        "projects.get" => json!({ "kind": "compute#project", "name": project, "id": numeric("7"),
            "quotas": quotas(ctx, None), "selfLink": format!("{COMPUTE}projects/{project}") }),
        "regions.list" => {
            let all = REGIONS.iter().map(|r| region(ctx, &project, r)).collect();
            page("compute#regionList", id("regions"), "items", all, None)
        }
        "zones.list" => {
            let all = all_zones().map(|z| zone(&project, &z)).collect();
            page("compute#zoneList", id("zones"), "items", all, None)
        }
        "regions.get" => {
            check(&format!("regions/{name}"))?;
            region(ctx, &project, &name)
        }
        _ => {
            check(&format!("zones/{name}"))?;
            zone(&project, &name)
        }
    })
}

/// Refuses a place that there is not.
///
/// # Errors
/// notFound.
pub(crate) fn check(scope: &str) -> Result<()> {
    let known = match scope.split_once('/') {
        Some(("regions", region)) => REGIONS.contains(&region),
        Some(("zones", zone)) => {
            is_zone(zone) && zones_of(region_of(zone)).iter().any(|z| z == zone) && REGIONS.contains(&region_of(zone))
        }
        _ => true,
    };
    if known { Ok(()) } else { Err(no_resource(scope)) }
}

fn region(ctx: &mut Ctx<'_>, project: &str, name: &str) -> Value {
    let zones: Vec<String> = zones_of(name).iter().map(|z| format!("{COMPUTE}projects/{project}/zones/{z}")).collect();
    json!({ "kind": "compute#region", "name": name, "description": name, "status": "UP", "zones": zones,
            "quotas": quotas(ctx, Some(name)), "selfLink": format!("{COMPUTE}projects/{project}/regions/{name}") })
}

fn zone(project: &str, name: &str) -> Value {
    let region = region_of(name);
    json!({ "kind": "compute#zone", "name": name, "description": name, "status": "UP",
            "region": format!("{COMPUTE}projects/{project}/regions/{region}"),
            "selfLink": format!("{COMPUTE}projects/{project}/zones/{name}") })
}

fn quotas(ctx: &mut Ctx<'_>, region: Option<&str>) -> Vec<Value> {
    let mut found = Vec::new();
    let counted = collections::ALL.iter().filter_map(|c| Some((c.kind, c.quota?)));
    for (kind, (metric, regional)) in counted.filter(|(_, (_, regional))| *regional == region.is_some()) {
        let place = region.filter(|_| regional);
        let usage = count(ctx, kind, place);
        found.push(quota(ctx, metric, usage));
    }
    if let Some(region) = region {
        for metric in ["IN_USE_ADDRESSES", "CPUS"] {
            let usage = in_use(ctx, metric, region);
            found.push(quota(ctx, metric, usage));
        }
    }
    found
}

fn quota(ctx: &Ctx<'_>, metric: &str, usage: u64) -> Value {
    let limit = ctx.world.quotas.limit(&ctx.key.account, metric);
    json!({ "metric": metric, "limit": limit, "usage": usage })
}

/// How many live objects of a kind there are, in a region or in all.
pub(crate) fn count(ctx: &mut Ctx<'_>, kind: GcpKind, region: Option<&str>) -> u64 {
    let here = |id: &&String| region.is_none_or(|r| region_of(last(&scope_of(id))) == r);
    ctx.scope().ids_under(kind, "projects/").filter(here).count() as u64
}

/// Use of the quotas that count no collection: processors, external addresses in use.
pub(crate) fn in_use(ctx: &mut Ctx<'_>, metric: &str, region: &str) -> u64 {
    let here = |id: &str| region_of(last(&scope_of(id))) == region;
    let project = ctx.key.account.clone();
    let of = |ctx: &mut Ctx<'_>, kind: GcpKind, worth: &dyn Fn(&cloudsim_core::object::Object) -> u64| -> u64 {
        let level = if kind == GcpKind::Instance { "zones" } else { "regions" };
        let start = format!("projects/{project}/{level}/{region}");
        ctx.scope().under(kind, &start).filter(|o| here(&o.id)).map(worth).sum()
    };
    if metric == "CPUS" {
        return of(ctx, GcpKind::Instance, &|o| o.props.get("cpu").and_then(Value::as_u64).unwrap_or(0));
    }
    let external = |o: &cloudsim_core::object::Object| u64::from(doc_text(o, "/loadBalancingScheme") == "EXTERNAL");
    let public = |o: &cloudsim_core::object::Object| {
        u64::from(o.props.get("doc").is_some_and(|d| d.pointer("/networkInterfaces/0/accessConfigs").is_some()))
    };
    of(ctx, GcpKind::ForwardingRule, &external) + of(ctx, GcpKind::Instance, &public)
}
