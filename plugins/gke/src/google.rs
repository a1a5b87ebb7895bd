//! Clients of Google Cloud's services for one credential scope. The SDK repeats nothing: the
//! daemon owns time and sees all tenants of a project.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use google_cloud_container_v1::client::ClusterManager;
use google_cloud_dns_v1::client::{Changes, ManagedZones, Projects, ResourceRecordSets};
use google_cloud_gax::retry_policy::NeverRetry;
use landlord_provider_api::{ErrorKind, ProviderError};

use crate::{compute::Compute, credentials::Scope, error::chain, rest::Rest, token::Tokens};

/// A connection that takes longer will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Google responds to these calls within a second or two, creating a cluster within ten.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Failed operations whose failure was reported; the oldest are forgotten first and reported again.
const REPORTED_MAX: usize = 1_024;
/// Cloud DNS's own address.
const DNS: &str = "https://dns.googleapis.com";

/// All clients of one credential scope.
#[derive(Debug)]
pub(crate) struct Google {
    /// GKE.
    pub(crate) clusters: ClusterManager,
    /// Cloud DNS: zones.
    pub(crate) zones: ManagedZones,
    /// Cloud DNS: records, reading.
    pub(crate) records: ResourceRecordSets,
    /// Cloud DNS: records, changing.
    pub(crate) changes: Changes,
    /// Cloud DNS: the project, for its number.
    pub(crate) projects: Projects,
    /// Compute Engine.
    pub(crate) compute: Compute,
    /// Cloud DNS: policies of zones.
    pub(crate) policies: Rest,
    /// Access tokens.
    pub(crate) tokens: Tokens,
    reported: Mutex<VecDeque<String>>,
}

impl Google {
    /// Builds the clients. Makes no outside call.
    ///
    /// # Errors
    /// AUTH if a key cannot be read, INTERNAL if the TLS stack cannot be set up.
    pub(crate) async fn new(scope: &Scope, endpoint: Option<String>) -> Result<Self, ProviderError> {
        let internal = |what: &str, e: &(dyn std::error::Error + 'static)| {
            ProviderError::new(ErrorKind::Internal, format!("{what} cannot be built: {}", chain(e)))
        };
        let mut pool = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
        if endpoint.is_some() {
            pool = pool.no_proxy();
        }
        let http = pool.build().map_err(|e| internal("the HTTP client", &e))?;
        let tokens = Tokens::new(scope, &http, endpoint.as_deref())?;
        macro_rules! client {
            ($client:ident) => {{
                let mut builder = $client::builder()
                    .with_credentials(tokens.clone())
                    .with_retry_policy(NeverRetry)
                    .with_attempt_timeout(CALL_TIMEOUT);
                if let Some(endpoint) = &endpoint {
                    builder = builder.with_endpoint(endpoint.clone());
                }
                builder.build().await.map_err(|e| internal(stringify!($client), &e))?
            }};
        }
        Ok(Self {
            clusters: client!(ClusterManager),
            zones: client!(ManagedZones),
            records: client!(ResourceRecordSets),
            changes: client!(Changes),
            projects: client!(Projects),
            compute: Compute::new(&http, endpoint.as_deref(), &tokens),
            policies: Rest::new(&http, DNS, endpoint.as_deref(), &tokens),
            tokens,
            reported: Mutex::default(),
        })
    }

    /// Whether the failure of this operation has not been reported yet; from now on it has. A memory
    /// of this process only: losing it costs one more report of an old failure.
    pub(crate) fn is_news(&self, operation: &str) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.iter().any(|t| t == operation) {
            return false;
        }
        if reported.len() == REPORTED_MAX {
            reported.pop_front();
        }
        reported.push_back(operation.to_owned());
        true
    }
}
