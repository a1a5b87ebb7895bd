//! Verify by use: what a stack declares under `checks`, asked of its Services as a user would, through the API server.
//!
//! # Expected flow
//! `run` asks one after another and ends at the first that does not hold. What one check keeps of its answer (a session)
//! later ones may use.
//!
//! # Guarantees
//! Nothing is changed by a check that its stack does not change by asking. Secrets are read for the asking, and are in no
//! message.
//!
//! # Assumptions
//! The daemon may reach Services through the API server (`services/proxy`): no address of the tenant needs to be reachable
//! from the daemon. So what lies before the Service, a load balancer or a Gateway, is not part of a check.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use http::Request;
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, client::Body};
use landlord_core::ports::DeployTarget;
use landlord_kube::{Doing as _, Result};
use serde_json::Value;

use crate::{
    render,
    stack::{Check, Manifest},
};

/// For one answer; a chatbot that has just started takes its time.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What is quoted of an answer that is not as it should be.
const QUOTED_CHARS_MAX: usize = 200;

/// What the checks came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All hold; how many, and how long they took.
    Hold(String),
    /// The first that does not, why, and what to do.
    Broken(String),
}

/// Asks all.
pub(crate) async fn run(client: &Client, target: &DeployTarget, manifest: &Manifest) -> Result<Outcome> {
    let started = Instant::now();
    let namespace = render::namespace(target, manifest);
    let mut known = BTreeMap::new();
    for secret in manifest.secrets.iter().filter(|_| !manifest.checks.is_empty()) {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let found =
            secrets.get_opt(&secret.name).await.doing(|| format!("reading secret {namespace}/{}", secret.name))?;
        for (key, value) in found.and_then(|found| found.data).unwrap_or_default() {
            known.insert(format!("{}.{key}", secret.name), String::from_utf8_lossy(&value.0).into_owned());
        }
    }
    for check in &manifest.checks {
        let filled = |text: &str| fill(&render::replace(text, target), &known);
        let asked = tokio::time::timeout(PATIENCE, ask(client, namespace, check, &filled)).await;
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        match answer.and_then(|(status, text)| judge(check, status, &text).map(|()| text)) {
            Ok(text) => keep(check, &text, &mut known),
            Err(why) => return Ok(Outcome::Broken(format!("check {}: {why}; {}", check.name, check.remedy))),
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let count = manifest.checks.len();
    Ok(Outcome::Hold(if count == 0 {
        String::new()
    } else {
        format!("{count} checks by use hold, asked through the API server in {seconds:.1} s")
    }))
}

/// References to what is known, replaced.
fn fill(text: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value))
}

fn fill_json(value: &Value, filled: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(filled(text)),
        Value::Array(items) => items.iter().map(|item| fill_json(item, filled)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), fill_json(value, filled))).collect(),
        other => other.clone(),
    }
}

/// Status and text of an answer, or why there is none.
async fn ask(
    client: &Client,
    namespace: &str,
    check: &Check,
    filled: &impl Fn(&str) -> String,
) -> Result<(u16, String), String> {
    let (service, port) = (&check.service, check.port);
    let path = check.path.trim_start_matches('/');
    let uri = format!("/api/v1/namespaces/{namespace}/services/{service}:{port}/proxy/{path}");
    let mut request = Request::builder().uri(uri);
    for (name, value) in &check.headers {
        request = request.header(name, filled(value));
    }
    let request = match &check.json {
        Some(json) => {
            let body = fill_json(json, filled).to_string();
            request.method("POST").header("content-type", "application/json").body(Body::from(body.into_bytes()))
        }
        None => request.body(Body::empty()),
    };
    // A value that is no header's would be in the error's words.
    let request = request.map_err(|_| "its question can't be put together".to_owned())?;
    let response = client.send(request).await.map_err(|error| format!("Service {service}: {error}"))?;
    let status = response.status().as_u16();
    let limited = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let body = limited.collect().await.map_err(|error| format!("Service {service}: {error}"))?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Why an answer is not what it should be.
fn judge(check: &Check, status: u16, text: &str) -> Result<(), String> {
    if status != check.status {
        let quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
        return Err(format!("Service {} answered {status} instead of {}: {quoted}", check.service, check.status));
    }
    if !text.contains(&check.contains) {
        return Err(format!("the answer of Service {} has no {:?} in it", check.service, check.contains));
    }
    Ok(())
}

fn keep(check: &Check, text: &str, known: &mut BTreeMap<String, String>) {
    let answer: Value = serde_json::from_str(text).unwrap_or_default();
    for (name, pointer) in &check.keep {
        if let Some(value) = answer.pointer(pointer).and_then(Value::as_str) {
            known.insert(name.clone(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check() -> Check {
        serde_json::from_value(json!({
            "name": "chat-signs-in", "service": "chat", "port": 8080, "path": "/signin", "status": 200,
            "contains": "token", "keep": { "session": "/token" }, "remedy": "see the log of chat",
        }))
        .unwrap()
    }

    #[test]
    fn an_answer_is_judged_by_status_and_text() {
        assert_eq!(judge(&check(), 200, r#"{"token":"t"}"#), Ok(()));
        assert!(judge(&check(), 500, "no database").unwrap_err().contains("500 instead of 200: no database"));
        assert!(judge(&check(), 200, "{}").unwrap_err().contains("token"));
    }

    #[test]
    fn what_one_check_keeps_the_next_one_uses() {
        let mut known = [("chat.admin-password".to_owned(), "p".to_owned())].into();
        keep(&check(), r#"{"token":"t"}"#, &mut known);
        assert_eq!(fill("token=${session}; ${chat.admin-password}; ${other}", &known), "token=t; p; ${other}");
        let body = fill_json(&json!({ "a": ["${session}", 1] }), &|text: &str| fill(text, &known));
        assert_eq!(body, json!({ "a": ["t", 1] }));
    }
}
