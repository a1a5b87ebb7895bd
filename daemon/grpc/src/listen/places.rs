//! Places of a listener's connections: how many there are, and how many of them one address may have.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::shares::{Share, Shares};

/// One address has at most this share of a listener's places, so that nobody alone keeps all others out.
const SHARE_OF_ADDRESS: usize = 4;

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    of_addresses: Shares<IpAddr>,
    of_address_max: usize,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full,
    /// The address has as many as it may.
    Address,
}

/// A place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _of_address: Option<Share<IpAddr>>,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            of_addresses: Shares::default(),
            of_address_max: (count / SHARE_OF_ADDRESS).max(1),
        }
    }

    /// A place for a client; `None`: one of this machine, by the Unix socket.
    pub(super) fn take(&self, address: Option<IpAddr>) -> Result<Place, NoPlace> {
        let permit = self.free.clone().try_acquire_owned().map_err(|_| NoPlace::Full)?;
        let share = match address {
            Some(address) => {
                let share = self.of_addresses.take(of_network(address), self.of_address_max);
                Some(share.ok_or(NoPlace::Address)?)
            }
            None => None,
        };
        Ok(Place { _permit: permit, _of_address: share })
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

    #[test]
    fn one_address_leaves_places_to_others() {
        let places = Places::new(8);
        let address = |text: &str| Some(text.parse().unwrap());
        let mut held = vec![places.take(address("10.0.0.1")).unwrap(), places.take(address("10.0.0.1")).unwrap()];
        assert_eq!(places.take(address("10.0.0.1")).unwrap_err(), NoPlace::Address);
        // The same one in IPv6's form; another one of the same IPv6 network.
        assert_eq!(places.take(address("::ffff:10.0.0.1")).unwrap_err(), NoPlace::Address);
        held.push(places.take(address("2001:db8::1")).unwrap());
        held.push(places.take(address("2001:db8::2")).unwrap());
        assert_eq!(places.take(address("2001:db8::3")).unwrap_err(), NoPlace::Address);
        held.push(places.take(address("10.0.0.2")).unwrap());
        held.extend((0..3).map(|_| places.take(None).unwrap()));
        assert_eq!(places.take(None).unwrap_err(), NoPlace::Full);
        assert_eq!(places.take(address("10.0.0.3")).unwrap_err(), NoPlace::Full);
        held.remove(0);
        drop(places.take(address("10.0.0.1")).unwrap());
        drop(held);
        assert_eq!(places.of_addresses.len(), 0);
    }
}
