//! `watch`: what happens, as it happens; reconnects and misses nothing.

use std::time::Duration;

use landlord_proto::v1;
use tonic::Code;

use crate::{
    arguments::{Output, Watch},
    client::Client,
    error::Error,
    name,
    output::{self, text},
};

/// Between two tries to reconnect.
const RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// Tries in a row; a daemon that is away for longer is not coming back by itself.
const RECONNECTS_MAX: u32 = 60;

pub(crate) async fn run(client: &mut Client, watch: Watch) -> Result<(), Error> {
    let parent = match &watch.name {
        Some(text) => name::tenant(text)?,
        None => name::parent(watch.customer.as_deref()),
    };
    let mut resume_token = watch.resume_token.clone();
    let mut tries = 0;
    loop {
        let request = v1::WatchTenantsRequest {
            parent: parent.clone(),
            resume_token: resume_token.clone(),
        };
        match follow(client, request, &mut resume_token, &mut tries, watch.output).await {
            Ok(()) => {}
            Err(Error::Refused(status)) if status.code() == Code::Unavailable && tries < RECONNECTS_MAX => {}
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
    form: Output,
) -> Result<(), Error> {
    let mut stream = client.tenants.watch_tenants(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        *tries = 0;
        *resume_token = message.resume_token;
        let Some(event) = message.event else { continue };
        let event = output::json(&event)?;
        match form {
            Output::Table | Output::Wide | Output::Name => output::print(&format!(
                "{}  {}  {:<14} {}",
                text(&event, "eventTime"),
                text(&event, "tenant"),
                text(&event, "reason"),
                text(&event, "message")
            ))?,
            Output::Json | Output::Jsonl | Output::Yaml => output::print(&event.to_string())?,
        }
    }
    Ok(())
}
