//! The chatbot as its customer uses it, by Open WebUI's API: signs in, knows a file that was put, answers a question about
//! it and names it.

use std::time::{Duration, Instant};

use landlord_core::ports::Concern;
use serde_json::{Value, json};

use super::{
    Ended, Scene, Step,
    files::Webdav,
    web::{Ask, RESPONSE_TIMEOUT, Response, Web},
};
use crate::check::{Account, Chat};

/// The account is made by the chatbot's own side soon after it has started; sign-ins are limited to 15 in three minutes.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(60);
const SIGN_IN_POLL: Duration = Duration::from_secs(10);
const KNOWN_POLL: Duration = Duration::from_secs(2);
/// A model of any size has room for a sentence.
const TOKENS_MAX: u32 = 48;

/// What a run remembers of its chat.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    session: String,
    /// When signing in, or the file, was first waited for.
    since: Option<Instant>,
    /// The file in the probe's folder, while it is there.
    pub(super) put: Option<String>,
}

/// What one step works with.
async fn web(scene: &mut Scene<'_>, chat: &Chat) -> Result<Web, Ended> {
    let web = scene.web(&chat.entry_point, chat.service.as_ref()).await;
    web.map_err(|why| Ended::failed(why, "see the Gateway, its load balancer, and the chatbot's pods"))
}

async fn call(web: &Web, session: &str, path: &str, body: Option<Value>, within: Duration) -> Result<Response, String> {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    if !session.is_empty() {
        headers.push(("authorization", format!("Bearer {session}")));
    }
    let method = if body.is_some() { "POST" } else { "GET" };
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    web.ask(Ask { method, path, headers, body }, within).await
}

/// Signs in.
pub(super) async fn sign_in(scene: &mut Scene<'_>, chat: &Chat, state: &mut Conversation) -> Step {
    let web = match web(scene, chat).await {
        Ok(web) => web,
        Err(ended) => return ended.into(),
    };
    let body = json!({ "email": scene.fill(&chat.email), "password": scene.fill(&chat.password) });
    let answer = call(&web, "", "/api/v1/auths/signin", Some(body), RESPONSE_TIMEOUT).await;
    let cause = match answer {
        Ok(answer) if answer.status == 200 => {
            answer.json()["token"].as_str().unwrap_or_default().clone_into(&mut state.session);
            state.since = None;
            return Ended::Passed(web.route.via()).into();
        }
        Ok(answer) => format!("the chatbot does not let the probe's account in: {}", answer.quoted()),
        Err(why) => why,
    };
    let since = *state.since.get_or_insert_with(Instant::now);
    if since.elapsed() < ACCOUNT_TIMEOUT.min(Duration::from_secs(chat.known_within_seconds)) {
        return Step::Waiting { detail: cause, poll_after: SIGN_IN_POLL };
    }
    Ended::failed(cause, "see the logs of the chatbot's pod: container `documents` makes the account").into()
}

/// Puts a file, and waits until the chatbot knows it.
pub(super) async fn knows(scene: &mut Scene<'_>, chat: &Chat, account: &Account, state: &mut Conversation) -> Step {
    let web = match web(scene, chat).await {
        Ok(web) => web,
        Err(ended) => return ended.into(),
    };
    let file = match &state.put {
        Some(file) => file.clone(),
        None => {
            let file = scene.file("probe", "txt");
            let webdav = Webdav::open(scene, account).await;
            let put = match webdav {
                Ok(webdav) => webdav.put(&file, scene.sentence().as_bytes()).await,
                Err(why) => Err(why),
            };
            if let Err(why) = put {
                return Ended::failed(why, "see the stack's file server").into();
            }
            state.put = Some(file.clone());
            file
        }
    };
    let since = *state.since.get_or_insert_with(Instant::now);
    let cause = match known(&web, &state.session).await {
        Ok(files) if files.iter().any(|known| known.ends_with(&file)) => {
            return Ended::Passed(format!("after {:.0} s", since.elapsed().as_secs_f64())).into();
        }
        Ok(_) => format!("{}/{file} was put and is not known to the chatbot", account.folder),
        Err(why) => why,
    };
    if since.elapsed() < Duration::from_secs(chat.known_within_seconds) {
        return Step::Waiting { detail: cause, poll_after: KNOWN_POLL };
    }
    let cause = format!("{cause} after {} s", chat.known_within_seconds);
    Ended::failed(
        cause,
        "see the logs of the chatbot's pod (container `documents` names the cause), and of the model that embeds",
    )
    .into()
}

/// Names of the files that the account's knowledge bases have.
async fn known(web: &Web, session: &str) -> Result<Vec<String>, String> {
    let bases = list(web, session, "/api/v1/knowledge/").await?;
    let mut files = Vec::new();
    for id in bases.iter().filter_map(|base| base["id"].as_str()) {
        let own = list(web, session, &format!("/api/v1/knowledge/{id}/files")).await?;
        files.extend(own.iter().filter_map(|file| file["filename"].as_str()).map(str::to_owned));
    }
    Ok(files)
}

async fn list(web: &Web, session: &str, path: &str) -> Result<Vec<Value>, String> {
    let answer = call(web, session, path, None, RESPONSE_TIMEOUT).await?;
    if answer.status != 200 {
        return Err(format!("{path}: {}", answer.quoted()));
    }
    Ok(answer.json()["items"].as_array().cloned().unwrap_or_default())
}

/// Asks about the file.
pub(super) async fn answers(scene: &mut Scene<'_>, chat: &Chat, state: &Conversation) -> Step {
    let web = match web(scene, chat).await {
        Ok(web) => web,
        Err(ended) => return ended.into(),
    };
    // The chatbot looks up which models there are, as its web client does first.
    let models = call(&web, &state.session, "/api/models", None, RESPONSE_TIMEOUT).await;
    let models = models.map(|answer| answer.json()["data"].as_array().cloned().unwrap_or_default());
    let has = |models: &Vec<Value>| models.iter().any(|model| model["id"] == chat.model.as_str());
    match &models {
        Ok(models) if has(models) => {}
        Ok(_) => {
            let cause = format!("the chatbot offers no model {:?}", chat.model);
            let remedy = "see whether the LLM service has the stack's models, and its log";
            return Ended::failed(cause, remedy).about(Concern::ModelMissing).into();
        }
        Err(why) => return Ended::failed(why.clone(), "see the log of the chatbot").into(),
    }
    let question = format!("Copy the sentence about {}.", scene.subject());
    let body = json!({
        "model": chat.model, "stream": false, "temperature": 0, "max_tokens": TOKENS_MAX,
        "messages": [{ "role": "user", "content": question }],
    });
    let within = Duration::from_secs(chat.answer_within_seconds);
    let file = state.put.clone().unwrap_or_default();
    match call(&web, &state.session, "/api/chat/completions", Some(body), within).await {
        Ok(answer) if answer.status == 200 => {
            judge(&answer.json(), &file, (&scene.sentence(), &scene.code.to_string())).into()
        }
        Ok(answer) => {
            let cause = format!("the question was answered with {}", answer.quoted());
            let ended = Ended::failed(cause, "see the log of the chatbot, and whether the LLM service has its model");
            if lacks_model(&answer.text()) { ended.about(Concern::ModelMissing).into() } else { ended.into() }
        }
        Err(why) => {
            Ended::failed(why, "see the LLM service: its pods, its log, and whether the model is too large").into()
        }
    }
}

/// Whether an error of the LLM service, which the chatbot hands on, is that it has no such model: `model 'x' not found` (Ollama),
/// `The model x does not exist` (servers of OpenAI's API).
fn lacks_model(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("model") && ["not found", "does not exist", "try pulling it"].iter().any(|words| text.contains(words))
}

/// Whether an answer comes from the file: it names the file, and was given what stands in it. Whether the model made use of it shows
/// the code, which stands nowhere else; one that does not is too small, or has no instruction for it, and serves all the same.
fn judge(answer: &Value, file: &str, (sentence, code): (&str, &str)) -> Ended {
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
    if text.trim().is_empty() {
        return Ended::failed("the answer is empty", "see the log of the LLM service");
    }
    // Models write 4,711 as well.
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let sources = || answer["sources"].as_array().into_iter().flatten();
    let names = sources().flat_map(|source| source["metadata"].as_array().into_iter().flatten());
    let named = names.filter_map(|data| data["name"].as_str()).any(|name| name.ends_with(file));
    let mut texts = sources().flat_map(|source| source["document"].as_array().into_iter().flatten());
    let quoted = texts.any(|text| text.as_str().is_some_and(|text| text.contains(sentence.trim())));
    match (named, quoted) {
        (true, true) if digits.contains(code) => {
            Ended::Passed(format!("names {file} as its source, and says what stands in it"))
        }
        (true, true) => Ended::warned(
            format!("names {file} as its source, and does not say what stands in it"),
            "see whether the model is too small for its task, and the chatbot's template for questions about documents",
        ),
        (true, false) => Ended::failed(
            format!("the answer names {file}, and not what stands in it"),
            "see the vector database: it has another text under this name",
        ),
        (false, _) => Ended::failed(
            format!("the answer does not name {file} as its source"),
            "see the vector database, whose vectors may be lost, and the chatbot's log",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_when_it_names_the_file_and_was_given_its_text() {
        let answer = |text: &str, name: &str, document: &str| {
            json!({
                "choices": [{ "message": { "content": text } }],
                "sources": [{ "metadata": [{ "name": name }], "document": [document] }],
            })
        };
        let judged = |answer: &Value| judge(answer, "probe-1.txt", ("The lamp is on.\n", "4711"));
        let by = |text: &str| judged(&answer(text, "folder - probe-1.txt", "The lamp is on."));
        assert!(matches!(by("It is 4,711."), Ended::Passed(_)));
        assert!(matches!(by("Yes"), Ended::Warned { .. }), "the model does not use what it is given");
        let cause = |answer: Value| match judged(&answer) {
            Ended::Failed { cause, .. } => cause,
            other => format!("{other:?}"),
        };
        assert!(cause(answer(" ", "probe-1.txt", "The lamp is on.")).contains("empty"));
        assert!(cause(answer("Yes", "probe-1.txt", "Nothing.")).contains("not what stands in it"));
        assert!(cause(answer("Yes", "other.txt", "The lamp is on.")).contains("does not name"));
        assert!(cause(json!({ "choices": [{ "message": { "content": "Yes" } }] })).contains("does not name"));
    }

    #[test]
    fn a_missing_model_is_no_other_error() {
        for missing in [
            r#"{"detail":"Ollama: 404, message=\'model \"probe:1b\" not found, try pulling it first\'"}"#,
            r#"{"error":{"message":"The model `probe` does not exist","code":"model_not_found"}}"#,
        ] {
            assert!(lacks_model(missing), "{missing}");
        }
        for other in ["model runner has unexpectedly stopped", "404 page not found", ""] {
            assert!(!lacks_model(other), "{other}");
        }
    }
}
