//! Keys, certificates and the administrator's token of one control plane, made once and kept in its folder.
//!
//! Knows nothing about processes. The certificate authority is a real one and apart from the serving certificate, as
//! clients of a real cloud get it.

use std::{
    fs::{OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rand::RngCore as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Error, Result};

/// Names that the API server is called by: from outside over the loopback interface, from inside as a Service.
const SERVER_NAMES: [&str; 6] =
    ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.100.0.1"];
/// As strong as a random UUID and twice that.
const TOKEN_BYTES: usize = 32;

/// What identifies one control plane and its administrator.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    folder: PathBuf,
    pub(crate) ca_pem: String,
    pub(crate) admin_token: String,
}

impl Credentials {
    /// Those of `folder`, made if there are none yet.
    pub(crate) fn ensure(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(Error::file("protect", folder))?;
        let token_path = folder.join("tokens.csv");
        // Written last, so a folder that was half made is made again.
        if !token_path.is_file() {
            make(folder)?;
        }
        let read = |path: &Path| std::fs::read_to_string(path).map_err(Error::file("read", path));
        let admin_token = read(&token_path)?
            .split(',')
            .next()
            .map(str::to_owned)
            .ok_or(Error::Damaged { what: "the administrator's token", path: token_path })?;
        Ok(Self { folder: folder.to_owned(), ca_pem: read(&folder.join("ca.crt"))?, admin_token })
    }

    /// Path of one of the files: `ca.crt`, `server.{crt,key}`, `kubelet-client.{crt,key}`, `service-accounts.{key,pub}`, `tokens.csv`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn make(folder: &Path) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "kubernetes");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(SERVER_NAMES.map(String::from))?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    let server = server.signed_by(&server_key, &authority)?;

    let mut client = CertificateParams::new(Vec::new())?;
    client.distinguished_name.push(DnType::CommonName, "kube-apiserver-kubelet-client");
    client.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client_key = KeyPair::generate()?;
    let client = client.signed_by(&client_key, &authority)?;
    write_secret(&folder.join("kubelet-client.crt"), &client.pem())?;
    write_secret(&folder.join("kubelet-client.key"), &client_key.serialize_pem())?;

    let mut token = [0; TOKEN_BYTES];
    rand::rng().fill_bytes(&mut token);
    write_secret(&folder.join("ca.crt"), &authority.pem())?;
    write_secret(&folder.join("server.crt"), &server.pem())?;
    write_secret(&folder.join("server.key"), &server_key.serialize_pem())?;
    let service_accounts = KeyPair::generate()?;
    write_secret(&folder.join("service-accounts.key"), &service_accounts.serialize_pem())?;
    write_secret(&folder.join("service-accounts.pub"), &service_accounts.public_key_pem())?;
    write_secret(&folder.join("tokens.csv"), &format!("{},admin,admin,system:masters\n", hex::encode(token)))
}

/// Writes a file that only its owner can read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).map_err(Error::file("write", path))?;
    file.write_all(text.as_bytes()).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let made = Credentials::ensure(folder.path()).unwrap();
        let read = Credentials::ensure(folder.path()).unwrap();
        assert_eq!((&made.ca_pem, &made.admin_token), (&read.ca_pem, &read.admin_token));
        assert_eq!(made.admin_token.len(), 2 * TOKEN_BYTES);
        assert!(crate::client_config("https://127.0.0.1:1", &made.ca_pem).is_ok());
        let mode = std::fs::metadata(made.path("server.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_made_credentials_are_made_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), "half").unwrap();
        assert!(Credentials::ensure(folder.path()).unwrap().ca_pem.contains("BEGIN CERTIFICATE"));
    }
}
