//! What happens in the cloud past the plugin: foreign objects and the witness. Knows no cloud; texts come from the
//! configuration, with places for names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    config::{Config, Hook},
    tenant::Tenant,
    world::{Step, World, fail, failed},
};

/// A foreign command or request that takes longer is stuck.
const HOOK_TIMEOUT: Duration = Duration::from_secs(120);

/// Replaces the places of a text. `{uid_hex[..12]}` is a part of a place: clouds cut names where they are too long.
#[must_use]
pub fn filled(text: &str, config: &Config, tenant: Option<&Tenant>) -> String {
    let uid = tenant.map(|tenant| tenant.scope.tenant_uid.clone()).unwrap_or_default();
    let domain = tenant.map(|tenant| tenant.domain.clone()).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (date, time) = calendar(now);
    [
        ("uid", uid.as_str()),
        ("uid_hex", &uid.replace('-', "")),
        ("domain", &domain),
        ("domain_sha256", &hex::encode(Sha256::digest(&domain))),
        ("installation", &config.installation),
        ("region", &config.region),
        ("account", &config.account),
        ("endpoint", config.endpoint.trim_end_matches('/')),
        ("date", &date),
        ("datetime", &format!("{date}T{time}Z")),
    ]
    .iter()
    .fold(text.to_owned(), |text, (place, value)| parts(text.replace(&format!("{{{place}}}"), value), place, value))
}

/// Replaces parts of a place; what is no part stays as it is.
fn parts(text: String, place: &str, value: &str) -> String {
    let mark = format!("{{{place}[");
    let mut pieces = text.split(&mark);
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let part = piece.split_once("]}").and_then(|(range, rest)| Some((slice(value, range)?, rest)));
        match part {
            Some((part, rest)) => filled.extend([part, rest]),
            None => filled.extend([mark.as_str(), piece]),
        }
    }
    filled
}

/// `..12`, `13..` or `4..8` of a text.
fn slice<'a>(text: &'a str, range: &str) -> Option<&'a str> {
    let (from, to) = range.split_once("..")?;
    let number = |digits: &str, other: usize| if digits.is_empty() { Some(other) } else { digits.parse().ok() };
    text.get(number(from, 0)?..number(to, text.len())?)
}

/// `20261125` and `120000`, UTC. Civil date from days: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn calendar(seconds: u64) -> (String, String) {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let time = format!("{:02}{:02}{:02}", rest / 3_600, rest % 3_600 / 60, rest % 60);
    (format!("{year:04}{month:02}{day:02}"), time)
}

/// Carries out a hook; whether it succeeded, and the message.
pub async fn carry_out(world: &World, hook: &Hook, tenant: &Tenant) -> Step<(bool, String)> {
    let fill = |text: &String| filled(text, &world.config, Some(tenant));
    if let Some((program, arguments)) = hook.command.split_first() {
        let mut command = tokio::process::Command::new(fill(program));
        command.args(arguments.iter().map(fill)).kill_on_drop(true).stdin(std::process::Stdio::null());
        let ended = tokio::time::timeout(HOOK_TIMEOUT, command.output()).await;
        let output = ended.map_err(|_| failed(format!("{program} takes too long")))?;
        let output = output.map_err(|error| failed(format!("{program} can't be run: {error}")))?;
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        return Ok((output.status.success(), format!("{}: {reported}", output.status)));
    }
    if hook.url.is_empty() {
        fail!("a hook of the configuration has neither `command` nor `url`");
    }
    let method = if hook.method.is_empty() { "GET" } else { &hook.method };
    let method = method.parse().map_err(|_| failed(format!("{method:?} is no HTTP method")))?;
    let mut request = world.client.request(method, fill(&hook.url)).timeout(HOOK_TIMEOUT).body(fill(&hook.body));
    for (name, value) in &hook.headers {
        request = request.header(name, fill(value));
    }
    let response = request.send().await.map_err(failed)?;
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    Ok((status.as_u16() < 300, format!("{status} {text}")))
}

/// How many objects the witness sees; none if there is no witness.
pub async fn witnessed(world: &World) -> Step<Option<usize>> {
    let Some(witness) = &world.config.witness else { return Ok(None) };
    let url = filled(&witness.url, &world.config, None);
    let response = world.client.get(&url).timeout(HOOK_TIMEOUT).send().await;
    let response = response.map_err(|error| failed(format!("the witness can't be queried: {error}")))?;
    let text = response.text().await.map_err(failed)?;
    let value: Value = serde_json::from_str(&text).map_err(|_| failed(format!("{url} returns no JSON: {text}")))?;
    let list = match &value {
        Value::Array(items) => Some(items),
        Value::Object(fields) => fields.values().find_map(Value::as_array),
        _ => None,
    };
    match list {
        Some(items) => Ok(Some(items.len())),
        None => fail!("{url} returns no list: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{calendar, parts};

    #[test]
    fn a_place_may_be_cut() {
        for (text, filled) in [
            ("a-{uid[..3]}{uid[4..]}-b", "a-012456-b"),
            ("{uid[2..4]}", "23"),
            ("{uid[9..]} {uid[..x]} {uid[2", "{uid[9..]} {uid[..x]} {uid[2"),
            ("{other[..3]}", "{other[..3]}"),
        ] {
            assert_eq!(parts(text.into(), "uid", "0123456"), filled, "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, date, time) in
            [(0, "19700101", "000000"), (951_782_400, "20000229", "000000"), (1_795_617_345, "20261125", "143545")]
        {
            assert_eq!(calendar(seconds), (date.to_owned(), time.to_owned()));
        }
    }
}
