//! Access to the API server as EKS grants it: the bearer token is a presigned STS request that
//! EKS sends on to learn who calls. Nothing is changed and nothing is called to make one.
//!
//! <https://docs.aws.amazon.com/eks/latest/best-practices/identity-and-access-management.html>,
//! <https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster>.

use std::time::{Duration, SystemTime};

use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
use aws_sdk_eks::types::Cluster;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::Engine as _;
use landlord_provider_api::{ErrorKind, ProviderError, v1};

use crate::{
    aws::{self, Clients},
    cluster,
    error::{Result, chain, no_credentials},
    names::Names,
};

/// `X-Amz-Expires`, as every EKS client sends it.
const URL_LIFETIME: Duration = Duration::from_secs(60);
/// EKS honours a token for 15 minutes from its signing, whatever the URL's own lifetime; one
/// minute is kept for clocks and for the way.
const TOKEN_LIFETIME: Duration = Duration::from_secs(14 * 60);
/// Name of the header by which a token is bound to its cluster.
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
const PREFIX: &str = "k8s-aws-v1.";

/// Endpoint, authority and a token.
pub(crate) async fn access(
    aws: &Clients,
    scope: &v1::Scope,
    given: Option<v1::ClusterStatus>,
) -> Result<v1::KubeAccess> {
    let names = Names::new(scope)?;
    let known = given.filter(|c| !c.endpoint.is_empty() && !c.ca_pem.is_empty() && c.name == names.home());
    let status = match known {
        Some(status) => status,
        None => match find(aws, scope, &names).await? {
            Some(cluster) => cluster::status(&cluster)?,
            None => {
                let message = format!("EKS cluster {} does not exist", names.home());
                return Err(ProviderError::new(ErrorKind::Conflict, message).into());
            }
        },
    };
    let credentials = aws.credentials.provide_credentials().await;
    let credentials = credentials.map_err(|e| no_credentials("no credentials for a token", &e))?;
    let now = SystemTime::now();
    let mut end = now + TOKEN_LIFETIME;
    if let Some(expiry) = credentials.expiry() {
        end = end.min(expiry);
    }
    let token = token(names.home(), &aws.region, credentials, now)?;
    Ok(v1::KubeAccess {
        endpoint: status.endpoint,
        ca_pem: status.ca_pem,
        token,
        expire_time: Some(end.into()),
        ..v1::KubeAccess::default()
    })
}

async fn find(aws: &Clients, scope: &v1::Scope, names: &Names) -> Result<Option<Cluster>> {
    if names.is_shared() { cluster::find_shared(aws, names).await } else { cluster::find(aws, scope, names).await }
}

/// Signs. Pure but for its inputs.
pub(crate) fn token(
    cluster: &str,
    region: &str,
    credentials: Credentials,
    now: SystemTime,
) -> std::result::Result<String, ProviderError> {
    let failed = |e: &(dyn std::error::Error + 'static)| {
        ProviderError::new(ErrorKind::Internal, format!("the token could not be signed: {}", chain(e)))
    };
    let host = format!("sts.{region}.{}", aws::dns_suffix(region));
    let url = format!("https://{host}/?Action=GetCallerIdentity&Version=2011-06-15");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(URL_LIFETIME);
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|e| failed(&e))?
        .into();
    let headers = [("host", host.as_str()), (CLUSTER_HEADER, cluster)];
    let request = SignableRequest::new("GET", &url, headers.into_iter(), SignableBody::Bytes(&[]));
    let signed = sign(request.map_err(|e| failed(&e))?, &params).map_err(|e| failed(&e))?;
    let (instructions, _) = signed.into_parts();
    let mut request = http::Request::builder().uri(url).body(()).map_err(|e| failed(&e))?;
    instructions.apply_to_request_http1x(&mut request);
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(request.uri().to_string());
    Ok(format!("{PREFIX}{encoded}"))
}

#[cfg(test)]
mod tests {
    use super::{PREFIX, token};
    use aws_credential_types::Credentials;
    use base64::Engine as _;
    use std::time::{Duration, UNIX_EPOCH};

    fn url(cluster: &str, session: Option<&str>) -> String {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session.map(str::to_owned),
            None,
            "test",
        );
        let now = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let token = token(cluster, "eu-central-1", keys, now).expect("signed");
        let encoded = token.strip_prefix(PREFIX).expect("the prefix");
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).expect("base64");
        String::from_utf8(bytes).expect("text")
    }

    /// The expected signature was computed with botocore's SigV4QueryAuth; see
    /// `tests/witness/token_vector.py`.
    #[test]
    fn equals_what_botocore_signs() {
        assert_eq!(url("landlord-1", None), include_str!("../tests/witness/token_vector.txt").trim());
    }

    #[test]
    fn names_the_cluster_only_in_the_signature() {
        let (one, two) = (url("landlord-1", None), url("landlord-2", None));
        assert_ne!(one, two);
        assert!(one.contains("X-Amz-SignedHeaders=host%3Bx-k8s-aws-id"), "{one}");
        assert!(one.contains("X-Amz-Expires=60"), "{one}");
        assert!(url("landlord-1", Some("tok/en+=")).contains("X-Amz-Security-Token=tok%2Fen%2B%3D"));
    }
}
