//! The file server as its customer uses it: a file of the probe's own is put, listed, read and deleted, by WebDAV and by
//! SFTP.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use landlord_core::ports::Concern;
use tokio::{process::Command, time::timeout};

use super::{
    Ended, RUN_TIMEOUT, Scene,
    route::{Relay, Route},
    scene::PROBES,
    web::{Ask, RESPONSE_TIMEOUT, Response, Web},
};
use crate::check::Account;

/// One SFTP session with four commands.
const SFTP_TIMEOUT: Duration = Duration::from_secs(45);
/// One that only deletes.
const DELETE_TIMEOUT: Duration = Duration::from_secs(10);
/// Complaints kept of a session.
const SAID_CHARS_MAX: usize = 300;
/// What prints the password: OpenSSH takes none from an argument or a file.
const ASKPASS: &str = "#!/bin/sh\nexec cat \"$LANDLORD_PASSWORD_FILE\"\n";
/// A run has ended after this long, or will never put its things away: all checks together, and what clocks may differ by.
const LASTS_AT_MOST: Duration = Duration::from_secs(RUN_TIMEOUT.as_secs() + 120);
/// Files of killed runs that one run removes: one file is left by each.
const LEFT_MAX: usize = 50;
/// Share of a disk that is used without a warning.
const USED_PERCENT_MAX: u32 = 90;
/// Remedy for a disk that has little room, or none.
const ROOM: &str = "the customer deletes files, or storage_gib is raised: `landlord update TENANT`";
/// Remedy for a file server that does not serve.
const FILE_SERVER: &str = "see the pods and the log of the stack's file server";

/// An account at the file server's WebDAV.
pub(super) struct Webdav {
    web: Web,
    authorization: String,
    folder: String,
}

impl Webdav {
    pub(super) async fn open(scene: &mut Scene<'_>, account: &Account) -> Result<Self, String> {
        let password = scene.fill(&account.password);
        Self::with_password(scene, account, &password).await
    }

    async fn with_password(scene: &mut Scene<'_>, account: &Account, password: &str) -> Result<Self, String> {
        let web = scene.web(&account.entry_point, account.service.as_ref()).await?;
        let basic = BASE64_STANDARD.encode(format!("{}:{password}", scene.fill(&account.user)));
        Ok(Self { web, authorization: format!("Basic {basic}"), folder: account.folder.clone() })
    }

    pub(super) fn via(&self) -> String {
        self.web.route.via()
    }

    async fn ask(
        &self,
        method: &str,
        file: &str,
        more: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<Response, String> {
        let path = format!("{}/{file}", self.folder);
        let mut headers = vec![("authorization", self.authorization.clone())];
        headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        self.web.ask(Ask { method, path: &path, headers, body: body.to_vec() }, RESPONSE_TIMEOUT).await
    }

    pub(super) async fn put(&self, file: &str, content: &[u8]) -> Result<(), String> {
        succeeded("PUT", &self.ask("PUT", file, &[], content).await?).map(drop)
    }

    pub(super) async fn delete(&self, file: &str) -> Result<(), String> {
        let response = self.ask("DELETE", file, &[], b"").await?;
        if response.status == 404 { Ok(()) } else { succeeded("DELETE", &response).map(drop) }
    }

    /// Uses it; how many files it removed that an earlier run had left.
    async fn use_it(&self, file: &str, content: &str, began: u64) -> Result<usize, String> {
        self.put(file, content.as_bytes()).await?;
        let mut left = BTreeSet::new();
        let used = async {
            let listed = self.ask("PROPFIND", "", &[("depth", "1")], b"").await?;
            let listed = succeeded("PROPFIND", &listed)?.text();
            if !listed.contains(file) {
                return Err(format!("{file} was put, and is not listed in {}", self.folder));
            }
            left = left_behind(&listed, began);
            let read = self.ask("GET", file, &[], b"").await?;
            if succeeded("GET", &read)?.text() != content {
                return Err(format!("{file} has not the content that was put"));
            }
            Ok(())
        };
        let used = used.await;
        let deleted = self.delete(file).await;
        used.and(deleted)?;
        match self.ask("GET", file, &[], b"").await?.status {
            404 => {}
            status => return Err(format!("{file} was deleted, and gets {status}")),
        }
        for file in &left {
            self.delete(file).await?;
        }
        Ok(left.len())
    }
}

/// Names in a listing of files that earlier runs put, and were killed before they took them away. A run that may still last keeps
/// its own: it may be another daemon's, whose clock is a little off.
fn left_behind(listed: &str, began: u64) -> BTreeSet<String> {
    let names = listed.split(|c: char| !(c.is_ascii_alphanumeric() || "-.".contains(c)));
    let is_left = |name: &&str| {
        let (stem, _) = name.rsplit_once('.').unwrap_or_default();
        let parts: Vec<&str> = stem.split('-').collect();
        let [what, since, code] = parts[..] else { return false };
        let since = since.parse::<u64>().ok().filter(|_| PROBES.contains(&what) && code.parse::<u32>().is_ok());
        since.is_some_and(|since| since.abs_diff(began) > LASTS_AT_MOST.as_secs())
    };
    // A listing names each file more than once.
    let left: BTreeSet<&str> = names.filter(is_left).collect();
    left.into_iter().take(LEFT_MAX).map(str::to_owned).collect()
}

fn succeeded<'a>(what: &str, response: &'a Response) -> Result<&'a Response, String> {
    if (200..300).contains(&response.status) { Ok(response) } else { Err(format!("{what}: {}", response.quoted())) }
}

/// Puts, lists, gets and deletes by WebDAV.
pub(super) async fn webdav(scene: &mut Scene<'_>, account: &Account) -> Ended {
    let (file, content) = (scene.file("webdav", "bin"), scene.sentence());
    match Webdav::open(scene, account).await {
        Err(why) => Ended::failed(why, FILE_SERVER),
        Ok(webdav) => match webdav.use_it(&file, &content, scene.began).await {
            Ok(left) => {
                let mut detail = format!("{}; put, listed, read, deleted", webdav.via());
                if left > 0 {
                    detail += &format!("; {left} files of earlier checks removed, which were killed");
                }
                Ended::Passed(detail)
            }
            Err(why) => failed(format!("WebDAV {}: {why}", webdav.via())),
        },
    }
}

/// One attempt with a password that is none.
pub(super) async fn wrong_password(scene: &mut Scene<'_>, account: &Account) -> Ended {
    let wrong: String = format!("{:016x}", rand::random::<u64>());
    let response = match Webdav::with_password(scene, account, &wrong).await {
        Err(why) => return Ended::failed(why, FILE_SERVER),
        Ok(webdav) => webdav.ask("PROPFIND", "", &[("depth", "0")], b"").await,
    };
    match response {
        Ok(response) if matches!(response.status, 401 | 403) => Ended::Passed(format!("returned {}", response.status)),
        Ok(response) => {
            let cause = format!("the file server returns {} to a wrong password", response.status);
            Ended::failed(cause, "see the accounts in the stack's file server: anybody may have read the files")
        }
        Err(why) => Ended::failed(why, FILE_SERVER),
    }
}

/// Puts, lists, gets and deletes by SFTP, with OpenSSH's own client.
pub(super) async fn sftp(scene: &mut Scene<'_>, account: &Account) -> Ended {
    let route = match scene.route(&account.entry_point, 22).await {
        Ok(route) => route,
        Err(why) => return Ended::failed(why, "see the load balancer of SFTP, and the file server's pods"),
    };
    let via = route.via();
    let (file, content) = (scene.file("sftp", "bin"), scene.sentence());
    let used = timeout(SFTP_TIMEOUT, session(scene, account, &route, (&file, &content))).await;
    let used = used.unwrap_or_else(|_| Err(format!("no end within {} s", SFTP_TIMEOUT.as_secs())));
    match used {
        Ok(used) => {
            let detail = format!("{via}; put, listed, read, deleted");
            match used.filter(|used| *used >= USED_PERCENT_MAX) {
                Some(used) => Ended::warned(format!("{detail}; {used} % of the disk are used"), ROOM)
                    .about(Concern::DiskNearlyFull),
                None => Ended::Passed(detail),
            }
        }
        Err(why) => {
            // A session that ended early may have put it. If this fails the next run that begins minutes later removes it.
            let delete = format!("-rm {}/{file}\n", account.folder);
            let _ = timeout(DELETE_TIMEOUT, batch(scene, account, &route, (&delete, &content))).await;
            failed(format!("SFTP {via}: {why}"))
        }
    }
}

/// A session that uses it; how much of the disk is used, where the server says.
async fn session(
    scene: &Scene<'_>,
    account: &Account,
    route: &Route,
    (file, content): (&str, &str),
) -> Result<Option<u32>, String> {
    let folder = &account.folder;
    let remote = format!("{folder}/{file}");
    // Without the dash a batch ends with its first failure, and what was put would stay.
    let commands = format!("-put put {remote}\n-ls -1 {folder}\n-get {remote} got\nrm {remote}\n-df {folder}\n");
    let (output, got) = batch(scene, account, route, (&commands, content)).await?;
    let complaints = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    let complaints: String = complaints.chars().take(SAID_CHARS_MAX).collect();
    if !output.status.success() {
        return Err(complaints);
    }
    let because = if complaints.is_empty() { String::new() } else { format!(": {complaints}") };
    // The client repeats its commands, in which the name stands, too.
    let listing = String::from_utf8_lossy(&output.stdout);
    if !listing.lines().map(str::trim).any(|line| line == remote || line == file) {
        return Err(format!("{file} was put, and is not listed in {folder}{because}"));
    }
    match got {
        Some(got) if got == content => Ok(used_percent(&listing)),
        _ => Err(format!("{file} has not the content that was put{because}")),
    }
}

/// Runs the client's commands in a private folder, in which `put` has the content; its output, and what is in `got` afterwards.
async fn batch(
    scene: &Scene<'_>,
    account: &Account,
    route: &Route,
    (commands, content): (&str, &str),
) -> Result<(Output, Option<String>), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    // Of mode 0700, and gone with the session.
    let runs = &scene.options.runs;
    let folder = tempfile::Builder::new().prefix("sftp-").tempdir_in(runs).map_err(failed("a private folder"))?;
    let at = |name: &str| folder.path().join(name);
    write(&at("askpass"), 0o700, ASKPASS).map_err(failed("a private file"))?;
    write(&at("password"), 0o600, &scene.fill(&account.password)).map_err(failed("a private file"))?;
    write(&at("put"), 0o600, content).map_err(failed("a private file"))?;
    write(&at("batch"), 0o600, commands).map_err(failed("a private file"))?;
    let relay = Relay::open().await?;
    let mut sftp = client_of(scene, account, folder.path(), relay.port);
    let client = async {
        let output = sftp.output().await;
        output.map_err(failed(&format!(
            "{} can't be run; set deploy.checks.sftp_path",
            scene.options.sftp_path.display()
        )))
    };
    let output = relay.carry((route, &scene.clients.admin), client).await?;
    Ok((output, fs::read_to_string(at("got")).ok()))
}

/// A file server that does not serve; one without room is another matter, with a remedy of its own.
fn failed(cause: String) -> Ended {
    let text = cause.to_lowercase();
    // The last two are copyparty's (`Lim` in its authsrv.py): what it keeps free, and a folder's own bound.
    let is_full = [
        "no space left",
        "insufficient storage",
        " 507 ",
        "quota exceeded",
        "server hdd is full",
        "volume has exceeded max size",
    ];
    if is_full.iter().any(|words| text.contains(words)) {
        return Ended::failed(cause, ROOM).about(Concern::DiskNearlyFull);
    }
    Ended::failed(cause, FILE_SERVER)
}

/// What `df` of OpenSSH's client prints below its heading; `None`: the server does not say.
fn used_percent(output: &str) -> Option<u32> {
    let figures = output.lines().skip_while(|line| !line.contains("%Capacity")).nth(1)?;
    figures.split_whitespace().last()?.strip_suffix('%')?.parse().ok()
}

/// The client, with a private folder to work in.
fn client_of(scene: &Scene<'_>, account: &Account, folder: &Path, port: u16) -> Command {
    let mut sftp = Command::new(&scene.options.sftp_path);
    sftp.args(["-F", "/dev/null", "-oBatchMode=no", "-b", "batch", "-P", &port.to_string()]);
    for option in [
        // The host key is made by the file server and known to nobody beforehand.
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "PreferredAuthentications=password",
        "PubkeyAuthentication=no",
        "NumberOfPasswordPrompts=1",
        "LogLevel=ERROR",
    ] {
        sftp.arg(format!("-o{option}"));
    }
    sftp.arg(format!("{}@127.0.0.1", scene.fill(&account.user))).current_dir(folder).env_clear();
    sftp.env("SSH_ASKPASS", folder.join("askpass")).env("SSH_ASKPASS_REQUIRE", "force");
    sftp.env("LANDLORD_PASSWORD_FILE", folder.join("password")).env("PATH", "/usr/bin:/bin");
    sftp.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    sftp
}

fn write(path: &Path, mode: u32, text: &str) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_ended_run_left_is_removed() {
        let began = 1_800_000_000;
        let old = began - LASTS_AT_MOST.as_secs() - 1;
        let listed = format!(
            "<D:href>/landlord-probe/probe-{old}-12345.txt</D:href><D:displayname>probe-{old}-12345.txt</D:displayname>\
             <D:href>/landlord-probe/sftp-{old}-999.bin</D:href><D:href>/landlord-probe/webdav-{began}-1.bin</D:href>\
             <D:href>/landlord-probe/probe-{}-7.txt</D:href><D:href>/landlord-probe/notes-{old}-7.txt</D:href>\
             <D:href>/landlord-probe/probe-12345.txt</D:href>",
            began - 60,
        );
        let left: Vec<String> = left_behind(&listed, began).into_iter().collect();
        assert_eq!(left, [format!("probe-{old}-12345.txt"), format!("sftp-{old}-999.bin")]);
    }

    #[test]
    fn room_is_read_from_the_client_and_no_room_from_the_server() {
        let output = "sftp> ls -1 /probe\n/probe/a\nsftp> -df /probe\n        Size         Used        Avail       (root)    %Capacity\n\
                      \x20   10218772      9196894      1021878      1021878          90%\n";
        assert_eq!(used_percent(output), Some(90));
        assert_eq!(used_percent("sftp> -df /probe\nServer does not support statvfs@openssh.com extension\n"), None);
        for (cause, full) in [
            ("WebDAV through Service files: PUT: 507 Insufficient Storage", true),
            ("SFTP: write remote \"/probe/x\": No space left on device", true),
            ("WebDAV from outside at 34.64.0.7: PUT: 500 server HDD is full; 0.9 GiB free, need 61 B", true),
            ("WebDAV from outside at 34.64.0.7: PUT: 400 volume has exceeded max size", true),
            ("SFTP: connection closed", false),
        ] {
            let Ended::Failed { concern, remedy, .. } = failed(cause.to_owned()) else { panic!("{cause}") };
            assert_eq!((concern == Some(Concern::DiskNearlyFull), remedy == ROOM), (full, full), "{cause}");
        }
    }
}
