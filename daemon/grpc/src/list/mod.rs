//! What lists share: filters, pages, and the lists of events.

pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod page;
