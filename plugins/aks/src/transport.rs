//! The HTTP client below the SDK's pipelines: one connection pool, bounded times, a count of
//! calls, and the redirection to a simulator. The SDK refuses to send a token to a plain http
//! URL; so all URLs stay https and are redirected here, below its check. What may be an
//! endpoint is the affair of `config`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, Transport, Url};
use landlord_provider_api::{ErrorKind, ProviderError};

/// A connection that takes longer will not come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// ARM responds within seconds; what takes longer is a long-running operation.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(12);

/// The client.
#[derive(Debug)]
pub(crate) struct Wire {
    client: reqwest::Client,
    redirect: Option<Url>,
    calls: AtomicU64,
}

impl Wire {
    /// Builds the client. Makes no outside call.
    ///
    /// # Errors
    /// INTERNAL if the TLS stack cannot be set up.
    pub(crate) fn new(redirect: Option<Url>) -> Result<Arc<Self>, ProviderError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ATTEMPT_TIMEOUT)
            // A redirection would carry the token along.
            .redirect(reqwest::redirect::Policy::none());
        if redirect.is_some() {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|e| ProviderError::new(ErrorKind::Internal, format!("the HTTP client cannot be built: {e}")))?;
        Ok(Arc::new(Self { client, redirect, calls: AtomicU64::new(0) }))
    }

    /// Options for a pipeline of the SDK. Nothing is repeated in there: the daemon owns time,
    /// and the SDK would sleep for as long as a Retry-After says.
    pub(crate) fn options(self: &Arc<Self>) -> ClientOptions {
        let client: Arc<dyn HttpClient> = Arc::<Self>::clone(self);
        ClientOptions {
            transport: Some(Transport::new(client)),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        }
    }
}

fn redirected(request: &Request, target: &Url) -> azure_core::Result<Request> {
    let refused =
        || azure_core::Error::with_message(azure_core::error::ErrorKind::Other, "the URL cannot be redirected");
    let mut request = request.clone();
    let url = request.url_mut();
    url.set_scheme(target.scheme()).map_err(|()| refused())?;
    url.set_host(target.host_str()).map_err(|_| refused())?;
    url.set_port(target.port()).map_err(|()| refused())?;
    Ok(request)
}

#[async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(metric = "azure_calls", value = calls);
        match &self.redirect {
            None => HttpClient::execute_request(&self.client, request).await,
            Some(target) => HttpClient::execute_request(&self.client, &redirected(request, target)?).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::redirected;
    use azure_core::http::{Method, Request};

    #[test]
    fn only_the_origin_changes() {
        let request = Request::new("https://management.azure.com/a/b?c=d%20e".parse().expect("a URL"), Method::Get);
        for (target, expected) in [
            ("http://127.0.0.1:4566", "http://127.0.0.1:4566/a/b?c=d%20e"),
            ("https://arm.internal", "https://arm.internal/a/b?c=d%20e"),
        ] {
            let moved = redirected(&request, &target.parse().expect("a URL")).expect("moved");
            assert_eq!(moved.url().as_str(), expected);
        }
    }
}
