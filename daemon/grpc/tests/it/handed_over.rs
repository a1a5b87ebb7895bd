//! What is handed over to a customer, and that nothing of it stays with landlord.

use std::sync::{Arc, Mutex, atomic::Ordering};

use landlord_core::{
    OperationOutcome, State,
    ports::{AuditQuery, AuditStore as _},
};
use landlord_proto::v1;
use prost::Message as _;
use tonic::Code;

use crate::common::{
    Daemon, FAILS_EARLY, FAILS_IN_DOUBT, FAILS_LATE, IS_SLOW, PLANTED, PROD, SLOW_BEGAN, SLOW_MAY_END, fields, order,
    so,
};

#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn read(names: &[&str]) -> v1::GetTenantAccessRequest {
    let read_credentials = names.iter().map(|name| (*name).to_owned()).collect();
    v1::GetTenantAccessRequest { name: PROD.into(), read_credentials, used_credentials: Vec::new() }
}

fn rotate(app: &str, request_id: &str) -> v1::RotateTenantCredentialsRequest {
    v1::RotateTenantCredentialsRequest { name: PROD.into(), app: app.into(), request_id: request_id.into() }
}

/// Passwords, and whether they could be read.
fn given(response: &v1::GetTenantAccessResponse) -> Vec<(String, bool)> {
    response.credentials.iter().map(|credential| (credential.password.clone(), credential.readable)).collect()
}

#[tokio::test]
async fn credentials_are_given_once_and_stay_nowhere() {
    // With one subscriber alone, tracing takes the default of whichever thread meets a line first for everybody's, and the
    // threads of other tests have none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let early = client.get_tenant_access(read(&["*"])).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early:?}");
    daemon.settle(State::Ready, OperationOutcome::Ready).await;

    let without = client.get_tenant_access(read(&[])).await.unwrap().into_inner();
    assert_eq!(given(&without), [(String::new(), true), (String::new(), true)], "what was too early marks nothing");
    assert_eq!((without.addresses[0].address.as_str(), without.certificates[0].days_left), ("192.0.2.1", 60));
    let unknown = client.get_tenant_access(read(&["switch", "horn"])).await.unwrap_err();
    assert_eq!(fields(&unknown), ["read_credentials"]);
    let first = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&first), [(format!("{PLANTED}-switch"), true), (String::new(), true)]);
    let second = client.get_tenant_access(read(&["*"])).await.unwrap().into_inner();
    assert_eq!(given(&second), [(String::new(), false), (format!("{PLANTED}-bell"), true)]);
    assert!(second.credentials[0].read_time.is_some());

    // A rotation is readable once more, and counts once however often it is repeated.
    let id = "8d3d0bd1-6b0c-4b9e-9c0e-0a3a52a1d6a4";
    assert_eq!(fields(&client.rotate_tenant_credentials(rotate("kettle", id)).await.unwrap_err()), ["app"]);
    assert_eq!(fields(&client.rotate_tenant_credentials(rotate("lamp", "x")).await.unwrap_err()), ["request_id"]);
    let stubborn = client.rotate_tenant_credentials(rotate("door", id)).await.unwrap_err();
    assert!(stubborn.code() == Code::FailedPrecondition && stubborn.message().contains("buy another"), "{stubborn:?}");
    let rotated = client.rotate_tenant_credentials(rotate("lamp", id)).await.unwrap().into_inner();
    assert!(rotated.credentials[0].readable && rotated.credentials[0].rotate_time.is_some());
    let third = client.get_tenant_access(read(&["*"])).await.unwrap().into_inner();
    assert_eq!(given(&third), [(format!("{PLANTED}-switch"), true), (String::new(), false)]);
    client.rotate_tenant_credentials(rotate("lamp", id)).await.unwrap();
    let fourth = client.get_tenant_access(read(&["*"])).await.unwrap().into_inner();
    assert_eq!(given(&fourth), [(String::new(), false), (String::new(), false)]);

    // Who read and rotated is in the audit log, also where nothing was left to read; no value is.
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let entries = daemon.store.entries(&query).await.unwrap();
    let named = |action: &str| entries.iter().filter(|kept| kept.entry.record.author.action == action).count();
    assert_eq!((named("GetTenantAccess"), named("RotateTenantCredentials")), (3, 3), "{entries:?}");
    assert!(!entries.iter().any(|kept| kept.text.contains(PLANTED)), "a secret is in the audit log");

    let events = v1::ListTenantEventsRequest { parent: PROD.into(), ..Default::default() };
    let events = client.list_tenant_events(events).await.unwrap().into_inner();
    let reasons: Vec<&str> = events.events.iter().map(|event| event.reason.as_str()).collect();
    let expected = ["CredentialsRead", "CredentialsRead", "CredentialRotated", "CredentialsRead"];
    assert_eq!(reasons.get(reasons.len() - 4..), Some(&expected[..]), "{reasons:?}");
    let operations = landlord_proto::google::longrunning::ListOperationsRequest::default();
    let operations = daemon.operations().await.list_operations(operations).await.unwrap().into_inner();
    let tenant = client.get_tenant(v1::GetTenantRequest { name: PROD.into() }).await.unwrap().into_inner();
    let log = logged.0.lock().unwrap().clone();
    assert!(String::from_utf8_lossy(&log).contains("credentials were read"), "the log is kept");
    let mut places = vec![
        ("log".to_owned(), log),
        ("events".to_owned(), events.encode_to_vec()),
        ("operations".to_owned(), operations.encode_to_vec()),
        ("tenant".to_owned(), tenant.encode_to_vec()),
    ];
    // The database, its log of changes among it.
    for file in std::fs::read_dir(daemon.folder.path()).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            places.push((file.file_name().to_string_lossy().into_owned(), std::fs::read(file.path()).unwrap()));
        }
    }
    assert!(places.iter().any(|(place, bytes)| place.starts_with("landlord.db") && bytes.len() > 1_000));
    for (place, bytes) in places {
        let found = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        assert!(!found, "a password is in: {place}");
    }
}

#[tokio::test]
async fn lines_come_at_the_readers_speed_and_end_with_it() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    let request = v1::GetTenantLogsRequest { name: PROD.into(), ..Default::default() };
    let mut early = client.get_tenant_logs(request.clone()).await.unwrap().into_inner();
    assert_eq!(early.message().await.unwrap_err().code(), Code::FailedPrecondition);
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let mut lines = client.get_tenant_logs(request.clone()).await.unwrap().into_inner();
    let mut texts = Vec::new();
    while let Some(some) = lines.message().await.unwrap() {
        texts.extend(some.lines.into_iter().map(|line| (line.app, line.text)));
    }
    let expected =
        ["2026-11-29T10:00:00Z on", "2026-11-29T10:00:01Z off"].map(|text| ("lamp".to_owned(), text.to_owned()));
    assert_eq!(texts, expected);
    let wrong = v1::GetTenantLogsRequest { tail_lines: 9_999, ..request.clone() };
    assert_eq!(fields(&client.get_tenant_logs(wrong).await.unwrap_err()), ["tail_lines"]);
    // Eight of a customer read what never ends, and take nothing; one more is put off, and others are served meanwhile.
    let endless = v1::GetTenantLogsRequest { follow: true, ..request };
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(client.get_tenant_logs(endless.clone()).await.unwrap().into_inner());
    }
    // On a connection of its own: what is not read fills the window of the other.
    let mut client = daemon.tenants().await;
    let full = client.get_tenant_logs(endless.clone()).await.unwrap_err();
    assert_eq!(full.code(), Code::ResourceExhausted, "{full:?}");
    client.get_tenant(v1::GetTenantRequest { name: PROD.into() }).await.unwrap();
    open.clear();
    // Whoever is gone leaves room.
    for _ in 0..100 {
        if client.get_tenant_logs(endless.clone()).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("readers that are gone leave no room");
}

#[tokio::test]
async fn what_a_rotation_made_can_be_read_however_it_ended() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let switch = (format!("{PLANTED}-switch"), true);
    let first = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&first)[0], switch);
    // It failed when the new value was in its place already.
    let failed = client.rotate_tenant_credentials(rotate("lamp", FAILS_LATE)).await.unwrap_err();
    assert!(failed.message().contains("not seen lit"), "{failed:?}");
    let second = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&second)[0], switch);
    // Its client leaves; meanwhile nobody reads.
    let mut other = daemon.tenants().await;
    tokio::select! {
        ended = other.rotate_tenant_credentials(rotate("lamp", IS_SLOW)) => panic!("it is slow: {ended:?}"),
        () = so(&SLOW_BEGAN) => {}
    }
    drop(other);
    let meanwhile = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&meanwhile)[0], (String::new(), false));
    SLOW_MAY_END.store(true, Ordering::SeqCst);
    for _ in 0..600 {
        let after = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
        if after.credentials[0].rotate_time.is_some() {
            assert_eq!(given(&after)[0], switch);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the rotation went with its client");
}

#[tokio::test]
async fn a_failed_rotation_leaves_what_was_read_once_read_unless_its_value_may_be_another() {
    let daemon = Daemon::start().await;
    let mut client = daemon.tenants().await;
    client.create_tenant(order("acme", "prod")).await.unwrap();
    daemon.settle(State::Ready, OperationOutcome::Ready).await;
    let switch = (format!("{PLANTED}-switch"), true);
    let read_once = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&read_once)[0], switch);
    // Whatever kind of failure it is: the value is the one that was read.
    client.rotate_tenant_credentials(rotate("lamp", FAILS_EARLY)).await.unwrap_err();
    let again = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&again)[0], (String::new(), false));
    client.rotate_tenant_credentials(rotate("lamp", FAILS_IN_DOUBT)).await.unwrap_err();
    let new = client.get_tenant_access(read(&["switch"])).await.unwrap().into_inner();
    assert_eq!(given(&new)[0], switch);
}
