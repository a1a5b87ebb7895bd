//! Which events a webhook gets.

use std::collections::BTreeSet;

use landlord_core::{
    CustomerId,
    ports::{Event, EventScope},
};

use crate::event::EventType;

/// Which events a webhook gets.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Empty: all.
    pub(crate) types: BTreeSet<EventType>,
    /// Empty: all.
    pub(crate) customers: BTreeSet<CustomerId>,
}

impl Filter {
    pub(crate) fn scope(&self) -> EventScope {
        match self.customers.first() {
            Some(only) if self.customers.len() == 1 => EventScope::Customer(only.clone()),
            Some(_) | None => EventScope::Tenants,
        }
    }

    pub(crate) fn wants(&self, event: &Event) -> bool {
        let of_customer =
            event.name.customer().is_some_and(|id| self.customers.is_empty() || self.customers.contains(id));
        of_customer && (self.types.is_empty() || self.types.contains(&EventType::of(&event.event)))
    }
}
