//! Starts, watches and stops real Kubernetes control planes for tests.
