//! An in-memory provider with scripted faults, for testing the daemon and the plugin boundary.
