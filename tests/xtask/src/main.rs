//! Tasks of the repository: test, ci and their set-up.

fn main() {}
