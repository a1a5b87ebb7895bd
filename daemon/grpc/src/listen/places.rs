//! Places of a listener's connections: how many there are, how many of them one address may have, and who leaves when they are
//! all taken.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{CALL_TIMEOUT, activity::Activity};

/// How many connections a listener has, and for how long one may do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenBounds {
    /// Connections of a listener at the same moment; fewer where the process may have few descriptors.
    pub connections_max: usize,
    /// Of these one address may have so many, an IPv6 network of 64 bits counting as one, so that nobody alone keeps all others
    /// out.
    pub connections_per_address_max: usize,
    /// A connection without a call ends after this long.
    pub idle_timeout: Duration,
    /// After this long a connection takes no further calls, and what its peer has shown counts no more.
    pub age_max: Duration,
    /// Calls that are open then have this long to end.
    pub age_grace: Duration,
}

impl Default for ListenBounds {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 1_024,
            // Between two calls of a portal at night; clients connect again by themselves.
            idle_timeout: Duration::from_secs(15 * 60),
            // A revoked certificate is of use no longer than a token of most issuers.
            age_max: Duration::from_secs(3_600),
            // Longer than any call but streams, and those end with what the peer has shown.
            age_grace: CALL_TIMEOUT,
        }
    }
}

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    taken: Arc<Mutex<Taken>>,
    bounds: ListenBounds,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    held: HashMap<u64, Held>,
    of_networks: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Held {
    /// `None`: of this machine, by the Unix socket.
    network: Option<IpAddr>,
    activity: Arc<Activity>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken, and all are at work.
    Full,
    /// The address has as many as it may, and all are at work.
    Address,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    activity: Arc<Activity>,
    /// Whether another connection had to leave for this one.
    pub(super) evicts: bool,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(bounds: ListenBounds) -> Self {
        Self { taken: Arc::default(), bounds }
    }

    /// A place for a client; `None`: one of this machine, by the Unix socket. Where all are taken, whoever has done nothing for
    /// the longest time leaves; nobody leaves who has a call open.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<Place, NoPlace> {
        let network = address.map(of_network);
        let mut taken = self.taken.lock();
        let own = network.and_then(|network| taken.of_networks.get(&network)).copied().unwrap_or(0);
        let evicts = if own >= self.bounds.connections_per_address_max {
            taken.make_room(network).then_some(true).ok_or(NoPlace::Address)?
        } else if taken.held.len() >= self.bounds.connections_max {
            taken.make_room(None).then_some(true).ok_or(NoPlace::Full)?
        } else {
            false
        };
        let activity = Activity::new();
        taken.last += 1;
        let id = taken.last;
        taken.held.insert(id, Held { network, activity: activity.clone() });
        if let Some(network) = network {
            *taken.of_networks.entry(network).or_default() += 1;
        }
        Ok(Place { id, activity, evicts, taken: self.taken.clone() })
    }
}

impl Taken {
    /// Has the connection leave that has done nothing for the longest time, of one network or of all; false: all are at work.
    fn make_room(&mut self, network: Option<IpAddr>) -> bool {
        let concerned = self.held.iter().filter(|(_, held)| network.is_none() || held.network == network);
        let idle = concerned.filter_map(|(id, held)| held.activity.idle_since().map(|since| (since, *id)));
        let Some((_, id)) = idle.min() else { return false };
        // Its place is another's from now on, though its descriptor is closed a moment later.
        if let Some(held) = self.remove(id) {
            held.activity.evict();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        if let Some(network) = held.network
            && let Some(count) = self.of_networks.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.of_networks.remove(&network);
            }
        }
        Some(held)
    }
}

impl Place {
    /// What its connection does.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.lock().remove(self.id);
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn of_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(ListenBounds { connections_max: 8, connections_per_address_max: 2, ..ListenBounds::default() })
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_address_leaves_places_to_others() {
        let places = places();
        // All are at work, so nobody leaves.
        let busy = |address| places.take(address).map(|place| (place.activity().call(), place));
        let mut held = vec![busy(address("10.0.0.1")).unwrap(), busy(address("10.0.0.1")).unwrap()];
        assert_eq!(busy(address("10.0.0.1")).unwrap_err(), NoPlace::Address);
        // The same one in IPv6's form; another one of the same IPv6 network.
        assert_eq!(busy(address("::ffff:10.0.0.1")).unwrap_err(), NoPlace::Address);
        held.push(busy(address("2001:db8::1")).unwrap());
        held.push(busy(address("2001:db8::2")).unwrap());
        assert_eq!(busy(address("2001:db8::3")).unwrap_err(), NoPlace::Address);
        held.push(busy(address("10.0.0.2")).unwrap());
        held.extend((0..3).map(|_| busy(None).unwrap()));
        assert_eq!(busy(None).unwrap_err(), NoPlace::Full);
        assert_eq!(busy(address("10.0.0.3")).unwrap_err(), NoPlace::Full);
        held.remove(0);
        drop(busy(address("10.0.0.1")).unwrap());
        drop(held);
        assert!(places.taken.lock().of_networks.is_empty() && places.taken.lock().held.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_done_nothing_for_the_longest_time_makes_room() {
        let places = places();
        let mut held = Vec::new();
        for last in 1..=8 {
            held.push(places.take(address(&format!("10.0.0.{last}"))).unwrap());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let evicted = |held: &[Place]| -> Vec<usize> {
            held.iter()
                .enumerate()
                .filter(|(_, place)| place.activity.evicted().is_cancelled())
                .map(|(at, _)| at)
                .collect()
        };
        // The first has called since, the second is calling.
        drop(held[0].activity().call());
        let call = held[1].activity().call();
        let newcomer = places.take(address("10.0.0.9")).unwrap();
        assert!(newcomer.evicts);
        assert_eq!(evicted(&held), [2]);
        // An address beyond its share evicts its own.
        let _second = places.take(address("10.0.0.8")).unwrap();
        assert_eq!(evicted(&held), [2, 3]);
        let _third = places.take(address("10.0.0.8")).unwrap();
        assert_eq!(evicted(&held), [2, 3, 7]);
        // Whoever leaves later gives nothing back twice.
        held.clear();
        assert_eq!(places.taken.lock().held.len(), 3);
        drop(call);
    }
}
