//! From values to what they mean: names parsed, references resolved, secrets read. All
//! problems are reported together.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use landlord_auth::authenticator::Callers;
use landlord_core::{
    Catalog, Class, ClassName, Level, ProviderName, ReservePercent, catalog::CUSTOMER_PLACEHOLDER,
    environment::TENANTS_MAX, fleet::GrowRule, isolation::GatewayNames, ports::ProviderKey,
};
use landlord_webhooks::WebhookOptions;
use secrecy::SecretString;

use super::{
    Config, Engine, HumanDuration, Provider, acme,
    secret::{is_secret, read_secret},
    server, telemetry, webhooks,
};

/// Sane bounds of `time_scale`: a simulator at 1:10,000, and real time.
const TIME_SCALE_MIN: f64 = 0.0001;
/// A count lists all pods of a host cluster, so not in every moment; what is older than this says little.
const CAPACITY_INTERVALS: std::ops::RangeInclusive<HumanDuration> =
    HumanDuration::from_secs(5)..=HumanDuration::from_secs(60 * 60);
/// More often says little more and costs more; more seldom finds nothing in time.
const PROBE_INTERVALS: std::ops::RangeInclusive<HumanDuration> =
    HumanDuration::from_secs(10)..=HumanDuration::from_secs(60 * 60);

/// A configuration whose parts fit together.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Installation.
    pub installation: String,
    /// Classes, rules, accounts.
    pub catalog: Catalog,
    /// Callers that the configuration names.
    pub callers: Arc<Callers>,
    /// One entry for each provider and credential scope.
    pub providers: Vec<ProviderSetup>,
    /// Where events are delivered to.
    pub webhooks: Vec<WebhookOptions>,
}

/// All that a plugin's process needs.
#[derive(Debug, Clone)]
pub struct ProviderSetup {
    /// Provider and credential scope.
    pub key: ProviderKey,
    /// The provider's section.
    pub provider: Provider,
    /// The credential scope as configured: files of secrets by their paths.
    pub credentials: serde_json::Map<String, serde_json::Value>,
    /// The credential scope as JSON, with secrets.
    pub credential_json: SecretString,
}

/// Checks what the types can't.
///
/// # Errors
/// Every problem, one each.
pub fn check(config: &Config) -> Result<Checked, Vec<String>> {
    let (checked, problems) = check_all(config);
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

/// The same, and what fits all the same: for whoever goes on looking for problems. Nothing may be served by it.
#[must_use]
pub fn check_all(config: &Config) -> (Checked, Vec<String>) {
    let mut problems = Vec::new();
    if let Err(error) = config.installation.parse::<ProviderName>() {
        problems.push(format!("installation: {}", error.problem));
    }
    server::check(&config.server, &mut problems);
    telemetry::check(&config.telemetry, &mut problems);
    let callers = Arc::new(config.auth.callers(&mut problems));
    check_client_cas(config, &mut problems);
    check_engine(&config.engine, &mut problems);
    let interval = config.engine.capacity_interval;
    if !CAPACITY_INTERVALS.contains(&interval) {
        problems.push(format!("engine.capacity_interval: must be 5s to 1h, not {interval}"));
    }
    let availability = &config.availability;
    if !PROBE_INTERVALS.contains(&availability.interval) {
        problems.push(format!("availability.interval: must be 10s to 1h, not {}", availability.interval));
    }
    let networks = availability.allowed_networks.iter();
    problems.extend(
        networks.filter(|network| network.parse::<ipnet::IpNet>().is_err()).map(|network| {
            format!("availability.allowed_networks: {network:?} is no network; write it as 10.1.0.0/16")
        }),
    );
    let mut catalog =
        Catalog { rules: config.placement.clone(), residency: config.residency.clone(), ..Catalog::default() };
    catalog.domains = config.domains.clone();
    problems.extend(config.domains.problems().into_iter().map(|problem| format!("domains.{problem}")));
    let providers = check_providers(config, &mut catalog, &mut problems);
    check_classes(config, &mut catalog, &mut problems);
    check_rules(config, &catalog, &mut problems);
    check_residency(config, &mut problems);
    acme::check(&config.acme_limits, &mut problems);
    let webhooks = webhooks::check(&config.webhooks, &mut problems);
    (Checked { installation: config.installation.clone(), catalog, callers, providers, webhooks }, problems)
}

/// A name in a certificate is worth what the CA that signed it is: with two CAs, either could issue the other's names.
fn check_client_cas(config: &Config, problems: &mut Vec<String>) {
    let files: BTreeSet<&PathBuf> =
        config.server.listeners.iter().filter_map(|listener| listener.tls.as_ref()?.client_ca_file.as_ref()).collect();
    if files.len() > 1 && !config.auth.certificates.is_empty() {
        problems.push(format!(
            "auth.certificates: the listeners name {} different client_ca_file, and each of these CAs could issue every name \
             here; give all listeners the same file",
            files.len()
        ));
    }
}

/// What can't be nothing: a lease that is over at once, a retry that never comes.
fn check_engine(engine: &Engine, problems: &mut Vec<String>) {
    let second = HumanDuration::from_secs(1);
    for (key, value) in [
        ("lease_ttl", engine.lease_ttl),
        ("resync_interval", engine.resync_interval),
        ("teardown_timeout", engine.teardown_timeout),
        ("retry_timeout", engine.retry_timeout),
        ("drain_deadline", engine.drain_deadline),
    ] {
        if value < second {
            problems.push(format!("engine.{key}: must be 1s or more, not {value}"));
        }
    }
    if engine.passes_max == 0 {
        problems.push("engine.passes_max: must be 1 or more, not 0".to_owned());
    }
}

fn check_providers(config: &Config, catalog: &mut Catalog, problems: &mut Vec<String>) -> Vec<ProviderSetup> {
    let mut setups = Vec::new();
    for (name, provider) in &config.providers {
        let at = format!("providers.{name}");
        let provider_name = match name.parse::<ProviderName>() {
            Ok(provider_name) => provider_name,
            Err(error) => {
                problems.push(format!("{at}: {error}"));
                continue;
            }
        };
        check_pin(&at, provider, problems);
        if !(TIME_SCALE_MIN..=1.0).contains(&provider.time_scale) {
            problems.push(format!("{at}.time_scale: must be {TIME_SCALE_MIN} to 1.0, not {}", provider.time_scale));
        }
        if provider.credentials.is_empty() {
            problems.push(format!("{at}.credentials: name at least one credential scope"));
        }
        for (scope, credentials) in &provider.credentials {
            let key = ProviderKey { provider: provider_name.clone(), credentials: scope.clone() };
            if !credentials.account.is_empty() {
                catalog.accounts.insert((provider_name.clone(), scope.clone()), credentials.account.clone());
            }
            match resolve(&format!("{at}.credentials.{scope}"), &credentials.settings) {
                Ok(json) => setups.push(ProviderSetup {
                    key,
                    provider: provider.clone(),
                    credentials: credentials.settings.clone(),
                    credential_json: json,
                }),
                Err(mut more) => problems.append(&mut more),
            }
        }
    }
    setups
}

fn check_pin(at: &str, provider: &Provider, problems: &mut Vec<String>) {
    let hex64 = provider.sha256.len() == 64 && provider.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    if provider.sha256.is_empty() && !provider.allow_unpinned {
        problems
            .push(format!("{at}.sha256: is missing; put the output of `sha256sum {}` here", provider.plugin.display()));
    } else if !provider.sha256.is_empty() && !hex64 {
        problems.push(format!("{at}.sha256: must be 64 hexadecimal digits"));
    }
}

/// Replaces `*_file` keys by the content of the files they name.
///
/// # Errors
/// Every key that can't be used, without its secret.
pub fn resolve(at: &str, settings: &serde_json::Map<String, serde_json::Value>) -> Result<SecretString, Vec<String>> {
    let mut problems = Vec::new();
    let mut resolved = serde_json::Map::new();
    for (key, value) in settings {
        let path = format!("{at}.{key}");
        if is_secret(&path) {
            problems.push(format!(
                "{path}: secrets don't belong into the configuration; write it to a file that \
                 only the daemon can read and name that with {key}_file"
            ));
        } else if let (Some(plain), Some(file)) = (key.strip_suffix("_file"), value.as_str()) {
            match read_secret(&PathBuf::from(file)) {
                Ok(text) => {
                    resolved.insert(plain.to_owned(), text.into());
                }
                Err(problem) => problems.push(format!("{path}: {problem}")),
            }
        } else {
            resolved.insert(key.clone(), value.clone());
        }
    }
    if problems.is_empty() {
        Ok(SecretString::from(serde_json::Value::Object(resolved).to_string()))
    } else {
        Err(problems)
    }
}

fn check_classes(config: &Config, catalog: &mut Catalog, problems: &mut Vec<String>) {
    for (name, class) in &config.classes {
        let at = format!("classes.{name}");
        let class_name = match name.parse::<ClassName>() {
            Ok(class_name) => class_name,
            Err(error) => {
                problems.push(format!("{at}: {error}"));
                continue;
            }
        };
        check_provider(config, &at, class, problems);
        check_level(config, &at, class, problems);
        if class.regions.is_empty() {
            problems.push(format!("{at}.regions: name at least one region"));
        }
        if let Some(stack) = &class.stack
            && !config.deploy.stacks_dir.join(stack.as_str()).join("stack.yaml").is_file()
        {
            problems.push(format!(
                "{at}.stack: {} has no folder {stack} with a stack.yaml (deploy.stacks_dir)",
                config.deploy.stacks_dir.display()
            ));
        }
        catalog.classes.insert(class_name, class.clone());
    }
}

fn check_provider(config: &Config, at: &str, class: &Class, problems: &mut Vec<String>) {
    let (provider, scope) = (&class.provider, &class.credentials);
    match config.providers.get(provider.as_str()) {
        None => problems.push(format!("{at}.provider: providers.{provider} is not configured")),
        // Of whatever host cluster is chosen.
        Some(_) if scope.is_empty() && class.level.is_shared() => {}
        Some(_) if scope.is_empty() => {
            problems.push(format!("{at}.credentials: is missing; name a credential scope of providers.{provider}"));
        }
        Some(known) if !known.credentials.contains_key(scope) => {
            problems.push(format!("{at}.credentials: providers.{provider}.credentials.{scope} is not configured"));
        }
        Some(_) => {}
    }
}

/// What belongs to a level, and what does not.
fn check_level(config: &Config, at: &str, class: &Class, problems: &mut Vec<String>) {
    let level = class.level.as_str();
    if class.level == Level::Namespace {
        let sized = [
            ("machine_type", !class.machine_type.is_empty()),
            ("node_count", class.node_count > 0),
            ("node_count_max", class.node_count_max > 0),
            ("disk_size_gib", class.disk_size_gib > 0),
            ("node_scaling", class.node_scaling.is_some()),
        ];
        for (key, _) in sized.iter().filter(|(_, set)| *set) {
            problems.push(format!("{at}.{key}: a class of level {level} has no nodes of its own; leave it out"));
        }
    } else {
        if class.machine_type.is_empty() {
            problems.push(format!("{at}.machine_type: is missing; a class of level {level} needs one"));
        }
        if class.node_count == 0 || class.node_count > class.node_count_max {
            problems.push(format!("{at}.node_count: must be 1 to node_count_max"));
        }
        let faults = class.node_scaling.iter().flat_map(|scaling| scaling.faults(class.node_count));
        problems.extend(faults.map(|(path, what)| format!("{at}.node_scaling.{path}: {what}")));
    }
    if !class.level.is_shared() {
        for (key, set) in [("hosts", class.hosts.is_some()), ("guardrails", class.guardrails.is_some())] {
            if set {
                problems.push(format!("{at}.{key}: is for the levels NODE and NAMESPACE; leave it out at {level}"));
            }
        }
        return;
    }
    let group = class.guardrails.as_ref().and_then(|guardrails| guardrails.customer_group());
    if let Some(group) = group.filter(|group| !group.as_str().contains(CUSTOMER_PLACEHOLDER)) {
        problems.push(format!(
            "{at}.guardrails.customer_group: {group:?} would get rights in every customer's namespace; write \
             {CUSTOMER_PLACEHOLDER} where the customer's id belongs",
            group = group.as_str()
        ));
    }
    let gateway = class.guardrails.as_ref().and_then(|guardrails| guardrails.gateway());
    if class.stack.is_none() && gateway.is_some_and(|gateway| gateway.names == GatewayNames::Listed) {
        problems.push(format!(
            "{at}.guardrails.gateway.names: \"listed\" are the names that a class's stack serves, and it has no stack; leave it out"
        ));
    }
    if let Some(hosts) = &class.hosts {
        let ReservePercent { cpu, memory, pods } = hosts.reserve_percent;
        for (key, percent) in [("cpu", cpu), ("memory", memory), ("pods", pods)] {
            if percent > 100 {
                problems.push(format!("{at}.hosts.reserve_percent.{key}: must be 0 to 100, not {percent}"));
            }
        }
    }
    if let Some(grow) = class.hosts.as_ref().and_then(|hosts| hosts.grow.as_ref()) {
        check_grow(config, &format!("{at}.hosts.grow"), class, grow, problems);
    }
}

/// A host cluster that a class orders must be one that it can then choose.
fn check_grow(config: &Config, at: &str, class: &Class, grow: &GrowRule, problems: &mut Vec<String>) {
    if !(1..=TENANTS_MAX).contains(&grow.tenants_max) {
        problems.push(format!("{at}.tenants_max: must be 1 to {TENANTS_MAX}, not {}", grow.tenants_max));
    }
    if grow.host_clusters_max == 0 {
        problems
            .push(format!("{at}.host_clusters_max: must be at least 1; leave `grow` out for a fleet of fixed size"));
    }
    let name = grow.class.as_str();
    let Some(of) = config.classes.get(name) else {
        return problems.push(format!("{at}.class: classes.{name} is not configured"));
    };
    if of.level.is_shared() {
        let level = of.level.as_str();
        problems
            .push(format!("{at}.class: classes.{name} is of level {level}; a host cluster needs one of level CLUSTER"));
    }
    if of.provider != class.provider {
        problems.push(format!("{at}.class: classes.{name} is of provider {}, not {}", of.provider, class.provider));
    }
    if !class.credentials.is_empty() && of.credentials != class.credentials {
        problems.push(format!("{at}.class: classes.{name} has other credentials, so this class could not choose it"));
    }
    for region in class.regions.iter().filter(|region| !of.regions.contains(region)) {
        problems.push(format!("{at}.class: classes.{name} is not offered in {region}"));
    }
}

fn check_rules(config: &Config, catalog: &Catalog, problems: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for (index, rule) in config.placement.iter().enumerate() {
        let at = format!("placement[{index}]");
        if !catalog.classes.contains_key(&rule.class) {
            problems.push(format!("{at}.class: class {:?} is not configured", rule.class.as_str()));
        }
        if let Some(earlier) = seen.insert(rule.name.clone(), index) {
            problems.push(format!("{at}.name: placement[{earlier}] has the same name"));
        }
    }
}

/// A rule that binds nobody, or allows nothing, is a mistake that would be found too late.
fn check_residency(config: &Config, problems: &mut Vec<String>) {
    for (name, residency) in &config.residency.0 {
        let at = format!("residency.{name}");
        if residency.regions.is_empty() {
            problems.push(format!("{at}.regions: name at least one region"));
        }
        if residency.customers.is_empty() && residency.labels.is_empty() {
            problems.push(format!("{at}: binds nobody; name customers or labels"));
        }
        for region in &residency.regions {
            if !config.classes.values().any(|class| class.regions.contains(region)) {
                problems.push(format!("{at}.regions: no class is offered in {region:?}; is it misspelt?"));
            }
        }
    }
}
