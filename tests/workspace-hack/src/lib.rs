//! No code: this crate exists for its manifest, which asks every registry crate for the features that the whole
//! workspace asks for. Cargo unifies features over what one command builds, so that `cargo test -p CRATE` would
//! otherwise compile half of the registry once more. Written by `cargo hakari generate`.
