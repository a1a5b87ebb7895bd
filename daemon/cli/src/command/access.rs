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
        let is_seen = credential.read_time.is_some() || credential.used_time.is_some();
        let password = match (credential.password.as_str(), credential.readable, credential.rotation()) {
            ("", true, _) => "can be read: --credentials",
            ("", false, _) if !is_seen => "is being rotated; can be read when that has ended",
            ("", false, Rotation::Unspecified) => {
                "was read; who lost it asks the operator, who can read it in the cluster"
            }
            ("", false, Rotation::OldUntilNew | Rotation::Restart) => "was read; a new one: landlord rotate",
            (password, ..) => password,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_done_about_a_password_is_said() {
        let shown = |credential: v1::AccessCredential| {
            text(&v1::GetTenantAccessResponse { credentials: vec![credential], ..Default::default() })
        };
        let read = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let one = |readable, read_time, rotation: Rotation| v1::AccessCredential {
            name: "files".into(),
            readable,
            read_time,
            rotation: rotation.into(),
            ..Default::default()
        };
        assert!(shown(one(true, None, Rotation::Restart)).contains("--credentials"));
        assert!(shown(one(false, read, Rotation::Restart)).contains("landlord rotate"));
        let fixed = shown(one(false, read, Rotation::Unspecified));
        assert!(fixed.contains("operator") && !fixed.contains("landlord rotate"), "{fixed}");
        assert!(shown(one(false, None, Rotation::Restart)).contains("being rotated"));
    }
}
