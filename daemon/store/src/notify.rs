//! Wakes waiting readers when there are events for them, after the commit that wrote them. An idle reader costs nothing,
//! and the events of one customer wake nobody who watches another.
//!
//! Positions only: what happened is read from the database. What other daemons wrote is noticed by
//! whoever listens to the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use landlord_core::ports::StoreError;
use sqlx::AnyConnection;
use tokio::sync::{Notify, watch};

use crate::rows::unavailable;

/// Newest position by customer, as the column says it.
type Readers = HashMap<String, watch::Sender<i64>>;

/// Handle. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Notifier {
    /// Newest position of all.
    all: watch::Sender<i64>,
    /// Only customers that somebody waits for.
    customers: Arc<Mutex<Readers>>,
    /// Notified when another daemon has left.
    pub(crate) handed_over: Arc<Notify>,
}

impl Notifier {
    /// `newest`: the newest position now.
    pub(crate) fn new(newest: i64) -> Self {
        Self { all: watch::Sender::new(newest), customers: Arc::default(), handed_over: Arc::default() }
    }

    /// Waits until an event after `after` is there: of `customer`, or of anybody. Returns its position or a later one.
    pub(crate) async fn wait(&self, customer: Option<&str>, after: i64) -> i64 {
        let mut receiver = match customer {
            None => self.all.subscribe(),
            Some(customer) => self.subscribe(customer),
        };
        match receiver.wait_for(|newest| *newest > after).await {
            Ok(newest) => *newest,
            // Can't be: this handle holds the sender of all, and a customer's stays while it has receivers.
            Err(_) => after,
        }
    }

    fn subscribe(&self, customer: &str) -> watch::Receiver<i64> {
        let mut customers = self.lock();
        // Begins with the newest of all: an event that came before is read at once, and at worst nothing is found.
        let newest = *self.all.borrow();
        customers.entry(customer.to_owned()).or_insert_with(|| watch::Sender::new(newest)).subscribe()
    }

    /// Wakes those who wait for what was committed since it was last called; gives the newest position.
    pub(crate) async fn committed(&self, connection: &mut AnyConnection) -> Result<i64, StoreError> {
        let before = *self.all.borrow();
        let newest: Vec<(String, i64)> =
            sqlx::query_as("SELECT customer, MAX(seq) FROM events WHERE seq > $1 GROUP BY customer")
                .bind(before)
                .fetch_all(connection)
                .await
                .map_err(unavailable("searching for new events"))?;
        let Some(last) = newest.iter().map(|(_, seq)| *seq).max() else { return Ok(before) };
        let mut customers = self.lock();
        raise(&self.all, last);
        for (customer, seq) in newest {
            if let Some(reader) = customers.get(&customer) {
                raise(reader, seq);
            }
        }
        customers.retain(|_, reader| reader.receiver_count() > 0);
        Ok(last)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Readers> {
        self.customers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Never back: who else looked a moment ago may report later.
fn raise(position: &watch::Sender<i64>, newest: i64) {
    position.send_if_modified(|position| {
        let is_newer = newest > *position;
        *position = newest.max(*position);
        is_newer
    });
}
