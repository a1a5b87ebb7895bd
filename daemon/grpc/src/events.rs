//! A page of the events of one tenant or host cluster.

use landlord_core::{
    EnvironmentName,
    ports::{Event, EventQuery, EventScope},
};
use tonic::Status;

use crate::{Ports, page, status};

/// Events, oldest first.
pub(crate) struct EventPage {
    pub(crate) events: Vec<Event>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
}

/// The page that a request names. `parent`: as the request says it.
pub(crate) async fn page(
    ports: &Ports,
    name: EnvironmentName,
    parent: &str,
    page_size: i32,
    page_token: &str,
) -> Result<EventPage, Status> {
    let scope = format!("events {parent}");
    let after = page::position(&scope, page_token)?;
    let limit = page::size(page_size)?;
    let after_seq = after.and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let query = EventQuery { after_seq, scope: EventScope::Environment(name), limit };
    let events = ports.store.events(&query).await.map_err(|error| status::store(&error))?;
    let full = events.len() >= limit as usize;
    let next = events.last().filter(|_| full).map(|event| event.seq.to_string());
    Ok(EventPage { events, next_page_token: page::token(&scope, next.as_deref()) })
}
