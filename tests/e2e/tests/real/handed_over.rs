//! Credentials from the order to a rotation, with a client connected: they are in the tenant's Secrets and with whom they were given to, and
//! nowhere else that landlord writes: not in events, operations, logs, traces, its database or its files.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use landlord_test_harness::{Cloud, TenantFile, judge};
use prost::Message as _;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    chat,
    collector::Collector,
    machine, nothing_is_left,
    scene::{LOOK_INTERVAL, PATIENCE, Scene},
};

/// Generated keys of the stack's Secrets.
const KEYS: [(&str, &str); 8] = [
    ("files", "customer-password"),
    ("files", "documents-password"),
    ("files", "probe-password"),
    ("vectors", "password"),
    ("chat", "secret-key"),
    ("chat", "admin-password"),
    ("chat", "documents-password"),
    ("chat", "probe-password"),
];
/// What is the cluster's, its nodes' and its volumes': Secrets belong there.
const CLUSTERS: &str = "cloud";

/// A customer in a cluster of its own, from the order to the end.
pub(crate) fn all(cloud: &'static Cloud) {
    let Some(_machine) = machine() else { return };
    let (runtime, mut tasks) = (tokio::runtime::Runtime::new().unwrap(), JoinSet::new());
    let (collector, address) = runtime.block_on(Collector::start(&mut tasks));
    let config = format!("[log]\nfilter = 'landlord=debug,info'\n[telemetry]\notlp_endpoint = '{address}'\n");
    let scene = Scene::with(cloud, &config);
    let acme = TenantFile::new("acme", "prod", &cloud.real_class());
    scene.order(&acme);
    scene.say(&chat::answers_from_a_file(&scene, &acme));
    let before = values(&scene, &acme);
    are_given_once(&scene, &acme, &before);
    rotated_while_connected(&scene, &acme);
    rotated_by_restart(&scene, &acme);
    let after = values(&scene, &acme);
    let changed = |key: &(&str, &str)| before[key.0][key.1] != after[key.0][key.1];
    let rotated: Vec<_> = KEYS.iter().filter(|key| changed(key)).collect();
    assert_eq!(rotated, [&("files", "customer-password"), &("chat", "admin-password")]);
    are_given_once(&scene, &acme, &after);
    // Who reads them when it starts has the new ones, too.
    scene.until_all_pass(&acme);
    scene.say(&chat::still_answers(&scene, &acme));
    let mut planted: Vec<String> =
        before.into_values().chain(after.into_values()).flat_map(|own| own.into_values()).collect();
    planted.sort();
    planted.dedup();
    assert_eq!(planted.len(), KEYS.len() + 2, "eight, and the new ones of two");
    are_nowhere(&scene, &acme, &planted, &collector);
    scene.delete(&acme.name());
    are_nowhere_in(&files(scene.world.folder()), &planted);
    nothing_is_left(scene);
}

type Values = BTreeMap<&'static str, BTreeMap<&'static str, String>>;

fn values(scene: &Scene, tenant: &TenantFile) -> Values {
    let mut all = Values::new();
    for (secret, key) in KEYS {
        all.entry(secret).or_default().insert(key, scene.secret(tenant, secret, key));
    }
    all
}

/// The passwords of what is handed over are given once: those that the Secrets have.
fn are_given_once(scene: &Scene, tenant: &TenantFile, values: &Values) {
    let read = || {
        let text = scene.cli().ok(&["access", &tenant.name(), "--credentials", "-o", "json"]).unwrap();
        let access: Value = serde_json::from_str(&text).unwrap();
        let of = |credential: &Value| (judge::text(credential, "name").to_owned(), credential["password"].clone());
        access["credentials"].as_array().unwrap().iter().map(of).collect::<BTreeMap<_, _>>()
    };
    let given = read();
    assert_eq!(given["files"], values["files"]["customer-password"], "of the files");
    assert_eq!(given["chat-admin"], values["chat"]["admin-password"], "of the chat");
    for (name, password) in read() {
        assert!(password.as_str().unwrap_or_default().is_empty(), "{name} is given twice");
    }
}

/// A client of the chatbot that stays signed in, and signs in with the old password as long as that is taken.
struct Connected(Child);

impl Drop for Connected {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn rotated_while_connected(scene: &Scene, tenant: &TenantFile) {
    let mut secret = scene.kubectl(tenant);
    secret.args(["-n", &scene.namespace(tenant), "get", "secret", "chat", "-o", "json"]);
    let mut words = vec![secret.get_program().to_string_lossy().into_owned()];
    words.extend(secret.get_args().map(|word| word.to_string_lossy().into_owned()));
    let mut command = chat::with_accounts(scene, "connected.py", tenant, tenant);
    command.env("SECRET", serde_json::to_string(&words).unwrap());
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut client = Connected(child);
    let mut output = BufReader::new(client.0.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "connected");
    let took = rotate(scene, tenant, "chat");
    // Restarted, the chatbot is back.
    scene.until_all_pass(tenant);
    drop(client.0.stdin.take());
    let mut seen = String::new();
    output.read_to_string(&mut seen).unwrap();
    assert!(client.0.wait().unwrap().success(), "{seen}");
    scene.say(&format!("chat rotated in {took:.1} s with a client connected: {}", seen.trim()));
}

/// The file server reads its accounts when it starts: what was connected ends, and the old password is refused from then on.
fn rotated_by_restart(scene: &Scene, tenant: &TenantFile) {
    let old = scene.secret(tenant, "files", "customer-password");
    let took = rotate(scene, tenant, "files");
    let started = Instant::now();
    // As the first answer of the file server that was started again.
    while !matches!(signs_in(scene, tenant, &scene.secret(tenant, "files", "customer-password")), Ok(true)) {
        assert!(started.elapsed() < PATIENCE, "the new password of the files is never taken");
        std::thread::sleep(LOOK_INTERVAL);
    }
    assert_eq!(signs_in(scene, tenant, &old), Ok(false), "the old password of the files is still taken");
    scene.say(&format!("files rotated in {took:.1} s; the old password is refused"));
}

/// Whether the file server takes a password by SFTP; why that is not known.
fn signs_in(scene: &Scene, tenant: &TenantFile, password: &str) -> Result<bool, String> {
    let output =
        chat::with_accounts(scene, "sign_in.py", tenant, tenant).env("FILES_PASSWORD", password).output().unwrap();
    match String::from_utf8_lossy(&output.stdout).trim() {
        "taken" => Ok(true),
        "refused" => Ok(false),
        _ => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Rotates; how many seconds it took.
fn rotate(scene: &Scene, tenant: &TenantFile, app: &str) -> f64 {
    let started = Instant::now();
    scene.cli().ok(&["rotate", &tenant.name(), app]).unwrap();
    started.elapsed().as_secs_f64()
}

/// All that landlord writes and shows.
fn are_nowhere(scene: &Scene, tenant: &TenantFile, planted: &[String], collector: &Collector) {
    let (cli, name) = (scene.cli(), tenant.name());
    let shown = |arguments: &[&str]| (arguments.join(" "), cli.ok(arguments).unwrap().into_bytes());
    let events = shown(&["events", &name, "-o", "jsonl"]);
    for reason in ["CredentialsRead", "CredentialRotated"] {
        assert!(String::from_utf8_lossy(&events.1).contains(reason), "{reason} is no event");
    }
    let mut places = vec![
        events,
        shown(&["get", "operations", &name, "-o", "json"]),
        shown(&["get", &name, "-o", "json"]),
        shown(&["describe", &name]),
        shown(&["access", &name, "-o", "json"]),
        shown(&["audit", "-o", "jsonl"]),
    ];
    let traced = exported(collector);
    for part in ["RotateTenantCredentials", "verify"] {
        assert!(finds(&traced, part.as_bytes()), "{part} is not in the traces");
    }
    places.push(("traces and exported logs".into(), traced));
    places.push(dump(scene));
    places.extend(files(scene.world.folder()));
    are_nowhere_in(&places, planted);
    let bytes: usize = places.iter().map(|(_, bytes)| bytes.len()).sum();
    scene.say(&format!("{} credentials are in none of {} places ({} MiB)", planted.len(), places.len(), bytes >> 20));
}

/// All that the daemon exported, as it was sent.
fn exported(collector: &Collector) -> Vec<u8> {
    let (traces, logs) = (collector.traces.lock().unwrap(), collector.logs.lock().unwrap());
    let all = traces.iter().map(|sent| sent.encode_to_vec()).chain(logs.iter().map(|sent| sent.encode_to_vec()));
    all.flatten().collect()
}

/// The store, as it is backed up.
fn dump(scene: &Scene) -> (String, Vec<u8>) {
    let path = scene.world.folder().join("backup.db");
    let mut command = Command::new(&scene.world.binaries().landlordd);
    command.arg("--config").arg(scene.world.config()).arg("backup").arg(&path);
    scene.run(&mut command);
    ("backup".into(), std::fs::read(&path).unwrap())
}

/// Files of the world, but for its clusters': the database and what it has not folded in yet, logs, configuration, Helm's folders.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap().filter_map(|entry| entry.ok()) {
            let (path, kind): (PathBuf, _) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && path != folder.join(CLUSTERS) {
                folders.push(path);
            } else if kind.is_file() {
                // What is short-lived may be gone.
                found.extend(std::fs::read(&path).ok().map(|bytes| (path.display().to_string(), bytes)));
            }
        }
    }
    for expected in ["landlord.db", "landlordd.log", "journal.jsonl"] {
        assert!(
            found.iter().any(|(path, bytes)| path.ends_with(expected) && bytes.len() > 1_000),
            "{expected} is not looked at"
        );
    }
    found
}

fn are_nowhere_in(places: &[(String, Vec<u8>)], planted: &[String]) {
    for value in planted {
        for form in [value.clone(), BASE64_STANDARD.encode(value)] {
            let found: Vec<&String> =
                places.iter().filter(|(_, bytes)| finds(bytes, form.as_bytes())).map(|(place, _)| place).collect();
            assert!(found.is_empty(), "a credential is in {found:?}");
        }
    }
}

fn finds(bytes: &[u8], part: &[u8]) -> bool {
    // By the first byte, as fast as the machine searches for one: megabytes are searched for dozens of values.
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == part[0])) {
        if bytes[at + next..].starts_with(part) {
            return true;
        }
        at += next + 1;
    }
    false
}
