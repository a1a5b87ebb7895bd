//! What callers may do, by Cedar policies: the shipped ones and those of `auth.policies_dir`.
//!
//! # Guarantees
//! - What no policy permits is denied; a `forbid` goes before every `permit`.
//! - Whoever acts for a customer does nothing to another's, whatever policies say.
//! - A policy that does not fit the schema is refused at start. Later the set of before goes on, and the log says so.
//! - A question is decided once by the same policies about the same facts, however often it is asked.
//! - An error while a policy is evaluated is a denial by that policy, and logged.

mod decided;
mod entities;
mod load;
mod schema;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
};

use cedar_policy::{Authorizer as Cedar, Context, PolicySet, Request, Schema};
use landlord_core::{
    Chain, CustomerId,
    access::{Action, ActionGroup, Decision, Principal, Resource},
    ports::Authorizer,
};
use parking_lot::RwLock;

use self::decided::Decisions;
pub use self::load::PolicyError;

/// Labels of the customers that have any.
pub type CustomerLabels = HashMap<CustomerId, BTreeMap<String, String>>;

/// The policies in force.
#[derive(Debug)]
pub struct Policies {
    folder: Option<PathBuf>,
    schema: Schema,
    set: RwLock<Arc<Loaded>>,
}

/// A validated set.
#[derive(Debug)]
pub(crate) struct Loaded {
    set: PolicySet,
    /// What the files held, so that a change shows.
    content: Vec<(PathBuf, String)>,
    /// Of the customers, which policies can speak of.
    labels: Arc<CustomerLabels>,
    /// What it has decided with these.
    decisions: Decisions,
}

impl Loaded {
    fn new(set: PolicySet, content: Vec<(PathBuf, String)>, labels: Arc<CustomerLabels>) -> Arc<Self> {
        Arc::new(Self { set, content, labels, decisions: Decisions::default() })
    }
}

impl Policies {
    /// The shipped policies, and those of a folder.
    ///
    /// # Errors
    /// Every policy that can't be used.
    pub fn open(folder: Option<PathBuf>) -> Result<Self, PolicyError> {
        let schema = schema::parse()?;
        let content = load::read(folder.as_deref())?;
        let set = load::validated(&schema, &content)?;
        Ok(Self { folder, schema, set: RwLock::new(Loaded::new(set, content, Arc::default())) })
    }

    /// Whether there can be policies beside the shipped ones, which speak of no customer's labels.
    #[must_use]
    pub fn has_folder(&self) -> bool {
        self.folder.is_some()
    }

    /// What is known of the customers from now on.
    pub fn know_customers(&self, labels: CustomerLabels) {
        if *self.set.read().labels == labels {
            return;
        }
        let mut loaded = self.set.write();
        *loaded = Loaded::new(loaded.set.clone(), loaded.content.clone(), Arc::new(labels));
    }

    /// Reads the folder again. Whether anything changed.
    ///
    /// # Errors
    /// What can't be used; then the set of before goes on.
    pub fn reload(&self) -> Result<bool, PolicyError> {
        let content = load::read(self.folder.as_deref())?;
        if self.set.read().content == content {
            return Ok(false);
        }
        let set = load::validated(&self.schema, &content)?;
        let mut loaded = self.set.write();
        *loaded = Loaded::new(set, content, loaded.labels.clone());
        Ok(true)
    }

    /// Follows the folder until cancelled.
    pub async fn follow(self: Arc<Self>, interval: std::time::Duration, stop: tokio_util::sync::CancellationToken) {
        let mut refused = String::new();
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let policies = self.clone();
            let Ok(reloaded) = tokio::task::spawn_blocking(move || policies.reload()).await else { continue };
            match reloaded {
                Ok(false) => refused.clear(),
                Ok(true) => {
                    refused.clear();
                    tracing::info!("the changed policies are in force");
                }
                Err(error) => {
                    let text = Chain(&error).to_string();
                    if text != refused {
                        tracing::error!(
                            error = text,
                            "the changed policies can't be used; those of before stay in force"
                        );
                    }
                    refused = text;
                }
            }
        }
    }
}

impl Authorizer for Policies {
    fn authorize(&self, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        if action.group() == ActionGroup::Own {
            return Decision { allowed: true, policies: vec!["own".into()] };
        }
        if !principal.reaches(resource) {
            return Decision::default();
        }
        let loaded = self.set.read().clone();
        loaded.decisions.of((principal, action, resource), || self.decide(&loaded, principal, action, resource))
    }
}

impl Policies {
    fn decide(&self, loaded: &Loaded, principal: &Principal, action: Action, resource: &Resource) -> Decision {
        let uids = (entities::principal(principal), entities::action(action), entities::resource(resource));
        let request = Request::new(uids.0, uids.1, uids.2, Context::empty(), Some(&self.schema));
        let entities = entities::all(principal, resource, &loaded.labels, &self.schema);
        let (request, entities) = match (request, entities) {
            (Ok(request), Ok(entities)) => (request, entities),
            (Err(error), _) => return undecidable(&error),
            (_, Err(error)) => return undecidable(&error),
        };
        let response = Cedar::new().is_authorized(&request, &loaded.set, &entities);
        for error in response.diagnostics().errors() {
            tracing::error!(%error, action = action.as_str(), "a policy could not be evaluated, and permits nothing");
        }
        let mut policies: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        policies.sort();
        Decision { allowed: response.decision() == cedar_policy::Decision::Allow, policies }
    }
}

/// A question that does not fit the schema is a mistake of the daemon's, and denied.
fn undecidable(error: &dyn std::fmt::Display) -> Decision {
    tracing::error!(%error, "access can't be decided; it is denied");
    Decision::default()
}

#[cfg(test)]
mod tests;
