//! Benchmarks that anybody can rerun.

fn main() {}
