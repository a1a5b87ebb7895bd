//! The simulated Azure behind the seam that all simulated clouds share.

use crate::{
    aks, critical_path, dispatch, id, identify,
    kind::AzureKind,
    principal, quotas, review, rights,
    state::AzureState,
    step::{AzureStep, NAME},
    steps, throttle, wire,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply},
    cloud::{Cloud, ControlResponse, Identified},
    control::parse,
    ctx::Ctx,
    http::{HttpResponse, Raw},
    kind::Kind,
    quota::QuotaDefault,
    rights::{Grant, Need},
    scope_key::ScopeKey,
    states::States,
    throttle::Rate,
    world::{Work, World},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;

/// The simulated Azure.
#[derive(Debug, Clone, Copy, Default)]
pub struct Azure;

impl Cloud for Azure {
    fn name(&self) -> &'static str {
        NAME
    }

    fn domain(&self) -> &'static str {
        "azure.com"
    }

    fn cluster_kind(&self) -> Kind {
        AzureKind::ManagedCluster.into()
    }

    fn cluster_service(&self) -> &'static str {
        "containerservice"
    }

    fn quotas(&self) -> &'static [QuotaDefault] {
        quotas::DEFAULTS
    }

    fn install(&self, states: &mut States, stored: &HashMap<String, Value>) -> serde_json::Result<()> {
        states.install::<AzureState>(stored)
    }

    fn is_request(&self, raw: &Raw) -> bool {
        dispatch::is_request(raw)
    }

    fn is_cluster(&self, id: &str) -> bool {
        dispatch::is_cluster(id)
    }

    fn identify(&self, world: &mut World, raw: &Raw) -> Identified {
        identify::identify(world, raw)
    }

    fn rate(&self, call: &Call) -> Option<(String, Rate)> {
        if principal::is_guid(&call.caller.account) || call.service == "entra" {
            // Counted by principal, with responses that say how much is left; Entra publishes no rate.
            return None;
        }
        Some(("all".to_owned(), Rate::new(50.0, 20.0)))
    }

    fn rights(&self, call: &Call) -> Vec<Need> {
        rights::needed(call)
    }

    fn grants(&self, document: &str) -> Result<Vec<Grant>, String> {
        rights::grants(document)
    }

    fn forbidden(&self, call: &Call, need: &Need) -> ApiError {
        rights::forbidden(call, need)
    }

    fn disallowed(&self, call: &Call, _: &Need) -> ApiError {
        rights::disallowed(call)
    }

    fn handle(&self, ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply, ApiError> {
        dispatch::handle(ctx, call)
    }

    fn throttled(&self, call: &Call, scale: f64) -> ApiError {
        throttle::throttled(call, scale)
    }

    fn encode(&self, call: &Call, reply: Reply) -> HttpResponse {
        wire::encode(call, reply)
    }

    fn encode_error(&self, call: &Call, error: &ApiError) -> HttpResponse {
        wire::encode_error(call, error)
    }

    fn step(&self, ctx: &mut Ctx<'_>, step: Value) -> serde_json::Result<(&'static str, &'static str)> {
        Ok(steps::apply(ctx, &AzureStep::deserialize(step)?))
    }

    fn control(&self, world: &mut World, method: &str, path: &[&str], body: &[u8]) -> Option<ControlResponse> {
        let ("POST", ["principals"]) = (method, path) else {
            return None;
        };
        Some(parse(body).map(|principal| {
            principal::declare(world, principal);
            json!({})
        }))
    }

    fn part_of(&self, work: &Work) -> Option<&'static str> {
        critical_path::part_of(work)
    }

    fn review(&self, world: &mut World, id: &str, request: &Value) -> Value {
        review::review(world, id, request)
    }

    fn cluster_scope(&self, id: &str) -> Option<ScopeKey> {
        id::cluster_scope(id)
    }

    fn in_service_states(&self) -> &'static [&'static str] {
        &["Succeeded", "Updating"]
    }

    fn control_plane_started(&self, ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
        aks::lifecycle::control_plane_started(ctx, id, endpoint, ca_pem);
    }

    fn control_plane_failed(&self, ctx: &mut Ctx<'_>, id: &str, reason: &str) {
        aks::lifecycle::control_plane_failed(ctx, id, reason);
    }

    fn version_pointer(&self) -> &'static str {
        "/properties/currentKubernetesVersion"
    }
}
