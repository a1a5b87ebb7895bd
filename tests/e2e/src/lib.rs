//! End-to-end tests of landlord through its public surfaces.
