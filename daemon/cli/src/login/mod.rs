//! Logging in at an OpenID issuer: in a browser of this machine (authorization code with PKCE), or on another device. The tokens
//! are kept in a file of the user's, and renewed with the refresh token for as long as the issuer gives new ones.

mod callback;
mod issuer;
mod kept;

use std::{io::Write as _, path::PathBuf, time::Duration};

use oauth2::{
    AuthType, AuthorizationCode, CsrfToken, EndpointNotSet, EndpointSet, ExtraTokenFields, PkceCodeChallenge, RedirectUrl,
    RefreshToken, Scope, StandardDeviceAuthorizationResponse, StandardRevocableToken, StandardTokenResponse,
    TokenResponse as _,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};

pub(crate) use self::kept::file_of;
use self::{issuer::Issuer, kept::Kept};
use crate::{connection::Connection, error::Error};

/// Name of this program at issuers, unless the context has another one.
pub(crate) const CLIENT_ID_DEFAULT: &str = "landlord-cli";
/// How long somebody may take to log in.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// A token that ends sooner is renewed first.
const LEFT_MIN: Duration = Duration::from_secs(60);

/// Where and how to log in, as a context keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Login {
    /// The issuer, an https URL.
    pub issuer: String,
    /// Name of this program there.
    pub client_id: String,
    /// CAs of its certificate, PEM; `None`: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Scopes beside `openid` and `offline_access`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Whether the daemon is shown the ID token: of issuers whose access tokens are no JWTs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_token: bool,
}

/// What issuers add to a response.
#[derive(Debug, Serialize, Deserialize)]
struct WithIdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for WithIdToken {}

type Response = StandardTokenResponse<WithIdToken, BasicTokenType>;
type Client<Authorize = EndpointNotSet, Device = EndpointNotSet, Token = EndpointNotSet> = oauth2::Client<
    BasicErrorResponse,
    Response,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    Authorize,
    Device,
    EndpointNotSet,
    EndpointNotSet,
    Token,
>;

impl Login {
    fn client(&self, issuer: &Issuer) -> Client<EndpointNotSet, EndpointNotSet, EndpointSet> {
        // A public client: it names itself in the form.
        Client::new(oauth2::ClientId::new(self.client_id.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(issuer.token_url.clone())
    }

    fn scopes(&self) -> impl Iterator<Item = Scope> {
        let always = ["openid", "offline_access"].map(str::to_owned);
        always.into_iter().chain(self.scopes.iter().cloned()).map(Scope::new)
    }

    fn kept(&self, response: &Response, before: Option<&Kept>) -> Result<Kept, Error> {
        let token = match (self.id_token, &response.extra_fields().id_token) {
            (true, Some(token)) => token.clone(),
            (true, None) => return Err(refused("it gave no ID token")),
            (false, _) => response.access_token().secret().clone(),
        };
        let refresh_token = response.refresh_token().map(|token| token.secret().clone());
        Ok(Kept {
            issuer: self.issuer.clone(),
            token,
            refresh_token: refresh_token.or_else(|| before.and_then(|before| before.refresh_token.clone())),
            expire_time: response.expires_in().map(kept::after),
        })
    }
}

/// An issuer's refusal.
fn refused(problem: impl std::fmt::Display) -> Error {
    Error::Denied(format!("the issuer did not log you in: {problem}"))
}

/// Logs in and keeps the tokens in the context's file.
pub(crate) async fn run(connection: &Connection, device: bool) -> Result<(), Error> {
    let (Some(login), Some(file)) = (&connection.login, &connection.login_file) else {
        return Err(Error::Usage("the context has no issuer; name it with --issuer".into()));
    };
    let issuer = Issuer::discover(login).await?;
    let logged_in = async {
        if device { on_device(login, &issuer).await } else { in_browser(login, &issuer).await }
    };
    let response = tokio::time::timeout(LOGIN_TIMEOUT, logged_in)
        .await
        .map_err(|_| Error::TimedOut("nobody has logged in; run the command again".into()))??;
    let kept = login.kept(&response, None)?;
    kept.save(file)?;
    note(&format!("logged in at {}; the token is in {}", login.issuer, file.display()));
    Ok(())
}

/// For whoever logs in; standard output is for data.
fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Forgets the tokens.
pub(crate) fn forget(connection: &Connection) -> Result<(), Error> {
    match &connection.login_file {
        Some(file) => Kept::forget(file),
        None => Ok(()),
    }
}

async fn in_browser(login: &Login, issuer: &Issuer) -> Result<Response, Error> {
    let callback = callback::Callback::bind().await?;
    let redirect = RedirectUrl::new(callback.url()).map_err(|error| Error::Usage(error.to_string()))?;
    let client = login.client(issuer).set_auth_uri(issuer.authorize_url.clone()).set_redirect_uri(redirect);
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let request = client.authorize_url(CsrfToken::new_random).add_scopes(login.scopes());
    // Without it, issuers give no refresh token to a client that has consent already.
    let (url, state) = request.add_extra_param("prompt", "consent").set_pkce_challenge(challenge).url();
    note(&format!("To log in, open this page in a browser of this machine:\n\n    {url}\n"));
    callback::open_browser(url.as_str());
    let code = callback.code(state.secret(), &login.issuer).await?;
    let exchange = client.exchange_code(AuthorizationCode::new(code)).set_pkce_verifier(verifier);
    exchange.request_async(&|request| issuer.send(request)).await.map_err(|error| refused(issuer::chain(&error)))
}

async fn on_device(login: &Login, issuer: &Issuer) -> Result<Response, Error> {
    let url = issuer.device_url.clone().ok_or_else(|| refused("it has no login for devices; log in without --device"))?;
    let client = login.client(issuer).set_device_authorization_url(url);
    let request = client.exchange_device_code().add_scopes(login.scopes());
    let details: StandardDeviceAuthorizationResponse =
        request.request_async(&|request| issuer.send(request)).await.map_err(|error| refused(issuer::chain(&error)))?;
    note(&match details.verification_uri_complete() {
        Some(url) => format!("To log in, open this page on any device:\n\n    {}\n", url.secret()),
        None => format!(
            "To log in, open this page on any device:\n\n    {}\n\nand enter the code {}",
            details.verification_uri().as_str(),
            details.user_code().secret()
        ),
    });
    let exchange = client.exchange_device_access_token(&details);
    let response = exchange.request_async(&|request| issuer.send(request), tokio::time::sleep, Some(LOGIN_TIMEOUT));
    response.await.map_err(|error| refused(issuer::chain(&error)))
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
    let Some(refresh_token) = kept.refresh_token.clone() else {
        // It may live for a moment yet; what is over the daemon refuses.
        return if kept.ends_within(Duration::ZERO) { Err(over()) } else { Ok(()) };
    };
    let renewed = renewed(login, &kept, refresh_token).await;
    match renewed {
        Ok(kept) => kept.save(file),
        // An issuer that is away ends nothing before its time.
        Err(Error::Unreachable { .. }) if !kept.ends_within(Duration::ZERO) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn renewed(login: &Login, kept: &Kept, refresh_token: String) -> Result<Kept, Error> {
    let issuer = Issuer::discover(login).await?;
    let client = login.client(&issuer);
    let refresh_token = RefreshToken::new(refresh_token);
    let response = client.exchange_refresh_token(&refresh_token).request_async(&|request| issuer.send(request)).await;
    match response {
        Ok(response) => login.kept(&response, Some(kept)),
        Err(oauth2::RequestTokenError::ServerResponse(_)) => Err(over()),
        Err(error) => Err(Error::Unreachable { server: login.issuer.clone(), problem: issuer::chain(&error) }),
    }
}

fn over() -> Error {
    Error::Denied("your login has ended; run `landlord login` again".into())
}

/// The token that is kept for the daemon.
pub(crate) fn token(file: &std::path::Path) -> Result<Option<String>, Error> {
    Ok(Kept::load(file)?.map(|kept| kept.token))
}
