//! Reads a request: which operation, on what, by whom.
//!
//! Actions are named `KIND.OPERATION` in the words of Microsoft's API definitions: `managedClusters.CreateOrUpdate`,
//! `zones` being `dnsZones`. Errors: <https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors>.

use super::{
    entra,
    id::Target,
    kind::{AzureKind, versions},
    principal,
};
use cloudsim_core::{
    call::{ApiError, Call, Params},
    cloud::Identified,
    http::Raw,
    scope_key::GLOBAL,
    world::World,
};
use serde_json::Value;

/// Reads a request.
///
/// # Errors
/// If it is for nothing known here; the call is as far as it was read.
#[expect(clippy::result_large_err, reason = "made once a request")]
pub(crate) fn identify(world: &mut World, raw: &Raw) -> Identified {
    let call = Call::of(world.uuid(), raw);
    let mut call = Call { region: GLOBAL.to_owned(), headers: raw.headers.clone(), ..call };
    if let Some((action, tenant)) = entra::route(&call.method, &call.path) {
        "entra".clone_into(&mut call.service);
        action.clone_into(&mut call.action);
        call.caller.arn = Params::parse(&call.body).text("client_id").to_owned();
        call.caller.account = tenant;
        return Ok((call, None));
    }
    let Some(target) = Target::parse(&call.path) else {
        let error = ApiError::new("NotFound", "No such path").status(404);
        return Err((call, error));
    };
    call.caller.account = target.subscription.to_lowercase();
    let Some((service, action)) = route(&call.method, &target) else {
        "resources".clone_into(&mut call.service);
        "Unknown".clone_into(&mut call.action);
        let error = unknown_type(&target);
        return Err((call, error));
    };
    service.clone_into(&mut call.service);
    call.action = action;
    if !call.body.is_empty() {
        match serde_json::from_str(&call.body) {
            Ok(json) => call.json = json,
            Err(error) => {
                let message = format!("The request content was invalid and could not be deserialized: '{error}'.");
                return Err((call, ApiError::new("InvalidRequestContent", message)));
            }
        }
    }
    let refused = authenticate(world, &mut call, &target).and_then(|()| check_version(&call, &target)).err();
    Ok((call, refused))
}

/// Service and action.
fn route(method: &str, target: &Target) -> Option<(&'static str, String)> {
    let types = target.type_path();
    let leaf = target.types.last().map(|t| t.to_lowercase()).unwrap_or_default();
    if matches!(leaf.as_str(), "operations" | "operationresults" | "dnsoperationstatuses" | "dnsoperationresults") {
        return (method == "GET").then(|| (service_of(target, &leaf), "operations.Get".to_owned()));
    }
    let named = |verb: &str| verb.to_owned();
    match (method, target.namespace.is_empty(), types.as_str()) {
        ("GET", true, "") => return Some(("resources", named("subscriptions.Get"))),
        ("GET", true, "resources") if target.group.is_some() => {
            return Some(("resources", named("resources.ListByResourceGroup")));
        }
        ("GET", true, "resources") => return Some(("resources", named("resources.List"))),
        ("GET", true, "providers") => return Some(("resources", named("providers.List"))),
        ("GET", false, "") => return Some(("resources", named("providers.Get"))),
        ("POST", false, "register") => return Some(("resources", named("providers.Register"))),
        ("GET", false, "locations/kubernetesversions") => {
            return Some(("containerservice", named("managedClusters.ListKubernetesVersions")));
        }
        ("GET", false, "locations/usages") => return Some((service_of(target, &leaf), named("usages.List"))),
        _ => {}
    }
    if let Some(kind) = target.kind() {
        let info = kind.info();
        let operation = operation(method, target, kind)?;
        return Some((info.service, format!("{}.{operation}", info.leaf)));
    }
    // An action on a resource: its name stands where a type does.
    let (action, parent) = target.types.split_last()?;
    let info = AzureKind::find(&target.namespace.to_lowercase(), &parent.join("/").to_lowercase())?.info();
    let mut letters = action.chars();
    let action = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())?;
    (method == "POST" && target.is_collection()).then(|| (info.service, format!("{}.{action}", info.leaf)))
}

fn operation(method: &str, target: &Target, kind: AzureKind) -> Option<&'static str> {
    let at_top = target.types.len() == 1 && target.group.is_none();
    Some(match (method, target.is_collection()) {
        ("GET", true) if at_top && kind != AzureKind::ResourceGroup => "ListAll",
        ("GET", true) => "List",
        ("GET", false) => "Get",
        ("HEAD", false) => "CheckExistence",
        ("PUT", false) => "CreateOrUpdate",
        ("PATCH", false) => "Update",
        ("DELETE", false) => "Delete",
        _ => return None,
    })
}

/// The service of a namespace's operations.
fn service_of(target: &Target, leaf: &str) -> &'static str {
    match target.namespace.to_lowercase().as_str() {
        _ if leaf.starts_with("dns") => "dns",
        "microsoft.network" => "network",
        "microsoft.containerservice" => "containerservice",
        "microsoft.compute" => "compute",
        _ => "resources",
    }
}

fn unknown_type(target: &Target) -> ApiError {
    let message = format!(
        "The resource type '{}' could not be found in the namespace '{}' for the api version and method given, or the simulator does not know it.",
        target.types.join("/"),
        target.namespace
    );
    ApiError::new("InvalidResourceType", message).status(404)
}

/// Whose token it is, and whether they own the subscription.
fn authenticate(world: &World, call: &mut Call, target: &Target) -> Result<(), ApiError> {
    let token = principal::bearer(call.headers.get("authorization"))?.to_owned();
    let who = principal::of_token(world, &token)?;
    call.caller.credential.clone_from(&token);
    call.caller.arn.clone_from(&who.client_id);
    call.caller.user_id.clone_from(&who.object_id);
    call.caller.access_key.clone_from(&who.tenant);
    principal::check_audience(&who)?;
    let subscription = &target.subscription;
    if !principal::is_guid(subscription) {
        let message = format!("The provided subscription identifier '{subscription}' is malformed or invalid.");
        return Err(ApiError::new("InvalidSubscriptionId", message));
    }
    if who.owns(world, subscription) {
        return Ok(());
    }
    let info = target.kind().map(AzureKind::info);
    let what =
        info.map_or_else(|| "Microsoft.Resources/subscriptions".to_owned(), |i| format!("{}/{}", i.namespace, i.types));
    let right = match call.method.as_str() {
        "GET" | "HEAD" => "read",
        "DELETE" => "delete",
        "POST" => "action",
        _ => "write",
    };
    let message = format!(
        "The client '{}' with object id '{}' does not have authorization to perform action '{what}/{right}' over scope '{}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        who.client_id,
        who.object_id,
        target.id()
    );
    Err(ApiError::new("AuthorizationFailed", message).status(403))
}

/// Every request names a version that its service has.
fn check_version(call: &Call, target: &Target) -> Result<(), ApiError> {
    let given = call.params.0.iter().find(|(k, _)| k.eq_ignore_ascii_case("api-version")).map(|(_, v)| v.as_str());
    let Some(given) = given.filter(|v| !v.is_empty()) else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(ApiError::new("MissingApiVersionParameter", message));
    };
    let known = versions(&call.service);
    // The addresses of operations carry the version that the service put there.
    if known.contains(&given) || call.action == "operations.Get" {
        return Ok(());
    }
    let supported = known.iter().rev().copied().collect::<Vec<_>>().join(", ");
    if target.namespace.is_empty() || call.service == "resources" {
        let message = format!("The api-version '{given}' is invalid. The supported versions are '{supported}'.");
        return Err(ApiError::new("InvalidApiVersionParameter", message));
    }
    let location = call.json.get("location").and_then(Value::as_str).unwrap_or_default();
    let message = format!(
        "No registered resource provider found for location '{location}' and API version '{given}' for type '{}'. The supported api-versions are '{supported}'.",
        target.types.join("/")
    );
    Err(ApiError::new("NoRegisteredProviderFound", message))
}
