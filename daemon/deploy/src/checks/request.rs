//! A stack's own HTTP request.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Ended, Scene,
    web::{Ask, RESPONSE_TIMEOUT, Response, Web},
};
use crate::check::Request;

/// Makes it, and keeps of the response what later ones use.
pub(super) async fn run(scene: &mut Scene<'_>, request: &Request) -> Ended {
    let (service, remedy) = (&request.service, request.remedy.clone());
    let route = match scene.pod(service).await {
        Ok(route) => route,
        Err(why) => return Ended::failed(why, remedy),
    };
    let web = Web {
        client: scene.clients.admin.clone(),
        host: format!("{}:{}", service.name, service.port),
        route,
        tls: None,
    };
    let mut headers: Vec<(&str, String)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), scene.fill(value))).collect();
    let body = request.json.as_ref().map(|json| fill(json, &|text: &str| scene.fill(text)).to_string());
    if body.is_some() {
        headers.push(("content-type", "application/json".into()));
    }
    let path = format!("/{}", scene.fill(&request.path).trim_start_matches('/'));
    let method = if body.is_some() { "POST" } else { "GET" };
    let ask = Ask { method, path: &path, headers, body: body.unwrap_or_default().into_bytes() };
    scene.sent = scene.sent.saturating_add(1);
    let response = match web.ask(ask, RESPONSE_TIMEOUT).await {
        Ok(response) => response,
        Err(why) => return Ended::failed(why, remedy),
    };
    if let Err(why) = judge(request, &response) {
        return Ended::failed(why, remedy);
    }
    keep(request, &response.json(), &mut scene.known);
    Ended::Passed(web.route.via())
}

fn fill(value: &Value, filled: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(filled(text)),
        Value::Array(items) => items.iter().map(|item| fill(item, filled)).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), fill(value, filled))).collect(),
        other => other.clone(),
    }
}

/// Why a response is not what it should be.
fn judge(request: &Request, response: &Response) -> Result<(), String> {
    let service = &request.service.name;
    if response.status != request.status {
        // A response of which something is kept may hold it.
        let responded = if request.keep.is_empty() { response.quoted() } else { response.status.to_string() };
        return Err(format!("Service {service} returned {responded} instead of {}", request.status));
    }
    if !response.text().contains(&request.contains) {
        return Err(format!("the response of Service {service} has no {:?} in it", request.contains));
    }
    Ok(())
}

fn keep(request: &Request, response: &Value, known: &mut BTreeMap<String, String>) {
    for (name, pointer) in &request.keep {
        if let Some(value) = response.pointer(pointer).and_then(Value::as_str) {
            known.insert(name.clone(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::replace;

    fn request() -> Request {
        serde_json::from_value(json!({
            "service": { "name": "chat", "port": 8080 }, "path": "/signin", "status": 200,
            "contains": "token", "keep": { "session": "/token" }, "remedy": "see the log of chat",
        }))
        .unwrap()
    }

    #[test]
    fn a_response_is_judged_by_status_and_text() {
        let response = |status: u16, text: &str| Response { status, body: text.to_owned().into() };
        assert_eq!(judge(&request(), &response(200, r#"{"token":"t"}"#)), Ok(()));
        let plain = Request { keep: BTreeMap::new(), ..request() };
        let wrong = judge(&plain, &response(500, "no database")).unwrap_err();
        assert!(wrong.contains("500 no database instead of 200"), "{wrong}");
        let wrong = judge(&request(), &response(500, "the token is t")).unwrap_err();
        assert!(wrong.contains("500 instead of 200"), "what is kept may be in it: {wrong}");
        assert!(judge(&request(), &response(200, "{}")).unwrap_err().contains("token"));
    }

    #[test]
    fn what_one_check_keeps_the_next_one_uses() {
        let mut known = [("chat.admin-password".to_owned(), "p".to_owned())].into();
        keep(&request(), &json!({ "token": "t" }), &mut known);
        assert_eq!(replace("token=${session}; ${chat.admin-password}; ${other}", &known), "token=t; p; ${other}");
        let body = fill(&json!({ "a": ["${session}", 1] }), &|text: &str| replace(text, &known));
        assert_eq!(body, json!({ "a": ["t", 1] }));
    }
}
