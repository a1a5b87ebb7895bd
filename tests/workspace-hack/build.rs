//! Cargo considers build-dependencies only where there is a build script.

fn main() {
    // Of one that names nothing cargo takes the latest file of the package for its state: which one that is, is chance in a clone, and
    // all crates would be compiled again.
    println!("cargo:rerun-if-changed=build.rs");
}
