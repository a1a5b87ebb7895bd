//! Whose store it is: a daemon of another installation would recognise nothing of what was built, and gets no store.

use std::path::Path;

use landlord_core::ports::{DaemonInfo, DaemonStore as _, InventoryStore as _, TenantStore as _};
use landlord_store::{
    Error, PostgresOptions, SqliteOptions, Store, postgres, sqlite,
    transfer::{self, Place},
};

use crate::fixtures::*;

/// The start of a daemon whose configuration names `installation`.
async fn start(place: &Place, installation: &str) -> Result<Store, Error> {
    let installation = Some(installation.to_owned());
    match place {
        Place::Sqlite(path) => {
            sqlite::open(path, SqliteOptions { create: true, installation, ..SqliteOptions::default() }).await
        }
        Place::Postgres(options) => postgres::open(PostgresOptions { installation, ..options.clone() }).await,
    }
}

async fn end(store: Store) {
    store.close().await;
    drop(store);
}

/// A place on each database, with nothing there.
async fn places(folder: &Path) -> [Place; 2] {
    let url = crate::postgres::new_database().await;
    let options = PostgresOptions { url, password: None, events_max: 100_000, create: true, installation: None };
    [Place::Sqlite(folder.join("landlord.db")), Place::Postgres(options)]
}

/// A statement by somebody else than a store.
async fn run(place: &Place, sql: &'static str) {
    match place {
        Place::Sqlite(path) => drop(sqlx::raw_sql(sql).execute(&mut crate::sqlite::raw(path).await).await.unwrap()),
        Place::Postgres(options) => crate::postgres::run(&options.url, sql).await,
    }
}

/// The store's row, whole.
async fn row(place: &Place) -> (String, i64, i64, i64, String) {
    let sql = "SELECT id, epoch, seen_time, clean, installation FROM identity";
    let url = match place {
        Place::Sqlite(path) => format!("sqlite://{}", path.display()),
        Place::Postgres(options) => options.url.clone(),
    };
    sqlx::any::install_default_drivers();
    let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap();
    sqlx::query_as(sql).fetch_one(&mut connection).await.unwrap()
}

/// `other` does not get the store of `own`, and changes nothing of it.
async fn refused(place: &Place, own: &str, other: &str) -> String {
    let before = row(place).await;
    let refused = start(place, other).await.unwrap_err();
    assert!(matches!(&refused, Error::OtherInstallation { .. }), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains(&format!("of the installation {own:?}")), "{text}");
    assert!(text.contains(&format!("says installation = {other:?}")), "{text}");
    assert_eq!(row(place).await, before);
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_used_is_opened_for_its_installation_alone() {
    let folder = tempfile::tempdir().unwrap();
    for place in places(folder.path()).await {
        let store = start(&place, "one").await.unwrap();
        created(&store, "acme", "prod").await;
        end(store).await;
        assert!(refused(&place, "one", "two").await.contains("Write installation = \"one\""));
        let store = start(&place, "one").await.unwrap();
        store.delete(&name("acme", "prod"), delete()).await.unwrap();
        make_gone(&store).await;
        end(store).await;
        // Nor when nothing of it is remembered any more: what was left behind in a cloud carries the name.
        run(&place, "DELETE FROM operations; DELETE FROM events; DELETE FROM audit").await;
        refused(&place, "one", "two").await;
        end(start(&place, "one").await.unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_which_nothing_was_ordered_takes_another_name_and_compares_again() {
    let folder = tempfile::tempdir().unwrap();
    for place in places(folder.path()).await {
        let key = placement().provider_key();
        let store = start(&place, "mistyped").await.unwrap();
        store.begin_epoch("the store is new").await.unwrap();
        store.compare_inventory(&key, Some(Vec::new())).await.unwrap();
        assert_eq!(store.inventories_due(std::slice::from_ref(&key)).await.unwrap().len(), 0);
        end(store).await;
        let store = start(&place, "one").await.unwrap();
        // What was found under the name of before says nothing of this one.
        assert_eq!(store.inventories_due(&[key]).await.unwrap().len(), 1);
        end(store).await;
        let (_, epoch, .., installation) = row(&place).await;
        assert_eq!(installation, "one");
        end(start(&place, "one").await.unwrap()).await;
        assert_eq!(row(&place).await.1, epoch, "the same name begins no epoch");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_daemons_that_start_at_once_on_one_database_those_of_one_name_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let [_, place] = places(folder.path()).await;
    let (one, two) = tokio::join!(start(&place, "one"), start(&place, "two"));
    let (store, own, other) = match (one, two) {
        (Ok(store), Err(_)) => (store, "one", "two"),
        (Err(_), Ok(store)) => (store, "two", "one"),
        both => panic!("{both:?}"),
    };
    // It has not announced itself yet; then it has.
    assert!(refused(&place, own, other).await.contains("has just opened it"));
    let daemon = DaemonInfo { id: "d".into(), host: "h".into(), pid: 7, version: "0".into() };
    store.announce(&daemon).await.unwrap();
    let beside = start(&place, own).await.unwrap();
    end(beside).await;
    assert!(refused(&place, own, other).await.contains("process 7 on h"));
    store.leave("d").await.unwrap();
    end(store).await;
    end(start(&place, other).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_version_before_takes_the_name_of_its_first_start() {
    let folder = tempfile::tempdir().unwrap();
    for place in places(folder.path()).await {
        let store = start(&place, "one").await.unwrap();
        created(&store, "acme", "prod").await;
        end(store).await;
        run(&place, "ALTER TABLE identity DROP COLUMN installation; DELETE FROM _sqlx_migrations WHERE version >= 73")
            .await;
        // A rollout's job, which is no daemon, writes none.
        transfer::migrate(&place).await.unwrap();
        assert_eq!(row(&place).await.4, "");
        let store = start(&place, "one").await.unwrap();
        store.get(&name("acme", "prod")).await.unwrap();
        end(store).await;
        refused(&place, "one", "two").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_goes_along_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file);
    let [first, second] = places(folder.path()).await;
    let store = start(&first, "one").await.unwrap();
    created(&store, "acme", "prod").await;
    end(store).await;
    // To another database, one that was made for another installation and not used.
    end(start(&second, "two").await.unwrap()).await;
    transfer::export(&first, &at("moved")).await.unwrap();
    transfer::import(&at("moved"), &second).await.unwrap();
    refused(&second, "one", "two").await;
    end(start(&second, "one").await.unwrap()).await;
    // And back from a copy, over a store of another.
    let Place::Sqlite(path) = &first else { unreachable!() };
    sqlite::backup(path, &at("copy")).await.unwrap();
    let other = Place::Sqlite(at("other.db"));
    end(start(&other, "two").await.unwrap()).await;
    sqlite::restore(&at("copy"), &at("other.db"), true).await.unwrap();
    refused(&other, "one", "two").await;
    end(start(&other, "one").await.unwrap()).await;
}
