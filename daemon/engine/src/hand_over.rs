//! What is handed over to a tenant's customer, by the tenant's record: finds its cluster, and asks the apps in it.

use std::sync::Arc;

use async_trait::async_trait;
use landlord_core::{
    Environment, ErrorKind, Failure,
    ports::{AccessFacts, CredentialFact, Handover, LogQuery, LogSink, ObjectDiff, TenantDiff, TenantLogs},
};
use secrecy::SecretString;

use crate::{ClusterAccess, TenantApps};

impl ClusterAccess {
    fn handed_over(&self, environment: &Environment) -> Result<&Arc<dyn TenantApps>, Failure> {
        self.apps.as_ref().ok_or_else(|| nothing(environment)("its class has no stack", "use a class with a stack"))
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
        self.handed_over(tenant)?.facts(&self.target(tenant, nothing(tenant)).await?).await
    }

    async fn credential_values(&self, tenant: &Environment, names: &[String]) -> Result<Vec<SecretString>, Failure> {
        let target = self.target(tenant, nothing(tenant)).await?;
        self.handed_over(tenant)?.credential_values(&target, names).await
    }

    async fn rotate(&self, tenant: &Environment, name: &str, rotation: &str) -> Result<(), Failure> {
        let target = self.target(tenant, nothing(tenant)).await?;
        self.handed_over(tenant)?.rotate(&target, name, rotation).await
    }
}

#[async_trait]
impl TenantLogs for ClusterAccess {
    async fn logs(&self, tenant: &Environment, query: &LogQuery, sink: &dyn LogSink) -> Result<(), Failure> {
        let apps = self.handed_over(tenant)?;
        apps.logs(&self.target(tenant, nothing(tenant)).await?, query, sink).await
    }
}

#[async_trait]
impl TenantDiff for ClusterAccess {
    async fn diff(&self, tenant: &Environment) -> Result<Vec<ObjectDiff>, Failure> {
        let apps = self.handed_over(tenant)?;
        apps.diff(&self.target(tenant, nothing(tenant)).await?).await
    }
}
