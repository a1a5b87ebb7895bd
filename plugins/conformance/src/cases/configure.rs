//! Configurations and orders that are wrong, and what a plugin says to them.

use std::collections::BTreeSet;

use landlord_plugin_host::Plugin;
use landlord_provider_api::{ErrorKind, Provider as _, v1};
use serde_json::{Map, Value};

use crate::{
    tenant::Tenant,
    world::{Step, World, fail, failed},
};

/// A key that no provider has.
const UNKNOWN_KEY: &str = "landlord_conformance_unknown";
/// What must not come back from a credential that is not understood.
const CANARY: &str = "canary-7f3a9c5e1b";
/// Of the five things that are wrong with the broken tenant, a provider may know no machine sizes or regions.
const VIOLATIONS_MIN: usize = 3;

pub(crate) async fn configure(world: &World) -> Step<String> {
    let unknown = |value: &str| Map::from_iter([(UNKNOWN_KEY.to_owned(), Value::from(value))]);
    let mut settings = world.config.provider.clone();
    settings.extend(unknown("x"));
    let settings = Value::Object(settings).to_string();
    refused(world, Some(settings.clone()), None, &[UNKNOWN_KEY.to_owned()]).await?;
    refused(world, Some("{\"torn\": ".into()), None, &[]).await?;
    // Both at once: whatever the error says of the credential, nothing of it is repeated.
    refused(world, Some(settings), Some(&unknown(CANARY)), &[UNKNOWN_KEY.to_owned()]).await?;
    for wrong in &world.config.wrong {
        let provider = wrong.provider.clone().map(|provider| Value::Object(provider).to_string());
        refused(world, provider, wrong.credential.as_ref(), &wrong.names).await?;
    }
    Ok(format!("{} refused", 3 + world.config.wrong.len()))
}

async fn refused(
    world: &World,
    settings: Option<String>,
    credential: Option<&Map<String, Value>>,
    names: &[String],
) -> Step {
    let shown = settings.clone().unwrap_or_else(|| "the configured settings".into());
    let mark = world.mark();
    let plugin = world.session.configured(settings, credential).map_err(failed)?;
    let error = match plugin.start().await {
        Ok(()) => fail!("Configure takes {shown}{}", credential.map_or("", |_| " with a wrong credential")),
        Err(error) => error,
    };
    world.note("configure", &error)?;
    if !matches!(error.kind, ErrorKind::Invalid | ErrorKind::Auth) {
        fail!("Configure with {shown} fails with {} instead of INVALID or AUTH: {error}", error.kind.as_str());
    }
    let reported = format!("{} {}", error.message, error.remedy);
    let missing: Vec<&String> = names.iter().filter(|name| !reported.contains(*name)).collect();
    if !missing.is_empty() {
        fail!("Configure with {shown} does not name {missing:?}: {error}");
    }
    let credential = Value::Object(credential.cloned().unwrap_or_default()).to_string();
    if reported.contains(CANARY) || strings(&credential).iter().any(|secret| reported.contains(secret)) {
        fail!("the refusal of a credential repeats a value of it");
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("Configure makes changing calls: {}", changes.join(", "));
    }
    Ok(())
}

/// Values that could be secrets, in a JSON text.
fn strings(json: &str) -> Vec<String> {
    const LEN_MIN: usize = 8;
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.len() >= LEN_MIN => found.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            // Its kind is a word of the plugin's documentation, which a remedy may list.
            Value::Object(fields) => {
                fields.iter().filter(|(key, _)| *key != "kind").for_each(|(_, field)| walk(field, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&serde_json::from_str(json).unwrap_or_default(), &mut found);
    found
}

/// What the daemon would ask about the configured tenant.
pub(crate) fn validate_request(world: &World) -> v1::ValidateRequest {
    let tenant = Tenant::new(&world.config);
    v1::ValidateRequest {
        scope: Some(tenant.scope),
        parameters_json: tenant.parameters_json,
        node_pool: Some(tenant.pool),
        dns_zone: Some(v1::DnsZoneSpec { domain: tenant.domain }),
    }
}

pub(crate) async fn validate(world: &World) -> Step<String> {
    let plugin = world.plugin()?;
    let mark = world.mark();
    let good = validate_request(world);
    let found = violations(&plugin, good.clone()).await?;
    if !found.is_empty() {
        fail!("the configured tenant is reported to be wrong: {}", reported(&found));
    }
    let shared = v1::ValidateRequest { node_pool: None, dns_zone: None, ..good.clone() };
    let found = violations(&plugin, shared).await?;
    if !found.is_empty() {
        fail!(
            "an order without node pool and zone, as in a shared cluster, is reported to be wrong: {}",
            reported(&found)
        );
    }
    let pool = good.node_pool.clone().unwrap_or_default();
    let broken = v1::ValidateRequest {
        scope: good.scope.map(|scope| v1::Scope { region: "no such region!".into(), ..scope }),
        parameters_json: format!("{{\"{UNKNOWN_KEY}\": 1}}"),
        node_pool: Some(v1::NodePoolSpec { machine_type: String::new(), node_count: 0, ..pool }),
        dns_zone: Some(v1::DnsZoneSpec { domain: "no domain".into() }),
    };
    let found = violations(&plugin, broken).await?;
    let fields: BTreeSet<&str> = found.iter().map(|violation| violation.field.as_str()).collect();
    if fields.len() < VIOLATIONS_MIN {
        fail!(
            "region, parameters, machine_type, node_count and domain are wrong, and only {} are named: {}",
            fields.len(),
            reported(&found)
        );
    }
    if found.iter().any(|violation| violation.field.is_empty() || violation.description.trim().is_empty()) {
        fail!("a violation lacks its field or its description: {}", reported(&found));
    }
    let changes = world.changes(mark);
    if !changes.is_empty() {
        fail!("Validate makes changing calls: {}", changes.join(", "));
    }
    Ok(format!("{} violations at once", found.len()))
}

async fn violations(plugin: &Plugin, request: v1::ValidateRequest) -> Step<Vec<v1::FieldViolation>> {
    Ok(plugin.validate(request).await.map_err(|error| failed(format!("Validate failed: {error}")))?.violations)
}

fn reported(found: &[v1::FieldViolation]) -> String {
    found.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("; ")
}
