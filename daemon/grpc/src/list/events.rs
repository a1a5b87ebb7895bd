//! A page of the events of one tenant or host cluster.

use landlord_core::{
    EnvironmentName,
    ports::{Event, EventQuery, EventScope},
};

use super::page;
use crate::{error::Error, ports::Ports};

/// Events, oldest first.
pub(crate) struct EventPage {
    pub(crate) events: Vec<Event>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
}

/// The page that a request names.
pub(crate) async fn page(ports: &Ports, name: EnvironmentName, request: page::Request<'_>) -> Result<EventPage, Error> {
    let after = request.position()?;
    let limit = request.limit()?;
    let after_seq = after.and_then(|seq| seq.parse().ok()).unwrap_or(0);
    let query = EventQuery { after_seq, scope: EventScope::Environment(name), limit };
    let events = ports.store.events(&query).await?;
    let full = events.len() >= limit as usize;
    let next = events.last().filter(|_| full).map(|event| event.seq.to_string());
    Ok(EventPage { events, next_page_token: page::token(request.scope, next.as_deref()) })
}
