//! A page of the events of one tenant or host cluster.

use landlord_core::{
    EnvironmentName,
    ports::{Event, EventQuery, EventScope, Page},
};

use super::{
    filter::{self, Field, Kind, Value},
    order::Order,
    page,
    scan::{Item, Scan},
};
use crate::{error::Error, ports::Ports};

/// Fields that a filter of events can name.
const FIELDS: [Field; 4] =
    [Field::text("stage"), Field::text("reason"), Field::text("message"), Field::new("event_time", Kind::Time)];

/// Events, oldest first.
pub(crate) struct EventPage {
    pub(crate) events: Vec<Event>,
    /// Empty on the last page.
    pub(crate) next_page_token: String,
}

impl Item for Event {
    fn position(&self) -> String {
        self.seq.to_string()
    }

    fn value(&self, field: &str) -> Value<'_> {
        match field {
            "stage" => Value::text(self.event.stage.as_str()),
            "reason" => Value::text(self.event.reason.as_str()),
            "message" => Value::text(self.event.message.as_str()),
            "event_time" => Value::Time(self.time.0),
            _ => Value::Absent,
        }
    }
}

/// The page that a request names. `parent`: as the request has it.
pub(crate) async fn page(
    ports: &Ports,
    name: EnvironmentName,
    (parent, filter): (&str, &str),
    (size, token): (i32, &str),
) -> Result<EventPage, Error> {
    let scope = format!("events {parent} {filter}");
    let filter = filter::parse(filter, &FIELDS)?;
    let scan = Scan {
        filter: &filter,
        order: &Order::default(),
        page: page::Request { scope: &scope, size, token, tokens: &ports.tokens },
    };
    let read = |after: Option<String>, limit: u32| {
        let after_seq = after.and_then(|seq| seq.parse().ok()).unwrap_or(0);
        let query = EventQuery { after_seq, scope: EventScope::Environment(name.clone()), limit };
        async move {
            let items = ports.store.events(&query).await?;
            let next = items.last().filter(|_| items.len() >= limit as usize).map(Item::position);
            Ok(Page { items, next })
        }
    };
    let (events, next_page_token) = scan.page(read).await?;
    Ok(EventPage { events, next_page_token })
}
