//! Reading and checking AWS Signature Version 4.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>. The simulator does
//! not issue long-term keys, so it accepts any secret for a key until one is known: a session's own, one declared by
//! `POST /_sim/credentials`, or one of [`WELL_KNOWN_SECRETS`](cloudsim_core::secrets::WELL_KNOWN_SECRETS) once it has verified. From then on signatures are checked.

use cloudsim_core::secrets::hmac;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A signature with what it claims.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signature {
    /// Access key id.
    pub access_key: String,
    /// `20261124`.
    pub date: String,
    /// Region of the credential scope.
    pub region: String,
    /// Service of the credential scope.
    pub service: String,
    /// Names of the signed headers.
    pub signed_headers: Vec<String>,
    /// Hexadecimal signature.
    pub signature: String,
    /// `20261124T020000Z`.
    pub timestamp: String,
    /// Seconds that a presigned URL claims to be valid.
    pub expires_s: Option<u64>,
    /// Session token.
    pub token: Option<String>,
}

/// A request as signed.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path as sent.
    pub path: &'a str,
    /// Query string as sent.
    pub query: &'a str,
    /// Headers by lower-case name.
    pub headers: &'a BTreeMap<String, String>,
    /// SHA-256 of the body, hexadecimal.
    pub payload_sha256: String,
}

/// Reads the `Authorization` header.
#[must_use]
pub(crate) fn from_header(headers: &BTreeMap<String, String>) -> Option<Signature> {
    let rest = headers.get("authorization")?.strip_prefix(ALGORITHM)?;
    let fields: BTreeMap<&str, &str> = rest.split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let mut signature = scope(fields.get("Credential")?)?;
    signature.signed_headers = fields.get("SignedHeaders")?.split(';').map(str::to_owned).collect();
    signature.signature = (*fields.get("Signature")?).to_owned();
    signature.timestamp = headers.get("x-amz-date")?.clone();
    signature.token = headers.get("x-amz-security-token").cloned();
    Some(signature)
}

/// Reads the parameters of a presigned URL.
#[must_use]
pub(crate) fn from_query(query: &str) -> Option<Signature> {
    let params: BTreeMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if params.get("X-Amz-Algorithm")? != ALGORITHM {
        return None;
    }
    let mut signature = scope(params.get("X-Amz-Credential")?)?;
    signature.signed_headers = params.get("X-Amz-SignedHeaders")?.split(';').map(str::to_owned).collect();
    signature.signature = params.get("X-Amz-Signature")?.clone();
    signature.timestamp = params.get("X-Amz-Date")?.clone();
    signature.expires_s = params.get("X-Amz-Expires").and_then(|e| e.parse().ok());
    signature.token = params.get("X-Amz-Security-Token").cloned();
    Some(signature)
}

fn scope(credential: &str) -> Option<Signature> {
    let mut parts = credential.split('/').map(str::to_owned);
    let signature = Signature {
        access_key: parts.next()?,
        date: parts.next()?,
        region: parts.next()?,
        service: parts.next()?,
        ..Signature::default()
    };
    (parts.next()? == "aws4_request").then_some(signature)
}

/// When it was signed, in microseconds since the epoch.
#[must_use]
pub(crate) fn signed_at_us(signature: &Signature) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &signature.timestamp).ok()?;
    Some(jiff::tz::Offset::UTC.to_timestamp(time).ok()?.as_microsecond())
}

/// Whether `secret` made this signature.
#[must_use]
pub(crate) fn verify(signature: &Signature, request: &Signed<'_>, secret: &str) -> bool {
    let credential_scope = format!("{}/{}/{}/aws4_request", signature.date, signature.region, signature.service);
    let to_sign = format!(
        "{ALGORITHM}\n{}\n{credential_scope}\n{}",
        signature.timestamp,
        hex::encode(Sha256::digest(canonical(signature, request)))
    );
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), signature.date.as_bytes());
    for part in [signature.region.as_str(), &signature.service, "aws4_request"] {
        key = hmac(&key, part.as_bytes());
    }
    hex::encode(hmac(&key, to_sign.as_bytes())) == signature.signature
}

fn canonical(signature: &Signature, request: &Signed<'_>) -> String {
    // Every service but S3 encodes the path twice.
    let path: Vec<String> = request.path.split('/').map(encode).collect();
    let path = if path.len() < 2 { "/".to_owned() } else { path.join("/") };
    let mut pairs: Vec<(String, String)> = url::form_urlencoded::parse(request.query.as_bytes())
        .filter(|(k, _)| k != "X-Amz-Signature")
        .map(|(k, v)| (encode(&k), encode(&v)))
        .collect();
    pairs.sort();
    let query: Vec<String> = pairs.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut headers = String::new();
    for name in &signature.signed_headers {
        let value = request.headers.get(name).map_or("", String::as_str);
        let folded: Vec<&str> = value.split_whitespace().collect();
        headers.push_str(&format!("{name}:{}\n", folded.join(" ")));
    }
    format!(
        "{}\n{path}\n{}\n{headers}\n{}\n{}",
        request.method,
        query.join("&"),
        signature.signed_headers.join(";"),
        request.payload_sha256
    )
}

/// Percent-encodes all but unreserved characters.
#[must_use]
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Signed, from_query, verify};
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
    use std::{
        collections::BTreeMap,
        time::{Duration, SystemTime},
    };

    #[test]
    fn verifies_what_the_official_signer_presigns() {
        let identity = aws_credential_types::Credentials::new("AKIA111122223333TEST", "s3cret", None, None, "t").into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(60));
        let params = aws_sigv4::sign::v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("sts")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = "https://sts.eu-west-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";
        let headers = [("host", "sts.eu-west-1.amazonaws.com"), ("x-k8s-aws-id", "tenant-a")];
        let request = SignableRequest::new("GET", url, headers.into_iter(), SignableBody::Bytes(&[])).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let mut signed = http::Request::builder().uri(url).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut signed);
        let query = signed.uri().query().unwrap();
        let signature = from_query(query).unwrap();
        let check = |cluster: &str, secret: &str| {
            let headers: BTreeMap<String, String> =
                [("host", "sts.eu-west-1.amazonaws.com"), ("x-k8s-aws-id", cluster)]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .into();
            let payload_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned();
            verify(&signature, &Signed { method: "GET", path: "/", query, headers: &headers, payload_sha256 }, secret)
        };
        assert!(check("tenant-a", "s3cret"));
        assert!(!check("tenant-b", "s3cret"), "the cluster's name is part of the signature");
        assert!(!check("tenant-a", "wrong"));
    }
}
