//! The layer in front of every rpc: who calls, and which action it is. What passes carries an [`Access`].
//!
//! Health is served to anybody: load balancers ask for it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use landlord_core::{
    Timestamp,
    access::Action,
    audit::{AuditRecord, Author, Outcome},
    ports::{Authenticator, Authorizer, Peer, Unauthenticated, Via},
};
use tokio::time::Instant;
use tonic::{Status, body::Body, codegen::http};
use tower::{Layer, Service};

use crate::{
    access::{Access, Call},
    attributes::Attributes,
    denials::Denials,
    error::Error,
    limits::{Granted, Limiter},
    listen::Accepted,
    ports::Ports,
};

/// Served to anybody, since what requests it has no identity. `Watch`, a stream without an end, is not.
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";
/// Characters of a refused path in the log; our longest has half of them.
const PATH_LOGGED_MAX: usize = 128;
/// Tokens of a year exist; no connection lives as long as this.
const LEFT_MAX: Duration = Duration::from_secs(24 * 3_600);
/// RFC 6750; the scheme's name has no case.
const SCHEME: &str = "bearer ";

/// Puts the layer in front of a service.
#[derive(Clone)]
pub(crate) struct AuthenticateLayer {
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    attributes: Attributes,
    limiter: Arc<Limiter>,
    denials: Arc<Denials>,
}

impl AuthenticateLayer {
    pub(crate) fn new(ports: &Ports, denials: &Arc<Denials>) -> Self {
        Self {
            authenticator: ports.authenticator.clone(),
            authorizer: ports.authorizer.clone(),
            attributes: Attributes::new(ports.store.clone()),
            limiter: Arc::new(Limiter::new(ports.limits)),
            denials: Arc::clone(denials),
        }
    }

    async fn access(
        &self,
        path: &str,
        connection: Option<&Accepted>,
        headers: &http::HeaderMap,
    ) -> Result<Option<Access>, Error> {
        let connection = connection.ok_or_else(|| Error::Unauthenticated("the connection is not known".into()))?;
        let bearer = bearer(headers)?;
        let authenticated = self.authenticator.authenticate(&connection.peer, bearer).await;
        let principal = authenticated.map_err(|error| match error {
            Unauthenticated::Refused(why) => Error::Unauthenticated(why),
            // Nobody knows yet whether it holds: no entry of an unknown caller.
            Unauthenticated::Unavailable(why) => Error::IssuerUnavailable(why),
        })?;
        let expires = principal.expire_time.map_or(connection.ends, |time| Instant::now() + left(time));
        let (authorizer, attributes) = (self.authorizer.clone(), self.attributes.clone());
        let via = Arc::new(via(&connection.peer, headers));
        let call = Call { ends: expires.min(connection.ends), via, denials: self.denials.clone() };
        // Without an action there is no such rpc, which the router says; a service does nothing without an `Access`.
        let Some(action) = Action::of_path(path) else { return Ok(None) };
        let stream = self.limiter.request(&principal, action)?;
        let call_open = Arc::new(connection.activity.call());
        let limits = Granted { limiter: self.limiter.clone(), _stream: stream, _call: call_open };
        Ok(Some(Access::new(principal, action, authorizer, attributes, (limits, call))))
    }

    /// Notes a call in the audit log whose caller is not known. `path`: what it called, cut.
    fn note(&self, path: &str, peer: Option<&Peer>, headers: &http::HeaderMap) {
        let via = peer.map(|peer| via(peer, headers)).unwrap_or_default();
        let author = Author {
            principal: "anonymous".into(),
            address: via.address,
            user_agent: via.user_agent,
            // Whatever an unknown caller has written is no action.
            action: Action::of_path(path).map_or("", Action::as_str).into(),
            ..Author::default()
        };
        self.denials.note(AuditRecord::new(author, String::new(), None, Outcome::Unauthenticated));
    }
}

/// By which way a request came.
fn via(peer: &Peer, headers: &http::HeaderMap) -> Via {
    let address = match peer {
        Peer::Local { uid } => format!("unix:{uid}"),
        Peer::Remote { address, .. } => address.map(|address| address.to_string()).unwrap_or_default(),
    };
    let user_agent = headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Via::new(address, user_agent.unwrap_or_default())
}

/// How long it is until then.
fn left(time: Timestamp) -> Duration {
    let at = Duration::from_millis(u64::try_from(time.0).unwrap_or(0));
    let left = (UNIX_EPOCH + at).duration_since(SystemTime::now()).unwrap_or_default();
    left.min(LEFT_MAX)
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
            let connection = request.extensions().get::<Accepted>().cloned();
            if request.uri().path() == HEALTH_CHECK {
                let _call = connection.map(|connection| connection.activity.call());
                return inner.call(request).await;
            }
            match layer.access(request.uri().path(), connection.as_ref(), request.headers()).await {
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
                    // At a level that is off by default: whoever is refused decides how often and how long this is.
                    let path: String = request.uri().path().chars().take(PATH_LOGGED_MAX).collect();
                    let peer = connection.map(|connection| connection.peer);
                    if matches!(error, Error::Unauthenticated(_)) {
                        layer.note(&path, peer.as_ref(), request.headers());
                    }
                    tracing::debug!(path, ?peer, %error, "a call was refused");
                    Ok(Status::from(error).into_http())
                }
            }
        })
    }
}
