//! `watch`: what happens, as it happens; reconnects and misses nothing.

use std::time::Duration;

use landlord_proto::v1;

use crate::{
    arguments::{Output, Watch},
    client::Client,
    error::{Error, is_outage},
    name,
    output::{self, text},
};

/// Between two tries to reconnect.
const RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// Tries in a row; a daemon that is away for longer is not coming back by itself.
const RECONNECTS_MAX: u32 = 60;

pub(crate) async fn run(client: &mut Client, watch: Watch, customer: Option<&str>) -> Result<(), Error> {
    let parent = match &watch.name {
        Some(text) => name::tenant(text, customer)?,
        None => name::parent(customer.filter(|_| !watch.all_customers)),
    };
    events(client, parent, watch.resume_token, async |_, event| show(&event, watch.output)).await
}

fn show(event: &v1::TenantEvent, form: Output) -> Result<(), Error> {
    let event = output::json(event)?;
    match form {
        Output::Table | Output::Wide | Output::Name => output::print(&format!(
            "{}  {}  {:<14} {}",
            text(&event, "eventTime"),
            text(&event, "tenant"),
            text(&event, "reason"),
            text(&event, "message")
        )),
        Output::Json | Output::Jsonl | Output::Yaml => output::print(&event.to_string()),
    }
}

/// Where a watch that begins now would begin.
pub(crate) async fn newest(client: &mut Client, parent: &str) -> Result<String, Error> {
    let request = v1::WatchTenantsRequest { parent: parent.to_owned(), ..Default::default() };
    let mut stream = client.tenants.watch_tenants(request).await?.into_inner();
    let first = stream.message().await?;
    first.map(|first| first.resume_token).ok_or_else(|| Error::Answer("a watch without a beginning".into()))
}

/// Hands over each event, across restarts of the daemon.
pub(crate) async fn events(
    client: &mut Client,
    parent: String,
    mut resume_token: String,
    mut each: impl AsyncFnMut(&mut Client, v1::TenantEvent) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let request = v1::WatchTenantsRequest { parent: parent.clone(), resume_token: resume_token.clone() };
        match follow(client, request, &mut resume_token, &mut tries, &mut each).await {
            Ok(()) => {}
            Err(Error::Refused(status)) if is_outage(&status) && tries < RECONNECTS_MAX => {}
            Err(error) => return Err(error),
        }
        tries += 1;
        tokio::time::sleep(RECONNECT_WAIT).await;
    }
}

async fn follow(
    client: &mut Client,
    request: v1::WatchTenantsRequest,
    resume_token: &mut String,
    tries: &mut u32,
    each: &mut impl AsyncFnMut(&mut Client, v1::TenantEvent) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut stream = client.tenants.watch_tenants(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        *tries = 0;
        if let Some(event) = message.event {
            each(client, event).await?;
        }
        *resume_token = message.resume_token;
    }
    Ok(())
}
