//! Certificates: who vouches for them, for which names, and how long.

use std::{path::Path, sync::Arc, time::Duration};

use landlord_core::ports::Concern;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::listeners;

use super::{Ended, Scene, web::RESPONSE_TIMEOUT};

/// Certificates for the web last at most 200 days, and those of a company's own CA some years.
const DAYS_MAX: u32 = 4_000;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The certificates that stacks' days are meant for. cert-manager renews when a third of the life is left, which is 30 days of these
/// and two of one for six: <https://cert-manager.io/docs/usage/certificate/#renewal>.
const USUAL_DAYS: u32 = 90;
/// Shorter times are shown in hours.
const HOURS_SHOWN_MAX: u64 = 72;

/// Who vouches for certificates: the machine's own authorities, and those of `trusted_ca`.
pub(crate) struct Trust {
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    pub(crate) config: Arc<ClientConfig>,
}

impl Trust {
    pub(crate) fn load(trusted_ca: Option<&Path>) -> Result<Self, String> {
        Self::of(Self::authorities(trusted_ca)?, aws_lc_rs::default_provider())
    }

    /// Reads who vouches.
    pub(crate) fn authorities(trusted_ca: Option<&Path>) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = trusted_ca {
            let wrong =
                |error: rustls::pki_types::pem::Error| format!("deploy.checks.trusted_ca {}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(wrong)? {
                roots.add_parsable_certificates([certificate.map_err(wrong)?]);
            }
        }
        Ok(roots)
    }

    pub(crate) fn of(authorities: RootCertStore, provider: CryptoProvider) -> Result<Self, String> {
        let provider = Arc::new(provider);
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| format!("this machine trusts no certificate authority: {error}"))?;
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| error.to_string())?.with_webpki_verifier(Arc::clone(&verifier));
        Ok(Self { verifier, config: Arc::new(config.with_no_client_auth()) })
    }
}

/// Takes any certificate: it is judged afterwards, and nothing is sent over such a connection.
#[derive(Debug)]
struct Judged(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Judged {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Each https entry point's certificate.
pub(super) async fn run(scene: &mut Scene<'_>, days_min: u32, days_warn: u32) -> Ended {
    let trust = match scene.trust() {
        Ok(trust) => trust,
        Err(why) => return Ended::failed(why, "name a PEM file of the issuer in deploy.checks.trusted_ca"),
    };
    let (mut least, mut is_late, mut hosts, mut via) = (DAY * DAYS_MAX, false, Vec::new(), String::new());
    let records: Vec<String> = scene.https_records().map(str::to_owned).collect();
    if records.is_empty() {
        return Ended::NotRun("no https name has an address".into());
    }
    for record in records {
        let route = match scene.route(&record, 443).await {
            Ok(route) => route,
            Err(why) => return unreached(scene, why).await,
        };
        via = route.via();
        let host = scene.host(&record);
        let handshake = timeout(RESPONSE_TIMEOUT, chain(scene, &trust, &route, &host)).await;
        let chain = match handshake.unwrap_or_else(|_| Err("no handshake in time".into())) {
            Ok(chain) => chain,
            Err(why) => {
                let cause = format!("https://{host} {via}: {why}");
                return Ended::failed(cause, "see the Gateway's listener for this name, and its certificate's Secret");
            }
        };
        let (fails, warns) = (share(days_min, &chain), share(days_warn, &chain));
        match left(&trust.verifier, &chain, &host) {
            Err(error) => {
                let remedy = remedy(&error);
                let ended = Ended::failed(format!("the certificate of https://{host} {via}: {error}"), remedy);
                return if remedy == RENEWAL { ended.about(Concern::CertificateExpiring) } else { ended };
            }
            Ok(left) if left < fails => {
                let (left, fails) = (shown(left), shown(fails));
                let cause = format!("the certificate of https://{host} ends in {left}, which is less than {fails}");
                return Ended::failed(cause, RENEWAL).about(Concern::CertificateExpiring);
            }
            Ok(left) => {
                is_late |= left < warns;
                least = least.min(left);
            }
        }
        hosts.push(record);
    }
    let detail = format!("{via}; {}; the first ends in {}", hosts.join(", "), shown(least));
    if is_late {
        return Ended::warned(detail, RENEWAL).about(Concern::CertificateExpiring);
    }
    Ended::Passed(detail)
}

/// Days that the certificate of an https entry point still holds, or why it does not.
pub(super) async fn days_left(scene: &mut Scene<'_>, record: &str) -> Result<u32, String> {
    let trust = scene.trust()?;
    let route = scene.route(record, 443).await?;
    let host = scene.host(record);
    let handshake = timeout(RESPONSE_TIMEOUT, chain(scene, &trust, &route, &host)).await;
    let chain = handshake.unwrap_or_else(|_| Err("no handshake in time".into()))?;
    let left = left(&trust.verifier, &chain, &host).map_err(|error| format!("{error}; {}", remedy(&error)))?;
    Ok(u32::try_from(left.as_secs() / DAY.as_secs()).unwrap_or(DAYS_MAX))
}

/// A Gateway stops serving a name whose certificate ended, or was never there: what it states is the cause.
async fn unreached(scene: &Scene<'_>, why: String) -> Ended {
    let stated = listeners::without_certificate(scene.clients, scene.target, scene.manifest).await;
    match stated.ok().flatten() {
        Some(stated) => Ended::failed(format!("{stated} ({why})"), RENEWAL).about(Concern::CertificateExpiring),
        None => Ended::failed(why, "see the Gateway, its controller and its load balancer"),
    }
}

/// Who must do what when a certificate is not renewed.
const RENEWAL: &str = "see why it is not renewed: `kubectl describe certificates,orders,challenges -A`";

fn remedy(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "use an issuer that customers trust, and delete the Secret of the certificate from before, and another one is issued; or for \
             trials name its CA in deploy.checks.trusted_ca"
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "see which Secret the Gateway's listener for this name has",
        _ => RENEWAL,
    }
}

async fn chain(
    scene: &Scene<'_>,
    trust: &Trust,
    route: &super::route::Route,
    host: &str,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(Judged(Arc::clone(&trust.verifier))));
    let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let stream = route.open(&scene.clients.admin).await?;
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.iter().map(|certificate| certificate.clone().into_owned()).collect())
}

/// So many days of a certificate that lasts [`USUAL_DAYS`], and of one that ends sooner the same share of its life: it is renewed that
/// much later, too. Never more.
fn share(days: u32, chain: &[CertificateDer<'_>]) -> Duration {
    let lifetime = chain.first().and_then(|leaf| {
        let (_, certificate) = x509_parser::parse_x509_certificate(leaf).ok()?;
        let validity = certificate.validity();
        u64::try_from(validity.not_after.timestamp().checked_sub(validity.not_before.timestamp())?).ok()
    });
    // One that can't be read is refused for that.
    let lifetime = lifetime.map_or(DAY * USUAL_DAYS, Duration::from_secs);
    lifetime.min(DAY * USUAL_DAYS) * days / USUAL_DAYS
}

/// In days, or in hours if those are few.
fn shown(time: Duration) -> String {
    let hours = time.as_secs() / HOUR.as_secs();
    if hours < HOURS_SHOWN_MAX { format!("{hours} hours") } else { format!("{} days", hours / 24) }
}

/// How long a chain still holds for a name, in whole hours, or why it does not now.
fn left(verifier: &WebPkiServerVerifier, chain: &[CertificateDer<'_>], host: &str) -> Result<Duration, rustls::Error> {
    let general = |why: &str| rustls::Error::General(why.to_owned());
    let (first, rest) = chain.split_first().ok_or_else(|| general("there is none"))?;
    let name = ServerName::try_from(host).map_err(|_| general("the name is none"))?;
    let now = Duration::from_secs(UnixTime::now().as_secs());
    let holds = |hours: u32| {
        let then = UnixTime::since_unix_epoch(now + HOUR * hours);
        verifier.verify_server_cert(first, rest, &name, &[], then).map(drop)
    };
    holds(0)?;
    // The largest number of hours after which it still holds.
    let (mut holding, mut ended) = (0, DAYS_MAX * 24);
    while ended - holding > 1 {
        let middle = holding.midpoint(ended);
        if holds(middle).is_ok() {
            holding = middle;
        } else {
            ended = middle;
        }
    }
    Ok(HOUR * holding)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn certificate(issuer: &CertifiedIssuer<'_, KeyPair>, from: Duration, lasts_days: u32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["chat.acme.example.com".to_owned()]).unwrap();
        params.not_before = (std::time::SystemTime::now() - from).into();
        params.not_after = (std::time::SystemTime::now() - from + DAY * lasts_days).into();
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    #[test]
    fn an_ended_foreign_or_misnamed_certificate_is_distinguished() {
        let (own, other) = (issuer("own"), issuer("other"));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, own.pem()).unwrap();
        let trust = Trust::load(Some(&path)).unwrap();
        let host = "chat.acme.example.com";
        let good = certificate(&own, DAY, 91);
        let holds = left(&trust.verifier, std::slice::from_ref(&good), host).unwrap();
        assert!((DAY * 90 - HOUR * 2..=DAY * 90).contains(&holds), "{holds:?}");
        let ended = left(&trust.verifier, &[certificate(&own, DAY * 91, 90)], host).unwrap_err();
        assert!(ended.to_string().contains("expired") && remedy(&ended) == RENEWAL, "{ended}");
        let foreign = left(&trust.verifier, &[certificate(&other, DAY, 90)], host).unwrap_err();
        assert!(remedy(&foreign).contains("trusted_ca"), "{foreign}");
        let misnamed = left(&trust.verifier, &[good], "files.acme.example.com").unwrap_err();
        assert!(remedy(&misnamed).contains("listener"), "{misnamed}");
        assert!(Trust::load(Some(&folder.path().join("none"))).is_err());
    }

    #[test]
    fn a_certificate_that_lasts_shorter_is_late_later() {
        let own = issuer("own");
        let of = |lasts_days: u32| [certificate(&own, DAY, lasts_days)];
        for (lasts, warns, fails) in [
            // Never more than is written, and that of what is usual.
            (398, DAY * 21, DAY * 7),
            (90, DAY * 21, DAY * 7),
            // Renewed 15 days before its end, and 2.
            (45, HOUR * 252, HOUR * 84),
            (6, Duration::from_secs(6 * 86_400 * 21 / 90), Duration::from_secs(6 * 86_400 * 7 / 90)),
        ] {
            assert_eq!((share(21, &of(lasts)), share(7, &of(lasts))), (warns, fails), "{lasts} days");
            assert!(lasts > 90 || warns < DAY * lasts / 3, "{lasts} days: it is not due before");
        }
        assert_eq!([shown(HOUR * 33), shown(DAY * 10 + HOUR)], ["33 hours", "10 days"]);
    }
}
