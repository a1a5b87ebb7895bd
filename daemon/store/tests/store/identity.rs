//! Which store it is: never made unasked, never shared, never mistaken for a copy of itself.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use landlord_core::{
    DesiredState, FoundObjects, OperationOutcome, Precondition, Stage, StageState, State,
    placement::ProviderKey,
    ports::{
        Change, Commit, DaemonInfo, DaemonStore as _, InventoryStore as _, Release, StoreError, TenantStore as _,
        WorkStore as _,
    },
    stage::RemovedObject,
};
use landlord_store::{Error, SqliteOptions, Store, sqlite};
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::{assert_refused, fixtures::*, sqlite::raw};

const SOON: Duration = Duration::from_secs(20);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landlord.db");
    (folder, path)
}

async fn made(path: &Path) -> Store {
    sqlite::open(path, SqliteOptions { create: true, ..SqliteOptions::default() }).await.unwrap()
}

async fn reopened(path: &Path) -> Store {
    sqlite::open(path, SqliteOptions::default()).await.unwrap()
}

async fn closed(store: Store) {
    store.close().await;
    drop(store);
}

#[tokio::test]
async fn no_store_is_made_unasked() {
    let (folder, path) = place();
    for content in [None, Some("")] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let refused = sqlite::open(&path, SqliteOptions::default()).await.unwrap_err();
        assert!(matches!(refused, Error::Missing { .. }), "{refused:?}");
        assert!(refused.to_string().contains("landlordd restore") && refused.to_string().contains("landlordd init"));
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["landlord.db"], "nothing was made beside it");
    sqlite::init(&path).await.unwrap();
    assert!(matches!(sqlite::init(&path).await.unwrap_err(), Error::Exists { .. }));
    // Who made it new may have had another one before.
    let store = reopened(&path).await;
    assert_eq!(store.inventories_due(&[key()]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_file_is_one_store_whatever_it_is_called() {
    let (folder, path) = place();
    let store = made(&path).await;
    let (link, hard) = (folder.path().join("link.db"), folder.path().join("hard.db"));
    std::os::unix::fs::symlink(&path, &link).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    for other in [&link, &hard] {
        let refused = sqlite::open(other, SqliteOptions::default()).await.unwrap_err();
        assert!(matches!(refused, Error::InUse { .. }), "{refused:?}");
    }
    created(&store, "acme", "prod").await;
    closed(store).await;
    reopened(&link).await.get(&name("acme", "prod")).await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_gone_or_replaced_takes_no_more_writes() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 3] = [
        ("is not there any more", |path| fs::remove_file(path).unwrap()),
        ("was replaced", |path| {
            fs::copy(path, path.with_extension("copy")).unwrap();
            fs::rename(path.with_extension("copy"), path).unwrap();
        }),
        ("landlord.db-wal was removed or replaced", |path| fs::remove_file(path.with_extension("db-wal")).unwrap()),
    ];
    for (expected, harm) in harms {
        let (_folder, path) = place();
        let store = made(&path).await;
        created(&store, "acme", "before").await;
        harm(&path);
        let refused = store.create(new(&name("acme", "after"), once())).await;
        assert_refused!(&refused, StoreError::Unavailable { .. });
        let StoreError::Unavailable { source, .. } = refused.unwrap_err() else { unreachable!() };
        assert!(source.to_string().contains(expected), "{source}");
        let lost = tokio::time::timeout(SOON, store.lost()).await.unwrap();
        assert!(lost.contains(expected) && lost.contains("landlordd restore"), "{lost}");
        // What can still be read is read.
        store.get(&name("acme", "before")).await.unwrap();
        closed(store).await;
    }
}

fn key() -> ProviderKey {
    placement().provider_key()
}

/// A tenant whose network and cluster were built, by the journal.
async fn built(store: &Store, tenant: &str) -> landlord_core::Environment {
    created(store, "acme", tenant).await;
    let claim = claim_one(store).await;
    let work = store.load(&claim).await.unwrap();
    let mut commit = settle(&work, State::Ready, OperationOutcome::Ready);
    let done = |stage| record(stage, DesiredState::Present, StageState::Done);
    commit.stages = vec![done(Stage::Network), done(Stage::Cluster)];
    commit.release = Release::After(Duration::ZERO);
    store.commit(&claim, commit).await.unwrap();
    store.get(&name("acme", tenant)).await.unwrap()
}

fn found(uid: landlord_core::TenantUid) -> FoundObjects {
    let objects = vec![RemovedObject { r#type: "vpc".into(), id: format!("vpc-{uid}"), name: String::new() }];
    FoundObjects { uid, region: "eu-central-1".into(), objects }
}

/// A store as it was before two tenants changed: `gone` was deleted since, `late` was ordered since.
async fn put_back(
    path: &Path,
    copy: impl AsyncFnOnce(&Path, &Path),
    back: impl AsyncFnOnce(&Path, &Path),
) -> Vec<FoundObjects> {
    let store = made(path).await;
    let kept = built(&store, "kept").await;
    park(&store).await;
    built(&store, "gone").await;
    park(&store).await;
    let backup = path.with_extension("backup");
    copy(path, &backup).await;
    store.delete(&name("acme", "gone"), delete()).await.unwrap();
    make_gone(&store).await;
    let late = built(&store, "late").await;
    closed(store).await;
    back(&backup, path).await;
    vec![found(kept.uid), found(late.uid)]
}

/// Nothing is due any more.
async fn park(store: &Store) {
    for claim in store.claim("a", 10, LEASE).await.unwrap() {
        let commit = Commit { release: Release::UntilChanged, ..Commit::default() };
        store.commit(&claim, commit).await.unwrap();
    }
}

async fn nothing_deleted_is_rebuilt(path: &Path, cloud: Vec<FoundObjects>, reason: &str) {
    let store = reopened(path).await;
    let due = store.inventories_due(&[key()]).await.unwrap();
    assert_eq!(due.len(), 1, "{due:?}");
    assert!(due[0].reason.contains(reason), "{due:?}");
    assert_eq!((&due[0].key, &due[0].regions), (&key(), &vec!["eu-central-1".to_owned()]));
    // Whatever is due waits, and no hint is sent.
    store.change(&name("acme", "kept"), Precondition::None, update(larger_of("kept")), once()).await.unwrap();
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
    assert_eq!(store.next_due("a").await.unwrap(), None);

    let late = cloud[1].uid;
    let report = store.compare_inventory(&key(), Some(cloud)).await.unwrap();
    assert_eq!((report.orphans, report.held), (vec![late], vec![name("acme", "gone")]));
    assert_eq!(store.inventories_due(&[key()]).await.unwrap(), []);
    let orphans = store.orphans().await.unwrap();
    assert_eq!((orphans.len(), orphans[0].uid, orphans[0].objects.len()), (1, late, 1));
    let held = store.get(&name("acme", "gone")).await.unwrap();
    assert_eq!(held.status.state, State::Failed);
    assert!(held.status.conditions.iter().all(|c| !c.status && c.reason == "HeldAfterRestore"), "{held:?}");
    let claim = claim_one(&store).await;
    assert_eq!(store.load(&claim).await.unwrap().environment.name(), name("acme", "kept"));

    // Somebody says what is right.
    store.change(&name("acme", "gone"), Precondition::None, Change::Retry, once()).await.unwrap();
    assert_eq!(claim_one(&store).await.uid, held.uid);
    // It stays compared over a restart.
    closed(store).await;
    let store = reopened(path).await;
    assert_eq!(store.inventories_due(&[key()]).await.unwrap(), []);
    closed(store).await;
}

fn larger_of(tenant: &str) -> landlord_core::TenantSpec {
    landlord_core::TenantSpec { storage: 20.try_into().unwrap(), ..spec_of(&name("acme", tenant)) }
}

#[tokio::test]
async fn a_copy_that_is_put_back_rebuilds_nothing_that_was_deleted() {
    let (_folder, path) = place();
    let copy = async |path: &Path, to: &Path| {
        sqlite::backup(path, to).await.unwrap();
    };
    let back = async |from: &Path, path: &Path| {
        fs::copy(from, path).unwrap();
    };
    let cloud = put_back(&path, copy, back).await;
    nothing_deleted_is_rebuilt(&path, cloud, "older than what was acknowledged last").await;
}

#[tokio::test]
async fn a_restored_backup_rebuilds_nothing_that_was_deleted() {
    let (folder, path) = place();
    let copy = async |path: &Path, to: &Path| {
        let copied = sqlite::backup(path, to).await.unwrap();
        assert_eq!(copied.environments, 2);
        assert!(matches!(sqlite::backup(path, to).await.unwrap_err(), Error::Exists { .. }));
    };
    let back = async |from: &Path, path: &Path| {
        assert!(matches!(sqlite::restore(from, path, false).await.unwrap_err(), Error::Exists { .. }));
        let absent = sqlite::restore(&from.with_extension("absent"), path, true).await.unwrap_err().to_string();
        assert!(absent.contains("No such file") && absent.contains("another backup"), "{absent}");
        assert_eq!(sqlite::restore(from, path, true).await.unwrap().environments, 2);
    };
    let cloud = put_back(&path, copy, back).await;
    nothing_deleted_is_rebuilt(&path, cloud, "restored from").await;
    let kept = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(kept.into_iter().any(|name| name.contains("replaced-")));
}

#[tokio::test]
async fn a_store_that_nobody_closed_and_that_is_old_is_compared_first() {
    let (_folder, path) = place();
    let store = made(&path).await;
    let tenant = built(&store, "kept").await;
    created(&store, "acme", "ordered").await;
    closed(store).await;
    let mut clock = raw(&path).await;
    sqlx::query("UPDATE identity SET clean = 0, seen_time = seen_time - 3600000").execute(&mut clock).await.unwrap();
    clock.close().await.unwrap();
    let store = reopened(&path).await;
    assert!(store.inventories_due(&[]).await.unwrap()[0].reason.contains("no daemon had the store open since"));
    let report = store.compare_inventory(&key(), Some(Vec::new())).await.unwrap();
    // What was built is missed; what was only ordered is built.
    assert_eq!(report.held, [tenant.name()]);
    claim_one(&store).await;
    // Another daemon that listed before this one was built compares too late: work goes on since.
    built(&store, "later").await;
    let report = store.compare_inventory(&key(), Some(Vec::new())).await.unwrap();
    assert_eq!(report.held, []);
}

#[tokio::test]
async fn a_daemon_that_was_killed_goes_on_at_once() {
    let (_folder, path) = place();
    let store = made(&path).await;
    created(&store, "acme", "prod").await;
    // As after a kill: nothing was closed.
    let copy = path.with_extension("killed");
    closed(store).await;
    fs::copy(&path, &copy).unwrap();
    let mut killed = raw(&path).await;
    sqlx::query("UPDATE identity SET clean = 0").execute(&mut killed).await.unwrap();
    killed.close().await.unwrap();
    let store = reopened(&path).await;
    assert_eq!(store.inventories_due(&[key()]).await.unwrap(), []);
    claim_one(&store).await;
}

#[tokio::test]
async fn a_provider_that_is_gone_from_the_configuration_holds_up_nobody() {
    let (_folder, path) = place();
    sqlite::init(&path).await.unwrap();
    let store = reopened(&path).await;
    created(&store, "acme", "prod").await;
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
    let report = store.compare_inventory(&key(), None).await.unwrap();
    assert_eq!((report.orphans, report.held), (vec![], vec![]));
    claim_one(&store).await;
    // Nobody has listed it: when it is configured again, it is compared.
    assert_eq!(store.inventories_due(&[]).await.unwrap(), []);
    assert_eq!(store.inventories_due(&[key()]).await.unwrap().len(), 1);
    let uid = landlord_core::TenantUid(uuid::Uuid::new_v4());
    let report = store.compare_inventory(&key(), Some(vec![found(uid)])).await.unwrap();
    assert_eq!((report.orphans, report.held), (vec![uid], vec![]));
    assert_eq!(store.inventories_due(&[key()]).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_ordered_after_a_restore_is_not_held() {
    let (_folder, path) = place();
    let copy = async |path: &Path, to: &Path| {
        sqlite::backup(path, to).await.unwrap();
    };
    let back = async |from: &Path, path: &Path| {
        sqlite::restore(from, path, true).await.unwrap();
    };
    let cloud = put_back(&path, copy, back).await;
    let store = reopened(&path).await;
    created(&store, "acme", "fresh").await;
    let report = store.compare_inventory(&key(), Some(cloud)).await.unwrap();
    assert_eq!(report.held, [name("acme", "gone")]);
    assert_eq!(claim_one(&store).await.uid, store.get(&name("acme", "fresh")).await.unwrap().uid);
}

#[tokio::test]
async fn positions_of_events_are_not_used_twice() {
    let (_folder, path) = place();
    let store = made(&path).await;
    created(&store, "acme", "one").await;
    let backup = path.with_extension("backup");
    sqlite::backup(&path, &backup).await.unwrap();
    created(&store, "acme", "two").await;
    let lost = store.newest_event().await.unwrap();
    closed(store).await;
    sqlite::restore(&backup, &path, true).await.unwrap();
    let store = reopened(&path).await;
    created(&store, "acme", "three").await;
    assert!(store.newest_event().await.unwrap() > lost + 1);
}

#[tokio::test]
async fn what_is_no_store_is_not_restored_and_nothing_under_a_daemon() {
    let (folder, path) = place();
    let store = made(&path).await;
    created(&store, "acme", "prod").await;
    let backup = folder.path().join("backup");
    sqlite::backup(&path, &backup).await.unwrap();
    let under = sqlite::restore(&backup, &path, true).await.unwrap_err();
    assert!(matches!(under, Error::InUse { .. }), "{under:?}");
    closed(store).await;
    let half = folder.path().join("half");
    let whole = fs::read(&backup).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    for bad in [half, folder.path().join("nothing")] {
        let refused = sqlite::restore(&bad, &path, true).await.unwrap_err();
        assert!(matches!(refused, Error::NotAStore { .. }), "{refused:?}");
    }
    reopened(&path).await.get(&name("acme", "prod")).await.unwrap();
}

#[tokio::test]
async fn a_backup_is_whole_while_the_store_is_written() {
    let (folder, path) = place();
    let store = made(&path).await;
    let writing = {
        let store = store.clone();
        async move {
            for turn in 0..200 {
                created(&store, "acme", &format!("t{turn}")).await;
            }
        }
    };
    let backups = async {
        for turn in 0..5 {
            sqlite::backup(&path, &folder.path().join(format!("backup{turn}"))).await.unwrap();
        }
    };
    tokio::join!(writing, backups);
    for turn in 0..5 {
        let mut copy = raw(&folder.path().join(format!("backup{turn}"))).await;
        let count = async |copy: &mut sqlx::SqliteConnection, sql: &'static str| -> i64 {
            sqlx::query_scalar(sql).fetch_one(copy).await.unwrap()
        };
        let tenants = count(&mut copy, "SELECT COUNT(*) FROM tenants").await;
        assert_eq!(tenants, count(&mut copy, "SELECT COUNT(*) FROM operations").await);
        assert_eq!(tenants, count(&mut copy, "SELECT COUNT(*) FROM events").await);
    }
}

#[tokio::test]
async fn a_corrupt_row_fails_its_own_tenant_only() {
    use landlord_core::ports::{EnvironmentQuery, EventQuery, OperationQuery};
    let (_folder, path) = place();
    let store = made(&path).await;
    for tenant in ["a", "b", "c"] {
        created(&store, "acme", tenant).await;
    }
    let mut harm = raw(&path).await;
    for sql in [
        "UPDATE tenants SET status = 'nonsense' WHERE tenant = 'b'",
        "UPDATE operations SET kind = 'nonsense' WHERE tenant = 'b'",
        "UPDATE events SET kind = 'nonsense' WHERE tenant = 'b'",
    ] {
        sqlx::query(sql).execute(&mut harm).await.unwrap();
    }
    harm.close().await.unwrap();
    assert_refused!(store.get(&name("acme", "b")).await, StoreError::Corrupt { .. });
    let mut query = EnvironmentQuery { limit: 2, ..EnvironmentQuery::default() };
    let first = store.list(&query).await.unwrap();
    query.after = first.next;
    let second = store.list(&query).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next), (1, 1, None));
    let operations = store.operations(&OperationQuery { limit: 10, ..OperationQuery::default() }).await.unwrap();
    let events = store.events(&EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
    assert_eq!((operations.items.len(), events.len()), (2, 2));
    let claims = store.claim("a", 10, LEASE).await.unwrap();
    let mut loaded = Vec::new();
    for claim in &claims {
        loaded.push(store.load(claim).await.is_ok());
    }
    assert_eq!((claims.len(), loaded.iter().filter(|fine| **fine).count()), (3, 2));
    created(&store, "acme", "d").await;
    closed(store).await;
    reopened(&path).await.get(&name("acme", "a")).await.unwrap();
}

#[tokio::test]
async fn what_was_claimed_before_an_epoch_is_claimed_again() {
    let (_folder, path) = place();
    let store = sqlite::open(&path, SqliteOptions { create: true, ..SqliteOptions::default() }).await.unwrap();
    created(&store, "acme", "prod").await;
    let claim = claim_one(&store).await;
    let daemon = DaemonInfo { id: "a".into(), host: "h".into(), pid: 1, version: "0.1.0".into() };
    store.announce(&daemon).await.unwrap();
    store.begin_epoch("another daemon's operator says so").await.unwrap();
    let lost = store.load(&claim).await.unwrap_err();
    assert!(matches!(lost, StoreError::FenceLost(_)), "{lost}");
    // Nothing is changed before its provider was compared.
    assert_eq!(store.claim("a", 10, LEASE).await.unwrap(), []);
    // A copy knows daemons that are no more.
    assert_eq!(store.daemons().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_of_before_an_epoch_are_not_given_again() {
    let (_folder, path) = place();
    let url = crate::postgres::new_database().await;
    for store in [made(&path).await, crate::postgres::open(&url, true).await.unwrap()] {
        created(&store, "acme", "prod").await;
        let newest = store.newest_event().await.unwrap();
        // As `landlordd begin-epoch` after a restore by the server's tools: events that came after the copy are not in it.
        store.begin_epoch("put back").await.unwrap();
        created(&store, "acme", "later").await;
        let later = store.newest_event().await.unwrap();
        assert!(later > newest + 999_999, "{newest} {later}");
        store.close().await;
    }
}

#[tokio::test]
async fn what_root_makes_belongs_to_the_user_whose_folder_it_is() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (folder, path) = place();
    let elsewhere = tempfile::tempdir().unwrap();
    let backup = elsewhere.path().join("backup");
    sqlite::init(&path).await.unwrap();
    sqlite::backup(&path, &backup).await.unwrap();
    for file in fs::read_dir(folder.path()).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    std::os::unix::fs::chown(folder.path(), Some(4711), Some(4712)).unwrap();
    sqlite::restore(&backup, &path, true).await.unwrap();
    sqlite::restore(&backup, &path, true).await.unwrap();
    let store = reopened(&path).await;
    created(&store, "acme", "prod").await;
    let mut found = Vec::new();
    for file in fs::read_dir(folder.path()).unwrap() {
        let (name, file) = (file.as_ref().unwrap().file_name(), file.as_ref().unwrap().metadata().unwrap());
        assert_eq!((file.uid(), file.gid()), (4711, 4712), "{name:?}");
        found.push(name.into_string().unwrap());
    }
    for name in ["landlord.db", "landlord.db-wal", "landlord.db.lock", "landlord.db.mark"] {
        assert!(found.iter().any(|found| found == name), "{found:?}");
    }
    closed(store).await;
}
