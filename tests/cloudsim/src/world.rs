//! The whole simulated cloud: all scopes, the schedule, quotas, faults and the journal, behind one lock.
//!
//! Knows how objects come, change and go with their journal entries; what they mean is the services' business.

use crate::{
    aws,
    clock::{Clock, Micros},
    duration::{self, Span},
    faults::Faults,
    journal::{Effect, Entry, Journal, Origin, millis},
    object::{Kind, Object, ObjectRef, Tags},
    quota::Quotas,
    runtime::RuntimeCommand,
    schedule::{Schedule, Step},
    scope::{Scope, Tombstone},
    throttle::Throttle,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// Region of services that have none.
pub const GLOBAL: &str = "global";

/// An account and a Region.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScopeKey {
    /// Twelve digits.
    pub account: String,
    /// A Region, or [`GLOBAL`].
    pub region: String,
}

impl ScopeKey {
    /// The key of `account` in `region`.
    #[must_use]
    pub fn new(account: &str, region: &str) -> Self {
        Self { account: account.to_owned(), region: region.to_owned() }
    }

    /// The same account's global services.
    #[must_use]
    pub fn global(&self) -> Self {
        Self::new(&self.account, GLOBAL)
    }
}

/// Temporary credentials given by AssumeRole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// The secret key.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// `arn:aws:sts::…:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// The role's ARN.
    pub role_arn: String,
    /// The role's account.
    pub account: String,
    /// `AROA…:SESSION`.
    pub user_id: String,
    /// When it ends.
    pub expires_us: Micros,
}

/// A stretch of time that the cloud needed, for the critical path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Work {
    /// Account.
    pub account: String,
    /// Region.
    pub region: String,
    /// `create`, `update`, `delete`.
    pub operation: String,
    /// The object.
    pub object: ObjectRef,
    /// Start.
    pub start_us: Micros,
    /// End, planned while it runs.
    pub end_us: Micros,
    /// Whether it has ended.
    pub done: bool,
}

/// The simulated cloud.
#[derive(Debug)]
pub struct World {
    /// The clock.
    pub clock: Clock,
    /// Decides all durations and ids.
    pub seed: u64,
    /// Ids given so far.
    pub ids: u64,
    /// Accounts and Regions in use.
    pub scopes: HashMap<ScopeKey, Scope>,
    /// What happens by itself.
    pub schedule: Schedule,
    /// Quotas in force.
    pub quotas: Quotas,
    /// Sessions by access key.
    pub sessions: HashMap<String, Session>,
    /// Known secrets by access key.
    pub secrets: HashMap<String, String>,
    /// External ids that roles demand, by role ARN.
    pub external_ids: HashMap<String, String>,
    /// Work done and under way, by object id and operation.
    pub work: HashMap<(String, String), Work>,
    /// Request rates.
    pub throttle: Throttle,
    /// Fault rules.
    pub faults: Faults,
    /// The journal.
    pub journal: Journal,
    /// Commands to the Kubernetes runtime, sent after the lock is released.
    pub outbox: Vec<RuntimeCommand>,
    /// Control planes that may run at once; `None` if clusters have no Kubernetes.
    pub kubernetes_capacity: Option<usize>,
    /// Whether anything changed since the last snapshot.
    pub dirty: bool,
}

impl World {
    /// An empty cloud.
    #[must_use]
    pub fn new(clock: Clock, seed: u64, journal: Journal) -> Self {
        Self {
            clock,
            seed,
            ids: 0,
            scopes: HashMap::new(),
            schedule: Schedule::default(),
            quotas: Quotas::default(),
            sessions: HashMap::new(),
            secrets: HashMap::new(),
            external_ids: HashMap::new(),
            work: HashMap::new(),
            throttle: Throttle::default(),
            faults: Faults::new(seed),
            journal,
            outbox: Vec::new(),
            kubernetes_capacity: None,
            dirty: false,
        }
    }

    /// The scope `key`, made if new.
    pub fn scope(&mut self, key: &ScopeKey) -> &mut Scope {
        if !self.scopes.contains_key(key) {
            self.scopes.insert(key.clone(), Scope::new(key.clone()));
        }
        // The entry API would clone the key on every access.
        self.scopes.get_mut(key).unwrap_or_else(|| unreachable!("the scope was just inserted"))
    }

    /// A new hexadecimal id of `digits` digits, the same for the same seed and count.
    pub fn hex(&mut self, digits: usize) -> String {
        self.ids += 1;
        let digest = Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(self.ids.to_le_bytes()).finalize();
        hex::encode(digest)[..digits].to_owned()
    }

    /// A new id in UUID form.
    pub fn uuid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..32])
    }

    /// A new random access key tail or unique id in capitals.
    pub fn capitals(&mut self, digits: usize) -> String {
        self.hex(digits).to_uppercase().replace(['0', '1', '8', '9'], "Q")
    }

    /// Applies every step that is due by now, each at its own time.
    pub fn advance(&mut self) -> Micros {
        let now = self.clock.now();
        while let Some((at, key, step)) = self.schedule.pop(now) {
            let mut ctx = Ctx::new(self, key, at);
            let (service, action) = aws::step(&mut ctx, &step);
            ctx.flush_cloud(service, action);
        }
        now
    }
}

/// One change under way: a call or a step, in one scope at one instant. Collects what the journal will say.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The cloud.
    pub world: &'a mut World,
    /// Where.
    pub key: ScopeKey,
    /// When.
    pub now: Micros,
    /// Objects younger than this are not visible to this call.
    pub horizon: Option<Micros>,
    changes: Vec<(Effect, ObjectRef)>,
    ready_in_ms: Option<u64>,
    detail: Option<String>,
}

impl<'a> Ctx<'a> {
    /// A context at `now`.
    pub fn new(world: &'a mut World, key: ScopeKey, now: Micros) -> Self {
        Self { world, key, now, horizon: None, changes: Vec::new(), ready_in_ms: None, detail: None }
    }

    /// This context's scope.
    pub fn scope(&mut self) -> &mut Scope {
        let key = self.key.clone();
        self.world.scope(&key)
    }

    /// Whether this call may see something made at `created`.
    #[must_use]
    pub fn sees(&self, created: Micros) -> bool {
        self.horizon.is_none_or(|h| created <= h)
    }

    /// `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
    #[must_use]
    pub fn arn(&self, service: &str, rest: &str) -> String {
        let region = if self.key.region == GLOBAL { "" } else { &self.key.region };
        let account = if matches!(service, "route53") { "" } else { &self.key.account };
        format!("arn:aws:{service}:{region}:{account}:{rest}")
    }

    /// Runs `act` in the account's global scope.
    pub fn global<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let global = self.key.global();
        let here = std::mem::replace(&mut self.key, global);
        let result = act(self);
        self.key = here;
        result
    }

    /// Adds an object.
    pub fn create(&mut self, object: Object) {
        self.changes.push((Effect::Created, object.summary()));
        self.world.dirty = true;
        self.scope().put(object);
    }

    /// Changes an object; nothing happens if it does not exist.
    pub fn change(&mut self, id: &str, act: impl FnOnce(&mut Object)) {
        if let Some(mut object) = self.scope().take(id) {
            act(&mut object);
            self.changes.push((Effect::Changed, object.summary()));
            self.scope().put(object);
            self.world.dirty = true;
        }
    }

    /// Changes fields that nobody outside sees, without a journal entry.
    pub fn adjust(&mut self, id: &str, act: impl FnOnce(&mut Object)) {
        if let Some(mut object) = self.scope().take(id) {
            act(&mut object);
            self.scope().put(object);
            self.world.dirty = true;
        }
    }

    /// Removes an object; the tagging API shows it a little longer.
    pub fn delete(&mut self, id: &str) -> Option<Object> {
        let object = self.scope().take(id)?;
        self.world.dirty = true;
        if object.is_live() {
            self.bury(&object);
        }
        Some(object)
    }

    /// Marks an object as gone but still described for an hour, as EC2 does.
    pub fn retire(&mut self, id: &str, state: &str) {
        let Some(mut object) = self.scope().take(id) else { return };
        object.state = state.to_owned();
        self.bury(&object);
        object.gone_us = Some(self.now);
        self.scope().put(object);
        self.world.dirty = true;
        self.after(DESCRIBED_AS_GONE_MS, Step::Forget { id: id.to_owned() });
    }

    fn bury(&mut self, object: &Object) {
        self.changes.push((Effect::Deleted, object.summary()));
        if let Some(work) = self.world.work.get_mut(&(object.id.clone(), "delete".to_owned())) {
            work.done = true;
        }
        if object.kind.in_tagging_api() && !object.tags.is_empty() {
            let lag = self.draw(duration::TAG_LAG, &object.id);
            let now = self.now;
            let until_us = now + self.world.clock.wall_us(lag);
            let scope = self.scope();
            scope.tombstones.retain(|t| t.until_us > now);
            scope.tombstones.push(Tombstone { arn: object.arn.clone(), kind: object.kind, tags: object.tags.clone(), until_us });
        }
    }

    /// The duration of `span` for the thing called `name` in this scope.
    #[must_use]
    pub fn draw(&self, span: Span, name: &str) -> u64 {
        duration::draw(self.world.seed, span, name)
    }

    /// Schedules `step` after `sim_ms`.
    pub fn after(&mut self, sim_ms: u64, step: Step) {
        let at = self.now + self.world.clock.wall_us(sim_ms);
        self.world.schedule.at(at, self.key.clone(), step);
    }

    /// Notes that the cloud works on object `id` for `sim_ms`, for the journal and the critical path.
    pub fn begin_work(&mut self, operation: &str, id: &str, sim_ms: u64) {
        self.ready_in_ms = Some(self.ready_in_ms.unwrap_or(0).max(sim_ms));
        let end_us = self.now + self.world.clock.wall_us(sim_ms);
        let Some(object) = self.scope().get(id).map(Object::summary) else { return };
        let work = Work {
            account: self.key.account.clone(),
            region: self.key.region.clone(),
            operation: operation.to_owned(),
            object,
            start_us: self.now,
            end_us,
            done: false,
        };
        self.world.work.insert((id.to_owned(), operation.to_owned()), work);
    }

    /// Notes that the cloud's work on `id` has ended now.
    pub fn end_work(&mut self, operation: &str, id: &str) {
        let now = self.now;
        if let Some(work) = self.world.work.get_mut(&(id.to_owned(), operation.to_owned())) {
            work.end_us = now;
            work.done = true;
        }
    }

    /// Adds a remark to the journal entry.
    pub fn remark(&mut self, text: impl Into<String>) {
        self.detail = Some(text.into());
    }

    /// Writes the journal entries of a step of the cloud, if it changed anything.
    pub fn flush_cloud(&mut self, service: &str, action: &str) {
        if self.changes.is_empty() {
            return;
        }
        let entry = self.entry(Origin::Cloud, service, action);
        self.flush(Entry { caller: format!("{service}.amazonaws.com"), ..entry });
    }

    /// A blank entry for this context.
    #[must_use]
    pub fn entry(&self, origin: Origin, service: &str, action: &str) -> Entry {
        Entry {
            seq: 0,
            time_ms: millis(self.now),
            sim_ms: self.world.clock.sim_ms_at(self.now),
            origin,
            account: self.key.account.clone(),
            region: self.key.region.clone(),
            service: service.to_owned(),
            action: action.to_owned(),
            request_id: String::new(),
            effect: Effect::None,
            objects: Vec::new(),
            outcome: "ok".to_owned(),
            caller: String::new(),
            client_token: None,
            ready_in_ms: None,
            detail: None,
        }
    }

    /// Writes one entry per kind of effect, or a single one if nothing changed.
    pub fn flush(&mut self, template: Entry) {
        let changes = std::mem::take(&mut self.changes);
        let template = Entry {
            ready_in_ms: self.ready_in_ms.take(),
            detail: template.detail.clone().or_else(|| self.detail.take()),
            ..template
        };
        if changes.is_empty() {
            self.world.journal.append(template);
            return;
        }
        for effect in [Effect::Created, Effect::Changed, Effect::Deleted] {
            let objects: Vec<ObjectRef> =
                changes.iter().filter(|(e, _)| *e == effect).map(|(_, o)| o.clone()).collect();
            if !objects.is_empty() {
                self.world.journal.append(Entry { effect, objects, ..template.clone() });
            }
        }
    }

    /// The live object of `kind` called `name`, if this call sees it.
    pub fn named(&mut self, kind: Kind, name: &str) -> Option<Object> {
        let object = self.scope().named(kind, name).cloned()?;
        self.sees(object.created_us).then_some(object)
    }

    /// The object `id`, if this call sees it.
    pub fn seen(&mut self, id: &str) -> Option<Object> {
        let object = self.scope().get(id).cloned()?;
        self.sees(object.created_us).then_some(object)
    }

    /// Refuses if one more would exceed the quota; the answer is the limit.
    ///
    /// # Errors
    /// The limit that would be exceeded.
    pub fn within_quota(&self, name: &str, present: u64) -> Result<(), u64> {
        let limit = self.world.quotas.limit(&self.key.account, name);
        if present < limit { Ok(()) } else { Err(limit) }
    }

    /// Adds tags to an object.
    pub fn tag(&mut self, id: &str, tags: Tags) {
        self.change(id, |o| o.tags.extend(tags));
    }
}

/// How long EC2 describes what is gone: about an hour.
const DESCRIBED_AS_GONE_MS: u64 = 3_600_000;
