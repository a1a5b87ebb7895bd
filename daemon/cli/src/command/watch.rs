//! `watch`: what happens, as it happens; reconnects and misses nothing.

use std::time::Duration;

use landlord_proto::v1;
use serde_json::Value;
use tonic::Code;

use crate::{
    arguments::{Output, Watch},
    client::Client,
    error::{Error, is_outage},
    name::{self, Target},
    output::{self, text},
};

/// Between two tries to reconnect.
const RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// Tries in a row; a daemon that is away for longer is not coming back by itself.
const RECONNECTS_MAX: u32 = 60;

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) enum Watched {
    /// `customers/C`, `customers/-`, or a tenant.
    Tenants(String),
    /// A host cluster; empty: all.
    Hosts(String),
}

/// An event of either.
pub(crate) struct Event {
    /// Resource name.
    pub(crate) name: String,
    /// As JSON.
    pub(crate) json: Value,
}

pub(crate) async fn run(client: &mut Client, watch: Watch, customer: Option<&str>) -> Result<(), Error> {
    let words: Vec<&str> = watch.name.iter().map(String::as_str).collect();
    let watched = match words.as_slice() {
        [] => Watched::Tenants(name::parent(customer.filter(|_| !watch.all_customers))),
        ["hostclusters" | "hostcluster"] => Watched::Hosts(String::new()),
        _ => match name::target(&watch.name, customer)? {
            Target::Tenant(name) => Watched::Tenants(name),
            Target::Host(name) => Watched::Hosts(name),
        },
    };
    events(client, watched, watch.resume_token, async |_, event| show(&event, watch.output)).await
}

fn show(event: &Event, form: Output) -> Result<(), Error> {
    match form {
        Output::Table | Output::Wide | Output::Name => output::print(&format!(
            "{}  {}  {:<14} {}",
            text(&event.json, "eventTime"),
            event.name,
            text(&event.json, "reason"),
            text(&event.json, "message")
        )),
        Output::Json | Output::Jsonl | Output::Yaml => output::print(&event.json.to_string()),
    }
}

/// Where a watch that begins now would begin.
pub(crate) async fn newest(client: &mut Client, parent: &str) -> Result<String, Error> {
    let request = v1::WatchTenantsRequest { parent: parent.to_owned(), ..Default::default() };
    let mut stream = client.tenants.watch_tenants(request).await?.into_inner();
    let first = stream.message().await?;
    first.map(|first| first.resume_token).ok_or_else(|| Error::Response("a watch without a beginning".into()))
}

/// Hands over each event, across restarts of the daemon.
pub(crate) async fn events(
    client: &mut Client,
    watched: Watched,
    mut resume_token: String,
    mut each: impl AsyncFnMut(&mut Client, Event) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let followed = match &watched {
            Watched::Tenants(parent) => tenants(client, parent, &mut resume_token, &mut tries, &mut each).await,
            Watched::Hosts(name) => hosts(client, name, &mut resume_token, &mut tries, &mut each).await,
        };
        match followed {
            Ok(()) => {}
            Err(Error::Refused(status)) if goes_on(&status) && tries < RECONNECTS_MAX => {}
            Err(error) => return Err(error),
        }
        tries += 1;
        tokio::time::sleep(RECONNECT_WAIT).await;
        client.renew().await?;
    }
}

/// Whether the watch can be resumed: the daemon restarts, or cut a watch whose messages were taken too slowly.
fn goes_on(status: &tonic::Status) -> bool {
    is_outage(status) || status.code() == Code::Aborted
}

async fn tenants(
    client: &mut Client,
    parent: &str,
    resume_token: &mut String,
    tries: &mut u32,
    each: &mut impl AsyncFnMut(&mut Client, Event) -> Result<(), Error>,
) -> Result<(), Error> {
    let request = v1::WatchTenantsRequest { parent: parent.to_owned(), resume_token: resume_token.clone() };
    let mut stream = client.tenants.watch_tenants(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        *tries = 0;
        if let Some(event) = message.event {
            let json = output::json(&event)?;
            each(client, Event { name: event.tenant, json }).await?;
        }
        *resume_token = message.resume_token;
    }
    Ok(())
}

async fn hosts(
    client: &mut Client,
    name: &str,
    resume_token: &mut String,
    tries: &mut u32,
    each: &mut impl AsyncFnMut(&mut Client, Event) -> Result<(), Error>,
) -> Result<(), Error> {
    let request = v1::WatchHostClustersRequest { name: name.to_owned(), resume_token: resume_token.clone() };
    let mut stream = client.hosts.watch_host_clusters(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        *tries = 0;
        if let Some(event) = message.event {
            let json = output::json(&event)?;
            each(client, Event { name: event.host_cluster, json }).await?;
        }
        *resume_token = message.resume_token;
    }
    Ok(())
}
