//! Brings up a customer's environment on a simulated cloud, from nothing.

fn main() {}
