//! What a stack declares under `checks`: how its tenant's environment is used before it counts as answering. Only what is
//! read from the manifest; how it is done is `checks`'.

use std::collections::BTreeMap;

use landlord_core::AppName;
use serde::Deserialize;

/// One check.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// Its name, unique in the stack: what a class orders fewer of, and what results are called by.
    pub name: String,
    /// What is done.
    pub uses: Use,
}

/// What is done. `${SECRET.KEY}` in user names, passwords and HTTP requests is replaced by keys of the stack's Secrets.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Use {
    /// Every entry point's name leads to its address: at the zone's own name servers, and through the parent zone.
    Names {},
    /// A TLS handshake with every https entry point: certificate trusted, for this name, not about to end.
    #[serde(rename_all = "camelCase")]
    Certificates {
        /// Fewer days until it ends are a failure. This and the other are meant for a certificate that lasts 90 days: of one that
        /// lasts shorter it is the same share of its life.
        days_min: u32,
        /// Fewer days until it ends are a warning; issuers renew a month before.
        #[serde(default)]
        days_warn: u32,
    },
    /// Puts, lists, gets and deletes a file by SFTP.
    Sftp(Account),
    /// Puts, lists, gets and deletes a file by WebDAV.
    Webdav(Account),
    /// Signs in to the chatbot, puts a file by WebDAV, waits until the chatbot knows it, and asks about it: three results,
    /// `NAME-signs-in`, `NAME-knows-the-file`, `NAME-responses`.
    Chat(Chat),
    /// Reads what the program that brings documents to the chatbot reports about itself at `/status`: known, pending, refused. A
    /// refused document is a warning.
    Documents(ServicePort),
    /// No pod of a neighbour is admitted by the network policies, evaluated as they are in the cluster.
    Closed(Vec<ServicePort>),
    /// The same, tried from a pod in another namespace. Not more often than every half hour with resyncs.
    Attempt(Attempt),
    /// A wrong password is refused by WebDAV. Done last, only when all others pass, and not more often than every half
    /// hour: file servers lock out who is wrong too often.
    WrongPassword(Account),
    /// One HTTP request of the stack's own choice.
    Http(Request),
}

/// An account of the checks' own on the file server.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Account {
    /// Entry point that it is used at.
    pub entry_point: String,
    /// Service that is used where the entry point's address can't be reached; HTTP only.
    pub service: Option<ServicePort>,
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
    /// The only folder that the account sees, `/NAME`.
    pub folder: String,
}

/// An account of the checks' own in the chatbot (Open WebUI's API), which sees the probe's knowledge only.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Chat {
    /// Entry point that it is used at.
    pub entry_point: String,
    /// Service that is used where the entry point's address can't be reached.
    pub service: Option<ServicePort>,
    /// E-mail address of the account.
    pub email: String,
    /// Its password.
    pub password: String,
    /// Model that answers from the probe's knowledge.
    pub model: String,
    /// Name of the check by WebDAV whose account puts the file.
    pub files: String,
    /// Longest time until the file is known, seconds.
    pub known_within_seconds: u64,
    /// Longest time for the response, seconds, at most 240.
    pub answer_within_seconds: u64,
}

/// A port of a Service of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServicePort {
    /// Service.
    pub name: String,
    /// Its port.
    pub port: u16,
}

/// What a neighbour's pod tries.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// What it must not reach.
    pub ports: Vec<ServicePort>,
    /// A release of the stack: the pod runs the image that its first workload renders to, without the tenant's own values. One that is
    /// pulled with `imagePullSecrets` can't be: then it is not tried.
    pub image_of: AppName,
    /// What it runs there, without rights and without anything that it can write. Each further argument is `HOST PORT`: for each
    /// it writes a line into the file that `$RESULT` names, `open HOST PORT` where that takes a connection, else `closed HOST PORT`, and
    /// ends with 0 within half a minute. Any other line or end means that nothing was tried.
    pub command: Vec<String>,
}

/// An HTTP request and its expected response.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Service that it goes to.
    pub service: ServicePort,
    /// Path and query.
    #[serde(default)]
    pub path: String,
    /// Headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of a POST; without one it is a GET.
    #[serde(default)]
    pub json: Option<serde_json::Value>,
    /// Status that must come.
    pub status: u16,
    /// Text that must be in the response.
    #[serde(default)]
    pub contains: String,
    /// Names for later checks (`${NAME}`), and where in the JSON of the response they stand.
    #[serde(default)]
    pub keep: BTreeMap<String, String>,
    /// Who must do what when it does not hold.
    pub remedy: String,
}

/// Longest response that a check may wait for: below the deadline of a stage's call.
const ANSWER_SECONDS_MAX: u64 = 240;

/// What does not fit of a stack's checks.
pub(crate) fn problems(checks: &[Check], entry_points: &[&str], releases: &[&AppName]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for check in checks {
        let name = &check.name;
        if !seen.insert(name.as_str()) {
            problems.push(format!("check {name} is there twice"));
        }
        let at = match &check.uses {
            Use::Sftp(account) | Use::Webdav(account) | Use::WrongPassword(account) => {
                if !account.folder.starts_with('/') || account.folder.ends_with('/') {
                    problems.push(format!("check {name}: folder {:?} must be /NAME", account.folder));
                }
                // Both stand in `sftp`'s batch.
                if !is_plain(&account.folder, "/._-") {
                    problems
                        .push(format!("check {name}: folder {:?} must be letters, digits and /._-", account.folder));
                }
                if account.user.starts_with('-') || !is_plain(&account.user, "._-") {
                    problems.push(format!("check {name}: user {:?} must be letters, digits and ._-", account.user));
                }
                Some(&account.entry_point)
            }
            Use::Chat(chat) => {
                let by_webdav = |other: &&Check| other.name == chat.files && matches!(other.uses, Use::Webdav(_));
                if !checks.iter().any(|other| by_webdav(&other)) {
                    problems.push(format!("check {name}: files must name a check by WebDAV, not {:?}", chat.files));
                }
                if chat.answer_within_seconds > ANSWER_SECONDS_MAX {
                    problems.push(format!("check {name}: answerWithinSeconds must be at most {ANSWER_SECONDS_MAX}"));
                }
                Some(&chat.entry_point)
            }
            Use::Attempt(attempt) => {
                if attempt.command.is_empty() || attempt.ports.is_empty() || !releases.contains(&&attempt.image_of) {
                    let needs = "a command, ports, and imageOf a release of the stack";
                    problems.push(format!("check {name}: it needs {needs}"));
                }
                None
            }
            Use::Names {} | Use::Certificates { .. } | Use::Documents(_) | Use::Closed(_) | Use::Http(_) => None,
        };
        if let Some(at) = at.filter(|at| !entry_points.contains(&at.as_str())) {
            problems.push(format!("check {name}: there is no entry point {at}"));
        }
    }
    problems
}

fn is_plain(text: &str, more: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn checks_that_do_not_fit_are_named() {
        let account = json!({ "entryPoint": "nowhere", "user": "a@b", "password": "${files.p}", "folder": "probe/" });
        let chat = json!({
            "entryPoint": "chat", "email": "e", "password": "p", "model": "m", "files": "nothing",
            "knownWithinSeconds": 60, "answerWithinSeconds": 600,
        });
        let checks: Vec<Check> = serde_json::from_value(json!([
            { "name": "a", "uses": { "names": {} } },
            { "name": "a", "uses": { "sftp": account } },
            { "name": "c", "uses": { "chat": chat } },
            { "name": "d", "uses": { "attempt": {
                "ports": [{ "name": "chat", "port": 1 }], "imageOf": "files", "command": ["sh"],
            } } },
        ]))
        .unwrap();
        let found = problems(&checks, &["chat"], &[&"chat".parse().unwrap()]).join("; ");
        for part in [
            "a is there twice",
            "must be /NAME",
            "user \"a@b\" must be letters",
            "no entry point nowhere",
            "\"nothing\"",
            "at most 240",
            "imageOf a release",
        ] {
            assert!(found.contains(part), "{part} is missing in: {found}");
        }
    }
}
