//! What lists share: filters, orders, pages, and the lists of events.

pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod in_memory;
pub(crate) mod order;
pub(crate) mod page;
pub(crate) mod scan;
