//! The landlord daemon.

fn main() {}
