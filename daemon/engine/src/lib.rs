//! The reconciling engine of landlord.
