//! landlord, the command line client of landlordd.

fn main() {}
