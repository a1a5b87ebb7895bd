//! The simulated AWS behind the seam that all simulated clouds share.

use crate::{
    arn, control, critical_path, dispatch, eks, identify,
    kind::AwsKind,
    quotas, rates, rights, sigv4,
    state::{self, AwsState},
    step::{AwsStep, NAME},
    token, wire,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply},
    cloud::{Cloud, ControlResponse, Identified},
    ctx::Ctx,
    http::{HttpResponse, Raw},
    kind::Kind,
    object::Tags,
    quota::QuotaDefault,
    rights::{Grant, Need},
    scope_key::ScopeKey,
    states::States,
    throttle::Rate,
    world::{Work, World},
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// The simulated AWS.
#[derive(Debug, Clone, Copy, Default)]
pub struct Aws;

impl Cloud for Aws {
    fn name(&self) -> &'static str {
        NAME
    }

    fn domain(&self) -> &'static str {
        "amazonaws.com"
    }

    fn cluster_kind(&self) -> Kind {
        AwsKind::Cluster.into()
    }

    fn cluster_service(&self) -> &'static str {
        "eks"
    }

    fn quotas(&self) -> &'static [QuotaDefault] {
        quotas::DEFAULTS
    }

    fn install(&self, states: &mut States, stored: &HashMap<String, Value>) -> serde_json::Result<()> {
        states.install::<AwsState>(stored)
    }

    fn is_request(&self, raw: &Raw) -> bool {
        sigv4::from_header(&raw.headers).is_some() || sigv4::from_query(&raw.query).is_some()
    }

    fn is_cluster(&self, id: &str) -> bool {
        id.starts_with("arn:aws:eks:")
    }

    fn identify(&self, world: &mut World, raw: &Raw) -> Identified {
        identify::identify(world, raw)
    }

    fn rate(&self, call: &Call) -> Option<(String, Rate)> {
        Some(rates::bucket(call))
    }

    fn rights(&self, call: &Call) -> Vec<Need> {
        rights::needed(call)
    }

    fn grants(&self, document: &str) -> Result<Vec<Grant>, String> {
        rights::policy::grants(document)
    }

    fn forbidden(&self, call: &Call, need: &Need) -> ApiError {
        rights::forbidden(call, need)
    }

    fn disallowed(&self, call: &Call, need: &Need) -> ApiError {
        rights::disallowed(call, need)
    }

    fn handle(&self, ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply, ApiError> {
        dispatch::handle(ctx, call)
    }

    fn throttled(&self, call: &Call, _: f64) -> ApiError {
        rates::throttled(&call.service)
    }

    fn encode(&self, call: &Call, reply: Reply) -> HttpResponse {
        wire::encode(call, reply)
    }

    fn encode_error(&self, call: &Call, error: &ApiError) -> HttpResponse {
        wire::encode_error(call, error)
    }

    fn step(&self, ctx: &mut Ctx<'_>, step: Value) -> serde_json::Result<(&'static str, &'static str)> {
        Ok(dispatch::step(ctx, &AwsStep::deserialize(step)?))
    }

    fn control(&self, world: &mut World, method: &str, path: &[&str], body: &[u8]) -> Option<ControlResponse> {
        control::respond(world, method, path, body)
    }

    fn retagged(&self, ctx: &mut Ctx<'_>, id: &str, _: &Tags) {
        let tags = ctx.scope().get(id).map(|o| o.tags.clone());
        if let (Some(tags), Some(stack)) = (tags, state::stacks(ctx).get_mut(id)) {
            stack.tags = tags;
        }
    }

    fn part_of(&self, work: &Work) -> Option<&'static str> {
        critical_path::part_of(work)
    }

    fn review(&self, world: &mut World, id: &str, request: &Value) -> Value {
        token::review(world, id, request)
    }

    fn cluster_scope(&self, id: &str) -> Option<ScopeKey> {
        arn::cluster_scope(id)
    }

    fn in_service_states(&self) -> &'static [&'static str] {
        &["ACTIVE", "UPDATING"]
    }

    fn control_plane_started(&self, ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
        eks::lifecycle::control_plane_started(ctx, id, endpoint, ca_pem);
    }

    fn control_plane_failed(&self, ctx: &mut Ctx<'_>, id: &str, reason: &str) {
        eks::lifecycle::control_plane_failed(ctx, id, reason);
    }

    fn version_pointer(&self) -> &'static str {
        "/version"
    }
}
