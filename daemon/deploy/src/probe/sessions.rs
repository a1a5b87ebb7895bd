//! TLS sessions that looks go on with, one for each name. Knows nothing of tenants.
//!
//! rustls' own store would not do: of the size that it is given it remembers an eighth of as many servers, forgets whom it met first
//! (so that looks which go round find nothing), and keeps eight tickets, each with a copy of the server's certificates.
//! <https://docs.rs/rustls/0.23/rustls/client/struct.ClientSessionMemoryCache.html>

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use parking_lot::Mutex;
use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};
use tokio::time::Instant;

/// A session is gone on with for so long, or down to half of that: then its server shows its certificate again, which may be another
/// one by now. A share of each name's own, so that not all handshakes of an hour fall into one beat.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// What is known of a server.
#[derive(Default)]
struct Known {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: Option<Tls13ClientSessionValue>,
    /// When it showed its certificate; `None`: the next handshake is a whole one.
    verified: Option<Instant>,
}

#[derive(Default)]
struct Kept {
    servers: HashMap<ServerName<'static>, Known>,
    /// The same names, as they came.
    order: VecDeque<ServerName<'static>>,
}

/// Sessions of so many names; whoever came first is forgotten for one more.
pub(super) struct Sessions {
    servers_max: usize,
    shares: RandomState,
    kept: Mutex<Kept>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // They hold secrets.
        f.debug_struct("Sessions").field("servers_max", &self.servers_max).finish_non_exhaustive()
    }
}

impl Sessions {
    pub(super) fn new(servers_max: usize) -> Self {
        Self { servers_max, shares: RandomState::new(), kept: Mutex::default() }
    }

    /// Has a server show its certificate the next time.
    pub(super) fn forget(&self, name: &ServerName<'static>) {
        if let Some(known) = self.kept.lock().servers.get_mut(name) {
            known.end();
        }
    }

    fn age_max(&self, name: &ServerName<'_>) -> Duration {
        let half = AGE_MAX / 2;
        half + Duration::from_secs(self.shares.hash_one(name) % half.as_secs())
    }

    fn of<T>(&self, name: &ServerName<'_>, take: impl FnOnce(&mut Known) -> Option<T>) -> Option<T> {
        self.kept.lock().servers.get_mut(&name.to_owned()).and_then(take)
    }

    fn keep(&self, name: ServerName<'static>, change: impl FnOnce(&mut Known)) {
        let mut kept = self.kept.lock();
        if let Some(known) = kept.servers.get_mut(&name) {
            return change(known);
        }
        if kept.servers.len() >= self.servers_max
            && let Some(first) = kept.order.pop_front()
        {
            kept.servers.remove(&first);
        }
        kept.order.push_back(name.clone());
        change(kept.servers.entry(name).or_default());
    }
}

impl Known {
    fn end(&mut self) {
        (self.tls12, self.tls13, self.verified) = (None, None, None);
    }

    /// Ends what has grown too old.
    fn end_after(&mut self, age_max: Duration) {
        if self.verified.is_some_and(|at| at.elapsed() >= age_max) {
            self.end();
        }
    }

    /// A session came: of the handshake that showed a certificate, or of one that went on from it.
    fn came(&mut self) {
        self.verified.get_or_insert_with(Instant::now);
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.keep(name, |known| known.group = Some(group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.of(name, |known| known.group)
    }

    fn set_tls12_session(&self, name: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.keep(name, |known| {
            known.came();
            known.tls12 = Some(session);
        });
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        let age_max = self.age_max(name);
        self.of(name, |known| {
            known.end_after(age_max);
            known.tls12.clone()
        })
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.of(name, |known| known.tls12.take());
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.keep(name, |known| {
            known.came();
            known.tls13 = Some(ticket);
        });
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let age_max = self.age_max(name);
        self.of(name, |known| {
            known.end_after(age_max);
            known.tls13.take()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ServerName<'static> {
        ServerName::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn whoever_came_first_is_forgotten_for_one_more() {
        let sessions = Sessions::new(2);
        let hint = |host: &str| sessions.kx_hint(&name(host));
        for host in ["a.example", "b.example", "a.example"] {
            sessions.set_kx_hint(name(host), NamedGroup::X25519);
        }
        assert_eq!((hint("a.example"), hint("b.example")), (Some(NamedGroup::X25519), Some(NamedGroup::X25519)));
        sessions.set_kx_hint(name("c.example"), NamedGroup::secp256r1);
        assert_eq!((hint("a.example"), hint("c.example")), (None, Some(NamedGroup::secp256r1)));
        let kept = sessions.kept.lock();
        assert_eq!((kept.servers.len(), kept.order.len()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_shows_its_certificate_again_in_time_and_not_all_at_once() {
        let sessions = Sessions::new(1_000);
        let names: Vec<ServerName<'static>> = (0..1_000).map(|index| name(&format!("t{index}.example"))).collect();
        let ages: Vec<Duration> = names.iter().map(|name| sessions.age_max(name)).collect();
        assert!(ages.iter().all(|age| (AGE_MAX / 2..AGE_MAX).contains(age)));
        let in_a_beat = |from: u64| ages.iter().filter(|age| (from..from + 60).contains(&age.as_secs())).count();
        // A thousand over thirty beats.
        assert!((AGE_MAX.as_secs() / 2..AGE_MAX.as_secs()).step_by(60).all(|from| in_a_beat(from) < 100));
        for name in &names {
            sessions.keep(name.clone(), Known::came);
        }
        let verified = || sessions.kept.lock().servers.values().filter(|known| known.verified.is_some()).count();
        let take_all = || names.iter().for_each(|name| drop(sessions.take_tls13_ticket(name)));
        tokio::time::advance(AGE_MAX / 2 - Duration::from_secs(1)).await;
        take_all();
        assert_eq!(verified(), 1_000);
        tokio::time::advance(AGE_MAX / 2 + Duration::from_secs(1)).await;
        take_all();
        assert_eq!(verified(), 0);
    }
}
