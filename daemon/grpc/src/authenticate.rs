//! The layer in front of every rpc: who calls, and which action it is. What passes carries an [`Access`].
//!
//! Health is served to anybody: load balancers ask for it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use landlord_core::{
    access::Action,
    ports::{Authenticator, Authorizer, Peer},
};
use tonic::{Status, body::Body, codegen::http};
use tower::{Layer, Service};

use crate::{access::Access, error::Error, ports::Ports};

/// Served to anybody.
const HEALTH: &str = "/grpc.health.v1.Health/";
/// RFC 6750; the scheme's name has no case.
const SCHEME: &str = "bearer ";

/// Puts the layer in front of a service.
#[derive(Clone)]
pub(crate) struct AuthenticateLayer {
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
}

impl AuthenticateLayer {
    pub(crate) fn new(ports: &Ports) -> Self {
        Self { authenticator: ports.authenticator.clone(), authorizer: ports.authorizer.clone() }
    }

    async fn access(
        &self,
        path: &str,
        peer: Option<&Peer>,
        headers: &http::HeaderMap,
    ) -> Result<Option<Access>, Error> {
        let peer = peer.ok_or_else(|| Error::Unauthenticated("the connection's peer is not known".into()))?;
        let bearer = bearer(headers)?;
        let authenticated = self.authenticator.authenticate(peer, bearer).await;
        let principal = authenticated.map_err(|error| Error::Unauthenticated(error.to_string()))?;
        // Without an action there is no such rpc, which the router says; a service does nothing without an `Access`.
        Ok(Action::of_path(path).map(|action| Access::new(principal, action, self.authorizer.clone())))
    }
}

/// The token of a request; more than one, or one in another scheme, is a mistake and not no token.
fn bearer(headers: &http::HeaderMap) -> Result<Option<&str>, Error> {
    let wrong = |what: &str| Error::Unauthenticated(format!("the authorization header {what}; send `Bearer TOKEN`"));
    let mut values = headers.get_all(http::header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(wrong("is there twice"));
    }
    let text = value.to_str().map_err(|_| wrong("is no text"))?;
    match text.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(Some(token.trim())),
        _ => Err(wrong("has another scheme")),
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate { inner, layer: self.clone() }
    }
}

/// A service behind the layer.
#[derive(Clone)]
pub(crate) struct Authenticate<S> {
    inner: S,
    layer: AuthenticateLayer,
}

impl<S> Service<http::Request<Body>> for Authenticate<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // The one that is ready is called; its clone waits for the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            if request.uri().path().starts_with(HEALTH) {
                return inner.call(request).await;
            }
            let peer = request.extensions().get::<Peer>().cloned();
            match layer.access(request.uri().path(), peer.as_ref(), request.headers()).await {
                Ok(access) => {
                    if let Some(access) = access {
                        tracing::Span::current().record("principal", access.principal().name.as_str());
                        request.extensions_mut().insert(access);
                    }
                    // No part behind needs the secret.
                    request.headers_mut().remove(http::header::AUTHORIZATION);
                    inner.call(request).await
                }
                Err(error) => {
                    tracing::info!(path = request.uri().path(), ?peer, %error, "a call was refused");
                    Ok(Status::from(error).into_http())
                }
            }
        })
    }
}
