//! Whose the Gateway API's definitions are in a cluster that landlord made: a cloud may keep them there (GKE does where its Gateway
//! controller is ordered), and then landlord adds what is missing and changes nothing of theirs.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::{
    api::admissionregistration::v1::ValidatingAdmissionPolicy,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use landlord_kube::{
    absent::gone_is_fine,
    gateway_api::{Crds, GROUP, OWNER_ANNOTATION, ensure_own},
    yaml,
};
use landlord_test_kube::{ControlPlane, ControlPlaneOptions, older_gateway_crds};

use crate::support::{eventually, shipped::artifacts};

const ROUTES: &str = "httproutes.gateway.networking.k8s.io";
/// Not of the older Gateway API.
const LISTENER_SETS: &str = "listenersets.gateway.networking.k8s.io";
/// <https://gateway-api.sigs.k8s.io/concepts/versioning>
const BUNDLE: &str = "gateway.networking.k8s.io/bundle-version";

fn annotation(definition: &CustomResourceDefinition, key: &str) -> String {
    definition.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned().unwrap_or_default()
}

/// But for its status, which the API server writes after it was made.
fn is_as_it_was(before: &CustomResourceDefinition, after: &CustomResourceDefinition) -> bool {
    let of = |definition: &CustomResourceDefinition| {
        (definition.metadata.uid.clone(), definition.metadata.annotations.clone(), definition.metadata.labels.clone())
    };
    of(before) == of(after) && before.metadata.generation == after.metadata.generation && before.spec == after.spec
}

async fn all_ours(client: &Client, crds: &Crds) -> Result<()> {
    eventually("the Gateway API is known", async || {
        Ok(ensure_own(client, "test", Some(crds)).await?.map_or(Ok(()), Err))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn definitions_that_the_cloud_keeps_are_left_to_it() -> Result<()> {
    let (folder, artifacts) = (tempfile::tempdir()?, artifacts()?);
    let mut options = ControlPlaneOptions::new(artifacts.clone(), folder.path().join("cluster"));
    // No pod is made here.
    (options.scheduler, options.kwok) = (false, false);
    let plane = ControlPlane::start(options).await?;
    let client = plane.kube_client()?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let older = std::fs::read_to_string(older_gateway_crds()?)?;
    for document in yaml::documents(&older).map_err(anyhow::Error::msg)? {
        if document["kind"] == "CustomResourceDefinition" {
            definitions.create(&PostParams::default(), &serde_json::from_value(document)?).await?;
        }
    }
    let before = definitions.get(ROUTES).await?;
    let crds = Crds::read(&artifacts.gateway_crds)?;
    all_ours(&client, &crds).await?;
    let after = definitions.get(ROUTES).await?;
    ensure!(is_as_it_was(&before, &after), "the cloud's definition was changed: {:?}", after.metadata);
    let missing = definitions.get_opt(LISTENER_SETS).await?.context("what was missing is not added")?;
    ensure!(annotation(&missing, OWNER_ANNOTATION) == "test", "{:?}", missing.metadata.annotations);
    let refusing = policies.list(&ListParams::default()).await?.items;
    ensure!(refusing.is_empty(), "the cloud can't go on with its older ones: {refusing:?}");
    // A later pass changes nothing either.
    all_ours(&client, &crds).await?;
    ensure!(is_as_it_was(&before, &definitions.get(ROUTES).await?));

    // Where nobody else keeps any, all are landlord's, and stay at its version.
    eventually("the definitions are gone", async || {
        let mut left = 0;
        for definition in definitions.list(&ListParams::default()).await?.items {
            let name = definition.name_any();
            if name.ends_with(GROUP) {
                left += 1;
                // Another round may have been faster.
                gone_is_fine(definitions.delete(&name, &DeleteParams::default()).await)?;
            }
        }
        Ok(if left == 0 { Ok(()) } else { Err(format!("{left} are left")) })
    })
    .await?;
    all_ours(&client, &crds).await?;
    let own = definitions.get(ROUTES).await?;
    ensure!(annotation(&own, OWNER_ANNOTATION) == "test", "{:?}", own.metadata.annotations);
    ensure!(annotation(&own, BUNDLE) != annotation(&before, BUNDLE), "{:?}", own.metadata.annotations);
    ensure!(!policies.list(&ListParams::default()).await?.items.is_empty(), "older ones are not refused");
    plane.stop().await;
    Ok(())
}
