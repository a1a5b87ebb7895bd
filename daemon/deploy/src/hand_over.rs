//! The port to what is handed over to a customer: finds stack and client, hands over to the modules.

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use landlord_core::{
    Failure,
    ports::{AccessFacts, AppAccess, CredentialFact, DeployTarget, RotationFailure, RotationReached},
};
use landlord_kube::{Doing as _, client::ClusterClients};
use secrecy::SecretString;

use crate::{
    StackApps,
    access::CredentialSpec,
    apps::no_turn,
    checks::{facts, rotate},
    error::{Error, Result},
    render,
    stack::Stack,
    verify,
};

#[async_trait]
impl AppAccess for StackApps {
    fn credential_facts(&self, target: &DeployTarget) -> Result<Vec<CredentialFact>, Failure> {
        let stack = self.stack_of(target)?;
        Ok(stack.manifest.access.iter().map(|credential| facts::fact(credential, target)).collect())
    }

    async fn facts(&self, target: &DeployTarget) -> Result<AccessFacts, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            Ok(verify::facts(&clients, self.checks(), target, stack).await?)
        };
        self.call(target, call).await?.ok_or_else(no_turn)
    }

    async fn credential_values(&self, target: &DeployTarget, names: &[String]) -> Result<Vec<SecretString>, Failure> {
        let call = async |stack: &Stack, clients: ClusterClients| {
            let namespace = render::namespace(target, &stack.manifest);
            let mut values = Vec::with_capacity(names.len());
            let mut read = rotate::Read::new();
            for name in names {
                let credential = rotate::known(&stack.manifest, name)?;
                let by = (credential, Duration::ZERO);
                // The value of a rotation that was killed may be the app's already: it is ended before anybody reads another.
                match rotate::finish(self.checks(), &clients, target, &stack.manifest, by, &mut read).await {
                    Ok(_) | Err(Error::NotRotated { .. }) => {}
                    Err(error) => return Err(error),
                }
                values.push(value(&clients, namespace, credential).await?);
            }
            Ok(values)
        };
        self.call(target, call).await
    }

    async fn rotate(&self, target: &DeployTarget, name: &str, rotation: &str) -> Result<(), RotationFailure> {
        let mut reached = RotationReached::Nothing;
        let call = async |stack: &Stack, clients: ClusterClients| {
            rotate::rotate(self.checks(), &clients, target, &stack.manifest, (name, rotation), &mut reached).await
        };
        let rotated = self.call(target, call).await;
        rotated.map_err(|failure| RotationFailure { failure: Box::new(failure), reached })
    }
}

/// With the daemon's own rights, as the checks read theirs.
async fn value(clients: &ClusterClients, namespace: &str, credential: &CredentialSpec) -> Result<SecretString> {
    let secrets: Api<Secret> = Api::namespaced(clients.admin.clone(), namespace);
    let what = || format!("reading secret {namespace}/{}", credential.secret);
    let found = secrets.get_opt(&credential.secret).await.doing(what)?;
    let value = found.and_then(|found| found.data).and_then(|mut data| data.remove(&credential.key));
    let value = value.ok_or_else(|| Error::NoCredentialYet { name: credential.name.clone() })?;
    Ok(String::from_utf8_lossy(&value.0).into_owned().into())
}
