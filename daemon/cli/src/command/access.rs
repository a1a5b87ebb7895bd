//! `access` and `rotate`: what is handed over to a customer.

use landlord_proto::v1::{self, access_credential::Rotation};

use crate::{
    arguments::{Output, Rotate, TenantAccess},
    client::Client,
    connection::Connection,
    error::Error,
    name, output,
};

/// Shows it; passwords only where they are asked for.
pub(crate) async fn run(server: &Connection, access: TenantAccess, customer: Option<&str>) -> Result<(), Error> {
    let name = name::tenant(&access.name, customer)?;
    let mut client = Client::connect(server).await?;
    let read_credentials = if access.credentials { vec!["*".to_owned()] } else { access.read };
    let request = v1::GetTenantAccessRequest { name, read_credentials, used_credentials: access.used };
    let response = client.tenants.get_tenant_access(request).await?.into_inner();
    match access.output {
        Output::Table | Output::Wide => output::print(text(&response).trim_end()),
        other => output::items(other, &[output::json(&response)?], &[], true),
    }
}

/// Gives an app's credentials new passwords.
pub(crate) async fn rotate(server: &Connection, rotate: Rotate, customer: Option<&str>) -> Result<(), Error> {
    let name = name::tenant(&rotate.name, customer)?;
    let request_id = rotate.request_id.unwrap_or_else(uuid::Uuid::new_v4).to_string();
    let mut client = Client::connect(server).await?;
    let request =
        v1::RotateTenantCredentialsRequest { name: name.clone(), app: rotate.app, request_id: request_id.clone() };
    super::remark(&format!("rotation {request_id}: after an error go on with --request-id {request_id}"));
    let response = client.tenants.rotate_tenant_credentials(request).await?.into_inner();
    let names: Vec<&str> = response.credentials.iter().map(|credential| credential.name.as_str()).collect();
    output::print(&format!("{name}: {} rotated; read with `landlord access {name} --credentials`", names.join(", ")))
}

fn text(access: &v1::GetTenantAccessResponse) -> String {
    let mut text = String::from("ADDRESSES\n");
    for address in &access.addresses {
        let at = if address.address.is_empty() { "no address yet" } else { &address.address };
        text.push_str(&format!("  {:10} {}  ({at})\n", address.name, address.url));
    }
    for key in &access.host_keys {
        let shown = if key.problem.is_empty() { &key.fingerprint } else { &key.problem };
        text.push_str(&format!("  {:10} host key {} {shown}\n", key.address, key.algorithm));
    }
    for certificate in &access.certificates {
        let state = match certificate.valid {
            true => format!("certificate holds for {} days", certificate.days_left),
            false => format!("certificate: {}", certificate.problem),
        };
        text.push_str(&format!("  {}  {state}\n", certificate.host));
    }
    text.push_str("CREDENTIALS\n");
    for credential in &access.credentials {
        let password = match (credential.password.as_str(), credential.readable) {
            ("", true) => "can be read: --credentials",
            ("", false) => "was read; a new one: landlord rotate",
            (password, _) => password,
        };
        let rotation = match credential.rotation() {
            Rotation::Unspecified => "can't be rotated",
            Rotation::OldUntilNew => "rotation without interruption",
            Rotation::Restart => "rotation restarts the app",
        };
        text.push_str(&format!(
            "  {:10} app {}, at {}: {}  {password}  ({rotation})\n",
            credential.name,
            credential.app,
            credential.addresses.join(", "),
            credential.username
        ));
    }
    output::visible(&text).into_owned()
}
