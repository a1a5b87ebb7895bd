//! `whoami` and `auth can-i`.

use landlord_proto::v1;

use crate::{
    arguments::{AuthCommand, Output},
    client::Client,
    connection::Connection,
    error::Error,
    output,
};

pub(crate) async fn whoami(server: &Connection, form: Output) -> Result<(), Error> {
    let mut client = Client::connect(server).await?;
    let response = client.auth.who_am_i(v1::WhoAmIRequest {}).await?.into_inner();
    let principal = response.principal.unwrap_or_default();
    if form == Output::Name {
        return output::print(&principal.name);
    }
    let groups = principal.groups.join(", ");
    let rows = [
        ("Name", principal.name.as_str()),
        ("Groups", groups.as_str()),
        ("Customer", principal.customer.as_str()),
        ("Method", response.method.as_str()),
    ];
    match form {
        Output::Table | Output::Wide | Output::Name => {
            for (key, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
                output::print(&format!("{:<10}{value}", format!("{key}:")))?;
            }
            Ok(())
        }
        Output::Json | Output::Jsonl => {
            let value = serde_json::json!({
                "name": principal.name, "groups": principal.groups, "customer": principal.customer,
                "method": response.method,
            });
            output::print(&value.to_string())
        }
        Output::Yaml => {
            let value = serde_json::json!({
                "name": principal.name, "groups": principal.groups, "customer": principal.customer,
                "method": response.method,
            });
            let text = serde_saphyr::to_string(&value).map_err(|error| Error::Response(error.to_string()))?;
            output::print(text.trim_end())
        }
    }
}

pub(crate) async fn run(server: &Connection, command: AuthCommand) -> Result<(), Error> {
    let AuthCommand::CanI { action, resource, principal, groups, customer } = command;
    let subject = principal.map(|name| v1::Principal {
        name,
        groups,
        customer: customer.map(|id| format!("customers/{}", id.trim_start_matches("customers/"))).unwrap_or_default(),
    });
    let mut client = Client::connect(server).await?;
    let request = v1::CheckAccessRequest { action: action.clone(), resource: resource.clone(), subject };
    let response = client.auth.check_access(request).await?.into_inner();
    let by = if response.policies.is_empty() { String::new() } else { format!(" ({})", response.policies.join(", ")) };
    if !response.allowed {
        output::print(&format!("no{by}"))?;
        let upon = if resource.is_empty() { String::new() } else { format!(" on {resource}") };
        return Err(Error::Denied(format!("{action}{upon} is not allowed")));
    }
    output::print(&format!("yes{by}"))
}
