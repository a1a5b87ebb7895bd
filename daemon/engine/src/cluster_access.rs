//! Kubeconfigs: for operators the provider's own access, for customers a token of their service
//! account in the tenant's namespace. Changes nothing.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use landlord_core::{
    CustomerRole, DesiredState, Environment, EnvironmentName, ErrorKind, Failure, Level, Placement, Stage, StageState,
    Tenant, TenantUid, Timestamp,
    isolation::{IsolationSettings, SharedTarget},
    ports::{
        AppAccess, AppDiff, AppLogs, Apps, CheckResult, CustomerAccess, DeployTarget, Isolation, KubeAccess,
        KubeCredentials, KubeIdentity, Providers, TargetCluster, TenantStore, Verifier,
    },
};
use landlord_provider_api::v1;
use prost::Message as _;
use secrecy::SecretString;

use crate::{
    clock,
    request::{host_access, tenants_cluster, tenants_target},
};

/// Clouds grant their tokens for 15 minutes to 28 hours. What lives longer is a standing credential of the daemon, which is
/// not handed out.
const SHORT_LIVED_MAX: Duration = Duration::from_secs(28 * 60 * 60);

/// Over the store, the plugins and the deploy stage.
pub struct ClusterAccess {
    /// Name of the landlord installation.
    pub installation: String,
    /// Where tenants and their stages are recorded.
    pub store: Arc<dyn TenantStore>,
    /// Whose access operators get.
    pub providers: Arc<dyn Providers>,
    /// Who issues customers' tokens.
    pub isolation: Arc<dyn Isolation>,
    /// Who knows tenants' apps; `None`: no class has a stack.
    pub apps: Option<Arc<dyn TenantApps>>,
}

/// What is asked of tenants' apps: checks, what is handed over, what they write down, what would change of them.
pub trait TenantApps: Apps + AppAccess + AppLogs + AppDiff {}
impl<T: Apps + AppAccess + AppLogs + AppDiff> TenantApps for T {}

impl std::fmt::Debug for ClusterAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterAccess").field("installation", &self.installation).finish_non_exhaustive()
    }
}

impl ClusterAccess {
    /// The daemon's own access to the cluster that a tenant lives in.
    async fn own(&self, environment: &Environment) -> Result<KubeCredentials, Failure> {
        let too_early = || {
            Failure::new(ErrorKind::Conflict, format!("{} has no cluster yet", environment.name()))
                .with_remedy("wait until its stage `cluster` is done")
        };
        let operation = self
            .store
            .operation(environment.operation)
            .await
            .map_err(|error| Failure::new(ErrorKind::Transient, error.to_string()))?;
        let cluster = operation.stages.iter().find(|record| record.stage == Stage::Cluster);
        if cluster.is_some_and(|record| record.state != StageState::Done) {
            return Err(too_early());
        }
        let key = environment.placement.provider_key();
        let request = match environment.tenant().and_then(|tenant| tenant.host.as_ref()) {
            // Without a status the provider looks the cluster up by its name.
            None => v1::KubeAccessRequest {
                scope: Some(self.scope(environment.uid, &environment.placement)),
                cluster: None,
            },
            Some(_) => self.host_request(environment).await?,
        };
        self.providers.provider(&key)?.kube_access(request).await?.try_into()
    }
}

impl ClusterAccess {
    /// The customer's access to a cluster of its own, with its class's role in the namespace of its apps.
    async fn of_own_cluster(
        &self,
        environment: &Environment,
        tenant: &Tenant,
        duration: Duration,
    ) -> Result<CustomerAccess, Failure> {
        let refused = |problem: &str, remedy: &str| {
            let problem = format!("{} has no kubeconfig for its customer: {problem}", environment.name());
            Err(Failure::new(ErrorKind::Conflict, problem).with_remedy(remedy))
        };
        let role = environment.placement.service.customer_role;
        if role == CustomerRole::None {
            let remedy = "the operator sets service.customer_role of the class, and brings this tenant there: \
                          `landlord update CUSTOMER/TENANT --to-current --parts class`";
            return refused("its class gives the customer of a cluster of its own no role", remedy);
        }
        if environment.placement.stack.is_none() {
            return refused("its class deploys no stack, so it has no namespace", "use a class with a stack");
        }
        if !is_done(&*self.store, environment, &Stage::Base).await? {
            return refused("its namespace is not there yet", "wait until its stage `base` is done");
        }
        let (kube, cluster) = (self.own(environment).await?, TargetCluster::OwnCluster);
        let target = tenants_target(&self.installation, (environment, tenant), kube, cluster);
        self.isolation.own_cluster_kubeconfig(&target, role, duration).await
    }

    fn scope(&self, uid: TenantUid, placement: &Placement) -> v1::Scope {
        v1::Scope {
            installation: self.installation.clone(),
            tenant_uid: uid.to_string(),
            region: placement.region.clone(),
            account: placement.account.clone(),
            ..v1::Scope::default()
        }
    }

    /// The cluster of a tenant in a shared one is its host cluster's.
    async fn host_request(&self, environment: &Environment) -> Result<v1::KubeAccessRequest, Failure> {
        let host = self.store.host_of(environment).await;
        let host = host.map_err(|error| Failure::new(ErrorKind::Transient, error.to_string()))?;
        let Some(host) = host.filter(|host| host.usable) else {
            let problem = format!("the host cluster of {} is not READY yet", environment.name());
            return Err(Failure::new(ErrorKind::Conflict, problem).with_remedy("wait until it is"));
        };
        Ok(host_access(&self.installation, &host))
    }
}

#[async_trait]
impl KubeAccess for ClusterAccess {
    async fn access(&self, environment: &Environment) -> Result<KubeCredentials, Failure> {
        let access = self.own(environment).await?;
        refuse_standing(&environment.name(), &access, clock::now())?;
        Ok(access)
    }

    async fn customer_access(&self, environment: &Environment, duration: Duration) -> Result<CustomerAccess, Failure> {
        let refused = |problem: &str, remedy: &str| {
            let problem = format!("{} has no kubeconfig for its customer: {problem}", environment.name());
            Err(Failure::new(ErrorKind::Conflict, problem).with_remedy(remedy))
        };
        let Some(tenant) = environment.tenant() else {
            return refused("it is a host cluster", "ask for the kubeconfig of a tenant");
        };
        // Which namespace it is, its uid alone says; what isolates it does not matter here.
        let place = match environment.placement.level {
            Level::Cluster => return self.of_own_cluster(environment, tenant, duration).await,
            Level::Node => SharedTarget::node(environment.uid, IsolationSettings::default()),
            Level::Namespace => SharedTarget::namespace(environment.uid, IsolationSettings::default()),
        };
        if environment.placement.stack.is_none() {
            return refused("its class deploys no stack, so it has no namespace", "use a class with a stack");
        }
        if !is_done(&*self.store, environment, &Stage::Isolation).await? {
            return refused("its isolation is not done", "wait until its stage `isolation` is done");
        }
        let namespace = place.namespace.to_string();
        let (kube, cluster) = (self.own(environment).await?, TargetCluster::Shared(Box::new(place)));
        let target = tenants_target(&self.installation, (environment, tenant), kube, cluster);
        let kube = self.isolation.customer_kubeconfig(&target, duration).await?;
        Ok(CustomerAccess { kube, namespace })
    }
}

#[async_trait]
impl Verifier for ClusterAccess {
    async fn verify(&self, environment: &Environment) -> Result<Vec<CheckResult>, Failure> {
        let refused = |problem: &str, remedy: &str| {
            let problem = format!("{} can't be verified: {problem}", environment.name());
            Failure::new(ErrorKind::Conflict, problem).with_remedy(remedy)
        };
        let Some(apps) = &self.apps else { return Err(refused("its class has no stack", "use a class with a stack")) };
        apps.check(&self.target(environment, refused).await?).await
    }
}

impl ClusterAccess {
    /// What the apps of a tenant work on, for somebody who asks. `refused` says what can't be done without a stack.
    pub(crate) async fn target(
        &self,
        environment: &Environment,
        refused: impl Fn(&str, &str) -> Failure,
    ) -> Result<DeployTarget, Failure> {
        let Some(tenant) = environment.tenant().filter(|_| environment.placement.stack.is_some()) else {
            return Err(refused("its class has no stack", "use a class with a stack"));
        };
        let zone = self.store.stage(environment.uid, DesiredState::Present, &Stage::DnsZone).await;
        let zone = zone.map_err(|error| Failure::new(ErrorKind::Transient, error.to_string()))?;
        let zone = zone.and_then(|record| v1::DnsZoneStatus::decode(record.status.as_slice()).ok()).unwrap_or_default();
        let (kube, cluster) = (self.own(environment).await?, tenants_cluster(environment));
        let target = tenants_target(&self.installation, (environment, tenant), kube, cluster);
        Ok(DeployTarget { name_servers: zone.name_servers, ..target })
    }

    /// The same without access to a cluster: nobody is asked.
    pub(crate) fn offline_target(&self, environment: &Environment) -> Option<DeployTarget> {
        let tenant = environment.tenant().filter(|_| environment.placement.stack.is_some())?;
        let kube = KubeCredentials {
            endpoint: String::new(),
            ca_pem: String::new(),
            identity: KubeIdentity::Token(SecretString::default()),
            expire_time: None,
        };
        let cluster = tenants_cluster(environment);
        Some(tenants_target(&self.installation, (environment, tenant), kube, cluster))
    }
}

/// Whether a stage is recorded as standing now: what isolates a tenant in its host cluster, the namespace of its apps.
async fn is_done(store: &dyn TenantStore, environment: &Environment, stage: &Stage) -> Result<bool, Failure> {
    let record = store.stage(environment.uid, DesiredState::Present, stage).await;
    let record = record.map_err(|error| Failure::new(ErrorKind::Transient, error.to_string()))?;
    let stands = record.is_some_and(|record| record.state == StageState::Done);
    Ok(stands && environment.desired_state == DesiredState::Present)
}

/// Access that does not end soon is the daemon's alone.
fn refuse_standing(name: &EnvironmentName, access: &KubeCredentials, now: Timestamp) -> Result<(), Failure> {
    let how_long = match access.expire_time {
        Some(end) if end <= now.after(SHORT_LIVED_MAX) => return Ok(()),
        Some(end) => format!("only ends at {end}"),
        None => "has no known end".to_owned(),
    };
    let problem = format!("the daemon's own access to the cluster of {name} {how_long}, so it is not handed out");
    Err(Failure::new(ErrorKind::Conflict, problem).with_remedy(
        "use the kubeconfig that you adopted the cluster with, or a short-lived token in its credential scope",
    ))
}

#[cfg(test)]
mod tests {
    use landlord_core::{
        StageRecord, TenantName, TenantSpec,
        environment::SpecInput,
        journal,
        ports::{Commit, DeleteRequest, NewTenant, ProviderKey, RequestContext, WorkStore as _},
    };
    use landlord_store::{SqliteOptions, sqlite};

    use super::*;

    fn order(name: &TenantName) -> NewTenant {
        let spec = SpecInput { domain: "acme.example.com".into(), storage_gib: 1, ..SpecInput::default() };
        let key = ProviderKey { provider: "cloud".parse().unwrap(), credentials: "default".into() };
        let placement =
            Placement::without_choices("space".parse().unwrap(), Level::Namespace, key, String::new(), "here".into());
        let placement = Placement { guardrails: Some(IsolationSettings::default()), ..placement };
        let request = RequestContext::of_daemon();
        NewTenant {
            name: name.clone(),
            spec: TenantSpec::parse(spec).unwrap(),
            placement,
            adopt: None,
            hosts: None,
            request,
        }
    }

    #[tokio::test]
    async fn a_customer_gets_in_only_while_the_isolation_stands() {
        let folder = tempfile::tempdir().unwrap();
        let store = sqlite::open(
            &folder.path().join("landlord.db"),
            SqliteOptions { create: true, ..SqliteOptions::default() },
        )
        .await
        .unwrap();
        let tenant: TenantName = "customers/acme/tenants/prod".parse().unwrap();
        store.create(order(&tenant)).await.unwrap();
        let name = tenant.into();
        let claim = store.claim("a", 1, Duration::from_secs(600)).await.unwrap().remove(0);
        let isolated = async || is_done(&store, &store.get(&name).await.unwrap(), &Stage::Isolation).await.unwrap();
        assert!(!isolated().await, "not begun");
        let begun =
            journal::intend(&Stage::Isolation, DesiredState::Present, 1, Duration::ZERO, None, Timestamp(1_000));
        // Begun, done, reconciled after a drift, done again.
        for (state, stands) in [
            (StageState::Running, false),
            (StageState::Done, true),
            (StageState::Running, false),
            (StageState::Failed, false),
            (StageState::Done, true),
        ] {
            let stages = vec![StageRecord { state, ..begun.clone() }];
            store.commit(&claim, Commit { stages, ..Commit::default() }).await.unwrap();
            assert_eq!(isolated().await, stands, "{state:?}");
        }
        let request = RequestContext::of_daemon();
        store
            .delete(&name, DeleteRequest { force: false, precondition: landlord_core::Precondition::None, request })
            .await
            .unwrap();
        assert!(!isolated().await, "being deleted");
    }

    #[test]
    fn only_access_that_ends_soon_is_handed_out() {
        let (now, hour) = (Timestamp(1_000_000), Duration::from_secs(3_600));
        let cases = [
            (Some(now.after(hour)), true),
            (Some(now.after(28 * hour)), true),
            (Some(now.after(29 * hour)), false),
            (Some(now.after(365 * 24 * hour)), false),
            (None, false),
        ];
        for (expire_time, fine) in cases {
            let access = KubeCredentials {
                endpoint: "https://kube.example.com".into(),
                ca_pem: String::new(),
                identity: KubeIdentity::Token("t".to_owned().into()),
                expire_time,
            };
            let name = "customers/acme/tenants/prod".parse().unwrap();
            let refused = refuse_standing(&name, &access, now).err();
            assert_eq!(refused.is_none(), fine, "{expire_time:?}: {refused:?}");
            if let Some(refused) = refused {
                assert_eq!(refused.kind, ErrorKind::Conflict);
                assert!(!refused.remedy.is_empty());
            }
        }
    }
}
