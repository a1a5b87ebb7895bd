//! The client as its users run it: the real binary against a real server and store.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../grpc/tests/it/common/mod.rs"]
mod common;

use std::{path::Path, process::Stdio, time::Duration};

use common::Daemon;
use landlord_core::{Amounts, ErrorKind, Failure, Measured, OperationOutcome, State, stage::RemovedObject};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

const PROD: &str = "customers/acme/tenants/prod";
const FILE: &str = "apiVersion: landlord.dev/v1\nkind: Tenant\nmetadata: {customer: acme, name: prod}\n\
    spec: {tenantClass: small, domain: acme.example.com, storageGib: 100}\n";

struct CliOutput {
    code: i32,
    stdout: String,
    stderr: String,
}

fn command(socket: &Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_landlord"));
    command
        .args(["--server", &format!("unix://{}", socket.display())])
        .args(arguments)
        .env_remove("LANDLORD_SERVER")
        .env_remove("LANDLORD_CUSTOMER")
        .env("LANDLORD_CONFIG", socket.with_file_name("client.yaml"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn landlord(daemon: &Daemon, arguments: &[&str]) -> CliOutput {
    let output = command(&daemon.socket, arguments).output().await.unwrap();
    CliOutput {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs a command that must end with a code; gives both outputs.
async fn expect(daemon: &Daemon, code: i32, arguments: &[&str]) -> (String, String) {
    let response = landlord(daemon, arguments).await;
    assert_eq!(response.code, code, "{arguments:?}:\n{}{}", response.stdout, response.stderr);
    (response.stdout, response.stderr)
}

async fn apply(daemon: &Daemon, code: i32, text: &str, more: &[&str]) -> (String, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let mut arguments = vec!["apply", "-f", &path];
    arguments.extend(more);
    expect(daemon, code, &arguments).await
}

/// A file of `acme/prod` for another tenant, with a domain of its own.
fn renamed(file: &str, customer: &str, tenant: &str) -> String {
    file.replace("customer: acme, name: prod", &format!("customer: {customer}, name: {tenant}"))
        .replace("domain: acme.", &format!("domain: {tenant}.of-{customer}."))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn apply_creates_then_changes_then_leaves_alone() {
    let daemon = Daemon::start().await;
    assert_eq!(apply(&daemon, 0, FILE, &["--dry-run"]).await.0, format!("{PROD} created (dry run)\n"));
    expect(&daemon, 5, &["get", "acme/prod"]).await;
    assert_eq!(apply(&daemon, 0, FILE, &[]).await.0, format!("{PROD} created\n"));
    assert_eq!(apply(&daemon, 0, FILE, &[]).await.0, format!("{PROD} unchanged\n"));
    let grown = FILE.replace("100", "200");
    let configured = apply(&daemon, 0, &grown, &["-o", "json"]).await.0;
    assert_eq!(json(&configured)["storageGib"], 200);
    let (_, error) = apply(&daemon, 2, FILE, &[]).await;
    assert!(error.contains("tenant.storage_gib: can only grow"), "{error}");
    // Several documents; a class that the rules chose may be named.
    let two = format!(
        "{}---\n{}",
        renamed(&grown, "acme", "a").replace("tenantClass: small, ", ""),
        renamed(&grown, "acme", "b")
    );
    let (reported, _) = apply(&daemon, 0, &two, &["-o", "name"]).await;
    assert_eq!(reported, "customers/acme/tenants/a\ncustomers/acme/tenants/b\n");
    let (reported, _) = apply(&daemon, 0, &renamed(&grown, "acme", "a"), &[]).await;
    assert_eq!(reported, "customers/acme/tenants/a unchanged\n");
    // Another customer's domain is as taken as a name is.
    let stolen = FILE.replace("customer: acme", "customer: globex").replace("acme.example", "files.acme.example");
    let (_, error) = apply(&daemon, 6, &stolen, &[]).await;
    assert!(
        error.contains("the domain files.acme.example.com is taken, or lies above or below one that is"),
        "{error}"
    );
    assert!(error.contains("order a domain that no tenant has"), "{error}");
}

#[tokio::test]
async fn the_same_request_id_is_the_same_request() {
    let daemon = Daemon::start().await;
    let id = ["--request-id", "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4"];
    apply(&daemon, 0, FILE, &id).await;
    apply(&daemon, 0, FILE, &id).await;
    let (operations, _) = expect(&daemon, 0, &["get", "operations", "-o", "name"]).await;
    assert_eq!(operations.lines().count(), 1, "{operations}");
    for (tenant, of_it) in [("acme/prod", operations.as_str()), ("acme/other", "")] {
        let (listed, _) = expect(&daemon, 0, &["get", "operations", tenant, "-o", "name"]).await;
        assert_eq!(listed, of_it, "{tenant}");
    }
    let (_, error) = apply(&daemon, 2, &FILE.replace("100", "200"), &id).await;
    assert!(error.contains("use a new one"), "{error}");
}

#[tokio::test]
async fn mistakes_are_reported_without_a_daemon() {
    let daemon = Daemon::start().await;
    let (_, error) = apply(&daemon, 2, &FILE.replace("storageGib", "storageGB"), &[]).await;
    assert!(error.contains("did you mean spec.storageGib?"), "{error}");
    for arguments in [
        &["get", "nonsense"][..],
        &["describe", "prod"],
        &["wait", "acme/prod", "--for=rain"],
        &["--bad"],
        &["apply", "-f", "/nowhere/at/all"],
        &["wait", "acme/prod", "--timeout=soon"],
    ] {
        expect(&daemon, 2, arguments).await;
    }
    let nobody = command(Path::new("/nowhere/landlord.sock"), &["get", "tenants"]).output().await.unwrap();
    let error = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!(nobody.status.code(), Some(8), "{error}");
    assert!(error.contains("/nowhere/landlord.sock") && error.contains("LANDLORD_SERVER"), "{error}");
    assert!(expect(&daemon, 0, &["version"]).await.0.starts_with("landlord "));
    assert!(expect(&daemon, 0, &["completion", "bash"]).await.0.contains("complete"));
    assert!(expect(&daemon, 0, &["--help"]).await.0.contains("Exit codes"));
}

#[tokio::test]
async fn every_form_of_output_shows_the_same() {
    let daemon = Daemon::start().await;
    assert_eq!(expect(&daemon, 0, &["get", "tenants", "-o", "name"]).await.0, "");
    apply(&daemon, 0, FILE, &[]).await;
    apply(&daemon, 0, &renamed(FILE, "globex", "prod"), &[]).await;
    let get = async |more: &[&str]| {
        let arguments = [&["get", "tenants"], more].concat();
        expect(&daemon, 0, &arguments).await.0
    };
    let table = get(&[]).await;
    assert!(table.starts_with("CUSTOMER  TENANT  STATE    CLASS  PROVIDER  REGION"), "{table}");
    assert!(table.contains("\nacme      prod    PENDING  small  sky       here"), "{table}");
    assert!(get(&["-o", "wide"]).await.contains("acme.example.com"));
    assert_eq!(json(&get(&["-o", "json"]).await).as_array().unwrap().len(), 2);
    let lines = get(&["-o", "jsonl"]).await;
    assert_eq!(lines.lines().map(|line| json(line)["name"].clone()).next().unwrap(), PROD);
    assert!(get(&["-o", "yaml"]).await.contains("domain: acme.example.com"));
    assert_eq!(get(&["--customer", "acme", "-o", "name"]).await, format!("{PROD}\n"));
    assert_eq!(get(&["--customer", "acme", "-A", "-o", "name"]).await.lines().count(), 2);
    assert_eq!(get(&["--filter", "customer = globex", "-o", "name"]).await.lines().count(), 1);
    // kubectl's ways to name one.
    for arguments in [
        &["get", "acme/prod"][..],
        &["get", "tenant", "acme/prod"],
        &["get", "tenant/prod", "--customer=acme"],
        &["get", "tenant", "prod", "--customer=acme"],
        &["get", PROD],
    ] {
        let arguments = [arguments, &["-o", "json"]].concat();
        assert_eq!(json(&expect(&daemon, 0, &arguments).await.0)["name"], PROD, "{arguments:?}");
    }
    let (operations, _) = expect(&daemon, 0, &["get", "operations", "-o", "json"]).await;
    assert_eq!(json(&operations)[1]["metadata"]["kind"], "create");
    assert!(expect(&daemon, 0, &["plugins"]).await.0.contains("providers/sky.main"));
    let (provider, _) = expect(&daemon, 0, &["get", "providers", "sky.main", "-o", "json"]).await;
    assert_eq!(json(&provider)["restartCount"], 2);
}

#[tokio::test]
async fn wait_ends_at_every_end() {
    let daemon = Daemon::start().await;
    let wait = ["wait", "acme/prod", "--timeout=60s"];
    let (_, error) = expect(&daemon, 5, &wait).await;
    assert!(error.contains("does not exist"), "{error}");
    apply(&daemon, 0, FILE, &[]).await;
    let (_, error) = expect(&daemon, 4, &["wait", "acme/prod", "--timeout=10ms"]).await;
    assert!(error.contains("the work goes on"), "{error}");
    let failure = Failure::new(ErrorKind::Quota, "no network is left").with_remedy("raise the quota");
    let failed = OperationOutcome::Failed { failure };
    let (response, ()) = tokio::join!(landlord(&daemon, &wait), daemon.settle(State::Failed, failed));
    assert_eq!(response.code, 3, "{}", response.stderr);
    assert!(response.stderr.contains("no network is left; raise the quota"), "{}", response.stderr);
    let (described, _) = expect(&daemon, 0, &["describe", "acme/prod"]).await;
    assert!(described.contains("State:       FAILED") && described.contains("raise the quota"), "{described}");
    expect(&daemon, 0, &["retry", "acme/prod"]).await;
    expect(&daemon, 6, &["retry", "acme/prod"]).await;
    let (response, ()) = tokio::join!(landlord(&daemon, &wait), daemon.settle(State::Ready, OperationOutcome::Ready));
    assert_eq!(response.code, 0, "{}", response.stderr);
    let (kubeconfig, _) = expect(&daemon, 0, &["kubeconfig", "acme/prod"]).await;
    assert_eq!(json(&kubeconfig)["kind"], "Config");
    let customers = ["kubeconfig", "acme/prod", "--for", "customer", "--duration", "45m"];
    let (kubeconfig, _) = expect(&daemon, 0, &customers).await;
    assert_eq!(json(&kubeconfig)["current-context"], "acme-prod-customer");
    let (_, reported) = expect(&daemon, 2, &["kubeconfig", "acme/prod", "--for", "customer", "--duration", "2h"]).await;
    assert!(reported.contains("10 to 60 minutes"), "{reported}");
    expect(&daemon, 2, &["kubeconfig", "acme/prod", "--duration", "30m"]).await;
    // READY already: apply --wait of the same file ends at once.
    let (reported, _) = apply(&daemon, 0, FILE, &["--wait"]).await;
    assert!(reported.contains("unchanged"), "{reported}");
}

#[tokio::test]
async fn a_cancelled_create_ends_its_wait_with_a_code_of_its_own() {
    let daemon = Daemon::start().await;
    apply(&daemon, 0, FILE, &[]).await;
    expect(&daemon, 0, &["cancel", "acme/prod"]).await;
    let operation = json(&expect(&daemon, 0, &["get", "operations", "-o", "json"]).await.0)[0]["name"].clone();
    let operation = operation.as_str().unwrap();
    let wait = ["wait", operation, "--timeout=60s"];
    let (response, ()) =
        tokio::join!(landlord(&daemon, &wait), daemon.settle(State::Deleting, OperationOutcome::Cancelled));
    assert_eq!(response.code, 9, "{}", response.stderr);
}

#[tokio::test]
async fn delete_shows_what_it_removed() {
    let daemon = Daemon::start().await;
    apply(&daemon, 0, &FILE.replace("spec: {", "spec: {deletionProtection: true, "), &[]).await;
    let (_, error) = expect(&daemon, 6, &["delete", "acme/prod"]).await;
    assert!(error.contains("clear it first"), "{error}");
    apply(&daemon, 0, FILE, &[]).await;
    expect(&daemon, 6, &["delete", "acme/prod", "--etag=old"]).await;
    let (reported, _) = expect(&daemon, 0, &["delete", "acme/prod"]).await;
    assert!(reported.starts_with(&format!("{PROD} deleting (operations/")), "{reported}");
    let object = RemovedObject { r#type: "network".into(), id: "n-1".into(), name: "net".into() };
    let gone = OperationOutcome::Deleted { removed: vec![object] };
    let wait = ["delete", "acme/prod", "--wait", "-o", "json"];
    let removing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        daemon.settle(State::Deleting, gone).await;
    };
    let (response, ()) = tokio::join!(landlord(&daemon, &wait), removing);
    assert_eq!(response.code, 0, "{}", response.stderr);
    assert_eq!(json(&response.stdout)[0]["id"], "n-1", "data is on standard output alone");
    assert!(response.stderr.contains("1 objects were removed"), "{}", response.stderr);
    expect(&daemon, 5, &["delete", "acme/prod"]).await;
    expect(&daemon, 0, &["wait", "acme/prod", "--for=deleted"]).await;
    let (events, _) = expect(&daemon, 0, &["events", "acme/prod", "-o", "jsonl"]).await;
    assert_eq!(json(events.lines().next().unwrap())["reason"], "CreateAccepted");
}

/// The next line of a program that goes on, or a failure rather than a hang.
async fn line(reader: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> String {
    let mut text = String::new();
    let read = reader.read_line(&mut text);
    tokio::time::timeout(Duration::from_secs(30), read).await.expect("a line comes").unwrap();
    text
}

#[tokio::test]
async fn watches_go_on_over_a_restart_and_miss_nothing() {
    let daemon = Daemon::start().await;
    let socket = daemon.socket.clone();
    let mut events =
        command(&socket, &["watch", "-o", "jsonl", "--resume-token=0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(events.stdout.take().unwrap());
    let mut table = command(&socket, &["get", "tenants", "-w"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut rows = BufReader::new(table.stdout.take().unwrap());
    assert!(line(&mut rows).await.starts_with("CUSTOMER"));
    apply(&daemon, 0, FILE, &[]).await;
    assert_eq!(json(&line(&mut lines).await)["tenant"], PROD);
    assert!(line(&mut rows).await.contains("PENDING"));
    let Daemon { stop, served, store, folder, .. } = daemon;
    stop.cancel();
    served.await.unwrap().unwrap();
    let daemon = Daemon::on(&socket, store).await;
    apply(&daemon, 0, &renamed(FILE, "acme", "next"), &[]).await;
    assert_eq!(json(&line(&mut lines).await)["tenant"], "customers/acme/tenants/next");
    assert!(line(&mut rows).await.contains("next"));
    events.kill().await.unwrap();
    table.kill().await.unwrap();
    drop(folder);
}

#[tokio::test]
async fn explain_shows_which_rule_chooses() {
    let daemon = Daemon::start().await;
    let file = daemon.folder.path().join("unnamed.yaml");
    std::fs::write(&file, FILE.replace("tenantClass: small, ", "")).unwrap();
    let reported = landlord(&daemon, &["explain", "placement", "-f", file.to_str().unwrap()]).await;
    assert_eq!(reported.code, 0, "{}", reported.stderr);
    assert!(reported.stdout.contains("class small, since rule \"rest\" chooses it"), "{}", reported.stdout);
    assert!(reported.stdout.contains("it requests the label tier=gold, which is missing"), "{}", reported.stdout);
    std::fs::write(&file, FILE.replace("tenantClass: small, ", "region: nowhere, ")).unwrap();
    let reported = landlord(&daemon, &["explain", "placement", "-f", file.to_str().unwrap()]).await;
    assert_eq!(reported.code, 2, "{}", reported.stdout);
    assert!(
        reported.stdout.contains("nowhere") && reported.stderr.contains("can't be built"),
        "{}{}",
        reported.stdout,
        reported.stderr
    );
}

#[tokio::test]
async fn a_host_cluster_shows_what_is_free() {
    let daemon = Daemon::shared().await;
    let host = "apiVersion: landlord.dev/v1\nkind: HostCluster\nmetadata: {name: one, labels: {tier: shared}}\n\
                spec: {tenantClass: small, tenantsMax: 3}\n";
    apply(&daemon, 0, host, &[]).await;
    let (reported, _) = expect(&daemon, 0, &["describe", "hostcluster", "one"]).await;
    assert!(reported.contains("Capacity:    not counted yet\n") && !reported.contains("allocatable"), "{reported}");
    let amounts = |cpu_milli, memory_mib, pods| Amounts { cpu_milli, memory_mib, pods };
    let (allocatable, requested) = (amounts(7_840, 30_000, 110), amounts(900, 1_000, 12));
    let measured = Measured { nodes: 2, allocatable, requested, by_tenants: amounts(100, 200, 2) };
    daemon.settle_with(State::Ready, OperationOutcome::Ready, vec![common::counted(measured)]).await;
    apply(&daemon, 0, &FILE.replace("tenantClass: small", "tenantClass: space"), &[]).await;
    let (reported, _) = expect(&daemon, 0, &["describe", "hostcluster", "one"]).await;
    let lines: Vec<Vec<&str>> = reported.lines().map(|line| line.split_whitespace().collect()).collect();
    for expected in [
        &["CPU", "MEMORY", "PODS"][..],
        &["allocatable", "7840m", "30000Mi", "110"],
        &["requested", "900m", "1000Mi", "12"],
        &["requested", "by", "tenants", "100m", "200Mi", "2"],
        &["reserved", "for", "tenants", "4000m", "12288Mi", "40"],
        &["free", "3040m", "16912Mi", "60"],
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected:?} is not in\n{reported}");
    }
    assert!(reported.contains("2 shared nodes, counted "), "{reported}");
    let (reported, _) = expect(&daemon, 0, &["get", "hostclusters", "-o", "wide"]).await;
    assert!(reported.contains("3040m") && reported.contains("16912Mi"), "{reported}");
    let refused = renamed(FILE, "acme", "next").replace("tenantClass: small", "tenantClass: space");
    let (_, error) = apply(&daemon, 8, &refused, &[]).await;
    assert!(error.contains("one: 4000 millicores are needed and 3040 of 7840 free"), "{error}");
}

#[tokio::test]
async fn callers_see_who_they_are_and_what_they_may_do() {
    let daemon = Daemon::start().await;
    let (name, _) = expect(&daemon, 0, &["whoami", "-o", "name"]).await;
    assert_eq!(name, format!("uid:{}\n", rustix::process::geteuid().as_raw()));
    let (reported, _) = expect(&daemon, 0, &["whoami"]).await;
    assert!(reported.contains("landlord:operators") && reported.contains("LOCAL_USER"), "{reported}");
    let (yes, _) = expect(&daemon, 0, &["auth", "can-i", "DeleteTenant", PROD]).await;
    assert!(yes.starts_with("yes"), "{yes}");
    let (no, _) = expect(&daemon, 7, &["auth", "can-i", "DeleteTenant", PROD, "--as", "nobody"]).await;
    assert!(no.starts_with("no"), "{no}");
    expect(&daemon, 2, &["auth", "can-i", "BurnTenant", PROD]).await;
    expect(&daemon, 2, &["auth", "can-i", "CordonHostCluster", PROD]).await;
}

#[tokio::test]
async fn a_context_says_where_the_daemon_is() {
    let daemon = Daemon::start().await;
    let server = format!("unix://{}", daemon.socket.display());
    let client = async |arguments: &[&str]| {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_landlord"))
            .args(arguments)
            .env_clear()
            .env("LANDLORD_CONFIG", daemon.socket.with_file_name("contexts.yaml"))
            .output()
            .await
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(client(&["config", "use-context", "here"]).await.0, 2);
    assert_eq!(client(&["config", "set-context", "here", "--server", &server]).await.0, 0);
    // Where nobody listens, on this machine: a name would be looked up elsewhere.
    assert_eq!(client(&["config", "set-context", "there", "--server", "https://127.0.0.1:1"]).await.0, 0);
    assert_eq!(client(&["config", "current-context"]).await, (0, "here\n".into()));
    assert_eq!(client(&["whoami", "-o", "name"]).await.0, 0);
    assert_eq!(client(&["--context", "there", "whoami"]).await.0, 8);
    let token = daemon.socket.with_file_name("token");
    std::fs::write(&token, "secret").unwrap();
    let file = token.display().to_string();
    // A token crosses no network without TLS; over the socket it reaches the daemon, which takes none.
    assert_eq!(client(&["--server", "http://192.0.2.1:1", "--token-file", &file, "whoami"]).await.0, 2);
    assert_eq!(client(&["--token-file", &file, "whoami"]).await.0, 7);
}

#[tokio::test]
async fn verify_shows_each_check_and_ends_with_an_error_if_one_failed() {
    let daemon = Daemon::start().await;
    apply(&daemon, 0, FILE, &[]).await;
    let (_, early) = expect(&daemon, 6, &["verify", PROD]).await;
    assert!(early.contains("no cluster yet"), "{early}");
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let (rows, error) = expect(&daemon, 3, &["verify", PROD]).await;
    for part in [
        "sftp                 passed       1.5  by port-forward to pod files-0",
        "chat-knows-the-file  FAILED       1.5  probe-1.txt is not known",
        "remedy: see container documents",
        "chat-answers         not run",
    ] {
        assert!(rows.contains(part), "{part} is missing in:\n{rows}");
    }
    assert!(error.contains("chat-knows-the-file failed"), "{error}");
    let (json, _) = expect(&daemon, 3, &["verify", PROD, "--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["checks"][1]["outcome"], &json["checks"][1]["runDuration"]),
        (&"FAILED".into(), &"1.500s".into())
    );
}

#[tokio::test]
async fn who_did_what_is_shown_and_verified() {
    let daemon = Daemon::start().await;
    apply(&daemon, 0, FILE, &[]).await;
    let (shown, _) = expect(&daemon, 0, &["audit"]).await;
    assert!(shown.contains("CreateTenant") && shown.contains(PROD), "{shown}");
    let (named, _) = expect(&daemon, 0, &["audit", "--filter", "resource = \"customers/acme\"", "-o", "name"]).await;
    assert_eq!(named, "auditEvents/1\n");
    let (verified, _) = expect(&daemon, 0, &["audit", "verify"]).await;
    assert!(verified.contains("entries 1 to 2 hold"), "{verified}");
    let head = verified.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    expect(&daemon, 0, &["audit", "verify", "--head", &head]).await;
    let other = format!("1:{}", "0".repeat(64));
    for wrong in [other.as_str(), "3:00"] {
        let (_, error) = expect(&daemon, 3, &["audit", "verify", "--head", wrong]).await;
        assert!(error.contains("--head"), "{error}");
    }
    // What was exported is verified without a daemon, and together with what came after it.
    let (lines, _) = expect(&daemon, 0, &["audit", "-o", "jsonl"]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    std::fs::write(file.path(), &lines).unwrap();
    expect(&daemon, 0, &["delete", "acme/prod"]).await;
    expect(&daemon, 0, &["audit", "verify", "--offline", &path]).await;
    let (both, _) = expect(&daemon, 0, &["audit", "verify", &path]).await;
    assert!(both.contains("entries 1 to 3 hold"), "{both}");
    // Of a beginning that was pruned, it is said by whom; what is known of it is not believed unseen.
    use landlord_core::ports::AuditStore as _;
    let exported = daemon.store.audit_older_than(std::time::Duration::ZERO, 2).await.unwrap();
    let end = landlord_core::ports::AuditEnd { seq: 2, hash: exported[1].hash.clone() };
    daemon.store.prune_audit(&end, "audit-1-2.jsonl").await.unwrap();
    let (rest, _) = expect(&daemon, 0, &["audit", "verify"]).await;
    let unseen = "entries 1 to 2 are not here: exported, the last to audit-1-2.jsonl, and pruned, as entry 4 says";
    assert!(rest.contains("entries 3 to 4 hold") && rest.contains(unseen), "{rest}");
    let (_, error) = expect(&daemon, 3, &["audit", "verify", "--head", &head]).await;
    assert!(error.contains("give the export"), "{error}");
    let (both, _) = expect(&daemon, 0, &["audit", "verify", "--head", &head, &path]).await;
    assert!(both.contains("entries 1 to 4 hold") && !both.contains("pruned"), "{both}");
    let key = tempfile::NamedTempFile::new().unwrap();
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA7LtPGmHcyV7uTr9GrerMRrdybk4zRP18SIgY/p3IJ7s=\n-----END PUBLIC KEY-----\n";
    std::fs::write(key.path(), pem).unwrap();
    let key = key.path().display().to_string();
    let (_, error) = expect(&daemon, 3, &["audit", "verify", "--public-key", &key]).await;
    assert!(error.contains("is not signed") && error.contains("audit-1-2.jsonl"), "{error}");
    let (_, error) = expect(&daemon, 3, &["audit", "verify", "--public-key", &key, "--allow-unsigned-pruning"]).await;
    assert!(error.contains("no head is signed"), "{error}");
    std::fs::write(file.path(), lines.replace("acme", "evil")).unwrap();
    let (_, error) = expect(&daemon, 3, &["audit", "verify", "--offline", &path]).await;
    assert!(error.contains("entry 1 was changed"), "{error}");
}

#[tokio::test]
async fn customers_are_made_changed_and_deleted() {
    let daemon = Daemon::start().await;
    let contract = ["--contract", "C-17", "--contract-end", "2099-12-31", "--tenants-max", "1", "--label", "tier=gold"];
    let create: Vec<&str> = ["create", "customer", "acme"].into_iter().chain(contract).collect();
    let dry: Vec<&str> = create.iter().copied().chain(["--dry-run"]).collect();
    assert_eq!(expect(&daemon, 0, &dry).await.0, "customers/acme can be created\n");
    assert_eq!(expect(&daemon, 0, &create).await.0, "customers/acme created\n");
    expect(&daemon, 6, &create).await;
    let (shown, _) = expect(&daemon, 0, &["get", "customers"]).await;
    assert!(shown.contains("acme") && shown.contains("C-17") && shown.contains("2099-12-31"), "{shown}");
    apply(&daemon, 0, FILE, &[]).await;
    let second = FILE.replace("name: prod", "name: second").replace("acme.example.com", "second.example.com");
    let (_, refused) = apply(&daemon, 6, &second, &[]).await;
    assert!(refused.contains("may have 1 tenants"), "{refused}");
    expect(&daemon, 2, &["update", "customer", "acme"]).await;
    let (_, refused) = expect(&daemon, 2, &["create", "customer", "minus", "--tenants-max", "-1"]).await;
    assert!(refused.contains("customer.limits.tenants_max: must not be negative, not -1"), "{refused}");
    expect(&daemon, 0, &["update", "customer", "acme", "--suspended", "--nodes-max", "9"]).await;
    let (json, _) = expect(&daemon, 0, &["get", "customer", "acme", "-o", "json"]).await;
    let customer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&customer["suspended"], &customer["contract"]["number"]), (&true.into(), &"C-17".into()), "{json}");
    assert_eq!((&customer["limits"]["tenantsMax"], &customer["limits"]["nodesMax"]), (&1.into(), &9.into()), "{json}");
    let (_, refused) = expect(&daemon, 6, &["delete", "customer", "acme"]).await;
    assert!(refused.contains(PROD), "{refused}");
    expect(&daemon, 0, &["create", "customer", "globex"]).await;
    assert_eq!(expect(&daemon, 0, &["delete", "customer", "globex"]).await.0, "customers/globex deleted\n");
    expect(&daemon, 5, &["get", "customer", "globex"]).await;
}

#[tokio::test]
async fn classes_are_shown_and_outdated_is_of_what_has_a_class() {
    let daemon = Daemon::start().await;
    let (shown, _) = expect(&daemon, 0, &["get", "classes"]).await;
    assert!(shown.lines().any(|line| line.starts_with("small") && line.contains("here,there")), "{shown}");
    let (name, _) =
        expect(&daemon, 0, &["get", "classes", "--filter", "name = \"tenantClasses/small\"", "-o", "name"]).await;
    assert_eq!(name, "tenantClasses/small\n");
    let (one, _) = expect(&daemon, 0, &["get", "class", "small", "-o", "json"]).await;
    assert_eq!(json(&one)["name"], "tenantClasses/small");
    expect(&daemon, 5, &["get", "class", "none"]).await;
    for what in ["tenants", "hostclusters"] {
        expect(&daemon, 0, &["get", what, "--outdated"]).await;
    }
    for what in [&["get", "classes", "--outdated"][..], &["get", "hostcluster", "one", "--outdated"]] {
        let (_, refused) = expect(&daemon, 2, what).await;
        assert!(refused.contains("--outdated is for lists of tenants and host clusters"), "{refused}");
    }
}

const HOST_FILE: &str = "apiVersion: landlord.dev/v1\nkind: HostCluster\nmetadata: {name: one}\n\
    spec: {tenantClass: small, tenantsMax: 2}\n";

#[tokio::test]
async fn a_host_cluster_is_brought_to_what_is_on_offer() {
    let daemon = Daemon::shared().await;
    apply(&daemon, 0, HOST_FILE, &[]).await;
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let outdated = ["get", "hostclusters", "--outdated", "-o", "name"];
    assert_eq!(expect(&daemon, 0, &outdated).await.0, "");
    let (_, refused) = expect(&daemon, 6, &["update", "hostcluster", "one", "--to-current"]).await;
    assert!(refused.contains("it runs what is on offer already"), "{refused}");
    let mut offered = common::shared_catalog();
    offered.classes.get_mut(&"small".parse().unwrap()).unwrap().skip_checks = vec!["certificates".into()];
    let daemon = daemon.again(offered).await;
    assert_eq!(expect(&daemon, 0, &outdated).await.0, "hostClusters/one\n");
    let narrowed = ["get", "hostclusters", "--outdated", "--filter", "cordoned = true", "-o", "name"];
    assert_eq!(expect(&daemon, 0, &narrowed).await.0, "");
    let (wide, _) = expect(&daemon, 0, &["get", "hostclusters", "-o", "wide"]).await;
    assert!(wide.contains("CLASS DIFFERS") && wide.contains("skip_checks"), "{wide}");
    let update = ["update", "hostcluster", "one", "--to-current"];
    expect(&daemon, 2, &update[..3]).await;
    expect(&daemon, 2, &[&update[..], &["--parts", "stack"]].concat()).await;
    let (_, refused) = expect(&daemon, 2, &["update", "hostcluster/one", "--to-current", "--parts", "stack"]).await;
    assert!(refused.contains("\"stack\" is no part here; there are class and platform"), "{refused}");
    expect(&daemon, 5, &["update", "hostcluster", "none", "--to-current"]).await;
    let (dry, _) = expect(&daemon, 0, &[&update[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry, "hostClusters/one would be updated\n");
    let (reported, _) = expect(&daemon, 0, &["update", "hostcluster/one", "--to-current", "--parts", "class"]).await;
    assert!(reported.starts_with("hostClusters/one updating (operations/"), "{reported}");
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    assert_eq!(expect(&daemon, 0, &outdated).await.0, "");
    let (operations, _) = expect(&daemon, 0, &["get", "operations"]).await;
    assert!(operations.contains("update") && operations.contains("hostClusters/one"), "{operations}");
}
