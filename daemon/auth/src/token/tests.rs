//! Forged tokens, at least 200 of them, are refused against an issuer that is served here; right ones in all their forms are not.

mod forgeries;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use jsonwebtoken::EncodingKey;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// An issuer on this machine that counts what it is asked.
struct Served {
    url: String,
    asked: Arc<AtomicUsize>,
    keys: Arc<parking_lot::Mutex<Value>>,
    _task: tokio::task::JoinSet<()>,
}

impl Served {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, keys) = (Arc::new(AtomicUsize::new(0)), Arc::new(parking_lot::Mutex::new(json!({"keys": []}))));
        let mut task = tokio::task::JoinSet::new();
        let (counted, shown, issuer) = (asked.clone(), keys.clone(), url.clone());
        task.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or(0);
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
        Self { url, asked, keys, _task: task }
    }

    fn options(&self) -> IssuerOptions {
        IssuerOptions {
            name: "corp".into(),
            issuer: self.url.clone(),
            audiences: vec!["landlord".into()],
            algorithms: vec![Algorithm::ES256, Algorithm::RS256],
            ca_file: None,
            principal_claim: "sub".into(),
            groups_claim: "groups".into(),
            customer_claim: "customer".into(),
            groups: [("admins".to_owned(), "landlord:operators".to_owned())].into(),
        }
    }
}

struct Key {
    pair: KeyPair,
    kid: &'static str,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        Self { pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.der_bytes();
        let (x, y) = (&point[1..33], &point[33..65]);
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "use": "sig", "alg": "ES256", "x": text(x), "y": text(y)})
    }

    /// Signs whatever stands in header and claims.
    fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", text(header), text(claims));
        let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }
}

fn now() -> i64 {
    i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "one"})
}

fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": "landlord", "sub": "alice", "exp": now() + 600, "iat": now(), "nbf": now(),
        "groups": ["admins", "staff", "landlord:operators"], "customer": "acme",
    })
}

fn with(value: &Value, key: &str, new: Value) -> Value {
    let mut value = value.clone();
    value[key] = new;
    value
}

fn without(value: &Value, key: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(key);
    value
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let served = Served::start().await;
    let key = Key::new("one");
    *served.keys.lock() = json!({"keys": [key.jwk()]});
    let tokens = Tokens::new(vec![served.options()]).unwrap();
    let good = key.sign(&header(), &claims(&served.url));
    let principal = tokens.principal(&good).await.unwrap();
    assert_eq!(principal.name, "corp:alice");
    assert_eq!(principal.customer.as_ref().unwrap().as_str(), "acme");
    // An issuer grants nothing by the name of a group: what is not mapped has its prefix.
    let groups: Vec<&str> = principal.groups.iter().map(String::as_str).collect();
    assert_eq!(groups, ["corp:landlord:operators", "corp:staff", "landlord:operators"]);
    let forged = forgeries::forged(&served, &key);
    assert!(forged.len() >= 200, "{}", forged.len());
    for (what, token) in &forged {
        let refused = tokens.principal(token).await;
        assert!(refused.is_err(), "{what}: {token} is {refused:?}");
        let text = refused.unwrap_err().to_string();
        assert!(
            text.len() < 300 && !token.split('.').any(|part| part.len() > 20 && text.contains(part)),
            "{what}: {text}"
        );
    }
    // None of them made the issuer be asked more than once again.
    assert!(served.asked.load(Ordering::SeqCst) <= 2, "{}", served.asked.load(Ordering::SeqCst));
    tokens.principal(&good).await.unwrap();
}

#[tokio::test]
async fn what_is_right_is_taken_in_all_its_forms() {
    let served = Served::start().await;
    let key = Key::new("one");
    *served.keys.lock() = json!({"keys": [key.jwk(), {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"}]});
    let tokens = Tokens::new(vec![served.options()]).unwrap();
    let claims = claims(&served.url);
    let right = [
        key.sign(&without(&header(), "typ"), &claims),
        key.sign(&without(&header(), "kid"), &claims),
        key.sign(&with(&header(), "typ", json!("at+jwt")), &claims),
        key.sign(&header(), &with(&claims, "aud", json!(["other", "landlord"]))),
        key.sign(&header(), &with(&claims, "exp", json!(now() - 5))),
        key.sign(&header(), &with(&claims, "nbf", json!(now() + 5))),
        key.sign(&header(), &without(&without(&claims, "nbf"), "iat")),
        key.sign(&header(), &with(&claims, "groups", json!("staff"))),
        key.sign(&header(), &without(&without(&claims, "groups"), "customer")),
    ];
    for token in right {
        tokens.principal(&token).await.unwrap();
    }
    assert_eq!(served.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_is_not() {
    let served = Served::start().await;
    let (one, two) = (Key::new("one"), Key::new("two"));
    *served.keys.lock() = json!({"keys": [one.jwk()]});
    let tokens = Tokens::new(vec![served.options()]).unwrap();
    let by_one = one.sign(&header(), &claims(&served.url));
    let by_two = two.sign(&with(&header(), "kid", json!("two")), &claims(&served.url));
    tokens.principal(&by_one).await.unwrap();
    *served.keys.lock() = json!({"keys": [two.jwk()]});
    assert!(tokens.principal(&by_two).await.is_err(), "asked again too soon");
    tokio::time::pause();
    tokio::time::advance(keys::REFETCH_INTERVAL).await;
    tokio::time::resume();
    tokens.principal(&by_two).await.unwrap();
    assert!(tokens.principal(&by_one).await.is_err());
}

#[test]
fn issuers_are_asked_over_tls() {
    let options = |issuer: &str| IssuerOptions {
        name: "corp".into(),
        issuer: issuer.into(),
        audiences: vec!["landlord".into()],
        algorithms: vec![Algorithm::RS256],
        ca_file: None,
        principal_claim: "sub".into(),
        groups_claim: "groups".into(),
        customer_claim: String::new(),
        groups: BTreeMap::new(),
    };
    for fine in ["https://login.example.com", "http://127.0.0.1:8080/realm"] {
        Tokens::new(vec![options(fine)]).unwrap();
    }
    for bad in ["http://login.example.com", "http://localhost.evil.com", "ftp://x", "login.example.com", ""] {
        assert!(Tokens::new(vec![options(bad)]).is_err(), "{bad}");
    }
}
