//! The seam between what all simulated clouds share and each of them: who answers a request, applies a step, checks a
//! token, serves the controllers of a cluster.
//!
//! A cloud is a folder beside `aws` with the same entries. Which cloud something belongs to is read from its form alone:
//! a request's path and headers, a cluster's identity (an ARN, a resource name, a resource id).

use crate::{
    aws, azure,
    call::{ApiError, Call, Reply},
    ctx::Ctx,
    gcp,
    object::Object,
    runtime::{ServiceSeen, StorageClassSeen, VolumeSeen},
    schedule::Step,
    server::{HttpResponse, Raw},
    world::{ScopeKey, World},
};
use serde_json::Value;

/// A simulated cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

/// A request as read: the call, and why its credentials are refused, if they are. The error comes after faults and
/// throttling, as the clouds do it.
pub type Identified = Result<(Call, Option<ApiError>), (Call, ApiError)>;

impl Cloud {
    /// The cloud that a request is for.
    #[must_use]
    pub fn of_request(raw: &Raw) -> Self {
        if gcp::is_for(raw) {
            return Self::Gcp;
        }
        if azure::is_request(raw) { Self::Azure } else { Self::Aws }
    }

    /// The cloud of the cluster with this identity.
    #[must_use]
    pub fn of_cluster(id: &str) -> Self {
        if id.starts_with("projects/") {
            return Self::Gcp;
        }
        if azure::is_cluster(id) { Self::Azure } else { Self::Aws }
    }

    /// Reads a request: who calls what.
    ///
    /// # Errors
    /// If the request is for no operation known here; the call is as far as it was read.
    #[expect(clippy::result_large_err, reason = "made once a request")]
    pub fn identify(self, world: &mut World, raw: &Raw) -> Identified {
        match self {
            Self::Aws => aws::identify(world, raw),
            Self::Gcp => gcp::identify(world, raw),
            Self::Azure => azure::identify::identify(world, raw),
        }
    }

    /// Answers a call.
    ///
    /// # Errors
    /// In the service's own words.
    pub fn handle(self, ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply, ApiError> {
        match self {
            Self::Aws => aws::handle(ctx, call),
            Self::Gcp => gcp::handle(ctx, call),
            Self::Azure => azure::handle(ctx, call),
        }
    }

    /// How the service of `call` says that it throttles. `scale` is real seconds per simulated one, for waits that are
    /// told in real time.
    #[must_use]
    pub fn throttled(self, call: &Call, scale: f64) -> ApiError {
        match self {
            Self::Aws => ApiError::throttled(&call.service),
            Self::Gcp => gcp::throttled(call),
            Self::Azure => azure::throttle::throttled(call, scale),
        }
    }

    /// A result on the wire.
    #[must_use]
    pub fn encode(self, call: &Call, reply: Reply) -> HttpResponse {
        match self {
            Self::Aws => aws::wire::encode(call, reply),
            Self::Gcp => gcp::wire::encode(call, reply),
            Self::Azure => azure::wire::encode(call, reply),
        }
    }

    /// An error on the wire.
    #[must_use]
    pub fn encode_error(self, call: &Call, error: &ApiError) -> HttpResponse {
        match self {
            Self::Aws => aws::wire::encode_error(call, error),
            Self::Gcp => gcp::wire::encode_error(call, error),
            Self::Azure => azure::wire::encode_error(call, error),
        }
    }

    /// Answers a TokenReview of the cluster `id`.
    #[must_use]
    pub fn review(self, world: &mut World, id: &str, request: &Value) -> Value {
        match self {
            Self::Aws => aws::token::review(world, id, request),
            Self::Gcp => gcp::auth::review(world, id, request),
            Self::Azure => azure::review::review(world, id, request),
        }
    }

    /// The scope that the cluster `id` lies in; none if `id` is no cluster's.
    #[must_use]
    pub fn cluster_scope(self, id: &str) -> Option<ScopeKey> {
        match self {
            Self::Aws => aws::cluster_scope(id),
            Self::Gcp => gcp::cluster_scope(id),
            Self::Azure => azure::cluster_scope(id),
        }
    }

    /// The service that the journal names for the lifecycle of clusters.
    #[must_use]
    pub fn cluster_service(self) -> &'static str {
        match self {
            Self::Aws => "eks",
            Self::Gcp => "container",
            Self::Azure => "containerservice",
        }
    }

    /// Whether what the controllers of `cluster` ask for is done; what they made stays when it is being deleted.
    #[must_use]
    pub fn in_service(self, cluster: &Object) -> bool {
        match self {
            Self::Aws => matches!(cluster.state.as_str(), "ACTIVE" | "UPDATING"),
            Self::Gcp => matches!(cluster.state.as_str(), "RUNNING" | "RECONCILING" | "DEGRADED"),
            Self::Azure => azure::aks::in_service(cluster),
        }
    }

    /// A control plane answers at `endpoint`.
    pub fn control_plane_started(self, ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str) {
        match self {
            Self::Aws => aws::eks::lifecycle::control_plane_started(ctx, id, endpoint, ca_pem),
            Self::Gcp => gcp::container::lifecycle::control_plane_started(ctx, id, endpoint, ca_pem),
            Self::Azure => azure::aks::lifecycle::control_plane_started(ctx, id, endpoint, ca_pem),
        }
    }

    /// A control plane could not be started.
    pub fn control_plane_failed(self, ctx: &mut Ctx<'_>, id: &str, reason: &str) {
        match self {
            Self::Aws => aws::eks::lifecycle::control_plane_failed(ctx, id, reason),
            Self::Gcp => gcp::container::lifecycle::control_plane_failed(ctx, id, reason),
            Self::Azure => azure::aks::lifecycle::control_plane_failed(ctx, id, reason),
        }
    }

    /// Kubernetes version that a cluster was ordered in.
    #[must_use]
    pub fn version_of(self, cluster: &Object) -> String {
        match self {
            Self::Aws => aws::eks::doc_text(cluster, "/version").to_owned(),
            Self::Gcp => gcp::names::doc_text(cluster, "/currentMasterVersion").to_owned(),
            Self::Azure => azure::aks::version_of(cluster),
        }
    }

    /// The StorageClasses that its clusters come with.
    #[must_use]
    pub fn storage_classes(self) -> Vec<StorageClassSeen> {
        match self {
            Self::Aws => aws::kubernetes::storage_classes(),
            Self::Gcp => gcp::kubernetes::storage_classes(),
            Self::Azure => azure::kubernetes::storage_classes(),
        }
    }

    /// Whether the annotations of a Service ask for an internal load balancer.
    #[must_use]
    pub fn wants_internal(self, annotation: &dyn Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Aws => annotation(aws::kubernetes::SCHEME).is_some_and(|scheme| scheme == "internal"),
            Self::Gcp => gcp::kubernetes::wants_internal(annotation),
            Self::Azure => annotation(azure::kubernetes::INTERNAL).is_some_and(|internal| internal == "true"),
        }
    }

    /// Makes a Service's load balancer; gives its address once it is active.
    pub fn ensure_load_balancer(self, ctx: &mut Ctx<'_>, cluster: &Object, service: &ServiceSeen) -> Option<String> {
        match self {
            Self::Aws => aws::kubernetes::ensure_load_balancer(ctx, cluster, service),
            Self::Gcp => gcp::kubernetes::ensure_load_balancer(ctx, cluster, service),
            Self::Azure => azure::kubernetes::ensure_load_balancer(ctx, cluster, service),
        }
    }

    /// Deletes the load balancer of the Service `uid`; true once nothing of it is left.
    pub fn delete_load_balancer(self, ctx: &mut Ctx<'_>, cluster: &Object, uid: &str) -> bool {
        match self {
            Self::Aws => aws::kubernetes::delete_load_balancer(ctx, cluster, uid),
            Self::Gcp => gcp::kubernetes::delete_load_balancer(ctx, cluster, uid),
            Self::Azure => azure::kubernetes::delete_load_balancer(ctx, cluster, uid),
        }
    }

    /// Makes a claim's disk; gives its id once the driver runs.
    pub fn ensure_volume(self, ctx: &mut Ctx<'_>, cluster: &Object, volume: &VolumeSeen) -> Option<String> {
        match self {
            Self::Aws => aws::kubernetes::ensure_volume(ctx, cluster, volume),
            Self::Gcp => gcp::kubernetes::ensure_volume(ctx, cluster, volume),
            Self::Azure => azure::kubernetes::ensure_volume(ctx, cluster, volume),
        }
    }

    /// Makes a disk larger; true once it is.
    pub fn resize_volume(self, ctx: &mut Ctx<'_>, id: &str, size_gib: u64) -> bool {
        match self {
            Self::Aws => aws::kubernetes::resize_volume(ctx, id, size_gib),
            Self::Gcp => gcp::kubernetes::resize_volume(ctx, id, size_gib),
            Self::Azure => azure::kubernetes::resize_volume(ctx, id, size_gib),
        }
    }

    /// Deletes a disk.
    pub fn delete_volume(self, ctx: &mut Ctx<'_>, id: &str) {
        match self {
            Self::Aws => {
                aws::kubernetes::delete_volume(ctx, id);
            }
            Self::Gcp => gcp::kubernetes::delete_volume(ctx, id),
            Self::Azure => azure::kubernetes::delete_volume(ctx, id),
        }
    }
}

/// Applies a step of whichever cloud it belongs to; the answer names service and action for the journal.
pub fn step(ctx: &mut Ctx<'_>, step: &Step) -> (&'static str, &'static str) {
    match step {
        Step::Gcp(step) => gcp::step(ctx, step),
        Step::Azure(step) => azure::steps::apply(ctx, step),
        _ => aws::step(ctx, step),
    }
}
