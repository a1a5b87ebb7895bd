//! Access tokens of one credential scope: fetched when needed, kept until shortly before they
//! end, and never printed. The SDK's own token sources do not say when a token ends, and its
//! service account source makes self-signed JWTs, which a cluster's API server does not take;
//! so keys and impersonation are exchanged here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::Engine as _;
use google_cloud_auth::{
    credentials::{self, AccessTokenCredentials, CacheableResource, CredentialsProvider, EntityTag, service_account},
    errors::CredentialsError,
    signer::Signer,
};
use http::{HeaderMap, HeaderValue};
use landlord_provider_api::{ErrorKind, ProviderError};
use landlord_provider_sdk::table;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    action::{self, Action},
    credentials::Scope,
    error::{ErrorBody, chain, incomplete, no_credentials, retry_after},
    error_table,
};

/// What a token may do: everything that its principal may.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Renewed this long before they end, so that a Kubernetes token is of use for a while.
const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);
/// The longest that Google grants without an organisation's exception.
const LIFETIME: Duration = Duration::from_secs(3600);
/// A token whose end is not known is good for this long at least: the SDK renews its own 4 minutes
/// before their end.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3 * 60);
/// Grant type of RFC 7523.
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Where impersonation is requested.
const IAM_CREDENTIALS: &str = "https://iamcredentials.googleapis.com";

/// A token and its end.
#[derive(Clone)]
pub(crate) struct Token {
    /// The bearer token.
    pub(crate) value: SecretString,
    /// When it stops working, at the earliest.
    pub(crate) expires: SystemTime,
}

/// The tokens of one credential scope.
#[derive(Clone)]
pub(crate) struct Tokens(Arc<Inner>);

struct Inner {
    source: Source,
    http: reqwest::Client,
    endpoint: Option<String>,
    held: Mutex<Option<Token>>,
    calls: AtomicU64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

enum Source {
    Fixed(SecretString),
    Adc(OnceCell<Resolved>),
    Key(Key),
    Impersonate { email: String, delegates: Vec<String>, source: Tokens },
}

/// What ADC turned out to be.
enum Resolved {
    Sdk(AccessTokenCredentials),
    Key(Key),
}

struct Key {
    email: String,
    key_id: String,
    token_uri: String,
    signer: Signer,
}

type ProviderResult<T> = Result<T, ProviderError>;

impl Tokens {
    /// Tokens of a scope. Reaches out only when requested one.
    ///
    /// # Errors
    /// AUTH if a key cannot be read.
    pub(crate) fn new(scope: &Scope, http: &reqwest::Client, endpoint: Option<&str>) -> ProviderResult<Self> {
        let source = match scope {
            Scope::Adc {} => Source::Adc(OnceCell::new()),
            Scope::AccessToken { token } => Source::Fixed(token.clone()),
            Scope::ServiceAccountKey { key } => Source::Key(Key::new(key)?),
            Scope::Impersonate { service_account, delegates, source } => Source::Impersonate {
                email: service_account.clone(),
                delegates: delegates.clone(),
                source: Self::new(source.as_deref().unwrap_or(&Scope::Adc {}), http, endpoint)?,
            },
        };
        Ok(Self(Arc::new(Inner {
            source,
            http: http.clone(),
            endpoint: endpoint.map(str::to_owned),
            held: Mutex::default(),
            calls: AtomicU64::new(0),
        })))
    }

    /// A token that lives for a while yet.
    ///
    /// # Errors
    /// AUTH, or whatever the token's issuer responds.
    pub(crate) async fn get(&self) -> ProviderResult<Token> {
        let mut held = self.0.held.lock().await;
        if let Some(token) = held.as_ref().filter(|t| t.expires > SystemTime::now() + RENEW_BEFORE) {
            return Ok(token.clone());
        }
        let token = self.fetch().await?;
        *held = Some(token.clone());
        Ok(token)
    }

    /// The header of a call, which is counted.
    pub(crate) async fn header(&self) -> ProviderResult<HeaderValue> {
        let calls = self.0.calls.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::info!(metric = "gcp_calls", value = calls);
        let token = self.get().await?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.value.expose_secret()))
            .map_err(|e| no_credentials("the token cannot be sent in a header", &e))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn fetch(&self) -> ProviderResult<Token> {
        match &self.0.source {
            Source::Fixed(value) => Ok(Token { value: value.clone(), expires: SystemTime::now() + UNKNOWN_LIFETIME }),
            Source::Key(key) => self.exchange(key).await,
            Source::Adc(cell) => match cell.get_or_try_init(adc).await? {
                Resolved::Key(key) => self.exchange(key).await,
                Resolved::Sdk(sdk) => {
                    let token = sdk.access_token().await.map_err(|e| sdk_failed(&e))?;
                    Ok(Token { value: token.token.into(), expires: SystemTime::now() + UNKNOWN_LIFETIME })
                }
            },
            Source::Impersonate { email, delegates, source } => self.impersonate(email, delegates, source).await,
        }
    }

    /// RFC 7523: a claim signed with the key, for an access token.
    async fn exchange(&self, key: &Key) -> ProviderResult<Token> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: SecretString,
            expires_in: u64,
        }
        let assertion = key.assertion().await?;
        let url = match &self.0.endpoint {
            Some(endpoint) => format!("{endpoint}/token"),
            None => key.token_uri.clone(),
        };
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", JWT_BEARER)
            .append_pair("assertion", &assertion)
            .finish();
        let request = self.0.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
        let granted: Granted = send(action::TOKEN, &key.email, request).await?;
        let expires = SystemTime::now() + Duration::from_secs(granted.expires_in);
        Ok(Token { value: granted.access_token, expires })
    }

    async fn impersonate(&self, email: &str, delegates: &[String], source: &Self) -> ProviderResult<Token> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Granted {
            access_token: SecretString,
            expire_time: String,
        }
        let base = self.0.endpoint.as_deref().unwrap_or(IAM_CREDENTIALS);
        let url = format!("{base}/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
        let delegates: Vec<String> = delegates.iter().map(|d| format!("projects/-/serviceAccounts/{d}")).collect();
        let lifetime = format!("{}s", LIFETIME.as_secs());
        let body = json!({ "scope": [SCOPE], "delegates": delegates, "lifetime": lifetime });
        let header = Box::pin(source.header()).await?;
        let request = self.0.http.post(url).header(http::header::AUTHORIZATION, header).json(&body);
        let granted: Granted = send(action::GENERATE_ACCESS_TOKEN, email, request).await?;
        let unreadable =
            || ProviderError::from(incomplete(action::GENERATE_ACCESS_TOKEN, "a readable end of the token"));
        let expires: jiff::Timestamp = granted.expire_time.parse().map_err(|_| unreadable())?;
        let seconds = u64::try_from(expires.as_second()).map_err(|_| unreadable())?;
        Ok(Token { value: granted.access_token, expires: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) })
    }
}

async fn send<T: serde::de::DeserializeOwned>(
    action: Action,
    subject: &str,
    request: reqwest::RequestBuilder,
) -> ProviderResult<T> {
    let fail =
        |response: ErrorBody, status: u16| ProviderError::from(response.into_error(action, subject.to_owned(), status));
    let silent = |e: &reqwest::Error| fail(ErrorBody { message: chain(e), ..ErrorBody::default() }, 0);
    let response = request.send().await.map_err(|e| silent(&e))?;
    let status = response.status();
    let wait = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).and_then(retry_after);
    let date = response.headers().get("date").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let body = response.bytes().await.map_err(|e| silent(&e))?;
    if !status.is_success() {
        let mut response =
            ErrorBody { retry_after: wait, message: format!("HTTP status {status}"), ..ErrorBody::default() };
        response.read_body(&body);
        let mut error = fail(response, status.as_u16());
        if error.remedy == error_table::CLOCK {
            error.remedy = table::clock_skew(Some(&jiff::Timestamp::now().to_string()), date.as_deref());
        }
        return Err(error);
    }
    serde_json::from_slice(&body).map_err(|_| incomplete(action, "a readable token").into())
}

impl Key {
    fn new(key: &Value) -> ProviderResult<Self> {
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let signer = service_account::Builder::new(key.clone())
            .build_signer()
            .map_err(|e| no_credentials("the service account's key cannot be used", &e))?;
        Ok(Self { email: text("client_email"), key_id: text("private_key_id"), token_uri: text("token_uri"), signer })
    }

    async fn assertion(&self) -> ProviderResult<String> {
        let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |d| d.as_secs());
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_uri,
            "iat": now, "exp": now + LIFETIME.as_secs(),
        });
        let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.signer.sign(signed.clone()).await;
        let signature = signature.map_err(|e| no_credentials("the service account's key does not sign", &e))?;
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}

/// Finds out what ADC is here. A service account's key is taken for an exchange of our own.
async fn adc() -> ProviderResult<Resolved> {
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        let text = tokio::fs::read(&path).await.map_err(|e| no_credentials("GOOGLE_APPLICATION_CREDENTIALS", &e))?;
        let key: Value = serde_json::from_slice(&text).unwrap_or_default();
        if key["type"] == "service_account" {
            return Key::new(&key).map(Resolved::Key);
        }
    }
    let built = credentials::Builder::default().with_scopes([SCOPE]).build_access_token_credentials();
    built.map(Resolved::Sdk).map_err(|e| no_credentials("there are no Application Default Credentials", &e))
}

fn sdk_failed(error: &CredentialsError) -> ProviderError {
    let stated = no_credentials("no access token from Application Default Credentials", error);
    if error.is_transient() { ProviderError { kind: ErrorKind::Transient, ..stated } } else { stated }
}

impl CredentialsProvider for Tokens {
    async fn headers(&self, _extensions: http::Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        // Retried by the daemon, not here.
        let header = self.header().await.map_err(|e| CredentialsError::from_source(false, e))?;
        let data = HeaderMap::from_iter([(http::header::AUTHORIZATION, header)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
