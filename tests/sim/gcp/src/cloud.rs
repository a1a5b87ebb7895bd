//! The simulated Google Cloud behind the seam that all simulated clouds share.

use crate::{
    auth, container, critical_path, dispatch,
    kinds::{self, GcpKind, GcpStep},
    quotas, rates, rights,
    state::GcpState,
    tag_edit, wire,
};
use cloudsim_core::{
    call::{ApiError, Call, Reply},
    cloud::{Cloud, Identified},
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

/// The simulated Google Cloud.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gcp;

impl Cloud for Gcp {
    fn name(&self) -> &'static str {
        kinds::NAME
    }

    fn domain(&self) -> &'static str {
        "googleapis.com"
    }

    fn cluster_kind(&self) -> Kind {
        GcpKind::Cluster.into()
    }

    fn cluster_service(&self) -> &'static str {
        "container"
    }

    fn quotas(&self) -> &'static [QuotaDefault] {
        quotas::DEFAULTS
    }

    fn install(&self, states: &mut States, stored: &HashMap<String, Value>) -> serde_json::Result<()> {
        states.install::<GcpState>(stored)
    }

    fn is_request(&self, raw: &Raw) -> bool {
        dispatch::is_for(raw)
    }

    fn is_cluster(&self, id: &str) -> bool {
        id.starts_with("projects/")
    }

    fn identify(&self, world: &mut World, raw: &Raw) -> Identified {
        dispatch::identify(world, raw)
    }

    fn rate(&self, call: &Call) -> Option<(String, Rate)> {
        Some(rates::bucket(call))
    }

    fn rights(&self, call: &Call) -> Vec<Need> {
        rights::needs(call)
    }

    fn grants(&self, document: &str) -> Result<Vec<Grant>, String> {
        rights::grants(document)
    }

    fn forbidden(&self, call: &Call, need: &Need) -> ApiError {
        auth::denied(call, &need.action)
    }

    fn handle(&self, ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply, ApiError> {
        dispatch::handle(ctx, call)
    }

    fn throttled(&self, call: &Call, _: f64) -> ApiError {
        rates::throttled(call)
    }

    fn encode(&self, call: &Call, reply: Reply) -> HttpResponse {
        wire::encode(call, reply)
    }

    fn encode_error(&self, call: &Call, error: &ApiError) -> HttpResponse {
        wire::encode_error(call, error)
    }

    fn step(&self, ctx: &mut Ctx<'_>, step: Value) -> serde_json::Result<(&'static str, &'static str)> {
        Ok(dispatch::step(ctx, &GcpStep::deserialize(step)?))
    }

    fn retagged(&self, ctx: &mut Ctx<'_>, id: &str, before: &Tags) {
        tag_edit::follow(ctx, id, before);
    }

    fn part_of(&self, work: &Work) -> Option<&'static str> {
        critical_path::part_of(work)
    }

    fn review(&self, world: &mut World, id: &str, request: &Value) -> Value {
        auth::review(world, id, request)
    }

    fn cluster_scope(&self, id: &str) -> Option<ScopeKey> {
        dispatch::cluster_scope(id)
    }

    fn in_service_states(&self) -> &'static [&'static str] {
        &["RUNNING", "RECONCILING", "DEGRADED"]
    }

    fn control_plane_started(&self, ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
        container::lifecycle::control_plane_started(ctx, id, endpoint, ca_pem);
    }

    fn control_plane_failed(&self, ctx: &mut Ctx<'_>, id: &str, reason: &str) {
        container::lifecycle::control_plane_failed(ctx, id, reason);
    }

    fn version_pointer(&self) -> &'static str {
        "/currentMasterVersion"
    }
}
