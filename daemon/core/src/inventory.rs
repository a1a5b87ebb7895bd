//! What the clouds hold, compared with what a store says, when the store begins a new epoch: it was recreated or restored
//! from a copy, so that what it says may be older than what was done. Knows no cloud and no database.

use std::collections::BTreeSet;

use crate::{EnvironmentName, HostView, TenantUid, Timestamp, placement::ProviderKey, stage::RemovedObject};

/// A provider whose inventory is to be compared before its environments are worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryDue {
    /// Which.
    pub key: ProviderKey,
    /// Accounts that its records name; empty: whichever the credentials belong to.
    pub accounts: Vec<String>,
    /// Regions that records name.
    pub regions: Vec<String>,
    /// Why, for the log.
    pub reason: String,
}

/// Objects that carry this installation's marker and one tenant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundObjects {
    /// Whose, by the marker.
    pub uid: TenantUid,
    /// Where.
    pub region: String,
    /// What.
    pub objects: Vec<RemovedObject>,
}

/// Host clusters whose namespaces are to be compared with the records, and who is known before they are listed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostsDue {
    /// Those that were READY once and are to stay.
    pub hosts: Vec<HostView>,
    /// Every tenant with a record. Only who is unknown before the list and after it is an orphan: one that was deleted
    /// meanwhile is none.
    pub known: BTreeSet<TenantUid>,
}

/// What a tenant has in a host cluster of its own, beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostedKind {
    /// The namespace that it lives in.
    Namespace,
    /// What a provisioner makes its machines for.
    NodePool,
}

/// An object of a tenant in a host cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundInHost {
    /// Whose, by its label.
    pub uid: TenantUid,
    /// What it is.
    pub kind: HostedKind,
    /// Its name.
    pub name: String,
}

/// Objects of the installation whose tenant the store does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Uid by the marker.
    pub uid: TenantUid,
    /// Who listed them.
    pub key: ProviderKey,
    /// Where they are.
    pub region: String,
    /// What they are.
    pub objects: Vec<RemovedObject>,
    /// When they were first listed.
    pub found_time: Timestamp,
}

/// What a comparison came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InventoryReport {
    /// Tenants' uids that the store does not know.
    pub orphans: Vec<TenantUid>,
    /// Environments of which the cloud holds nothing any more. They are FAILED until somebody deletes or retries them.
    pub held: Vec<EnvironmentName>,
}
