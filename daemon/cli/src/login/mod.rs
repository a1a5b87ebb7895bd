//! Logging in at an OpenID issuer: in a browser of this machine (authorization code with PKCE), or on another device. The tokens
//! are kept in a file of the user's, and renewed with the refresh token for as long as the issuer gives new ones.

mod callback;
mod issuer;
pub(crate) mod kept;
pub(crate) mod options;

use std::{io::Write as _, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use self::{
    callback::Callback,
    issuer::Issuer,
    kept::{Kept, Renewing},
    options::{Login, Tokens, refused},
};
use crate::{connection::Connection, error::Error};

/// Name of this program at issuers, unless the context has another one.
pub(crate) const CLIENT_ID_DEFAULT: &str = "landlord-cli";
/// How long somebody may take to log in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Between two questions whether somebody has logged in on the device, unless the issuer names another time (RFC 8628).
const DEVICE_INTERVAL_SECS: u64 = 5;
/// A token that ends sooner is renewed first.
const LEFT_MIN: Duration = Duration::from_secs(60);

/// Logs in and keeps the tokens in the context's file.
pub(crate) async fn run(connection: &Connection, device: bool) -> Result<(), Error> {
    let (Some(login), Some(file)) = (&connection.login, &connection.login_file) else {
        return Err(Error::Usage("the context has no issuer; name it with --issuer".into()));
    };
    let issuer = Issuer::discover(login).await?;
    let logged_in = async { if device { on_device(login, &issuer).await } else { in_browser(login, &issuer).await } };
    let tokens = tokio::time::timeout(LOGIN_TIMEOUT, logged_in)
        .await
        .map_err(|_| Error::TimedOut("nobody has logged in; run the command again".into()))??;
    let kept = login.kept(tokens, None)?;
    // One that renews the login of before ends first, and takes nothing back.
    Renewing::begin(file).await?.save(&kept)?;
    note(&format!("logged in at {}; the token is in {}", login.issuer, file.display()));
    Ok(())
}

/// For whoever logs in; standard output is for data.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Forgets the tokens.
pub(crate) async fn forget(connection: &Connection) -> Result<(), Error> {
    match &connection.login_file {
        Some(file) => Renewing::begin(file).await?.forget(),
        None => Ok(()),
    }
}

async fn in_browser(login: &Login, issuer: &Issuer) -> Result<Tokens, Error> {
    let callback = Callback::bind().await?;
    let (state, verifier) = (random(), random());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let url = issuer.authorize_url(&[
        ("response_type", "code"),
        ("client_id", &login.client_id),
        ("redirect_uri", &callback.url()),
        ("scope", &login.scope()),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        // Without it, issuers give no refresh token to a client that has consent already.
        ("prompt", "consent"),
    ]);
    note(&format!("To log in, open this page in a browser of this machine:\n\n    {url}\n"));
    callback::open_browser(url.as_str());
    let code = callback.code(&state, &login.issuer).await?;
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", &login.client_id),
        ("code", &code),
        ("redirect_uri", &callback.url()),
        ("code_verifier", &verifier),
    ];
    issuer.tokens(&form).await?.map_err(refused)
}

async fn on_device(login: &Login, issuer: &Issuer) -> Result<Tokens, Error> {
    let device = issuer.device(&[("client_id", &login.client_id), ("scope", &login.scope())]).await?;
    note(&match &device.verification_uri_complete {
        Some(url) => format!("To log in, open this page on any device:\n\n    {url}\n"),
        None => format!(
            "To log in, open this page on any device:\n\n    {}\n\nand enter the code {}",
            device.verification_uri, device.user_code
        ),
    });
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", &login.client_id),
        ("device_code", &device.device_code),
    ];
    let mut interval = Duration::from_secs(device.interval.unwrap_or(DEVICE_INTERVAL_SECS));
    loop {
        tokio::time::sleep(interval).await;
        match issuer.tokens(&form).await? {
            Ok(tokens) => return Ok(tokens),
            Err(refusal) if refusal.error == "authorization_pending" => {}
            // RFC 8628, 3.5.
            Err(refusal) if refusal.error == "slow_down" => interval += Duration::from_secs(DEVICE_INTERVAL_SECS),
            Err(refusal) => return Err(refused(refusal)),
        }
    }
}

/// 244 random bits, as characters that every part of the protocol takes.
fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Renews the context's token if it is about to end.
///
/// # Errors
/// Nobody has logged in, or the issuer gives no new token: then somebody must log in again.
pub(crate) async fn renew(connection: &Connection) -> Result<(), Error> {
    let (Some(login), Some(file)) = (&connection.login, &connection.login_file) else { return Ok(()) };
    if connection.token_file.is_some() {
        return Ok(());
    }
    let Some(kept) = Kept::load(file)?.filter(|kept| kept.issuer == login.issuer) else {
        return Err(Error::Denied("nobody has logged in here; run `landlord login`".into()));
    };
    if !kept.ends_within(LEFT_MIN) {
        return Ok(());
    }
    let renewing = Renewing::begin(file).await?;
    // Another program may have renewed it meanwhile, and used up the refresh token.
    let kept = Kept::load(file)?.ok_or_else(over)?;
    if !kept.ends_within(LEFT_MIN) {
        return Ok(());
    }
    let Some(refresh_token) = kept.refresh_token.clone() else {
        // It may live for a moment yet; what is over the daemon refuses.
        return if kept.ends_within(Duration::ZERO) { Err(over()) } else { Ok(()) };
    };
    let renewed = renewed(login, &kept, refresh_token).await;
    match renewed {
        Ok(kept) => renewing.save(&kept),
        // An issuer that is away ends nothing before its time.
        Err(Error::IssuerUnreachable { .. }) if !kept.ends_within(Duration::ZERO) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn renewed(login: &Login, kept: &Kept, refresh_token: String) -> Result<Kept, Error> {
    let issuer = Issuer::discover(login).await?;
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", login.client_id.as_str()),
        ("refresh_token", refresh_token.as_str()),
    ];
    match issuer.tokens(&form).await? {
        Ok(tokens) => login.kept(tokens, Some(kept)),
        Err(_) => Err(over()),
    }
}

fn over() -> Error {
    Error::Denied("your login has ended; run `landlord login` again".into())
}

/// The token that is kept for the daemon.
pub(crate) fn token(file: &std::path::Path) -> Result<Option<String>, Error> {
    Ok(Kept::load(file)?.map(|kept| kept.token))
}
