//! Which daemon, and how to get there: flags and environment first, then the context of the configuration file.

mod contexts;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use self::contexts::Contexts;
use crate::{
    arguments::{ConnectionArguments, SERVER_DEFAULT},
    error::Error,
    login::{kept, options::Login},
};

/// How a daemon is reached. All but the address may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Connection {
    /// `unix:///path`, `https://host:port`, or on this machine `http://127.0.0.1:port`.
    #[serde(default)]
    pub server: String,
    /// CAs of the daemon's certificate, PEM; `None`: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Own certificate chain, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// File with a bearer token; read again for every call, since tokens are renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Customer of tenants that are named without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Where its user logs in; `None`: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// File with the tokens of that.
    #[serde(skip)]
    pub login_file: Option<PathBuf>,
}

impl Connection {
    /// What the command line, the environment and the chosen context say together.
    ///
    /// # Errors
    /// A configuration file that can't be read; a context that is not in it; a token that would cross a network
    /// unencrypted.
    pub(crate) fn resolve(arguments: &ConnectionArguments) -> Result<Self, Error> {
        let contexts = Contexts::load()?;
        let chosen = contexts.chosen(arguments.context.as_deref())?;
        let mut connection = chosen.cloned().unwrap_or_default();
        let context = arguments.context.as_deref().or(contexts.current());
        connection.login_file = context.filter(|_| connection.login.is_some()).and_then(kept::file_of);
        connection.overlay(arguments);
        if connection.server.is_empty() {
            SERVER_DEFAULT.clone_into(&mut connection.server);
        }
        connection.check()?;
        Ok(connection)
    }

    /// Takes what was given.
    pub(crate) fn overlay(&mut self, given: &ConnectionArguments) {
        if let Some(server) = &given.server {
            // Another daemon: nothing that was meant for the one of the context is sent to it.
            let customer = self.customer.take();
            *self = Self { server: server.clone(), customer, ..Self::default() };
        }
        let pairs = [
            (&mut self.ca_file, &given.ca_file),
            (&mut self.client_cert, &given.client_cert),
            (&mut self.client_key, &given.client_key),
            (&mut self.token_file, &given.token_file),
        ];
        for (own, given) in pairs {
            if given.is_some() {
                own.clone_from(given);
            }
        }
        if given.customer.is_some() {
            self.customer.clone_from(&given.customer);
        }
    }

    fn check(&self) -> Result<(), Error> {
        if !["unix://", "https://", "http://"].iter().any(|scheme| self.server.starts_with(scheme)) {
            return Err(Error::Usage(format!(
                "{:?} is no address of a daemon; write unix:///path, https://host:port, or on this machine http://127.0.0.1:port",
                self.server
            )));
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            return Err(Error::Usage("--client-cert and --client-key belong together; name both".into()));
        }
        let tls = self.server.starts_with("https://");
        if !tls && (self.ca_file.is_some() || self.client_cert.is_some()) {
            return Err(Error::Usage(format!(
                "--ca-file and --client-cert are for TLS, and {} has none; write https://host:port",
                self.server
            )));
        }
        if (self.token_file.is_some() || self.login.is_some()) && !tls && !self.is_local() {
            return Err(Error::Usage(format!(
                "a token is not sent to {} without TLS, where it could be read; write https://host:port",
                self.server
            )));
        }
        Ok(())
    }

    /// Whether nothing leaves this machine.
    fn is_local(&self) -> bool {
        if self.server.starts_with("unix://") {
            return true;
        }
        let authority = self.server.strip_prefix("http://").unwrap_or_default();
        let host = authority.split('/').next().unwrap_or_default();
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_certificates_go_where_they_are_safe() {
        let with_token = |server: &str| Connection {
            server: server.into(),
            token_file: Some("token".into()),
            ..Connection::default()
        };
        let fine = [
            "unix:///run/landlord.sock",
            "https://landlord.example.com:7443",
            "http://127.0.0.1:7443",
            "http://[::1]:7443",
            "http://localhost:7443",
        ];
        for server in fine {
            with_token(server).check().unwrap();
        }
        for server in ["http://landlord.example.com:7443", "http://10.0.0.1:7443", "http://127.0.0.1.example.com"] {
            assert!(with_token(server).check().is_err(), "{server}");
        }
    }

    #[test]
    fn an_address_has_a_scheme() {
        for server in ["localhost:7443", "landlord.example.com", "/run/landlord/landlord.sock", "ftp://example.com"] {
            let connection = Connection { server: server.into(), ..Connection::default() };
            let refused = connection.check().unwrap_err().to_string();
            assert!(refused.contains(server) && refused.contains("https://host:port"), "{refused}");
        }
    }

    #[test]
    fn another_server_gets_nothing_of_the_context() {
        let mut connection = Connection {
            server: "https://one.example.com".into(),
            token_file: Some("token".into()),
            ca_file: Some("ca".into()),
            customer: Some("acme".into()),
            ..Connection::default()
        };
        let given = ConnectionArguments { server: Some("https://two.example.com".into()), ..Default::default() };
        connection.overlay(&given);
        assert_eq!(connection.server, "https://two.example.com");
        assert_eq!((connection.token_file, connection.ca_file), (None, None));
        assert_eq!(connection.customer.as_deref(), Some("acme"));
    }
}
