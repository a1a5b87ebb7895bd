//! What webhooks need: the store, and their secrets.

use std::sync::Arc;

use landlord_core::ports::{TenantStore, WebhookStore};

use crate::signature::Secret;

/// What webhooks need of the store.
pub trait Store: TenantStore + WebhookStore {}
impl<T: TenantStore + WebhookStore> Store for T {}

/// Reads the secrets of a webhook each time, newest first; an error says what is wrong with the file, and nothing of what is in it.
pub type SecretSource = Arc<dyn Fn() -> Result<Vec<Secret>, String> + Send + Sync>;
