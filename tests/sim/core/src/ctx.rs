//! One change under way: how objects come, change and go, with their journal entries.
//!
//! Every service works through this; it knows none of them.

use crate::{
    clock::Micros,
    duration::{self, Span},
    journal::{Effect, Entry, Origin, millis},
    kind::Kind,
    object::{Object, ObjectRef, Tags},
    schedule::Step,
    scope::{Scope, Tombstone},
    scope_key::ScopeKey,
    world::{Work, World},
};

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
    /// Whether what exists keeps its properties, whatever this call changes.
    pub dropped: bool,
    /// Domain of the service that acts by itself, for the journal.
    pub domain: &'static str,
    changes: Vec<(Effect, ObjectRef)>,
    ready_in_ms: Option<u64>,
    detail: Option<String>,
}

impl<'a> Ctx<'a> {
    /// A context at `now`.
    pub fn new(world: &'a mut World, key: ScopeKey, now: Micros) -> Self {
        Self {
            world,
            key,
            now,
            horizon: None,
            dropped: false,
            domain: "cloudsim",
            changes: Vec::new(),
            ready_in_ms: None,
            detail: None,
        }
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
            let before = self.dropped.then(|| object.props.clone());
            act(&mut object);
            if let Some(before) = before {
                object.props = before;
            }
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

    /// Removes an object; indexes of tags show it a little longer.
    pub fn delete(&mut self, id: &str) -> Option<Object> {
        let object = self.scope().take(id)?;
        self.world.dirty = true;
        if object.is_live() {
            self.mark_dead(&object);
        }
        Some(object)
    }

    /// Marks an object as gone but still described for an hour, as EC2 does.
    pub fn retire(&mut self, id: &str, state: &str) {
        let Some(mut object) = self.scope().take(id) else {
            return;
        };
        object.state = state.to_owned();
        self.mark_dead(&object);
        object.gone_us = Some(self.now);
        self.scope().put(object);
        self.world.dirty = true;
        self.after(DESCRIBED_AS_GONE_MS, Step::Forget { id: id.to_owned() });
    }

    fn mark_dead(&mut self, object: &Object) {
        self.changes.push((Effect::Deleted, object.summary()));
        if let Some(work) = self.world.work.get_mut(&(object.id.clone(), "delete".to_owned())) {
            work.done = true;
        }
        if !object.tags.is_empty() {
            let lag = self.draw(duration::TAG_LAG, &object.id);
            let now = self.now;
            let until_us = now + self.world.clock.wall_us(lag);
            let scope = self.scope();
            scope.tombstones.retain(|t| t.until_us > now);
            scope.tombstones.push(Tombstone {
                arn: object.arn.clone(),
                kind: object.kind,
                tags: object.tags.clone(),
                until_us,
            });
        }
    }

    /// The duration of `span` for the thing called `name` in this scope.
    #[must_use]
    pub fn draw(&self, span: Span, name: &str) -> u64 {
        duration::draw(self.world.seed, span, name)
    }

    /// Schedules `step` after `sim_ms`.
    pub fn after(&mut self, sim_ms: u64, step: impl Into<Step>) {
        let at = self.now + self.world.clock.wall_us(sim_ms);
        self.world.schedule.at(at, self.key.clone(), step.into());
    }

    /// Notes that the cloud works on object `id` for `sim_ms`, for the journal and the critical path.
    pub fn begin_work(&mut self, operation: &str, id: &str, sim_ms: u64) {
        self.ready_in_ms = Some(self.ready_in_ms.unwrap_or(0).max(sim_ms));
        let end_us = self.now + self.world.clock.wall_us(sim_ms);
        let Some(object) = self.scope().get(id).map(Object::summary) else {
            return;
        };
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
        self.flush(Entry { caller: format!("{service}.{}", self.domain), ..entry });
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
            access_key: String::new(),
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
    pub fn named(&mut self, kind: impl Into<Kind>, name: &str) -> Option<Object> {
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
