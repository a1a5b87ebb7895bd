//! The seam between what all simulated clouds share and each of them: who handles a request, applies a step, checks a
//! token, serves the controllers of a cluster.
//!
//! A cloud is a crate beside this one. Which cloud something belongs to is read from its form alone: a request's path and
//! headers, a cluster's identity (an ARN, a resource name, a resource id).

use crate::{
    call::{ApiError, Call, Reply},
    clock::Micros,
    ctx::Ctx,
    http::{HttpResponse, Raw},
    in_cluster::InCluster,
    kind::Kind,
    object::Object,
    quota::QuotaDefault,
    rights::{Grant, Need},
    schedule::Step,
    scope_key::ScopeKey,
    states::States,
    throttle::Rate,
    world::{Work, World},
};
use serde_json::Value;
use std::{collections::HashMap, fmt::Debug, sync::Arc};

/// A request as read: the call, and why its credentials are refused, if they are. The error comes after faults and
/// throttling, as the clouds do it.
pub type Identified = Result<(Call, Option<ApiError>), (Call, ApiError)>;

/// What a control request gets: a body, or a status and why.
pub type ControlResponse = Result<Value, (u16, String)>;

/// A simulated cloud.
pub trait Cloud: InCluster + Debug + Send + Sync + 'static {
    /// Its name, for stored steps.
    fn name(&self) -> &'static str;
    /// The domain of its services where they act by themselves, for the journal.
    fn domain(&self) -> &'static str;
    /// The kind of its Kubernetes clusters.
    fn cluster_kind(&self) -> Kind;
    /// The service that the journal names for the lifecycle of clusters.
    fn cluster_service(&self) -> &'static str;
    /// Its quotas.
    fn quotas(&self) -> &'static [QuotaDefault];
    /// Puts what it has beside objects in place, continuing from `stored`.
    ///
    /// # Errors
    /// A stored state that does not fit.
    fn install(&self, states: &mut States, stored: &HashMap<String, Value>) -> serde_json::Result<()>;

    /// Whether a request is for this cloud.
    fn is_request(&self, raw: &Raw) -> bool;
    /// Whether `id` is the identity of one of its clusters.
    fn is_cluster(&self, id: &str) -> bool;
    /// Reads a request: who calls what.
    ///
    /// # Errors
    /// If the request is for no operation known here; the call is as far as it was read.
    #[expect(clippy::result_large_err, reason = "made once a request")]
    fn identify(&self, world: &mut World, raw: &Raw) -> Identified;
    /// The class of calls that share a bucket with `call`, and its rate; none if the cloud does not count it, or counts
    /// it itself.
    fn rate(&self, call: &Call) -> Option<(String, Rate)>;
    /// What a policy document must grant for `call`, in the document's own form; none where nothing is needed.
    fn rights(&self, call: &Call) -> Vec<Need>;
    /// What a policy document of this cloud grants.
    ///
    /// # Errors
    /// What in it cannot be read, or is not simulated.
    fn grants(&self, document: &str) -> Result<Vec<Grant>, String>;
    /// How the service of `call` says that its caller lacks `need`.
    fn forbidden(&self, call: &Call, need: &Need) -> ApiError;
    /// How the service of `call` says that a policy of the organization forbids `need`.
    fn disallowed(&self, call: &Call, need: &Need) -> ApiError;
    /// Handles a call.
    ///
    /// # Errors
    /// In the service's own words.
    fn handle(&self, ctx: &mut Ctx<'_>, call: &Call) -> Result<Reply, ApiError>;
    /// How the service of `call` says that it throttles. `scale` is real seconds per simulated one, for waits that are
    /// known in real time.
    fn throttled(&self, call: &Call, scale: f64) -> ApiError;
    /// A result on the wire.
    fn encode(&self, call: &Call, reply: Reply) -> HttpResponse;
    /// An error on the wire.
    fn encode_error(&self, call: &Call, error: &ApiError) -> HttpResponse;
    /// Applies one of its steps; the response names service and action for the journal.
    ///
    /// # Errors
    /// A step that is none of its own.
    fn step(&self, ctx: &mut Ctx<'_>, step: Value) -> serde_json::Result<(&'static str, &'static str)>;

    /// Serves a control request that only this cloud knows, below `/_sim/`; none if it knows it not.
    fn control(&self, world: &mut World, method: &str, path: &[&str], body: &[u8]) -> Option<ControlResponse> {
        let _ = (world, method, path, body);
        None
    }
    /// Which part of the critical path a piece of work is, if any.
    fn part_of(&self, work: &Work) -> Option<&'static str>;
    /// The tags of `id` were edited by hand, from `before` to what they are now: whatever else shows them follows.
    fn retagged(&self, ctx: &mut Ctx<'_>, id: &str, before: &crate::object::Tags) {
        let _ = (ctx, id, before);
    }

    /// Handles a TokenReview of the cluster `id`.
    fn review(&self, world: &mut World, id: &str, request: &Value) -> Value;
    /// The scope that the cluster `id` lies in; none if `id` is no cluster's.
    fn cluster_scope(&self, id: &str) -> Option<ScopeKey>;
    /// The states of a cluster in which what its controllers ask for is done; what they made stays when it is being deleted.
    fn in_service_states(&self) -> &'static [&'static str];
    /// Whether what the controllers of `cluster` ask for is done.
    fn in_service(&self, cluster: &Object) -> bool {
        self.in_service_states().contains(&cluster.state.as_str())
    }
    /// A control plane responds at `endpoint`.
    fn control_plane_started(&self, ctx: &mut Ctx<'_>, id: &str, endpoint: &str, ca_pem: &str);
    /// A control plane could not be started.
    fn control_plane_failed(&self, ctx: &mut Ctx<'_>, id: &str, reason: &str);
    /// Where a cluster's document says its Kubernetes version, as a JSON pointer.
    fn version_pointer(&self) -> &'static str;
    /// Kubernetes version that a cluster was ordered in.
    fn version_of(&self, cluster: &Object) -> String {
        cluster.doc_text(self.version_pointer()).to_owned()
    }
}

/// The clouds of one simulator, at least one. They are tried in order; the last one gets what none of the others knows.
#[derive(Debug, Clone)]
pub struct Clouds {
    others: Vec<Arc<dyn Cloud>>,
    last: Arc<dyn Cloud>,
}

impl Clouds {
    /// `others` in their order, then `last`.
    #[must_use]
    pub fn new(others: Vec<Arc<dyn Cloud>>, last: Arc<dyn Cloud>) -> Self {
        Self { others, last }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &dyn Cloud> {
        self.others.iter().chain([&self.last]).map(|cloud| &**cloud)
    }

    fn find(&self, fits: impl Fn(&dyn Cloud) -> bool) -> &dyn Cloud {
        self.all().find(|cloud| fits(*cloud)).unwrap_or(&*self.last)
    }

    /// The cloud that a request is for.
    #[must_use]
    pub fn of_request(&self, raw: &Raw) -> &dyn Cloud {
        self.find(|cloud| cloud.is_request(raw))
    }

    /// The cloud of the cluster with this identity.
    #[must_use]
    pub fn of_cluster(&self, id: &str) -> &dyn Cloud {
        self.find(|cloud| cloud.is_cluster(id))
    }

    /// Applies every step that is due by now, each at its own time.
    pub fn advance(&self, world: &mut World) -> Micros {
        let now = world.clock.now();
        while let Some((at, key, step)) = world.schedule.pop(now) {
            let mut ctx = Ctx::new(world, key, at);
            match step {
                Step::Forget { id } => {
                    ctx.delete(&id);
                    ctx.flush_cloud("cloudsim", "Forget");
                }
                Step::Of { cloud: name, step } => {
                    let Some(cloud) = self.all().find(|cloud| cloud.name() == name) else {
                        tracing::error!(cloud = name, "a stored step is of a cloud that this simulator has not");
                        continue;
                    };
                    ctx.domain = cloud.domain();
                    match cloud.step(&mut ctx, step) {
                        Ok((service, action)) => ctx.flush_cloud(service, action),
                        Err(error) => tracing::error!(cloud = name, %error, "a step cannot be read"),
                    }
                }
            }
        }
        now
    }
}
