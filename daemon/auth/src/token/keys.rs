//! An issuer's keys: discovery, the key set, and how often they are requested.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse},
};
use landlord_core::ports::Unauthenticated;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::IssuerError;
use crate::small_file;

/// Keys are requested again after this long.
const TTL: Duration = Duration::from_secs(10 * 60);
/// An unknown key makes the set be requested again, this often at most.
pub(super) const REFETCH_INTERVAL: Duration = Duration::from_secs(10);
/// One request to the issuer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest response: a key set has a few KiB.
const BYTES_MAX: usize = 256 * 1024;
/// Largest token for requests to the issuer: headers of HTTP are bounded likewise.
const BEARER_BYTES_MAX: u64 = 16 * 1024;
/// Keys beyond this many are not inspected.
const KEYS_MAX: usize = 100;
/// Keys that a token without `kid` is tried with.
const TRIES_MAX: usize = 4;

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Keys {
    issuer: String,
    client: reqwest::Client,
    /// Read for every request: whoever mounts it renews it.
    bearer_file: Option<PathBuf>,
    /// Never held during a request.
    state: Mutex<State>,
    /// Held by the one who requests keys.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<Jwk>,
    /// How often they were fetched.
    generation: u64,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When they were last requested.
    tried: Option<Instant>,
    /// Whether that failed.
    is_away: bool,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(issuer: &str, ca_file: Option<&Path>, bearer_file: Option<PathBuf>) -> Result<Self, IssuerError> {
        let wrong = |problem: &dyn std::fmt::Display| IssuerError(format!("issuer {issuer}: {problem}"));
        safe(issuer).map_err(|problem| wrong(&problem))?;
        let mut client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("landlordd/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = ca_file {
            let (pem, _) = small_file::read(path, small_file::CA_BYTES_MAX)
                .map_err(|error| wrong(&format!("{}: {error}", path.display())))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(&error))?;
            client = client.tls_certs_only(certificates);
        }
        let client = client.build().map_err(|error| wrong(&error))?;
        if let Some(path) = &bearer_file {
            // Found at the start, as a wrong path is for CAs.
            read_bearer(path).map_err(|problem| wrong(&problem))?;
        }
        let (state, fetching) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { issuer: issuer.to_owned(), client, bearer_file, state, fetching })
    }

    /// Which keys these are, for as long as they need not be fetched again.
    pub(super) fn fresh_generation(&self) -> Option<u64> {
        let state = self.state.lock();
        state.fetched.filter(|fetched| fetched.elapsed() < TTL).map(|_| state.generation)
    }

    /// Keys that may have signed a token.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<DecodingKey>, Unauthenticated> {
        let (mut found, mut fetches) = self.known(kid, algorithm);
        // Somebody whose key is not known may need just those that are on their way.
        let awaits = found.is_empty() && self.fetching.try_lock().is_err();
        if fetches || awaits {
            // Whoever's key is known goes on with it, while another requests newer ones.
            let turn = if found.is_empty() { Some(self.fetching.lock().await) } else { self.fetching.try_lock().ok() };
            if turn.is_some() {
                // They may have come meanwhile.
                (found, fetches) = self.known(kid, algorithm);
                if fetches {
                    self.renew().await;
                    (found, _) = self.known(kid, algorithm);
                }
            }
        }
        // The key may be among those that an issuer which is away would show.
        let state = self.state.lock();
        if state.fetched.is_none() || (found.is_empty() && state.is_away) {
            let problem = "the token can't be checked: its issuer can't be reached; try again";
            return Err(Unauthenticated::Unavailable(problem.into()));
        }
        drop(state);
        Ok(found)
    }

    /// Keys that may have signed a token, and whether the issuer may be asked for others.
    fn known(&self, kid: Option<&str>, algorithm: Algorithm) -> (Vec<DecodingKey>, bool) {
        let state = self.state.lock();
        let fresh = state.fetched.is_some_and(|fetched| fetched.elapsed() < TTL);
        let found = matching(&state.keys, kid, algorithm);
        let may_request = state.tried.is_none_or(|tried| tried.elapsed() >= REFETCH_INTERVAL);
        let fetches = (found.is_empty() || !fresh) && may_request;
        (found, fetches)
    }

    async fn renew(&self) {
        self.state.lock().tried = Some(Instant::now());
        match self.fetch().await {
            Ok(keys) => {
                let mut state = self.state.lock();
                (state.keys, state.fetched, state.is_away) = (keys, Some(Instant::now()), false);
                state.generation += 1;
            }
            // The keys of before go on: an issuer that is away ends nobody's work.
            Err(error) => {
                self.state.lock().is_away = true;
                tracing::warn!(issuer = self.issuer, error, "the issuer's keys can't be fetched");
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await?;
        if discovery.issuer != self.issuer {
            return Err(format!("{url} is of the issuer {:?}", discovery.issuer));
        }
        safe(&discovery.jwks_uri)?;
        let mut set: JwkSet = self.get(&discovery.jwks_uri).await?;
        set.keys.truncate(KEYS_MAX);
        Ok(set.keys)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let failed = |error: reqwest::Error| format!("{url}: {error}");
        let mut request = self.client.get(url);
        if let Some(path) = &self.bearer_file {
            request = request.bearer_auth(read_bearer(path)?);
        }
        let mut response = request.send().await.map_err(failed)?;
        match response.status() {
            reqwest::StatusCode::OK => {}
            status @ (reqwest::StatusCode::UNAUTHORIZED | reqwest::StatusCode::FORBIDDEN) => {
                let remedy = "name a token that may read it: auth.issuers.NAME.bearer_file";
                return Err(format!("{url}: returned {status}; {remedy}"));
            }
            status => return Err(format!("{url}: returned {status}")),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > BYTES_MAX {
                return Err(format!("{url}: the response is larger than {BYTES_MAX} bytes"));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("{url}: {error}"))
    }
}

/// The token for requests to the issuer. Who else may read it is its mounter's to say: Kubernetes mounts tokens for all users of a pod.
fn read_bearer(path: &Path) -> Result<String, String> {
    let failed = |problem: &dyn std::fmt::Display| format!("bearer_file {}: {problem}", path.display());
    let (bytes, _) = small_file::read(path, BEARER_BYTES_MAX).map_err(|error| failed(&error))?;
    let token = bytes.trim_ascii();
    match str::from_utf8(token) {
        Ok(text) if !text.is_empty() && token.iter().all(u8::is_ascii_graphic) => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(failed(&"holds no token")),
    }
}

/// https, or this machine.
fn safe(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
    let local = match parsed.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(_)) | None => false,
    };
    match parsed.scheme() {
        "https" => Ok(()),
        "http" if local => Ok(()),
        _ => Err(format!("{url} must be https")),
    }
}

fn matching(keys: &[Jwk], kid: Option<&str>, algorithm: Algorithm) -> Vec<DecodingKey> {
    keys.iter()
        .filter(|key| match kid {
            Some(kid) => key.common.key_id.as_deref() == Some(kid),
            None => true,
        })
        .filter(|key| fits(key, algorithm))
        .filter_map(|key| DecodingKey::from_jwk(key).ok())
        .take(TRIES_MAX)
        .collect()
}

/// Whether a key is for signatures of this algorithm.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    use jsonwebtoken::jwk::EllipticCurve::{Ed25519, P256, P384};
    let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let named = key.common.key_algorithm.as_ref().is_none_or(|named| named.to_string() == format!("{algorithm:?}"));
    let of_kind = match (&key.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES256) => curve.curve == P256,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::ES384) => curve.curve == P384,
        (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDSA) => pair.curve == Ed25519,
        _ => false,
    };
    signs && named && of_kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read_bearer(&file)
        };
        assert_eq!(read(" a.b.c\n").as_deref(), Ok("a.b.c"));
        for wrong in ["", "\n", "a b", "a\u{e4}"] {
            assert!(read(wrong).unwrap_err().contains("holds no token"), "{wrong:?}");
        }
        assert!(read(&"a".repeat(20_000)).unwrap_err().contains("bytes"));
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(read_bearer(&fifo).unwrap_err().contains("no regular file"));
    }

    #[tokio::test(start_paused = true)]
    async fn whose_key_is_known_does_not_wait_for_newer_ones() {
        let keys = Keys::new("https://issuer.example.com", None, None).unwrap();
        let jwk = serde_json::from_value(landlord_test_tokens::Key::new("one").jwk()).unwrap();
        let now = Some(Instant::now());
        *keys.state.lock() = State { keys: vec![jwk], generation: 1, fetched: now, tried: now, is_away: false };
        tokio::time::advance(TTL).await;
        // An issuer that takes its time.
        let _another = keys.fetching.lock().await;
        let find = |kid| tokio::time::timeout(TIMEOUT, keys.find(Some(kid), Algorithm::ES256));
        assert_eq!(find("one").await.expect("it waits").unwrap().len(), 1);
        assert!(find("two").await.is_err(), "it does not wait for what may be its key");
    }
}
