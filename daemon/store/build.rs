//! A migration that is added is compiled in, too: `sqlx::migrate!` alone only notices those that change.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
