//! GenerateKubeconfig: whom it is for, how long it lasts, and the file itself. The access comes
//! from the port; nothing of it is logged.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use landlord_core::{
    Level, TenantName, Violation,
    access::{Action, Resource},
    audit::{AuditRecord, Outcome},
    ports::{CUSTOMER_ACCESS_MAX, CUSTOMER_ACCESS_MIN, KubeCredentials, KubeIdentity},
};
use landlord_proto::v1::{self, generate_kubeconfig_request::Subject};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::{
    access::Access,
    convert,
    error::{Error, violation},
    name,
    ports::Ports,
};

/// Half of the longest: a token can't be taken back.
const CUSTOMER_DEFAULT: Duration = Duration::from_secs(30 * 60);

/// Whom it is for.
#[derive(Debug, PartialEq, Eq)]
enum For {
    Operator,
    Customer(Duration),
}

impl For {
    fn parse(request: &v1::GenerateKubeconfigRequest) -> Result<Self, Violation> {
        let subject = Subject::try_from(request.subject).map_err(|_| {
            violation("subject", format!("{} is no subject; use OPERATOR or CUSTOMER", request.subject))
        })?;
        let duration = request.valid_duration.map(Duration::try_from).transpose();
        let duration = duration.map_err(|_| violation("valid_duration", "must not be negative"))?;
        match (subject, duration) {
            (Subject::Unspecified | Subject::Operator, None) => Ok(Self::Operator),
            (Subject::Unspecified | Subject::Operator, Some(_)) => Err(violation(
                "valid_duration",
                "must be absent for an operator, whose access lasts as long as the provider grants",
            )),
            (Subject::Customer, None) => Ok(Self::Customer(CUSTOMER_DEFAULT)),
            (Subject::Customer, Some(duration)) if (CUSTOMER_ACCESS_MIN..=CUSTOMER_ACCESS_MAX).contains(&duration) => {
                Ok(Self::Customer(duration))
            }
            (Subject::Customer, Some(_)) => Err(violation("valid_duration", "must be 10 to 60 minutes")),
        }
    }
}

pub(crate) async fn generate(
    ports: &Ports,
    access: &Access,
    request: &v1::GenerateKubeconfigRequest,
) -> Result<v1::GenerateKubeconfigResponse, Error> {
    let name = name::tenant("name", &request.name)?;
    let subject = For::parse(request)?;
    let tenant = ports.store.get(&name.clone().into()).await?;
    if request.subject() == Subject::Unspecified && tenant.placement.level != Level::Cluster {
        return Err(violation(
            "subject",
            format!(
                "must be set, since {name} lives in a host cluster with others: CUSTOMER has the rights of its own \
                 namespace, OPERATOR landlord's own rights in the whole host cluster"
            ),
        )
        .into());
    }
    let recorded = read_by(access, &subject, &Resource::from(&tenant));
    let (access, context, namespace) = match subject {
        For::Operator => {
            // landlord's own rights: in a host cluster, those over everybody who lives there.
            access.check_action(Action::GenerateOperatorKubeconfig, &Resource::from(&tenant))?;
            let access = ports.kube_access.access(&tenant).await?;
            (access, format!("{}-{}", name.customer, name.tenant), None)
        }
        For::Customer(duration) => {
            let access = ports.kube_access.customer_access(&tenant, duration).await?;
            (access.kube, customer_context(&name), Some(access.namespace))
        }
    };
    // Before it is given away: who has it can't be unknown.
    ports.audit.record(vec![recorded]).await?;
    tracing::info!(tenant = %name, ?subject, expire_time = ?access.expire_time, "a kubeconfig was issued");
    Ok(v1::GenerateKubeconfigResponse {
        kubeconfig: text(&context, namespace.as_deref(), &access),
        expire_time: access.expire_time.map(convert::timestamp),
    })
}

/// What the audit log keeps of the kubeconfig.
fn read_by(access: &Access, subject: &For, resource: &Resource) -> AuditRecord {
    let (action, detail) = match subject {
        For::Operator => (Action::GenerateOperatorKubeconfig, "a kubeconfig with landlord's own rights".to_owned()),
        For::Customer(duration) => {
            let seconds = duration.as_secs();
            (Action::GenerateKubeconfig, format!("a kubeconfig with the customer's rights, for {seconds} s"))
        }
    };
    AuditRecord { detail, ..access.record(action, resource, Outcome::Done) }
}

/// Apart from the operator's, so that both can be merged into one file.
fn customer_context(name: &TenantName) -> String {
    format!("{}-{}-customer", name.customer, name.tenant)
}

/// Named after the tenant throughout, so that kubeconfigs of several tenants can be merged.
fn text(name: &str, namespace: Option<&str>, access: &KubeCredentials) -> String {
    let user = match &access.identity {
        KubeIdentity::Token(token) => json!({"token": token.expose_secret()}),
        KubeIdentity::ClientCertificate { certificate_pem, key_pem } => json!({
            "client-certificate-data": BASE64_STANDARD.encode(certificate_pem.expose_secret()),
            "client-key-data": BASE64_STANDARD.encode(key_pem.expose_secret()),
        }),
    };
    let mut context = json!({"cluster": name, "user": name});
    if let Some(namespace) = namespace {
        context["namespace"] = namespace.into();
    }
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": name, "cluster": {
            "server": access.endpoint,
            "certificate-authority-data": BASE64_STANDARD.encode(&access.ca_pem),
        }}],
        "users": [{"name": name, "user": user}],
    });
    // JSON is YAML.
    format!("{config:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_duration_go_together() {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        let customer = |duration| Ok(For::Customer(duration));
        let cases = [
            (Subject::Unspecified as i32, None, Ok(For::Operator)),
            (Subject::Operator as i32, None, Ok(For::Operator)),
            (Subject::Operator as i32, minutes(30), Err("valid_duration")),
            (Subject::Customer as i32, None, customer(CUSTOMER_DEFAULT)),
            (Subject::Customer as i32, minutes(10), customer(CUSTOMER_ACCESS_MIN)),
            (Subject::Customer as i32, minutes(60), customer(CUSTOMER_ACCESS_MAX)),
            (Subject::Customer as i32, minutes(9), Err("valid_duration")),
            (Subject::Customer as i32, minutes(61), Err("valid_duration")),
            (7, None, Err("subject")),
        ];
        for (subject, duration, expected) in cases {
            let duration = duration.map(|duration| prost_types::Duration::try_from(duration).unwrap());
            let request = v1::GenerateKubeconfigRequest { name: String::new(), subject, valid_duration: duration };
            match (For::parse(&request), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(violation), Err(field)) => assert_eq!(violation.field, field),
                (found, expected) => panic!("{request:?}: {found:?}, not {expected:?}"),
            }
        }
        let negative = prost_types::Duration { seconds: -1, nanos: 0 };
        let request = v1::GenerateKubeconfigRequest {
            subject: Subject::Customer as i32,
            valid_duration: Some(negative),
            ..Default::default()
        };
        assert!(For::parse(&request).is_err());
    }

    #[test]
    fn a_client_certificate_is_written_as_one() {
        let access = KubeCredentials {
            endpoint: "https://kube.example.com".into(),
            ca_pem: "PEM".into(),
            identity: KubeIdentity::ClientCertificate {
                certificate_pem: "c".to_owned().into(),
                key_pem: "k".to_owned().into(),
            },
            expire_time: None,
        };
        let config: serde_json::Value = serde_json::from_str(&text("acme-prod", Some("t-1"), &access)).unwrap();
        assert_eq!(config["users"][0]["user"], json!({"client-certificate-data": "Yw==", "client-key-data": "aw=="}));
        assert_eq!(config["contexts"][0]["context"]["namespace"], "t-1");
    }
}
