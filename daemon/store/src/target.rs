//! How a connection to the database is made: by a file's name, or by the names of PostgreSQL servers, of which the one that writes is
//! chosen. Knows no statement but the one by which that is found.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AnyConnection, Connection as _, any::AnyConnectOptions, postgres::PgConnectOptions};
use tokio::time::timeout;
use url::Url;

use crate::{
    job::is_starting,
    silence::{self, CONNECT_TIMEOUT, is_silence},
};

/// Servers of one database, a primary and its standbys: each has its share of the time in which a connection is made.
const SERVERS_MAX: usize = 5;
/// Whether a server follows another one: what was acknowledged a moment ago may not be there yet.
const FOLLOWS: &str = "SELECT CAST(pg_is_in_recovery() AS TEXT)";
/// The setting by which other clients choose a server, and its values that say what is done here in any case.
/// <https://www.postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>
const CHOICE: (&str, [&str; 2]) = ("target_session_attrs", ["read-write", "primary"]);

type Read = dyn Fn() -> Result<SecretString, String> + Send + Sync;

/// Gives the password of the database's user. Called for each connection: one that was changed needs no restart.
#[derive(Clone)]
pub struct PasswordSource(Arc<Read>);

impl PasswordSource {
    /// `read`: gives the password as it is now, or says what is wrong, and nothing of what was read.
    pub fn new(read: impl Fn() -> Result<SecretString, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordSource")
    }
}

/// Where connections lead. Clones share what was learned of it.
#[derive(Clone)]
pub(crate) enum Target {
    /// As these options say.
    Fixed(AnyConnectOptions),
    /// Whichever of these servers writes.
    Servers(Arc<Servers>),
}

impl Target {
    /// A new connection. The caller bounds how long it is waited for.
    pub(crate) async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        match self {
            Self::Fixed(options) => AnyConnection::connect_with(options).await,
            Self::Servers(servers) => servers.connect().await,
        }
    }
}

/// The servers of a PostgreSQL database.
#[derive(Debug)]
pub(crate) struct Servers {
    /// Without the password.
    urls: Vec<Url>,
    password: Option<PasswordSource>,
    /// The one that was connected to last.
    last: AtomicUsize,
}

impl Servers {
    /// Understands `postgres://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?…]`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(address: &str, password: Option<PasswordSource>) -> Result<Self, String> {
        let urls = each(address).into_iter().map(|url| one(&url)).collect::<Result<Vec<_>, _>>()?;
        if urls.len() > SERVERS_MAX {
            return Err(format!("it names {} servers, and at most {SERVERS_MAX} are tried", urls.len()));
        }
        Ok(Self { urls, password, last: AtomicUsize::new(0) })
    }

    /// Fit to be shown: user, servers and database, without a password.
    pub(crate) fn shown(&self) -> String {
        let user = self.urls.first().map(Url::username).filter(|user| !user.is_empty());
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let host = |url: &Url| {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            Some(format!("{}{port}", url.host_str()?))
        };
        let hosts: Vec<String> = self.urls.iter().filter_map(host).collect();
        format!("postgres://{user}{}{}", hosts.join(","), self.urls.first().map(Url::path).unwrap_or_default())
    }

    /// How to connect to the one that was connected to last. May hold a password.
    pub(crate) fn options(&self) -> Result<AnyConnectOptions, sqlx::Error> {
        self.options_of(self.last.load(Ordering::Relaxed))
    }

    fn options_of(&self, turn: usize) -> Result<AnyConnectOptions, sqlx::Error> {
        let bad = |problem: String| sqlx::Error::Configuration(problem.into());
        let mut url = self.urls[turn].clone();
        if let Some(PasswordSource(read)) = &self.password {
            // `%` is taken for the beginning of an escaped byte, and is not escaped itself.
            let escaped = SecretString::from(read().map_err(bad)?.expose_secret().replace('%', "%25"));
            let set = url.set_password(Some(escaped.expose_secret()));
            set.map_err(|()| bad("the address names no user or host".to_owned()))?;
        }
        // Not the library's error, which may hold the password.
        url.as_str().parse().map_err(|_| bad("the address can't be understood".to_owned()))
    }

    /// Connects to the server that writes, the last one first.
    ///
    /// # Errors
    /// If none is found: of a server that may be back in a moment, rather than another's.
    async fn connect(&self) -> Result<AnyConnection, sqlx::Error> {
        let (count, last) = (self.urls.len(), self.last.load(Ordering::Relaxed));
        let share = CONNECT_TIMEOUT / u32::try_from(count).unwrap_or(u32::MAX);
        let mut failed: Option<sqlx::Error> = None;
        for turn in (0..count).map(|step| (last + step) % count) {
            match self.connect_to(turn, share).await {
                Ok(connection) => {
                    self.last.store(turn, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => {
                    let host = self.urls[turn].host_str();
                    tracing::debug!(host, %error, "a server of the database is not the one that writes, or is away");
                    let is_away = is_starting(&error) || is_silence(&error);
                    failed = Some(failed.filter(|_| !is_away).unwrap_or(error));
                }
            }
        }
        Err(failed.unwrap_or_else(silence::follows))
    }

    async fn connect_to(&self, turn: usize, limit: Duration) -> Result<AnyConnection, sqlx::Error> {
        let options = self.options_of(turn)?;
        let connecting = async {
            let mut connection = AnyConnection::connect_with(&options).await?;
            let follows: String = sqlx::query_scalar(FOLLOWS).fetch_one(&mut connection).await?;
            if follows == "true" { Err(silence::follows()) } else { Ok(connection) }
        };
        timeout(limit, connecting).await.unwrap_or_else(|_| Err(silence::silent(limit)))
    }
}

/// An address for each host that one names.
fn each(address: &str) -> Vec<String> {
    let Some((scheme, rest)) = address.split_once("://") else { return vec![address.to_owned()] };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let at = if authority.contains('@') { "@" } else { "" };
    hosts.split(',').map(|host| format!("{scheme}://{user}{at}{host}{path}")).collect()
}

/// The address of one server.
fn one(address: &str) -> Result<Url, String> {
    let mut url = Url::parse(address).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(format!("it begins with {}:, not with postgres:", url.scheme()));
    }
    let settings: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if url.password().is_some() || settings.iter().any(|(key, _)| key == "password") {
        return Err("it holds a password, which is readable by whoever reads the configuration".into());
    }
    let (name, values) = CHOICE;
    if let Some((_, value)) = settings.iter().find(|(key, value)| key == name && !values.contains(&value.as_str())) {
        let rule = "only the server that writes is used; leave the setting out, or write";
        return Err(format!("it says {name}={value}, but {rule} {name}={}", values[0]));
    }
    if settings.iter().any(|(key, value)| matches!(key.as_str(), "host" | "hostaddr" | "port") && value.contains(',')) {
        return Err("several servers are named before the database: postgres://USER@HOST,HOST/DATABASE".into());
    }
    // The library warns of what it does not know.
    if settings.iter().any(|(key, _)| key == name) {
        url.query_pairs_mut().clear().extend_pairs(settings.iter().filter(|(key, _)| key != name));
    }
    match url.as_str().parse::<PgConnectOptions>() {
        Ok(_) => Ok(url),
        Err(error) => Err(format!("it can't be understood ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(address: &str) -> Result<Vec<String>, String> {
        Servers::parse(address, None).map(|servers| servers.urls.iter().map(Url::to_string).collect())
    }

    #[test]
    fn each_server_of_an_address_has_the_rest_of_it() {
        let found = urls("postgres://u@a:5433,b,[::1]:7/d?sslmode=require").unwrap();
        let expected = ["a:5433", "b", "[::1]:7"].map(|host| format!("postgres://u@{host}/d?sslmode=require")).to_vec();
        assert_eq!(found, expected);
        assert_eq!(urls("postgres://u@localhost/d?host=/run/pg").unwrap(), ["postgres://u@localhost/d?host=/run/pg"]);
        let servers = Servers::parse("postgres://u@a,b:1/d?sslmode=require", None).unwrap();
        assert_eq!(servers.shown(), "postgres://u@a,b:1/d");
    }

    #[test]
    fn who_shall_be_used_is_said_by_nobody_otherwise() {
        let url = |attribute: &str| urls(&format!("postgres://u@a/d?sslmode=require&target_session_attrs={attribute}"));
        for same in ["read-write", "primary"] {
            assert_eq!(url(same).unwrap(), ["postgres://u@a/d?sslmode=require"]);
        }
        for other in ["any", "standby", "prefer-standby", "read-only"] {
            let expected = format!(
                "it says target_session_attrs={other}, but only the server that writes is used; leave the setting out, or write \
                 target_session_attrs=read-write"
            );
            assert_eq!(url(other).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for (address, expected) in [
            ("postgres://u@a/d?host=b,c", "before the database"),
            ("postgres://u@a,b,c,d,e,f/d", "6 servers"),
            ("postgres://u@a,b:pw/d", "port"),
            ("postgres://u@a/d?sslmode=sometimes", "ssl_mode"),
            ("postgres://u:secret@a,b/d", "holds a password"),
            ("postgres://u@a/d?password=secret", "holds a password"),
        ] {
            let refused = urls(address).unwrap_err();
            assert!(refused.contains(expected) && !refused.contains("secret"), "{address}: {refused}");
        }
    }

    #[test]
    fn a_password_is_read_for_each_connection() {
        let turn = Arc::new(AtomicUsize::new(0));
        let read = Arc::clone(&turn);
        let source = PasswordSource::new(move || match read.fetch_add(1, Ordering::Relaxed) {
            2 => Err("it is being written".to_owned()),
            turn => Ok(format!("p/w%41{turn}").into()),
        });
        sqlx::any::install_default_drivers();
        let servers = Servers::parse("postgres://u@a/d", Some(source)).unwrap();
        for turn in 0..2 {
            let options = servers.options().unwrap();
            assert_eq!(options.database_url.as_str(), format!("postgres://u:p%2Fw%2541{turn}@a/d"));
        }
        assert!(servers.options().unwrap_err().to_string().contains("being written"));
        assert!(!format!("{servers:?}").contains("p/w"));
    }
}
