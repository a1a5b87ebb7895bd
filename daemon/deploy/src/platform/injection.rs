//! Webhooks that nobody trusts, since whoever writes their authority down missed its moment. cert-manager's injector reads a Secret from
//! one cache once another one has reported it; is the first one later, it logs that there is none, and looks again when something
//! changes, in ten hours at the latest. Until then nothing is admitted that the webhook has to see.
//! <https://github.com/cert-manager/cert-manager/blob/v1.21.2/pkg/controller/cainjector/sources.go>

use std::time::SystemTime;

use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};
use landlord_core::{Chain, Timestamp};
use landlord_kube::{Doing as _, object::resource};
use serde_json::json;

use crate::error::{Error, Result};

/// The configurations that hold a webhook's authority.
const KINDS: [&str; 2] = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"];
/// Says where the injector has the authority from. <https://cert-manager.io/docs/concepts/ca-injector/>
const INJECTED: [&str; 2] = ["cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret"];
/// What is changed to have it look again: when, by this daemon's clock.
const ASKED: &str = "landlord.dev/injection-asked";

/// Whether something was refused because the API server does not trust a webhook.
pub(super) fn is_untrusted(error: &Error) -> bool {
    let text = Chain(error).to_string();
    text.contains("webhook") && text.contains("certificate signed by unknown authority")
}

/// Has the injector look again at each configuration that is its to complete, and lacks an authority.
pub(super) async fn ask_again(client: &Client) -> Result<()> {
    for kind in KINDS {
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource("admissionregistration.k8s.io/v1", kind));
        let doing = || format!("looking for webhooks without an authority among objects of kind {kind}");
        let found = all.list(&ListParams::default()).await.doing(doing)?;
        for configuration in found.items.iter().filter(|configuration| lacks_authority(configuration)) {
            let name = configuration.name_any();
            let change = json!({ "metadata": { "annotations": { ASKED: now() } } });
            let patched = all.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(&change)).await;
            patched.map(drop).doing(|| format!("having the authority of {kind} {name} injected"))?;
            tracing::info!(kind, name, "a webhook has no authority; its injector is made to look again");
        }
    }
    Ok(())
}

fn now() -> String {
    Timestamp::from(SystemTime::now()).to_string()
}

fn lacks_authority(configuration: &DynamicObject) -> bool {
    let is_injected = INJECTED.iter().any(|key| configuration.annotations().contains_key(*key));
    let mut webhooks = configuration.data["webhooks"].as_array().into_iter().flatten();
    is_injected && webhooks.any(|webhook| webhook["clientConfig"]["caBundle"].as_str().is_none_or(str::is_empty))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;

    fn configuration(name: &str, annotation: &str, authority: &str) -> Value {
        json!({
            "metadata": { "name": name, "annotations": { annotation: "cert-manager/cert-manager-webhook-ca" } },
            "webhooks": [
                { "clientConfig": { "caBundle": "Zg==" } },
                { "clientConfig": { "caBundle": authority } },
            ],
        })
    }

    /// An API server with these configurations of the first kind; what is patched there.
    fn cluster() -> (Client, Arc<Mutex<Vec<String>>>) {
        let patched = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&patched);
        let service = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let value = if request.method() == Method::PATCH {
                kept.lock().push(path.clone());
                json!({ "metadata": { "name": "done" } })
            } else if path.ends_with("/validatingwebhookconfigurations") {
                json!({ "metadata": {}, "items": [
                    configuration("lacks", INJECTED[1], ""),
                    configuration("has", INJECTED[1], "Zg=="),
                    configuration("others", "example.com/inject", ""),
                ] })
            } else {
                json!({ "metadata": {}, "items": [configuration("lacks-too", INJECTED[0], "")] })
            };
            let response = Response::builder().status(200).body(Body::from(value.to_string().into_bytes()));
            async move { Ok::<_, Infallible>(response.unwrap()) }
        });
        (Client::new(service, "default"), patched)
    }

    #[test]
    fn a_webhook_that_nobody_trusts_is_recognized() {
        let helm = |output: &str| Error::Helm { command: "upgrade edge".into(), output: output.into() };
        let seen = "failed to create resource: server-side apply failed for object /landlord cert-manager.io/v1, Kind=ClusterIssuer: \
            Internal error occurred: failed calling webhook \"webhook.cert-manager.io\": failed to call webhook: Post \
            \"https://cert-manager-webhook.cert-manager.svc:443/validate?timeout=30s\": tls: failed to verify certificate: x509: \
            certificate signed by unknown authority";
        assert!(is_untrusted(&helm(seen)));
        assert!(!is_untrusted(&helm("failed calling webhook \"a.example.com\": connection refused")));
        assert!(!is_untrusted(&helm(
            "Get \"https://charts.example.com\": x509: certificate signed by unknown authority"
        )));
    }

    #[tokio::test]
    async fn who_lacks_an_authority_is_touched_and_nobody_else() {
        let (client, patched) = cluster();
        ask_again(&client).await.unwrap();
        let group = "/apis/admissionregistration.k8s.io/v1";
        assert_eq!(
            *patched.lock(),
            [
                format!("{group}/validatingwebhookconfigurations/lacks"),
                format!("{group}/mutatingwebhookconfigurations/lacks-too"),
            ]
        );
    }
}
