//! The audit log: shown, and verified on this side.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use landlord_audit::{Line, Problem, Pruned, PublicKey, Verified, Verifier};
use landlord_proto::v1;
use serde_json::Value;

use super::pages;
use crate::{
    arguments::{Audit, AuditCommand},
    client::Client,
    connection::Connection,
    error::Error,
    output::{self, Column, text},
    user_files,
};

/// Entries of a page: some 1 MB.
const PAGE: i32 = 1_000;

const EVENT: &[Column<'_>] = &[
    ("SEQ", false, |event| text(event, "sequence")),
    ("TIME", false, |event| text(event, "eventTime")),
    ("PRINCIPAL", false, principal),
    ("ACTION", false, |event| text(event, "action")),
    ("RESOURCE", false, |event| text(event, "resource")),
    ("OUTCOME", false, |event| text(event, "outcome")),
    ("ADDRESS", true, |event| text(event, "address")),
    ("METHOD", true, |event| text(event, "method")),
    ("REQUEST", true, |event| text(event, "requestId")),
    ("CHANGES", true, changes),
    ("DETAIL", false, |event| text(event, "detail")),
];

/// Who, and for whom.
fn principal(event: &Value) -> String {
    let (principal, origin) = (text(event, "principal"), text(event, "origin"));
    if origin.is_empty() { principal } else { format!("{principal} for {origin}") }
}

fn changes(event: &Value) -> String {
    let changes = event["changes"].as_array().into_iter().flatten();
    let shown =
        changes.map(|change| format!("{}: {} → {}", text(change, "field"), text(change, "from"), text(change, "to")));
    shown.collect::<Vec<_>>().join("; ")
}

pub(super) async fn run(server: &Connection, of: Audit) -> Result<(), Error> {
    match &of.what {
        None => list(server, &of).await,
        Some(AuditCommand::Verify { files, public_keys, head, allow_unsigned_pruning, offline }) => {
            let head = head.as_deref().map(known_head).transpose()?;
            let mut verifying = Verifying::new(public_keys, head, *allow_unsigned_pruning)?;
            for file in files {
                verifying.file(file)?;
            }
            let end = if *offline { None } else { verifying.daemon(&mut Client::connect(server).await?).await? };
            verifying.end(end)
        }
    }
}

async fn list(server: &Connection, of: &Audit) -> Result<(), Error> {
    let mut client = Client::connect(server).await?;
    let since = jiff::Timestamp::now() - jiff::SignedDuration::try_from(of.since).unwrap_or(jiff::SignedDuration::MAX);
    let filter = super::narrowed(format!("event_time >= \"{since}\""), &of.filter);
    let shown = pages::show((of.output, EVENT), async |page_token| {
        let request = v1::ListAuditEventsRequest { page_size: PAGE, page_token, filter: filter.clone() };
        let page = client.audit.list_audit_events(request).await?.into_inner();
        Ok((page.audit_events, page.next_page_token))
    });
    if shown.await? == 0 {
        let since = Duration::from_secs(of.since.as_secs());
        super::remark(&format!("no entries of the last {}", humantime::format_duration(since)));
    }
    Ok(())
}

fn known_head(text: &str) -> Result<(i64, String), Error> {
    let wrong = || Error::Usage(format!("--head: {text:?} must be SEQUENCE:HASH"));
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    Ok((seq.parse().map_err(|_| wrong())?, hash.to_ascii_lowercase()))
}

/// A verification under way.
struct Verifying {
    verifier: Verifier,
    head: Option<(i64, String)>,
    signed: bool,
}

impl Verifying {
    fn new(keys: &[PathBuf], head: Option<(i64, String)>, unsigned_prunings: bool) -> Result<Self, Error> {
        let key = |path: &PathBuf| {
            let pem = String::from_utf8(user_files::read("--public-key", path)?).unwrap_or_default();
            PublicKey::from_pem(&pem).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
        };
        let keys: Vec<PublicKey> = keys.iter().map(key).collect::<Result<_, _>>()?;
        let signed = !keys.is_empty();
        Ok(Self { signed, verifier: Verifier::new(keys).with_unsigned_prunings(unsigned_prunings), head })
    }

    fn take(&mut self, line: &Line) -> Result<(), Error> {
        self.verifier.take(line).map_err(|problem| wrong(&problem))?;
        let (seq, hash) = self.verifier.so_far();
        match &self.head {
            Some((known, expected)) if *known == seq && expected != hash => Err(Error::Check(format!(
                "entry {seq} has the hash {hash}, not {expected} as --head says: the log was rewritten"
            ))),
            _ => Ok(()),
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |problem: String| Error::Usage(format!("{}: {problem}", path.display()));
        let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| failed(error.to_string()))?;
            let line: Line = serde_json::from_str(&line).map_err(|error| failed(error.to_string()))?;
            self.take(&line)?;
        }
        Ok(())
    }

    /// The daemon's entries after those of the files; where they must end, if they do not reach it.
    async fn daemon(&mut self, client: &mut Client) -> Result<Option<(i64, String)>, Error> {
        let (after, _) = self.verifier.so_far();
        let filter = if after > 0 { format!("sequence > {after}") } else { String::new() };
        let mut end = (0, String::new());
        let page = async |page_token| {
            let request = v1::ListAuditEventsRequest { page_size: PAGE, page_token, filter: filter.clone() };
            let page = client.audit.list_audit_events(request).await?.into_inner();
            end = (page.end_sequence, page.end_hash);
            let is_other = |event: &&v1::AuditEvent| event.sequence == end.0 && event.hash != end.1;
            match page.audit_events.iter().find(is_other) {
                Some(_) => Err(wrong(&Problem::Changed(end.0))),
                None => Ok((page.audit_events, page.next_page_token)),
            }
        };
        pages::each(page, |events| events.into_iter().try_for_each(|event| self.take(&line(event)))).await?;
        // The end was read before the last page, which may go beyond it.
        let reached = self.verifier.so_far().0;
        Ok(Some(end).filter(|(end, _)| *end > reached))
    }

    fn end(self, end: Option<(i64, String)>) -> Result<(), Error> {
        let known = self.head.clone();
        let verified = self.verifier.end(end.as_ref().map(|(seq, hash)| (*seq, hash.as_str())));
        let verified = verified.map_err(|problem| wrong(&problem))?;
        if let Some((seq, _)) = known.as_ref().filter(|(seq, _)| *seq < verified.first) {
            let first = verified.first;
            return Err(Error::Check(format!(
                "the log begins with entry {first}, so whether entry {seq} is the one that is known (--head) can't be seen; give \
                 the export that has it, and those after it"
            )));
        }
        if let Some((seq, _)) = known.filter(|(seq, _)| *seq > verified.last) {
            let last = verified.last;
            return Err(Error::Check(format!(
                "the log ends with entry {last}, but entry {seq} is known (--head): its end was cut off"
            )));
        }
        if self.signed && verified.heads == 0 {
            return Err(Error::Check(
                "no head is signed: whoever can write the database could have written all of the log; the daemon signs one \
                 after 100 entries or 10 minutes, if audit.signing_key_file is set"
                    .into(),
            ));
        }
        output::print(&report(&verified, self.signed))
    }
}

fn line(event: v1::AuditEvent) -> Line {
    let v1::AuditEvent { entry, hash, head_key_id, head_signature, .. } = event;
    Line { entry, hash, head_key_id, head_signature }
}

fn wrong(problem: &Problem) -> Error {
    Error::Check(format!("the audit log does not hold: {problem}"))
}

fn report(verified: &Verified, signed: bool) -> String {
    if verified.last == 0 {
        return "the audit log has no entries".into();
    }
    let Verified { first, last, hash, heads, signed: head, pruned } = verified;
    let signatures = match (signed, heads) {
        (false, _) => "signatures were not verified (--public-key)".to_owned(),
        (true, _) => format!(
            "{heads} signed heads, the last is entry {head}; the {} entries after it are as safe as the database",
            last - head
        ),
    };
    let pruned = pruned.as_ref().map(|pruned| before(pruned, signed)).unwrap_or_default();
    format!("entries {first} to {last} hold; {signatures}\n{pruned}head {last}:{hash}")
}

/// What became of the entries before the first one.
fn before(pruned: &Pruned, signed: bool) -> String {
    let Pruned { through, file, entry, signed: is_signed } = pruned;
    let who = match (is_signed, signed) {
        (true, _) => "which is signed",
        (false, true) => {
            "which nobody signed (--allow-unsigned-pruning): whoever can write the database may have removed them"
        }
        (false, false) => "whose signature was not verified: whoever can write the database may have removed them",
    };
    format!(
        "entries 1 to {through} are not here: exported, the last to {file}, and pruned, as entry {entry} says, {who}\n"
    )
}
