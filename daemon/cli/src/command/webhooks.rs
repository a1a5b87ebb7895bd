//! Receivers of events: shown, replayed, tested.

use landlord_proto::v1;
use serde_json::Value;

use super::pages::all;
use crate::{
    arguments::{Output, Webhooks},
    client::Client,
    connection::Connection,
    error::Error,
    output::{self, Column, age, text},
};

const WEBHOOK: &[Column<'_>] = &[
    ("NAME", false, |webhook| text(webhook, "name").trim_start_matches("webhooks/").to_owned()),
    ("STATE", false, |webhook| text(webhook, "state")),
    ("DELIVERED", false, |webhook| number(webhook, "deliveredCount")),
    ("LAST", false, |webhook| age(webhook, "deliveryTime")),
    ("WAITING", false, |webhook| count(webhook, "heldTenants")),
    ("PARKED", false, |webhook| number(webhook, "parkedCount")),
    ("MISSED", true, |webhook| number(webhook, "missedCount")),
    ("URL", false, |webhook| text(webhook, "url")),
    ("ERROR", false, |webhook| text(webhook, "error")),
];

/// A number: absent for 0; of 64 bits, which protobuf's JSON may write as text.
fn number(of: &Value, field: &str) -> String {
    match &of[field] {
        Value::Null => "0".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn count(of: &Value, field: &str) -> String {
    of[field].as_array().map_or(0, Vec::len).to_string()
}

pub(super) async fn run(server: &Connection, what: Option<Webhooks>, form: Output) -> Result<(), Error> {
    let mut client = Client::connect(server).await?;
    match what {
        None | Some(Webhooks::List) => list(&mut client, form).await,
        Some(Webhooks::Show { name }) => {
            let request = v1::GetWebhookRequest { name: resource(&name) };
            let webhook = output::json(&client.webhooks.get_webhook(request).await?.into_inner())?;
            match form {
                Output::Table | Output::Wide => show(&webhook),
                Output::Json | Output::Yaml | Output::Jsonl | Output::Name => {
                    output::items(form, &[webhook], WEBHOOK, true)
                }
            }
        }
        Some(Webhooks::Replay { name, from }) => {
            let request = v1::ReplayWebhookRequest { name: resource(&name), event_id: from.clone() };
            client.webhooks.replay_webhook(request).await?;
            output::print(&format!("{} delivers again from {from} on", resource(&name)))
        }
        Some(Webhooks::Test { name }) => {
            let request = v1::TestWebhookRequest { name: resource(&name) };
            let test = client.webhooks.test_webhook(request).await?.into_inner();
            let took =
                test.response_duration.and_then(|took| std::time::Duration::try_from(took).ok()).unwrap_or_default();
            if !test.delivered {
                return Err(Error::Check(format!(
                    "{} has not taken {}: {}",
                    resource(&name),
                    test.event_id,
                    test.error
                )));
            }
            let (status, millis) = (test.http_status, took.as_millis());
            output::print(&format!("{} has taken {}: HTTP {status} after {millis} ms", resource(&name), test.event_id))
        }
    }
}

fn resource(name: &str) -> String {
    format!("webhooks/{}", name.trim_start_matches("webhooks/"))
}

async fn list(client: &mut Client, form: Output) -> Result<(), Error> {
    let items = all(async |page_token| {
        let request = v1::ListWebhooksRequest { page_token, ..Default::default() };
        let page = client.webhooks.list_webhooks(request).await?.into_inner();
        Ok((page.webhooks, page.next_page_token))
    })
    .await?;
    if items.is_empty() {
        super::remark("no webhooks are configured ([webhooks] in landlord.toml)");
    }
    output::items(form, &items, WEBHOOK, false)
}

/// All about one, in words.
fn show(webhook: &Value) -> Result<(), Error> {
    for (what, field) in
        [("Name", "name"), ("URL", "url"), ("State", "state"), ("Daemon", "daemon"), ("Error", "error")]
    {
        let value = text(webhook, field);
        if !value.is_empty() {
            output::print(&format!("{:<11}{value}", format!("{what}:")))?;
        }
    }
    for (what, field) in [("Events", "eventTypes"), ("Customers", "customers")] {
        let all: Vec<&str> = webhook[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        output::print(&format!(
            "{:<11}{}",
            format!("{what}:"),
            if all.is_empty() { "all".into() } else { all.join(", ") }
        ))?;
    }
    let (delivered, last) = (number(webhook, "deliveredCount"), age(webhook, "deliveryTime"));
    output::print(&format!("{:<11}{delivered}, the last {last} ago", "Delivered:"))?;
    output::print(&format!("{:<11}{}", "Missed:", number(webhook, "missedCount")))?;
    for held in webhook["heldTenants"].as_array().into_iter().flatten() {
        let (tenant, event, error) = (text(held, "tenant"), text(held, "eventId"), text(held, "error"));
        let attempts = &held["attemptCount"];
        let next = text(held, "nextAttemptTime");
        output::print(&format!("Waiting:   {tenant} from {event} on, {attempts} attempts, next at {next}: {error}"))?;
    }
    output::print(&format!("{:<11}{}", "Parked:", number(webhook, "parkedCount")))?;
    for parked in webhook["parkedEvents"].as_array().into_iter().flatten() {
        let (event, of, tenant) = (text(parked, "eventId"), text(parked, "eventType"), text(parked, "tenant"));
        let (time, error) = (text(parked, "eventTime"), text(parked, "error"));
        output::print(&format!("  {event} {of} {tenant} of {time}: {error}"))?;
    }
    Ok(())
}
