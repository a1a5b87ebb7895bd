//! What is handed over to a tenant's customer, by the tenant's record: finds its cluster, and asks the apps in it.

use std::sync::Arc;

use async_trait::async_trait;
use landlord_core::{
    Environment, ErrorKind, Failure,
    ports::{
        AccessFacts, CredentialFact, DeployTarget, Handover, LogQuery, LogSink, ObjectDiff, RotationFailure,
        TenantDiff, TenantLogs,
    },
};
use secrecy::SecretString;

use crate::{ClusterAccess, TenantApps};

impl ClusterAccess {
    fn handed_over(&self, environment: &Environment) -> Result<&Arc<dyn TenantApps>, Failure> {
        self.apps.as_ref().ok_or_else(|| nothing(environment)("its class has no stack", "use a class with a stack"))
    }

    /// Who is asked about a tenant's apps, and where they are.
    async fn asked(&self, tenant: &Environment) -> Result<(&Arc<dyn TenantApps>, DeployTarget), Failure> {
        Ok((self.handed_over(tenant)?, self.target(tenant, nothing(tenant)).await?))
    }
}

fn nothing(environment: &Environment) -> impl Fn(&str, &str) -> Failure {
    let name = environment.name();
    move |problem, remedy| {
        let problem = format!("{name} has nothing to hand over: {problem}");
        Failure::new(ErrorKind::Conflict, problem).with_remedy(remedy)
    }
}

#[async_trait]
impl Handover for ClusterAccess {
    fn credential_facts(&self, tenant: &Environment) -> Result<Vec<CredentialFact>, Failure> {
        let apps = self.handed_over(tenant)?;
        match self.offline_target(tenant) {
            Some(target) => apps.credential_facts(&target),
            None => Err(nothing(tenant)("its class has no stack", "use a class with a stack")),
        }
    }

    async fn facts(&self, tenant: &Environment) -> Result<AccessFacts, Failure> {
        let (apps, target) = self.asked(tenant).await?;
        apps.facts(&target).await
    }

    async fn credential_values(&self, tenant: &Environment, names: &[String]) -> Result<Vec<SecretString>, Failure> {
        let (apps, target) = self.asked(tenant).await?;
        apps.credential_values(&target, names).await
    }

    async fn rotate(&self, tenant: &Environment, name: &str, rotation: &str) -> Result<(), RotationFailure> {
        let (apps, target) = self.asked(tenant).await?;
        apps.rotate(&target, name, rotation).await
    }
}

#[async_trait]
impl TenantLogs for ClusterAccess {
    async fn logs(&self, tenant: &Environment, query: &LogQuery, sink: &dyn LogSink) -> Result<(), Failure> {
        let (apps, target) = self.asked(tenant).await?;
        apps.logs(&target, query, sink).await
    }
}

#[async_trait]
impl TenantDiff for ClusterAccess {
    async fn diff(&self, tenant: &Environment) -> Result<Vec<ObjectDiff>, Failure> {
        let (apps, target) = self.asked(tenant).await?;
        apps.diff(&target).await
    }
}
