//! An OpenID issuer on this machine that signs whatever a test requests: right tokens and forged ones. Knows nothing of the
//! daemon. (Tests with a certified issuer and its login pages use the harness's.)

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parking_lot::Mutex;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

/// Requests are read up to here: those of a client for keys have a few hundred bytes.
const REQUEST_BYTES_MAX: usize = 4_096;

/// An issuer on the loopback interface: discovery and keys. Ends when it is dropped.
#[derive(Debug)]
pub struct Issuer {
    url: String,
    requests: Arc<AtomicUsize>,
    keys: Arc<Mutex<Value>>,
    bearer: Arc<Mutex<Option<String>>>,
    _task: JoinSet<()>,
}

impl Issuer {
    /// One without keys.
    ///
    /// # Errors
    /// No free port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (requests, keys) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(json!({"keys": []}))));
        let mut task = JoinSet::new();
        let (counted, shown, issuer) = (requests.clone(), keys.clone(), url.clone());
        let bearer = Arc::new(Mutex::new(None::<String>));
        let wanted = bearer.clone();
        task.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; REQUEST_BYTES_MAX];
                let read = stream.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..read]).to_ascii_lowercase();
                let wanted = wanted.lock().as_ref().map(|token| format!("authorization: bearer {token}\r\n"));
                if wanted.is_some_and(|wanted| !text.contains(&wanted.to_ascii_lowercase())) {
                    let refused = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(refused.as_bytes()).await;
                    continue;
                }
                let body = if request[..read].starts_with(b"GET /.well-known/") {
                    json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks")}).to_string()
                } else {
                    counted.fetch_add(1, Ordering::SeqCst);
                    shown.lock().to_string()
                };
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Ok(Self { url, requests, keys, bearer, _task: task })
    }

    /// Its identifier.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How often its keys were requested.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Shows discovery and keys to nobody but the bearer of this token, as Kubernetes does.
    pub fn require_bearer(&self, token: &str) {
        *self.bearer.lock() = Some(token.to_owned());
    }

    /// Publishes these keys, and no other ones.
    pub fn publish(&self, keys: &[Value]) {
        *self.keys.lock() = json!({ "keys": keys });
    }
}

/// A key for ES256.
#[derive(Debug)]
pub struct Key {
    pair: KeyPair,
    kid: String,
}

impl Key {
    /// A new one.
    ///
    /// # Panics
    /// Without randomness.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test can't go on without keys")]
    pub fn new(kid: &str) -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"), kid: kid.to_owned() }
    }

    /// The public half, in PEM and in DER (the uncompressed point).
    #[must_use]
    pub fn public(&self) -> (String, Vec<u8>) {
        (self.pair.public_key_pem(), self.pair.der_bytes().to_vec())
    }

    /// The public half as issuers publish it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let point = self.pair.der_bytes();
        let (x, y) = (&point[1..33], &point[33..65]);
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256", "x": text(x), "y": text(y)})
    }

    /// Signs whatever stands in header and claims.
    ///
    /// # Panics
    /// Never with a key of [`Self::new`].
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test can't go on without signatures")]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", text(header), text(claims));
        let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).expect("a signature");
        format!("{message}.{signature}")
    }
}

/// Tokens for the same principal as a right one, each of which must be refused, with what is wrong with it: one of each kind.
#[must_use]
pub fn forgeries(issuer: &str, key: &Key, claims: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let thief = Key::new("one");
    let good = key.sign(&header(), claims);
    let signature = good.rsplit('.').next().unwrap_or_default();
    let unsigned = |alg: &str| format!("{}.{}.", text(&with(&header(), "alg", json!(alg))), text(claims));
    let confused = {
        let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
        let secret = EncodingKey::from_secret(key.public().0.as_bytes());
        secret.and_then(|secret| jsonwebtoken::encode(&header, claims, &secret)).unwrap_or_default()
    };
    let raised = with(claims, "sub", json!("root"));
    vec![
        ("expired", key.sign(&header(), &with(claims, "exp", json!(now() - 60)))),
        ("not valid yet", key.sign(&header(), &with(claims, "nbf", json!(now() + 600)))),
        ("wrong audience", key.sign(&header(), &with(claims, "aud", json!("other")))),
        ("wrong issuer", key.sign(&header(), &with(claims, "iss", json!(format!("{issuer}/other"))))),
        ("wrong key", thief.sign(&header(), claims)),
        ("unknown key", thief.sign(&with(&header(), "kid", json!("two")), claims)),
        ("no algorithm", unsigned("none")),
        ("HMAC with the public key", confused),
        ("tampered", format!("{}.{}.{signature}", text(&header()), text(&raised))),
    ]
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The header of a right token, of the key `one`.
#[must_use]
pub fn header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "one"})
}

/// The claims of a right token of ten minutes, for the audience `landlord`.
#[must_use]
pub fn claims(issuer: &str, subject: &str) -> Value {
    json!({"iss": issuer, "aud": "landlord", "sub": subject, "exp": now() + 600, "iat": now(), "nbf": now()})
}

/// An object with another value.
#[must_use]
pub fn with(value: &Value, key: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[key] = new;
    value
}

/// An object without a value.
#[must_use]
pub fn without(value: &Value, key: &str) -> Value {
    let mut value = value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
    value
}
