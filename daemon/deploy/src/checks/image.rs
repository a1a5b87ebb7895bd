//! What a neighbour's pod runs: the image of a release as the stack's revision renders it. Never what lies in the cluster, since
//! customers make objects there too. Pure, but for the driver that renders.

use landlord_kube::{gateway_api::Routing, yaml};
use serde_json::Value;

use super::Scene;
use crate::{apply, chart_policy::objects, check::Attempt};

/// What has pods; of a release the first of them counts.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// An image, as the release names it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) pull_policy: Option<String>,
}

/// Of the release that the check names.
pub(super) async fn of_release(scene: &Scene<'_>, attempt: &Attempt) -> Result<Image, String> {
    let name = &attempt.image_of;
    let stack = scene.stack.ok_or("no stack is known whose image could try it")?;
    let release = stack.release(name).map_err(|error| error.to_string())?;
    let mut target = scene.target.clone();
    // A tenant's own values are its customer's words.
    target.spec.stack_values.clear();
    let rendered = apply::rendered(scene.driver, &target, stack, release, Routing::Unknown).await;
    let text = rendered.map_err(|error| format!("release {name} does not render: {error}"))?;
    image_in(&text).map_err(|why| format!("the image of release {name} can't try it: {why}"))
}

/// The first container's of the first workload.
fn image_in(text: &str) -> Result<Image, String> {
    let objects = objects(yaml::documents(text)?);
    let is_workload = |object: &&Value| object["kind"].as_str().is_some_and(|kind| WORKLOADS.contains(&kind));
    let workload = objects.iter().find(is_workload).ok_or("it has no workload")?;
    let pod = &workload["spec"]["template"]["spec"];
    let pulls_with_secrets =
        |object: &Value| object["imagePullSecrets"].as_array().is_some_and(|secrets| !secrets.is_empty());
    let mut accounts = objects.iter().filter(|object| object["kind"] == "ServiceAccount");
    if pulls_with_secrets(pod) || accounts.any(pulls_with_secrets) {
        // They are the tenant's; another namespace is not given them.
        return Err("it is pulled with imagePullSecrets, which stay in the tenant's namespace".into());
    }
    let container = &pod["containers"][0];
    let text = |key: &str| container[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let name = text("image").ok_or("its workload names none")?;
    Ok(Image { name, pull_policy: text("imagePullPolicy") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_the_rendered_workloads_and_none_that_is_pulled_with_a_tenants_secret() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: { name: files }\n---\n";
        let workload = |more: &str| {
            format!(
                "{service}kind: Deployment\nspec: {{ template: {{ spec: {{ {more} containers: [{{ image: 'files:1', \
                 imagePullPolicy: Always }}, {{ image: 'other:1' }}] }} }} }}\n"
            )
        };
        let image = Image { name: "files:1".into(), pull_policy: Some("Always".into()) };
        assert_eq!(image_in(&workload("")).unwrap(), image);
        assert_eq!(image_in(&workload("imagePullSecrets: [],")).unwrap(), image);
        assert!(image_in(&workload("imagePullSecrets: [{ name: registry }],")).unwrap_err().contains("pulled with"));
        let account = format!("{}---\nkind: ServiceAccount\nimagePullSecrets: [{{ name: registry }}]\n", workload(""));
        assert!(image_in(&account).unwrap_err().contains("pulled with"));
        assert!(image_in(service).unwrap_err().contains("no workload"));
        assert!(image_in("kind: Deployment\n").unwrap_err().contains("names none"));
    }
}
