//! The reconciling engine: claims what is due, decides by a pure function, calls providers and the deploy stage, records,
//! and schedules its wake-up.
//!
//! # Expected flow
//! [`Engine::run`] claims tenants (`engine.rs`) and gives each a pass (`pass.rs`). A pass loads the record, queries
//! `core::step` what to do, records the intent of every stage before its first call, runs independent stages side by side,
//! and commits each outcome as it comes. It ends when there is nothing to do but wait. `execute.rs` alone requests outside
//! changes, after `limits` let the call go.
//!
//! # Guarantees
//! - An intent is durable before the first call for it; every write is fenced by the claim.
//! - Status and conditions follow the records at every write (`conditions.rs`); what changed is an event once (`events.rs`).
//! - A killed pass, a lost lease or a panic costs calls that are repeated, never work.
//! - One tenant's failure delays nobody beyond a fair share of the account's rate.
//! - Nothing waits for longer than the longest legitimate wait, whatever happens to the wall clock (`clock.rs`).
//!
//! # Assumptions
//! Calls are idempotent and return soon; a hint may be lost, the store decides what is due.
//!
//! # Errors
//! None leave [`Engine::run`]: what fails is recorded with the stage, or logged and tried again.
//!
//! # Example
//! What nobody can build is FAILED, with what the operator must do. The ports here know no cloud and no cluster.
//!
//! ```
//! # use std::{collections::BTreeMap, sync::Arc, time::Duration};
//! #
//! # use landlord_core::{
//! #     ErrorKind, Failure, FoundInHost, Measured,
//! #     environment::State,
//! #     ports::*,
//! #     stage::RemovedObject,
//! # };
//! # use landlord_provider_api::{Provider, v1::DescribeResponse};
//! # use landlord_store_contract::fixtures::{name, new, once};
//! use landlord_core::ports::{TenantStore as _, Wake as _};
//! use landlord_engine::{Engine, EngineOptions, EnginePorts};
//! use landlord_store::{SqliteOptions, sqlite};
//! use tokio_util::sync::CancellationToken;
//!
//! # struct NoClouds;
//! # impl Providers for NoClouds {
//! #     fn provider(&self, key: &ProviderKey) -> Result<Arc<dyn Provider>, Failure> {
//! #         Err(Failure::new(ErrorKind::Invalid, format!("{key} is not configured")).with_remedy("configure it"))
//! #     }
//! #     fn description(&self, _: &ProviderKey) -> Option<DescribeResponse> { None }
//! #     fn start_failure(&self, _: &ProviderKey) -> Option<String> { None }
//! #     fn health(&self) -> Vec<ProviderHealth> { Vec::new() }
//! # }
//! # struct NoClusters;
//! # #[async_trait::async_trait]
//! # impl Isolation for NoClusters {
//! #     async fn ensure(&self, _: &DeployTarget) -> Result<StageProgress, Failure> { unimplemented!() }
//! #     async fn certificate(&self, _: &DeployTarget) -> Result<Option<landlord_core::CertificateOrder>, Failure> { unimplemented!() }
//! #     async fn remove(&self, _: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> { unimplemented!() }
//! #     async fn ensure_customer(&self, _: &DeployTarget, _: landlord_core::CustomerRole) -> Result<(), Failure> { unimplemented!() }
//! #     async fn own_cluster_kubeconfig(&self, _: &DeployTarget, _: landlord_core::CustomerRole, _: Duration) -> Result<CustomerAccess, Failure> { unimplemented!() }
//! #     async fn customer_kubeconfig(&self, _: &DeployTarget, _: Duration) -> Result<KubeCredentials, Failure> { unimplemented!() }
//! # }
//! # #[async_trait::async_trait]
//! # impl HostClusters for NoClusters {
//! #     async fn measure(&self, _: &KubeCredentials, _: &str) -> Result<Measured, Failure> { unimplemented!() }
//! #     async fn joined(&self, _: &KubeCredentials, _: &str) -> Result<u32, Failure> { unimplemented!() }
//! #     async fn ensure_scaled_pool(&self, _: &KubeCredentials, _: &landlord_core::ports::ScaledPool, _: &landlord_core::ports::PoolGrowth) -> Result<StageProgress, Failure> { unimplemented!() }
//! #     async fn remove_scaled_pool(&self, _: &KubeCredentials, _: &landlord_core::ports::ScaledPool) -> Result<(StageProgress, Vec<RemovedObject>), Failure> { unimplemented!() }
//! #     async fn of_tenants(&self, _: &KubeCredentials, _: &str) -> Result<Vec<FoundInHost>, Failure> { unimplemented!() }
//! #     async fn uninstall(&self, _: &KubeCredentials, _: &str) -> Result<UninstallReport, Failure> { unimplemented!() }
//! # }
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("landlord.db");
//! # let tenant = name("acme", "prod");
//! let store = sqlite::open(&path, SqliteOptions { create: true, ..SqliteOptions::default() }).await?;
//! let ports = EnginePorts {
//!     store: Arc::new(store.clone()),
//!     providers: Arc::new(NoClouds),
//!     apps: None,
//!     isolation: Arc::new(NoClusters),
//!     host_clusters: Arc::new(NoClusters),
//! };
//! # let options = EngineOptions {
//! #     installation: "example".into(),
//! #     owner: "one".into(),
//! #     passes_max: 8,
//! #     lease_ttl: Duration::from_secs(30),
//! #     resync_interval: Duration::from_secs(1_800),
//! #     capacity_interval: Duration::from_secs(300),
//! #     teardown_timeout: Duration::from_secs(600),
//! #     retry_timeout: Duration::from_secs(3_600),
//! #     drain_deadline: Duration::from_secs(5),
//! #     in_cluster_time_scale: 1.0,
//! #     providers: BTreeMap::new(),
//! #     certificate_limits: BTreeMap::new(),
//! # };
//! let (engine, handle) = Engine::new(options, ports);
//! let stop = CancellationToken::new();
//! let running = tokio::spawn(engine.run(stop.clone()));
//!
//! // Whoever writes an order hints the engine; a hint that is lost costs a poll.
//! store.create(new(&tenant, once())).await?;
//! handle.wake();
//! while store.get(&tenant).await?.status.state != State::Failed {
//!     tokio::time::sleep(Duration::from_millis(20)).await;
//! }
//! stop.cancel();
//! running.await?;
//! # store.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! It knows no SQL, no gRPC and no provider by name.

mod access;
mod availability;
mod boot_clock;
mod clock;
mod cluster_access;
mod conditions;
mod engine;
mod events;
mod execute;
mod figures;
mod hand_over;
mod holds;
mod host_inventories;
mod inventories;
mod lease;
mod limit_key;
mod limits;
mod observed;
mod options;
mod pass;
mod planned;
mod progress;
mod request;
mod shared;
mod timing;
mod turns;

pub use availability::{AvailabilityFigures, AvailabilityOptions, AvailabilityWatch};
pub use cluster_access::{ClusterAccess, TenantApps};
pub use engine::{Engine, EngineHandle};
pub use figures::EngineFigures;
pub use host_inventories::HostInventories;
pub use inventories::Inventories;
pub use options::{BucketFigures, EngineOptions, EnginePorts, ProviderOptions};
