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
use landlord_provider_api::{Provider as _, ProviderError, v1};

use crate::config::Checked;

/// For a plugin to start and configure itself, or to validate a class: a start takes a second, a cloud responds within ten.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Everything that is wrong with the plugins, and with the classes by their plugins.
pub(crate) async fn problems(checked: &Checked, plugins: &BTreeMap<ProviderKey, Arc<Plugin>>) -> Vec<String> {
    let each = plugins.iter().map(|(key, plugin)| of_plugin(checked, key, plugin));
    let found: BTreeSet<String> = join_all(each).await.into_iter().flatten().collect();
    found.into_iter().collect()
}

async fn of_plugin(checked: &Checked, key: &ProviderKey, plugin: &Plugin) -> Vec<String> {
    let at = format!("providers.{} (credentials {})", key.provider, key.credentials);
    if let Err(problem) = in_time(plugin.start()).await {
        return vec![format!("{at}: does not start: {problem}")];
    }
    let mut found = Vec::new();
    for (name, class) in checked.catalog.classes.iter().filter(|(_, class)| is_built_by(class, key)) {
        for region in &class.regions {
            let problems = match in_time(plugin.validate(request(checked, key, class, region))).await {
                Ok(response) => response.violations.into_iter().map(|v| of_class(name, region, &v)).collect(),
                Err(problem) => vec![format!("classes.{name}: can't be validated in {region}: {problem}")],
            };
            found.extend(problems);
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

async fn in_time<T>(call: impl Future<Output = Result<T, ProviderError>>) -> Result<T, String> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result.map_err(|error| match error.remedy.as_str() {
            "" => error.to_string(),
            remedy => format!("{error}; {remedy}"),
        }),
        Err(_) => Err(format!("it did not respond within {} s", CALL_TIMEOUT.as_secs())),
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
