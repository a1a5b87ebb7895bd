//! End-to-end tests of landlord through its public surfaces: the command line client, the
//! gRPC API, the simulated clouds' journal. The tests are in `tests/`.
