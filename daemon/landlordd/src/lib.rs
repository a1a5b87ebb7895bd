//! The landlord daemon.
