//! `login`: what is given becomes part of the context, then somebody logs in.

use crate::{
    arguments::{self, ConnectionArguments},
    connection::{Connection, Contexts},
    error::Error,
    login::{self, CLIENT_ID_DEFAULT, options::Login},
};

/// Context of whoever has none yet.
const CONTEXT_DEFAULT: &str = "default";

pub(crate) async fn login(given: arguments::Login, connection: &ConnectionArguments) -> Result<(), Error> {
    let mut contexts = Contexts::load()?;
    let name = connection.context.clone().or_else(|| contexts.current().map(str::to_owned));
    let name = name.unwrap_or_else(|| CONTEXT_DEFAULT.to_owned());
    let mut login = contexts.all().get(&name).and_then(|context| context.login.clone()).unwrap_or_default();
    overlay(&mut login, &given);
    if login.issuer.is_empty() {
        return Err(Error::Usage(format!("the context {name} has no issuer; name it with --issuer https://…")));
    }
    let device = given.device;
    contexts.set(&name, |context| {
        context.overlay(connection);
        context.login = Some(login);
    })?;
    let connection = ConnectionArguments { context: Some(name), ..connection.clone() };
    login::run(&Connection::resolve(&connection)?, device).await
}

fn overlay(login: &mut Login, given: &arguments::Login) {
    if let Some(issuer) = &given.issuer {
        // Another issuer: nothing that was meant for the one of before is sent to it.
        if login.issuer != *issuer {
            *login = Login { issuer: issuer.clone(), ..Login::default() };
        }
    }
    if let Some(id) = &given.client_id {
        login.client_id.clone_from(id);
    }
    if login.client_id.is_empty() {
        CLIENT_ID_DEFAULT.clone_into(&mut login.client_id);
    }
    if given.issuer_ca_file.is_some() {
        login.ca_file.clone_from(&given.issuer_ca_file);
    }
    if !given.scopes.is_empty() {
        login.scopes.clone_from(&given.scopes);
    }
    login.id_token |= given.id_token;
}
