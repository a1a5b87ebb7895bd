//! Clients of the AWS services, one set a Region, all on one connection pool and one set of
//! credentials. At most one repetition inside the SDK, in a partition of this credential
//! scope's own: the SDK's retry budget is otherwise shared by every account in the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_eks::config::retry::RetryPartition;
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_http_client::{Builder as HttpBuilder, tls};
use landlord_provider_api::{ErrorKind, ProviderError};

use crate::{config::Config, credentials, measure::CallCount, query::Query};

/// Repetitions beyond this are the daemon's, which sees all tenants of the account.
const ATTEMPTS: u32 = 2;
/// A connection that takes longer will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// AWS responds to these calls within a second or two.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(12);
/// Both attempts and the pause; well within the daemon's deadline for a plugin call.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(25);
/// Route 53 is one service for the whole partition, and signs for this Region.
const GLOBAL_REGION: &str = "us-east-1";

/// All clients of one credential scope.
#[derive(Debug)]
pub(crate) struct Aws {
    base: SdkConfig,
    credentials: SharedCredentialsProvider,
    partition: RetryPartition,
    http: reqwest::Client,
    endpoint: Option<String>,
    calls: CallCount,
    regions: Mutex<HashMap<String, Arc<Clients>>>,
}

/// Clients for one Region.
#[derive(Debug)]
pub(crate) struct Clients {
    /// EKS.
    pub(crate) eks: aws_sdk_eks::Client,
    /// CloudFormation.
    pub(crate) stacks: aws_sdk_cloudformation::Client,
    /// Elastic Load Balancing v2.
    pub(crate) balancers: aws_sdk_elasticloadbalancingv2::Client,
    /// Resource Groups Tagging.
    pub(crate) tagging: aws_sdk_resourcegroupstagging::Client,
    /// Route 53.
    pub(crate) zones: aws_sdk_route53::Client,
    /// EC2 and classic load balancers.
    pub(crate) query: Query,
    /// The Region.
    pub(crate) region: String,
    /// Credentials, for presigning.
    pub(crate) credentials: SharedCredentialsProvider,
}

impl Aws {
    /// Builds the clients' common part. Makes no outside call.
    ///
    /// # Errors
    /// INTERNAL if the TLS stack cannot be set up.
    pub(crate) async fn new(
        config: &Config,
        scope: &credentials::Scope,
        endpoint: Option<String>,
    ) -> Result<Self, ProviderError> {
        let http = HttpBuilder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let mut builder = SdkConfig::builder()
            .behavior_version(credentials::behavior())
            .region(Region::new(config.sts_region.clone()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts)
            .sleep_impl(TokioSleep::new())
            .time_source(SystemTimeSource::new())
            .http_client(http);
        builder.set_endpoint_url(endpoint.clone());
        let base = builder.build();
        let credentials = scope.provider(&base).await;
        let mut pool = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(ATTEMPT_TIMEOUT);
        if endpoint.is_some() {
            pool = pool.no_proxy();
        }
        let http = pool
            .build()
            .map_err(|e| ProviderError::new(ErrorKind::Internal, format!("the HTTP client cannot be built: {e}")))?;
        let partition = RetryPartition::custom("landlord-eks").build();
        Ok(Self {
            base,
            credentials,
            partition,
            http,
            endpoint,
            calls: CallCount::default(),
            regions: Mutex::default(),
        })
    }

    /// The clients for a Region.
    pub(crate) fn region(&self, region: &str) -> Arc<Clients> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = regions.entry(region.to_owned()).or_insert_with(|| Arc::new(self.build(region)));
        Arc::clone(clients)
    }

    fn build(&self, region: &str) -> Clients {
        let config = |region: &str| {
            self.base
                .to_builder()
                .region(Region::new(region.to_owned()))
                .credentials_provider(self.credentials.clone())
                .build()
        };
        let (here, global) = (config(region), config(GLOBAL_REGION));
        macro_rules! client {
            ($sdk:ident, $config:expr) => {
                $sdk::Client::from_conf(
                    $sdk::config::Builder::from($config)
                        .retry_partition(self.partition.clone())
                        .interceptor(self.calls.clone())
                        .build(),
                )
            };
        }
        Clients {
            eks: client!(aws_sdk_eks, &here),
            stacks: client!(aws_sdk_cloudformation, &here),
            balancers: client!(aws_sdk_elasticloadbalancingv2, &here),
            tagging: client!(aws_sdk_resourcegroupstagging, &here),
            zones: client!(aws_sdk_route53, &global),
            query: Query {
                http: self.http.clone(),
                credentials: self.credentials.clone(),
                region: region.to_owned(),
                suffix: dns_suffix(region),
                endpoint: self.endpoint.clone(),
            },
            region: region.to_owned(),
            credentials: self.credentials.clone(),
        }
    }
}

/// Domain of the partition that a Region belongs to.
pub(crate) fn dns_suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// Partition that a Region belongs to, as in ARNs.
pub(crate) fn partition(region: &str) -> &'static str {
    match region {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}
