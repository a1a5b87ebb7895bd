//! Isolation needs an API server and nothing else: no Helm, no stack, no other program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use landlord_core::{
    Failure, StackName, TenantSpec, TenantUid,
    environment::SpecInput,
    isolation::{GatewayRef, IsolationSettings, SharedTarget},
    ports::{
        DeployTarget, HostClusters as _, Isolation as _, KubeCredentials, KubeIdentity, StackPlaces, StageProgress,
        TargetCluster,
    },
    revision::RevisionId,
};
use landlord_isolation::{IsolationOptions, KubeIsolation};
use landlord_kube::client::Clients;
use landlord_test_kube::{Artifacts, ControlPlane, ControlPlaneOptions};

/// On a machine that may be compiling meanwhile.
const TIMEOUT: Duration = Duration::from_secs(120);

fn target(endpoint: &str, ca_pem: &str, token: &str) -> DeployTarget {
    let spec = SpecInput { domain: "acme.example.com".into(), storage_gib: 1, ..SpecInput::default() };
    let uid = TenantUid(uuid::Uuid::from_u128(7));
    DeployTarget {
        kube: KubeCredentials {
            endpoint: endpoint.into(),
            ca_pem: ca_pem.into(),
            identity: KubeIdentity::Token(token.to_owned().into()),
            expire_time: None,
        },
        cluster: TargetCluster::Shared(Box::new(SharedTarget::namespace(uid, IsolationSettings::default()))),
        installation: "test".into(),
        uid,
        name: "customers/acme/tenants/prod".parse().unwrap(),
        spec: TenantSpec::parse(spec).unwrap(),
        generation: 1,
        was_ready: false,
        stack: None,
        name_servers: Vec::new(),
        skip_checks: Vec::new(),
        checks_from: landlord_core::ChecksFrom::default(),
        revision: None,
    }
}

async fn done(what: &str, mut call: impl AsyncFnMut() -> Result<StageProgress>) -> Result<()> {
    let started = Instant::now();
    while let StageProgress::Pending { detail, .. } = call().await? {
        ensure!(started.elapsed() < TIMEOUT, "{what}: {detail}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// A stack whose Gateway moved with its last revision.
#[derive(Debug)]
struct Moved;

impl StackPlaces for Moved {
    fn gateway(&self, _: &StackName, revision: Option<&RevisionId>) -> Result<Option<GatewayRef>, Failure> {
        let namespace = revision.map_or("gateway-on-disk".to_owned(), |revision| format!("gateway-{revision}"));
        Ok(Some(GatewayRef { name: "landlord".into(), namespace }))
    }

    fn gateway_records(&self, _: &StackName, _: Option<&RevisionId>) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    fn namespace(&self, _: &StackName, _: Option<&RevisionId>) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

#[test]
fn whom_a_tenant_lets_in_follows_the_revision_that_it_runs() {
    let removal_timeout = landlord_isolation::REMOVAL_TIMEOUT;
    let options = IsolationOptions { stacks: Some(Arc::new(Moved)), gateway_api_crds: None, removal_timeout };
    let isolation = KubeIsolation::new(options, Arc::new(Clients::default()));
    let revision = RevisionId::of_digest(&"a".repeat(64)).unwrap();
    let namespace = format!("gateway-{revision}");
    let of_revision = DeployTarget {
        stack: Some("moved".parse().unwrap()),
        revision: Some(revision),
        ..target("https://127.0.0.1:1", "", "none")
    };
    let manifest = isolation.manifest(&of_revision);
    assert!(manifest.contains(&namespace) && !manifest.contains("gateway-on-disk"), "{manifest}");
}

#[tokio::test]
async fn a_tenant_is_isolated_and_removed_without_helm() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut options = ControlPlaneOptions::new(Artifacts::ensure(&mut |_| ())?, folder.path().join("cluster"));
    (options.scheduler, options.kwok) = (false, false);
    let plane = ControlPlane::start(options).await?;
    let options =
        IsolationOptions { stacks: None, gateway_api_crds: None, removal_timeout: landlord_isolation::REMOVAL_TIMEOUT };
    let isolation = KubeIsolation::new(options, Arc::new(Clients::default()));
    let target = target(plane.endpoint(), plane.ca_pem(), plane.admin_token());
    done("isolated", async || Ok(isolation.ensure(&target).await?)).await?;
    done("removed", async || Ok(isolation.remove(&target).await?.0)).await?;
    done("uninstalled", async || Ok(isolation.uninstall(&target.kube, &target.installation).await?.progress)).await?;
    let namespaces: Api<Namespace> = Api::all(plane.kube_client()?);
    let name = target.cluster.shared().unwrap().namespace.to_string();
    ensure!(namespaces.get_opt(&name).await?.is_none(), "{name} is still there");
    plane.stop().await;
    Ok(())
}
