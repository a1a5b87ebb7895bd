//! What the program that brings documents to the chatbot reports about itself.

use landlord_core::ports::Concern;
use serde_json::Value;

use super::{
    Ended, Scene,
    web::{Ask, RESPONSE_TIMEOUT, Web},
};
use crate::check::ServicePort;

/// Who must do what about documents that the chatbot can't read.
const REFUSED: &str =
    "inform the customer: a refused document is tried again when it changes, and by itself within a day";

/// Who must do what about documents that the program does not take.
const LEFT_OUT: &str = "inform the customer: what is left out is empty, or too large by itself (`files.bytesMax`) or with all the \
                        others (`files.totalBytesMax`), and is taken once it fits";

/// Queries it.
pub(super) async fn run(scene: &Scene<'_>, service: &ServicePort) -> Ended {
    let remedy = "see the logs of the chatbot's pod, container `documents`";
    let route = match scene.pod(service).await {
        Ok(route) => route,
        Err(why) => return Ended::failed(why, remedy),
    };
    let web = Web { client: scene.clients.admin.clone(), route, tls: None, host: service.name.clone() };
    let ask = Ask { method: "GET", path: "/status", headers: Vec::new(), body: Vec::new() };
    match web.ask(ask, RESPONSE_TIMEOUT).await {
        Ok(response) if response.status == 200 => judge(&response.json()),
        Ok(response) => Ended::failed(format!("/status returns {}", response.quoted()), remedy),
        Err(why) => Ended::failed(why, remedy),
    }
}

fn judge(status: &Value) -> Ended {
    // The chatbot lets the program in no more: its figures are those of before.
    let error = &status["error"];
    if let (Some(cause), Some(remedy)) = (error["cause"].as_str(), error["remedy"].as_str()) {
        return Ended::failed(cause, remedy);
    }
    let of = |name: &str| status[name].as_i64().unwrap_or_default();
    let mut detail = format!("{} known, {} pending, {} refused", of("known"), of("pending"), of("refused"));
    if of("left_out") > 0 {
        detail += &format!(", {} left out", of("left_out"));
    }
    let reasons = status["reasons"].as_object().into_iter().flatten();
    let reasons: Vec<String> =
        reasons.map(|(path, why)| format!("{path}: {}", why.as_str().unwrap_or_default())).collect();
    if !reasons.is_empty() {
        detail += &format!(" ({})", reasons.join("; "));
    }
    let remedies = [("refused", REFUSED), ("left_out", LEFT_OUT)];
    let remedies: Vec<&str> =
        remedies.into_iter().filter(|(state, _)| of(state) > 0).map(|(_, remedy)| remedy).collect();
    if remedies.is_empty() {
        return Ended::Passed(detail);
    }
    Ended::warned(detail, remedies.join("; ")).about(Concern::DocumentsRefused)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refused_documents_are_a_warning_with_reasons() {
        let status =
            json!({ "known": 2, "pending": 1, "refused": 1, "left_out": 0, "reasons": { "/a.pdf": "encrypted" } });
        let Ended::Warned { detail, remedy, concern } = judge(&status) else { panic!("no warning") };
        assert_eq!(concern, Some(Concern::DocumentsRefused));
        assert_eq!(detail, "2 known, 1 pending, 1 refused (/a.pdf: encrypted)");
        assert!(remedy.contains("customer"));
        assert!(!remedy.contains("files.bytesMax"));
        let fine = json!({ "known": 3, "pending": 0, "refused": 0, "left_out": 0, "reasons": {} });
        assert!(matches!(judge(&fine), Ended::Passed(detail) if detail == "3 known, 0 pending, 0 refused"));
    }

    #[test]
    fn documents_that_are_left_out_are_a_warning_with_reasons() {
        let reasons = json!({ "/a.pdf": "left out: larger than 50 MiB" });
        let status =
            json!({ "known": 2, "pending": 0, "refused": 0, "left_out": 1, "reasons": reasons, "error": null });
        let Ended::Warned { detail, remedy, concern } = judge(&status) else { panic!("no warning") };
        assert_eq!(concern, Some(Concern::DocumentsRefused));
        assert_eq!(detail, "2 known, 0 pending, 0 refused, 1 left out (/a.pdf: left out: larger than 50 MiB)");
        assert_eq!(remedy, LEFT_OUT);
    }

    #[test]
    fn a_program_that_is_not_let_in_fails_with_what_it_says() {
        let error = json!({ "cause": "no document reaches the chatbot", "remedy": "set the password back" });
        let status = json!({ "known": 2, "pending": 0, "refused": 1, "left_out": 0, "reasons": {}, "error": error });
        let Ended::Failed { cause, remedy, .. } = judge(&status) else { panic!("no failure") };
        assert_eq!((cause.as_str(), remedy.as_str()), ("no document reaches the chatbot", "set the password back"));
    }
}
