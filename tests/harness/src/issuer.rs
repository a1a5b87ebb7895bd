//! A certified OpenID provider (npm `oidc-provider`) on the loopback interface, and somebody who walks its login pages.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use landlord_test_kube::{cache_folder, free_port};
use sha2::{Digest as _, Sha256};

use crate::{Service, binaries::checkout};

/// How long the provider may take to listen: on a loaded machine, Node alone needs seconds.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two observations whether it listens.
const OBSERVE_INTERVAL: Duration = Duration::from_millis(50);

/// A running issuer. Its confidential client is `portal`, its public one `landlord-cli`. Who logs in as `GROUP-CUSTOMER` has
/// that group and that customer among its claims.
#[derive(Debug)]
pub struct Issuer {
    folder: PathBuf,
    node: PathBuf,
    port: u16,
    token_ttl: Duration,
    service: Option<Service>,
}

impl Issuer {
    /// Starts one. `folder`: for its log. `token_ttl`: whole seconds that its access tokens live.
    ///
    /// # Errors
    /// No Node.js, no package registry when it is needed for the first time, no free port.
    pub fn start(folder: &Path, token_ttl: Duration) -> Result<Self> {
        let (port, node) = (free_port()?, installed()?);
        let mut issuer = Self { folder: folder.to_owned(), node, port, token_ttl, service: None };
        issuer.restart()?;
        Ok(issuer)
    }

    /// Starts it again at the same address, with new keys and without memory.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<()> {
        // Its port must be free again.
        self.service = None;
        let script = self.node.join("issuer.mjs").display().to_string();
        let arguments = [script, self.port.to_string(), self.token_ttl.as_secs().to_string()];
        let log = self.folder.join("issuer.log");
        let mut service = Service::start("the issuer", Path::new("node"), &arguments, &log)?;
        let deadline = Instant::now() + START_TIMEOUT;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if service.ended()?.is_some() || Instant::now() > deadline {
                bail!("the issuer does not listen:\n{}", service.log_tail(20));
            }
            std::thread::sleep(OBSERVE_INTERVAL);
        }
        self.service = Some(service);
        Ok(())
    }

    /// Its identifier.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A token of the client `portal`, by its secret.
    ///
    /// # Errors
    /// An issuer that is not there.
    pub fn portal_token(&self) -> Result<String> {
        let url = format!("{}/token", self.url());
        let form = [("grant_type", "client_credentials"), ("client_id", "portal"), ("client_secret", "portal-secret")];
        let text =
            ureq::post(&url).send_form(form).with_context(|| format!("POST {url}"))?.body_mut().read_to_string()?;
        let response: serde_json::Value = serde_json::from_str(&text)?;
        Ok(response["access_token"].as_str().context("the issuer gave no token")?.to_owned())
    }

    /// Walks the issuer's pages from `url` as somebody who logs in as `name`; the text of the last page.
    ///
    /// # Errors
    /// A page that is an error.
    pub fn log_in(&self, url: &str, name: &str) -> Result<String> {
        let output = Command::new("node").arg(self.node.join("browser.mjs")).args([url, name]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{url} as {name}: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }
}

/// The folder with the scripts and what they need, made first if it is missing. Several callers make it once.
fn installed() -> Result<PathBuf> {
    const FILES: [&str; 4] = ["package.json", "package-lock.json", "issuer.mjs", "browser.mjs"];
    let source = checkout().join("tests/harness/issuer");
    let mut digest = Sha256::new();
    for file in FILES {
        digest.update(std::fs::read(source.join(file)).with_context(|| format!("{file} of the issuer"))?);
    }
    let issuers = cache_folder()?.join("issuers");
    std::fs::create_dir_all(&issuers)?;
    let folder = issuers.join(hex::encode(&digest.finalize()[..8]));
    let lock = std::fs::File::create(folder.with_extension("lock"))?;
    lock.lock()?;
    let done = folder.join("installed");
    if done.is_file() {
        return Ok(folder);
    }
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    for file in FILES {
        std::fs::copy(source.join(file), folder.join(file))?;
    }
    let npm =
        Command::new("npm").current_dir(&folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).output();
    let npm = npm.context("can't run npm; install Node.js 20 or newer with npm")?;
    if !npm.status.success() {
        bail!("npm ci failed: {}", String::from_utf8_lossy(&npm.stderr));
    }
    std::fs::write(&done, "")?;
    Ok(folder)
}
