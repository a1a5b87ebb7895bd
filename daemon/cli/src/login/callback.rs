//! Where the browser comes back to: one page on the loopback interface (RFC 8252).

use std::process::{Command, Stdio};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use url::Url;

use super::refused;
use crate::error::Error;

/// Longest head of a request: a code and a state have some hundred bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a browser may take for its request.
const READ_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The page.
pub(super) struct Callback {
    listener: TcpListener,
    url: String,
}

/// What a request for the page brings along.
#[derive(Debug, PartialEq, Eq)]
enum Brought {
    Code(String),
    /// The issuer's refusal.
    Refusal(String),
    /// Nothing that belongs to this login.
    Nothing,
}

impl Callback {
    pub(super) async fn bind() -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Usage(format!("no port for the browser to come back to: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let url = format!("http://{}/callback", listener.local_addr().map_err(failed)?);
        Ok(Self { listener, url })
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    /// Waits for the code of the login with this state. Whatever else requests the page is sent away.
    pub(super) async fn code(&self, state: &str, issuer: &str) -> Result<String, Error> {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else { continue };
            let Ok(Some(target)) = tokio::time::timeout(READ_TIMEOUT, target(&mut stream)).await else { continue };
            match brought(&self.url, &target, state, issuer) {
                Brought::Code(code) => {
                    respond(&mut stream, "200 OK", "You are logged in. You can close this page.").await;
                    return Ok(code);
                }
                Brought::Refusal(problem) => {
                    respond(&mut stream, "403 Forbidden", "You are not logged in. You can close this page.").await;
                    return Err(refused(problem));
                }
                Brought::Nothing => respond(&mut stream, "404 Not Found", "There is nothing here.").await,
            }
        }
    }
}

/// The target in the first line of a request; `None`: it is none.
async fn target(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 2_048];
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&part[..read]);
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    let line = String::from_utf8(head).ok()?.lines().next()?.to_owned();
    line.strip_prefix("GET ")?.split(' ').next().map(str::to_owned)
}

fn brought(page: &str, target: &str, state: &str, issuer: &str) -> Brought {
    let Some(url) =
        Url::parse(page).ok().and_then(|page| page.join(target).ok().filter(|url| url.path() == page.path()))
    else {
        return Brought::Nothing;
    };
    let value = |key: &str| url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
    // Another login's, or an attacker's (RFC 6749, 10.12), or another issuer's (RFC 9207).
    if value("state").as_deref() != Some(state) || value("iss").is_some_and(|other| other != issuer) {
        return Brought::Nothing;
    }
    match (value("code"), value("error")) {
        (Some(code), None) => Brought::Code(code),
        (_, Some(error)) => Brought::Refusal(value("error_description").unwrap_or(error)),
        (None, None) => Brought::Nothing,
    }
}

async fn respond(stream: &mut TcpStream, status: &str, text: &str) {
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    // A browser that is gone has what it wanted.
    let _ = stream.write_all(response.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Opens a page, where there is a desktop; the address was printed all the same.
pub(super) fn open_browser(url: &str) {
    if ["DISPLAY", "WAYLAND_DISPLAY"].iter().all(|name| std::env::var_os(name).is_none()) {
        return;
    }
    let silent =
        Command::new("xdg-open").arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    drop(silent);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_of_this_login_is_taken() {
        let of = |target: &str| brought("http://127.0.0.1:7000/callback", target, "s1", "https://login.example.com");
        assert_eq!(of("/callback?code=abc&state=s1"), Brought::Code("abc".into()));
        assert_eq!(
            of("/callback?state=s1&code=a%2Bb&iss=https%3A%2F%2Flogin.example.com"),
            Brought::Code("a+b".into())
        );
        let refusal = of("/callback?state=s1&error=access_denied&error_description=not+you");
        assert_eq!(refusal, Brought::Refusal("not you".into()));
        for other in [
            "/callback?code=abc&state=s2",
            "/callback?code=abc",
            "/callback?state=s1",
            "/callback?code=abc&state=s1&iss=https%3A%2F%2Fevil.example.com",
            "/favicon.ico",
            "/callback/x?code=abc&state=s1",
            "//evil.example.com/x?code=abc&state=s1",
        ] {
            assert_eq!(of(other), Brought::Nothing, "{other}");
        }
    }
}
