//! `--check-config` beyond files: every plugin is started in its sandbox and configured, and validates every class that it
//! builds. Makes nothing in any cloud.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use landlord_core::{Catalog, Class, ClassName, Level, ports::ProviderKey};
use landlord_plugin_host::Plugin;
use landlord_provider_api::{ErrorKind, Provider as _, ProviderError, v1};

use crate::config::Checked;

/// For a plugin to start and configure itself, or to validate a class: a start takes a second, a cloud answers within ten.
/// Whoever does not answer one call in time is asked for no other: so the check ends after two of these and what was answered.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that is wrong with the plugins, and with the classes by their plugins.
pub(crate) async fn problems(checked: &Checked, plugins: &BTreeMap<ProviderKey, Arc<Plugin>>) -> Vec<String> {
    let each = plugins.iter().map(|(key, plugin)| {
        let validate = async |request| plugin.validate(request).await;
        of_plugin(checked, key, plugin.start(), validate)
    });
    let found: BTreeSet<String> = join_all(each).await.into_iter().flatten().collect();
    found.into_iter().collect()
}

async fn of_plugin(
    checked: &Checked,
    key: &ProviderKey,
    start: impl Future<Output = Result<(), ProviderError>>,
    validate: impl AsyncFn(v1::ValidateRequest) -> Result<v1::ValidateResponse, ProviderError>,
) -> Vec<String> {
    let at = format!("providers.{} (credentials {})", key.provider, key.credentials);
    if let Err(failed) = in_time(start).await {
        return vec![format!("{at}: does not start: {failed}")];
    }
    let mut found = Vec::new();
    let built = checked.catalog.classes.iter().filter(|(_, class)| is_built_by(class, key));
    let mut asked = built.flat_map(|(name, class)| class.regions.iter().map(move |region| (name, class, region)));
    while let Some((name, class, region)) = asked.next() {
        match in_time(validate(request(checked, key, class, region))).await {
            Ok(response) => found.extend(response.violations.iter().map(|v| of_class(name, region, v))),
            Err(failed) => {
                found.push(format!("classes.{name}: can't be validated in {region}: {failed}"));
                if failed.is_silent {
                    let left = asked.count();
                    let rest = format!(
                        "{at}: is not asked about the {left} classes and regions left, since it did not respond"
                    );
                    found.extend((left > 0).then_some(rest));
                    break;
                }
            }
        }
    }
    found
}

fn of_class(name: &ClassName, region: &str, violation: &v1::FieldViolation) -> String {
    format!("classes.{name}: in {region}: {}: {}", violation.field, violation.description)
}

/// A class without a credential scope takes its host cluster's.
fn is_built_by(class: &Class, key: &ProviderKey) -> bool {
    class.provider == key.provider && (class.credentials.is_empty() || class.credentials == key.credentials)
}

/// Why a call came to nothing.
struct Failed {
    problem: String,
    /// Whether no answer came: the next call would not be answered either.
    is_silent: bool,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem)
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, Failed> {
    let began = tokio::time::Instant::now();
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result.map_err(|error| Failed {
            is_silent: error.kind == ErrorKind::Transient,
            problem: match error.remedy.as_str() {
                "" => error.to_string(),
                remedy => format!("{error}; {remedy}"),
            },
        }),
        Err(_) => Err(Failed {
            is_silent: true,
            problem: format!(
                "it did not respond within the limit of {} s, and was given up after {:.1} s; see whether it reaches its cloud, or \
                 report it to the plugin's authors",
                CALL_TIMEOUT.as_secs(),
                began.elapsed().as_secs_f64()
            ),
        }),
    }
}

/// Stands for the host cluster that is not chosen yet.
const ANY_HOST: &str = "host";

/// Parameters of a class; at a shared level laid over those of the class by which its host clusters grow, as when they are
/// built. Of host clusters that are ordered otherwise nothing is known here.
fn parameters(catalog: &Catalog, class: &Class) -> serde_json::Value {
    let grown = class.hosts.as_ref().and_then(|hosts| catalog.classes.get(&hosts.grow.as_ref()?.class));
    let mut parameters = grown.map(|grown| grown.parameters.clone()).unwrap_or_default();
    parameters.extend(class.parameters.clone());
    serde_json::Value::Object(parameters)
}

/// What the daemon would ask for the first tenant of the class.
fn request(checked: &Checked, key: &ProviderKey, class: &Class, region: &str) -> v1::ValidateRequest {
    let uid = uuid::Uuid::new_v4().to_string();
    let account = checked.catalog.accounts.get(&(key.provider.clone(), key.credentials.clone()));
    let scope = v1::Scope {
        installation: checked.installation.clone(),
        tenant_uid: uid.clone(),
        region: region.to_owned(),
        account: account.cloned().unwrap_or_default(),
        host_cluster: if class.level.is_shared() { ANY_HOST.to_owned() } else { String::new() },
        ..v1::Scope::default()
    };
    let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let node_pool = (class.level != Level::Namespace).then(|| v1::NodePoolSpec {
        role: "default".into(),
        machine_type: class.machine_type.clone(),
        node_count: whole(class.node_count),
        node_count_max: whole(class.node_count),
        disk_size_gib: whole(class.disk_size_gib),
        labels: [("landlord.dev/tenant".to_owned(), uid)].into(),
        ..v1::NodePoolSpec::default()
    });
    v1::ValidateRequest {
        scope: Some(scope),
        parameters_json: parameters(&checked.catalog, class).to_string(),
        node_pool,
        dns_zone: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::atomic::AtomicUsize, sync::atomic::Ordering};

    use landlord_auth::authenticator::Callers;

    use super::*;

    /// Two classes in two regions.
    fn checked() -> (Checked, ProviderKey) {
        let class: Class = serde_json::from_value(serde_json::json!({
            "level": "CLUSTER", "provider": "cloud", "credentials": "default", "regions": ["here", "there"],
            "machine_type": "m", "node_count": 1, "node_count_max": 1,
        }))
        .unwrap();
        let mut catalog = Catalog::default();
        for name in ["large", "small"] {
            catalog.classes.insert(name.parse().unwrap(), class.clone());
        }
        let key = ProviderKey { provider: "cloud".parse().unwrap(), credentials: "default".into() };
        let callers = Arc::new(Callers::default());
        (Checked { installation: "test".into(), catalog, callers, providers: Vec::new(), webhooks: Vec::new() }, key)
    }

    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_hangs_is_given_up_with_limit_and_time() {
        let (checked, key) = checked();
        let began = tokio::time::Instant::now();
        let hung = of_plugin(&checked, &key, pending(), async |_| pending().await).await;
        assert_eq!(began.elapsed().as_secs(), 60);
        assert!(hung[0].contains("does not start") && hung[0].contains("limit of 60 s"), "{hung:?}");
        assert!(hung[0].contains("after 60.0 s") && hung.len() == 1, "{hung:?}");

        // One class after the other would be a minute each.
        let asked = AtomicUsize::new(0);
        let began = tokio::time::Instant::now();
        let validate = async |_| {
            asked.fetch_add(1, Ordering::SeqCst);
            pending().await
        };
        let hung = of_plugin(&checked, &key, async { Ok(()) }, validate).await.join("\n");
        assert_eq!((asked.load(Ordering::SeqCst), began.elapsed().as_secs()), (1, 60));
        assert!(hung.contains("classes.large: can't be validated in here") && hung.contains("the 3 classes"), "{hung}");

        // Neither does one whose calls end by their own deadline.
        let late = || ProviderError::new(ErrorKind::Transient, "Validate took longer than its deadline of 5s");
        let hung = of_plugin(&checked, &key, async { Ok(()) }, async |_| Err(late())).await.join("\n");
        assert!(hung.contains("deadline of 5s") && hung.contains("the 3 classes"), "{hung}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_answered_is_asked_for_every_class_and_region() {
        let (checked, key) = checked();
        let refused = || ProviderError::new(ErrorKind::Auth, "the key is revoked").with_remedy("renew it");
        let found = of_plugin(&checked, &key, async { Ok(()) }, async |_| Err(refused())).await;
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found.iter().all(|problem| problem.contains("; renew it")), "{found:?}");
    }
}
