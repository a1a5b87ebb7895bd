//! A deploy stage that only isolates: namespaces in the cloud's host clusters, seen by the same judge.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use landlord_core::{
    Amounts, AppName, CertificateOrder, ErrorKind, Failure, FoundInHost, HostedKind, Measured, PlatformName, StackName,
    ports::{
        Apps, CheckResult, CloudAccount, DeployTarget, HostClusters, Isolation, KubeCredentials, PlatformTarget,
        PoolGrowth, ReleaseOf, ReleasePlan, ScaledPool, StageProgress, UninstallReport, Verified,
    },
    revision::RevisionId,
    stage::RemovedObject,
};
use landlord_provider_api::v1::ResourceKind;

use crate::cloud::{Fault, Scripted};

/// An API server bears a request each second.
const POLL_AFTER: Duration = Duration::from_secs(1);

/// What every host cluster here has.
const ALLOCATABLE: Amounts = Amounts { cpu_milli: 10_000, memory_mib: 20_480, pods: 100 };

/// Who issues every tenant's certificate.
pub(crate) const AUTHORITY: &str = "https://acme.example.com/directory";

/// Over the cloud's own faults and boundaries.
pub(crate) struct IsolationOnly(pub(crate) Arc<Scripted>);

fn unexpected(what: &str) -> Failure {
    Failure::new(ErrorKind::Internal, format!("{what}: no class here has a stack"))
}

#[async_trait]
impl Apps for IsolationOnly {
    fn releases(&self, name: &StackName, _: Option<&RevisionId>) -> Result<Vec<ReleasePlan>, Failure> {
        match (self.0.faults)("releases", 0) {
            Some(Fault::Fails(kind)) => {
                Err(Failure::new(kind, format!("revision {name} is damaged")).with_remedy("restore the store"))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// One release, whatever the platform.
    fn platform(&self, _: &PlatformName, _: Option<&RevisionId>) -> Result<Vec<ReleasePlan>, Failure> {
        let app = "edge".parse().unwrap();
        let expected = Duration::from_secs(60);
        Ok(vec![ReleasePlan { of: ReleaseOf::Platform, app, depends_on: Vec::new(), expected, part: None }])
    }

    fn platform_certificate(&self, _: &PlatformTarget, _: &AppName) -> Result<Option<CertificateOrder>, Failure> {
        Ok(None)
    }

    async fn ensure_platform(&self, target: &PlatformTarget, _: &AppName) -> Result<StageProgress, Failure> {
        let uid = target.uid.to_string();
        let revision = target.revision.clone().ok_or_else(|| unexpected("a platform without a revision"))?;
        let key = (format!("{uid} platform"), ResourceKind::Unspecified);
        let method = format!("platform {revision}");
        self.0
            .act(&method, &key, || {
                self.0.cloud.platforms.lock().insert(uid, revision);
                Ok(())
            })
            .await?;
        Ok(StageProgress::Done)
    }

    async fn remove_platform(
        &self,
        target: &PlatformTarget,
        _: &AppName,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        self.0.cloud.platforms.lock().remove(&target.uid.to_string());
        Ok((StageProgress::Done, Vec::new()))
    }

    async fn withdraw_platform(
        &self,
        _: &PlatformTarget,
        _: &AppName,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        Err(unexpected("a platform"))
    }

    async fn ensure_base(&self, _: &DeployTarget) -> Result<StageProgress, Failure> {
        match *self.0.cloud.verified.lock() {
            Some(_) => Ok(StageProgress::Done),
            None => Err(unexpected("a base")),
        }
    }

    async fn ensure_accounts(&self, _: &DeployTarget, _: &[CloudAccount]) -> Result<StageProgress, Failure> {
        Err(unexpected("service accounts"))
    }

    async fn ensure_release(&self, _: &DeployTarget, _: &AppName) -> Result<StageProgress, Failure> {
        Err(unexpected("a release"))
    }

    async fn entry_points(&self, _: &DeployTarget) -> Result<Option<BTreeMap<String, String>>, Failure> {
        self.0.cloud.verified.lock().as_ref().map(|_| Some(BTreeMap::new())).ok_or_else(|| unexpected("entry points"))
    }

    async fn verify(&self, _: &DeployTarget) -> Result<Verified, Failure> {
        self.0.cloud.verified.lock().clone().ok_or_else(|| unexpected("a verification"))
    }

    async fn check(&self, _: &DeployTarget) -> Result<Vec<CheckResult>, Failure> {
        unreachable!("only a request requests it")
    }

    async fn teardown(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        self.0.cloud.violated(format!("a whole cluster was torn down for {}", target.name));
        Err(unexpected("a teardown"))
    }
}

#[async_trait]
impl Isolation for IsolationOnly {
    async fn ensure(&self, target: &DeployTarget) -> Result<StageProgress, Failure> {
        let (uid, host) = (target.uid.to_string(), target.kube.endpoint.clone());
        if target.cluster.shared().is_none() {
            self.0.cloud.violated(format!("{uid} is not placed in a shared cluster"));
        }
        let key = (uid.clone(), ResourceKind::Unspecified);
        self.0
            .act("isolation", &key, || {
                self.0.cloud.isolate(&uid, &host);
                Ok(())
            })
            .await?;
        Ok(StageProgress::Done)
    }

    async fn certificate(&self, target: &DeployTarget) -> Result<Option<CertificateOrder>, Failure> {
        if self.0.cloud.issues_nothing.load(Ordering::SeqCst) {
            return Err(Failure::new(ErrorKind::Transient, "there is no issuer"));
        }
        Ok(Some(CertificateOrder::of(AUTHORITY, [format!("*.{}", target.spec.domain.as_str())].into())))
    }

    async fn remove(&self, target: &DeployTarget) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        let uid = target.uid.to_string();
        let key = (uid.clone(), ResourceKind::Unspecified);
        let was_there = self.0.act("remove_namespace", &key, || Ok(self.0.cloud.remove_namespace(&uid))).await?;
        let object = RemovedObject { r#type: "Namespace".into(), id: uid, name: String::new() };
        if was_there {
            let progress = StageProgress::Pending { poll_after: POLL_AFTER, detail: "ends".into() };
            return Ok((progress, vec![object]));
        }
        Ok((StageProgress::Done, Vec::new()))
    }

    async fn ensure_customer(&self, target: &DeployTarget, role: landlord_core::CustomerRole) -> Result<(), Failure> {
        self.0.cloud.roles.lock().insert(target.uid.to_string(), role);
        Ok(())
    }

    async fn own_cluster_kubeconfig(
        &self,
        _: &DeployTarget,
        _: landlord_core::CustomerRole,
        _: Duration,
    ) -> Result<landlord_core::ports::CustomerAccess, Failure> {
        panic!("the engine asks for none")
    }

    async fn customer_kubeconfig(&self, _: &DeployTarget, _: Duration) -> Result<KubeCredentials, Failure> {
        Err(unexpected("a kubeconfig"))
    }
}

#[async_trait]
impl HostClusters for IsolationOnly {
    async fn measure(&self, kube: &KubeCredentials, _: &str) -> Result<Measured, Failure> {
        let host = kube.endpoint.clone();
        let key = (host.clone(), ResourceKind::Unspecified);
        let inside = self.0.act("measure", &key, || Ok(self.0.cloud.namespaces(&host).len())).await?;
        let inside = u64::try_from(inside).unwrap();
        let pods = Amounts { cpu_milli: 100 * inside, memory_mib: 100 * inside, pods: inside };
        Ok(Measured {
            nodes: 3 - self.0.cloud.nodes_missing(),
            allocatable: ALLOCATABLE,
            requested: pods,
            by_tenants: pods,
        })
    }

    async fn joined(&self, _: &KubeCredentials, _: &str) -> Result<u32, Failure> {
        Ok(3 - self.0.cloud.nodes_missing())
    }

    async fn ensure_scaled_pool(
        &self,
        kube: &KubeCredentials,
        pool: &ScaledPool,
        growth: &PoolGrowth,
    ) -> Result<StageProgress, Failure> {
        let uid = pool.uid.to_string();
        // In a cluster of its own nobody else is kept away.
        assert_eq!((growth.nodes_max, pool.is_tainted), (2, kube.endpoint != uid));
        let key = (format!("{uid} scaled"), ResourceKind::Unspecified);
        self.0
            .act("node-scaling", &key, || {
                self.0.cloud.scale(&uid, &kube.endpoint);
                Ok(())
            })
            .await?;
        Ok(StageProgress::Done)
    }

    async fn remove_scaled_pool(
        &self,
        _: &KubeCredentials,
        pool: &ScaledPool,
    ) -> Result<(StageProgress, Vec<RemovedObject>), Failure> {
        let uid = pool.uid.to_string();
        let key = (format!("{uid} scaled"), ResourceKind::Unspecified);
        let was_there = self.0.act("remove_scaled_pool", &key, || Ok(self.0.cloud.remove_scaled(&uid))).await?;
        if was_there {
            let object = RemovedObject { r#type: "NodePool".into(), id: uid, name: String::new() };
            let progress = StageProgress::Pending { poll_after: POLL_AFTER, detail: "ends".into() };
            return Ok((progress, vec![object]));
        }
        Ok((StageProgress::Done, Vec::new()))
    }

    async fn of_tenants(&self, kube: &KubeCredentials, _: &str) -> Result<Vec<FoundInHost>, Failure> {
        let found = |kind, uid: String, name| FoundInHost { uid: uid.parse().unwrap(), kind, name };
        let namespaces = self.0.cloud.namespaces(&kube.endpoint).into_iter();
        let namespaces = namespaces.map(|uid| found(HostedKind::Namespace, uid.clone(), format!("t-{uid}")));
        let pools = self.0.cloud.scaled_in(&kube.endpoint).into_iter();
        Ok(namespaces
            .chain(pools.map(|uid| found(HostedKind::NodePool, uid.clone(), format!("landlord-t-{uid}"))))
            .collect())
    }

    async fn uninstall(&self, kube: &KubeCredentials, _: &str) -> Result<UninstallReport, Failure> {
        let key = (kube.endpoint.clone(), ResourceKind::Unspecified);
        self.0
            .act("leave", &key, || {
                if !self.0.cloud.namespaces(&kube.endpoint).is_empty() {
                    self.0.cloud.violated(format!("{} was left while tenants live there", kube.endpoint));
                }
                Ok(())
            })
            .await?;
        Ok(UninstallReport { progress: StageProgress::Done, removed: Vec::new(), kept: Vec::new() })
    }
}
