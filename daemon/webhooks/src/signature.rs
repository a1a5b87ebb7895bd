//! Signatures of the Standard Webhooks scheme, by which a receiver knows who sent what, and when.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};

/// How the scheme marks symmetric secrets.
const PREFIX: &str = "whsec_";
/// The scheme's bounds of a secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What is no secret of the scheme. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and then 24 to 64 bytes in base64; `echo whsec_$(openssl rand -base64 32)` makes one")]
pub struct InvalidSecret;

/// What a receiver shares with landlord.
#[derive(Debug, Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Reads one: `whsec_…`.
    ///
    /// # Errors
    /// It is not of the scheme.
    pub fn parse(text: &SecretString) -> Result<Self, InvalidSecret> {
        let encoded = text.expose_secret().trim().strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| InvalidSecret)?;
        if SECRET_BYTES.contains(&bytes.len()) { Ok(Self(bytes.into())) } else { Err(InvalidSecret) }
    }

    /// Reads one a line; the first is the newest. Each signs, so that a receiver can be given a new one at any time.
    ///
    /// # Errors
    /// None, or one that is not of the scheme.
    pub fn parse_lines(text: &SecretString) -> Result<Vec<Self>, InvalidSecret> {
        let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<Self> =
            lines.map(|line| Self::parse(&SecretString::from(line.to_owned()))).collect::<Result<_, _>>()?;
        if secrets.is_empty() { Err(InvalidSecret) } else { Ok(secrets) }
    }
}

/// The header `webhook-signature`: a signature by each secret.
pub(crate) fn sign(secrets: &[Secret], id: &str, timestamp_secs: i64, body: &str) -> String {
    let content = format!("{id}.{timestamp_secs}.{body}");
    let signature = |secret: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.0.expose_secret());
        format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(&key, content.as_bytes())))
    };
    secrets.iter().map(signature).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the scheme's own documentation.
    #[test]
    fn a_signature_is_as_the_scheme_says() {
        let secret = Secret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into()).unwrap();
        let signature = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_are_of_the_scheme() {
        let parse = |text: &str| Secret::parse_lines(&text.to_owned().into()).map(|secrets| secrets.len());
        let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(parse(&format!("{good}\n\n {good} \n")), Ok(2));
        for bad in ["", "\n", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_?"] {
            assert_eq!(parse(bad), Err(InvalidSecret), "{bad}");
        }
        assert!(!format!("{:?}", Secret::parse(&good.to_owned().into())).contains("MfKQ"));
    }
}
