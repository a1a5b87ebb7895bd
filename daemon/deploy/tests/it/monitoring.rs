//! The platform's parts for metrics and logs: their charts by themselves, their rules by promtool, and the real Prometheus with the
//! configuration that the chart writes, from a pod that is gone to the alert at its receiver. No cluster: what kube-state-metrics
//! would say of it is written here, and so are the targets that Kubernetes would name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use landlord_kube::yaml;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    eventually,
    shipped::{environment, helm_in, least, zone},
};

pub(crate) fn platform() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/platforms/standard")
}

pub(crate) fn rendered(chart: &str, values: &Value) -> Result<Vec<Value>> {
    let output = helm_in(
        &["template", "--namespace", "landlord-metrics", "metrics"],
        &platform().join("charts").join(chart),
        values,
    )?;
    ensure!(output.status.success(), "{chart} {values}: {}", String::from_utf8_lossy(&output.stderr));
    yaml::documents(&String::from_utf8(output.stdout)?).map_err(anyhow::Error::msg)
}

/// A file that a chart writes into a ConfigMap.
fn file(objects: &[Value], key: &str) -> Result<Value> {
    let text = objects.iter().find_map(|object| object["data"][key].as_str()).with_context(|| key.to_owned())?;
    let mut documents = yaml::documents(text).map_err(anyhow::Error::msg)?;
    ensure!(documents.len() == 1, "{key}: {text}");
    Ok(documents.remove(0))
}

/// What the chatbot's documents are counted by is scraped where the cluster is a tenant's, and nothing else that its pods may say.
#[test]
fn documents_are_counted_in_a_tenants_own_cluster() -> Result<()> {
    for (customer, jobs) in [("acme", 1), ("", 0)] {
        let mut whose = environment();
        whose["customer"] = json!(customer);
        let config = file(&rendered("metrics", &json!({ "environment": whose }))?, "prometheus.yaml")?;
        let all = config["scrape_configs"].as_array().context("no jobs")?;
        let found: Vec<&Value> = all.iter().filter(|job| job["job_name"] == "documents").collect();
        ensure!(found.len() == jobs, "{customer:?}: {all:?}");
        for job in found {
            ensure!(job["dns_sd_configs"][0]["names"][0] == "chat.ai-fileserver.svc.cluster.local", "{job}");
            ensure!(job["metric_relabel_configs"][0]["regex"] == "landlord_documents.*", "{job}");
        }
    }
    Ok(())
}

#[test]
fn parts_render_and_their_schemas_refuse_what_is_invalid() -> Result<()> {
    for chart in ["metrics", "logs", "metrics-server", "node-classes", "external-dns"] {
        let output = helm_in(&["lint", "--strict"], &platform().join("charts").join(chart), &least(chart))?;
        ensure!(output.status.success(), "{chart}: {}", String::from_utf8_lossy(&output.stdout));
        for object in rendered(chart, &least(chart))? {
            let Some(pod) = object["spec"]["template"]["spec"].as_object() else { continue };
            for container in pod["containers"].as_array().into_iter().flatten() {
                let security = &container["securityContext"];
                ensure!(security["readOnlyRootFilesystem"] == true, "{container}");
                ensure!(security["capabilities"]["drop"] == json!(["ALL"]), "{container}");
                ensure!(container["resources"]["limits"]["memory"].is_string(), "{container}");
            }
        }
    }
    let refused = [
        ("logs", json!({ "environment": environment() })),
        ("logs", json!({ "environment": environment(), "store": { "url": "logs.example.com" } })),
        ("metrics", json!({ "environment": environment(), "alerts": { "receivers": ["https://alerts.example.com"] } })),
        ("metrics", json!({ "environment": environment(), "interval": "30" })),
        ("metrics", json!({ "environment": environment(), "nope": 1 })),
        ("metrics-server", json!({ "replicas": 0 })),
        ("node-classes", json!({ "environment": environment() })),
        ("node-classes", json!({ "environment": environment(), "clusterName": "landlord-1", "image": "latest" })),
        ("external-dns", json!({ "zone": zone() })),
        // In no zone but the tenant's, and as no other owner.
        ("external-dns", json!({ "zone": { "domain": "", "owner": "u1" }, "provider": "rfc2136" })),
        (
            "external-dns",
            json!({ "zone": zone(), "provider": "rfc2136", "arguments": ["--domain-filter=example.com"] }),
        ),
        ("external-dns", json!({ "zone": zone(), "provider": "rfc2136", "arguments": ["--txt-owner-id=u2"] })),
    ];
    for (chart, values) in refused {
        ensure!(rendered(chart, &values).is_err(), "{chart} took {values}");
    }
    // Credentials are files from Secrets, in no configuration.
    let (token, ca) = (json!({ "name": "store", "key": "token" }), json!({ "name": "company-ca" }));
    let values = json!({
        "environment": environment(),
        "remoteWrite": { "url": "https://m.example.com/write", "tokenSecret": token, "caSecret": ca },
        "alerts": { "receivers": ["a.example.com:443"], "tokenSecret": { "name": "receiver", "key": "token" }, "caSecret": ca },
    });
    let objects = rendered("metrics", &values)?;
    let config = file(&objects, "prometheus.yaml")?;
    ensure!(
        config["remote_write"][0]["authorization"]["credentials_file"] == "/etc/prometheus/remote-write/token",
        "{config}"
    );
    ensure!(config["global"]["external_labels"]["landlord_customer"] == "acme", "{config}");
    // A company's own CA vouches for its own servers.
    let files =
        [&config["remote_write"][0], &config["alerting"]["alertmanagers"][0]].map(|one| &one["tls_config"]["ca_file"]);
    ensure!(files == ["/ca/remote-write/ca.crt", "/ca/receiver/ca.crt"], "{config}");
    let mounts: Vec<&Value> = objects.iter().filter(|object| object["kind"] == "StatefulSet").collect();
    let pod = mounts[0]["spec"]["template"]["spec"].to_string();
    for mounted in
        ["\"secretName\":\"receiver\"", "\"mountPath\":\"/ca/receiver\"", "\"mountPath\":\"/ca/remote-write\""]
    {
        ensure!(pod.contains(mounted), "{mounted}: {pod}");
    }
    Ok(())
}

/// Queries of both dashboards by panel, which are the same.
fn dashboards() -> Result<BTreeMap<String, String>> {
    let read = |name: &str| -> Result<Value> {
        Ok(serde_json::from_str(&fs::read_to_string(platform().join("dashboards").join(name))?)?)
    };
    let (grafana, perses) = (read("environments.grafana.json")?, read("environments.perses.json")?);
    let panels = grafana["panels"].as_array().context("no panels")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = panels.iter().map(|panel| (text(&panel["title"]), text(&panel["targets"][0]["expr"])));
    let one: BTreeMap<String, String> = one.collect();
    let panels = perses["spec"]["panels"].as_object().context("no panels")?.values();
    let query = |panel: &Value| text(&panel["spec"]["queries"][0]["spec"]["plugin"]["spec"]["query"]);
    let other = panels.map(|panel| (text(&panel["spec"]["display"]["name"]), query(panel)));
    ensure!(one == other.collect() && one.len() == 10, "the dashboards differ");
    Ok(one
        .into_iter()
        .map(|(name, query)| (name, query.replace("$customer", ".*").replace("$namespace", ".*")))
        .collect())
}

/// Runs promtool in a folder.
fn promtool(programs: &Path, arguments: &[&str], folder: &Path) -> Result<()> {
    let output = Command::new(programs.join("promtool")).args(arguments).current_dir(folder).output()?;
    let reported = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&reported));
    Ok(())
}

#[test]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
fn each_alert_fires_for_its_reason_and_for_no_other() -> Result<()> {
    let Ok(programs) = landlord_test_kube::prometheus() else {
        println!("SKIPPED: the rules' unit tests: no package archive");
        return Ok(());
    };
    let rules = fs::read_to_string(platform().join("charts/metrics/files/rules.yaml"))?;
    let tests = fs::read_to_string(platform().join("rules_test.yaml"))?;
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        for kind in ["fires", "is silent"] {
            ensure!(tests.contains(&format!("- name: {alert} {kind}\n")), "no test in which {alert} {kind}");
        }
    }
    promtool(&programs, &["test", "rules", "rules_test.yaml"], &platform())?;
    // A dashboard's queries are read as rules are.
    let folder = tempfile::tempdir()?;
    let queries = dashboards()?;
    let records =
        queries.values().enumerate().map(|(n, query)| json!({ "record": format!("panel:{n}"), "expr": query }));
    let group = json!({ "groups": [{ "name": "panels", "rules": records.collect::<Vec<_>>() }] });
    fs::write(folder.path().join("panels.yaml"), group.to_string())?;
    promtool(&programs, &["check", "rules", "panels.yaml"], folder.path())
}

/// What one tenant's own cluster has written to the company's store: namespaces, nodes and certificates are called the same in each.
fn stored(customer: &str) -> Vec<Value> {
    let whose = format!(
        "landlord_environment=\"customers/{customer}/tenants/prod\", landlord_environment_uid=\"{customer}\", \
         landlord_customer=\"{customer}\""
    );
    let own = format!("{whose}, namespace=\"ai-fileserver\"");
    let node = format!("{whose}, node=\"n1\"");
    let volume = format!("{own}, persistentvolumeclaim=\"files\"");
    let disk = format!("{node}, mountpoint=\"/\", fstype=\"ext4\"");
    let quota = format!("{own}, resource=\"pods\"");
    let tenant = format!("{own}, tenant_uid=\"{customer}\", customer=\"{customer}\"");
    let series = [
        format!("landlord:namespace_tenant:info{{{tenant}}}"),
        format!("landlord:app_missing_pods:count{{{own}, app=\"chat\"}}"),
        format!("landlord:tenant_cpu_cores:rate5m{{{tenant}}}"),
        format!("landlord:tenant_memory_bytes:sum{{{tenant}}}"),
        format!("ALERTS{{{tenant}, alertname=\"EnvironmentAppDown\", alertstate=\"firing\"}}"),
        format!("kube_pod_container_status_restarts_total{{{own}, pod=\"p\", container=\"c\"}}"),
        format!("kubelet_volume_stats_available_bytes{{{volume}}}"),
        format!("kubelet_volume_stats_capacity_bytes{{{volume}}}"),
        format!(
            "certmanager_certificate_expiration_timestamp_seconds{{{whose}, namespace=\"landlord-gateway\", name=\"landlord-tls\"}}"
        ),
        format!("kube_resourcequota{{{quota}, type=\"used\"}}"),
        format!("kube_resourcequota{{{quota}, type=\"hard\"}}"),
        format!("node_memory_MemAvailable_bytes{{{node}}}"),
        format!("node_memory_MemTotal_bytes{{{node}}}"),
        format!("node_filesystem_avail_bytes{{{disk}}}"),
        format!("node_filesystem_size_bytes{{{disk}}}"),
    ];
    series.map(|series| json!({ "series": series, "values": "1x20" })).into()
}

/// The dashboards are of the company's store, into which many clusters write: a query that takes two tenants' for one shows an error,
/// or the worse of the two without saying whose it is.
#[test]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
fn each_panel_shows_two_tenants_clusters_apart() -> Result<()> {
    let Ok(programs) = landlord_test_kube::prometheus() else {
        println!("SKIPPED: the dashboards' queries: no package archive");
        return Ok(());
    };
    let both = [stored("acme"), stored("globex")].concat();
    let tests = dashboards()?.into_iter().map(|(panel, query)| {
        let two = json!({ "labels": "{}", "value": 2 });
        let counted = json!({ "expr": format!("count({query})"), "eval_time": "5m", "exp_samples": [two] });
        json!({ "name": panel, "interval": "30s", "input_series": both, "promql_expr_test": [counted] })
    });
    let folder = tempfile::tempdir()?;
    let all = json!({ "rule_files": [], "tests": tests.collect::<Vec<_>>() });
    fs::write(folder.path().join("panels_test.yaml"), all.to_string())?;
    promtool(&programs, &["test", "rules", "panels_test.yaml"], folder.path())
}

/// What stands for the cluster and for the company: it is scraped as kube-state-metrics, and gets alerts and samples.
#[derive(Default)]
pub(crate) struct Outside {
    /// Pods of the app `chat` that are available.
    available: AtomicU32,
    alerts: Mutex<Vec<Value>>,
    is_written_to: AtomicBool,
}

impl Outside {
    fn series(&self) -> String {
        let available = self.available.load(Ordering::Relaxed);
        let app = r#"namespace="tenant-a",deployment="chat""#;
        format!(
            "kube_namespace_labels{{namespace=\"tenant-a\",label_landlord_tenant_uid=\"u1\",label_landlord_dev_customer=\"acme\"}} 1\n\
             kube_deployment_spec_replicas{{{app}}} 1\nkube_deployment_status_replicas_available{{{app}}} {available}\n\
             kube_deployment_status_replicas_available{{namespace=\"landlord-gateway\",deployment=\"envoy\"}} 1\n"
        )
    }

    fn respond(&self, path: &str, body: &[u8]) -> String {
        match path {
            "/metrics" => return self.series(),
            "/api/v2/alerts" => {
                self.alerts.lock().extend(serde_json::from_slice::<Vec<Value>>(body).unwrap_or_default())
            }
            "/write" => self.is_written_to.store(!body.is_empty(), Ordering::Relaxed),
            _ => {}
        }
        String::new()
    }

    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = self.exchange(stream).await;
        }
    }

    async fn exchange(&self, mut stream: TcpStream) -> Result<()> {
        let mut request = Vec::new();
        let (head, length) = loop {
            ensure!(stream.read_buf(&mut request).await? > 0, "it hung up");
            let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            break (end + 4, length.unwrap_or(0));
        };
        while request.len() < head + length {
            ensure!(stream.read_buf(&mut request).await? > 0, "it hung up");
        }
        let line = String::from_utf8_lossy(&request[..head]).into_owned();
        let path = line.split_whitespace().nth(1).unwrap_or_default();
        let body = self.respond(path, &request[head..]);
        let length = body.len();
        let response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        Ok(stream.write_all(response.as_bytes()).await?)
    }

    /// Whether an alert about `chat` arrived, and was not over.
    pub(crate) fn alert(&self) -> Result<Value, String> {
        let alerts = self.alerts.lock();
        let found = alerts.iter().rev().find(|alert| alert["labels"]["alertname"] == "EnvironmentAppDown");
        found.cloned().ok_or_else(|| format!("{} other alerts", alerts.len()))
    }
}

/// A program that ends with the test.
pub(crate) struct Program(pub(crate) Child);

impl Program {
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let child = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who is scraped, and who gets alerts and samples: `HOST:PORT`.
pub(crate) struct Targets<'a> {
    pub(crate) outside: &'a str,
    pub(crate) kube_state: &'a str,
    pub(crate) node: Option<&'a str>,
}

/// The chart's configuration and rules in `folder`, on beats of a second, with targets on this machine in place of those that
/// Kubernetes names: Debian's Prometheus knows no Kubernetes.
pub(crate) fn configure(folder: &Path, targets: &Targets<'_>) -> Result<PathBuf> {
    let outside = targets.outside;
    let values = json!({
        "environment": environment(), "interval": "1s",
        "alerts": { "receivers": [outside], "scheme": "http" },
        "remoteWrite": { "url": format!("http://{outside}/write") },
    });
    let objects = rendered("metrics", &values)?;
    let (mut config, mut rules) = (file(&objects, "prometheus.yaml")?, file(&objects, "rules.yaml")?);
    for job in config["scrape_configs"].as_array_mut().context("no jobs")? {
        let targets: Vec<&str> = match job["job_name"].as_str() {
            Some("kube-state-metrics") => vec![targets.kube_state],
            Some("node") => targets.node.into_iter().collect(),
            _ => Vec::new(),
        };
        let fields = job.as_object_mut().context("a job")?;
        fields.remove("kubernetes_sd_configs");
        fields.remove("dns_sd_configs");
        fields.remove("relabel_configs");
        fields.insert("static_configs".into(), json!([{ "targets": targets, "labels": { "node": "n1" } }]));
    }
    for rule in rules["groups"].as_array_mut().into_iter().flatten() {
        for rule in rule["rules"].as_array_mut().into_iter().flatten().filter(|rule| !rule["for"].is_null()) {
            rule["for"] = json!("1s");
        }
    }
    config["rule_files"] = json!([folder.join("rules.yaml")]);
    fs::write(folder.join("rules.yaml"), rules.to_string())?;
    let path = folder.join("prometheus.yaml");
    fs::write(&path, config.to_string())?;
    Ok(path)
}

pub(crate) fn free_address() -> Result<String> {
    Ok(format!("127.0.0.1:{}", landlord_test_kube::free_port()?))
}

/// Status of a GET, and the whole response.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let status = response.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP")?;
    Ok((status, response))
}

/// Series that a query finds.
async fn found(prometheus: &str, query: &str) -> Result<usize> {
    let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (_, response) = get(prometheus, &format!("/api/v1/query?query={escaped}")).await?;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let value: Value = serde_json::from_str(body).with_context(|| response.clone())?;
    Ok(value["data"]["result"].as_array().map_or(0, Vec::len))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout, reason = "a skip is shown")]
async fn an_app_without_pods_is_an_alert_at_its_receiver_and_over_when_it_is_back() -> Result<()> {
    let Ok(programs) = landlord_test_kube::prometheus() else {
        println!("SKIPPED: the real Prometheus: no package archive");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let outside = Arc::new(Outside { available: AtomicU32::new(1), ..Outside::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(Arc::clone(&outside).serve(listener));
    let (node, own) = (free_address()?, free_address()?);
    let _exporter =
        Program::start(&programs.join("prometheus-node-exporter"), &[format!("--web.listen-address={node}")])?;
    let targets = Targets { outside: &address, kube_state: &address, node: Some(&node) };
    let config = configure(folder.path(), &targets)?;
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", folder.path().join("data").display()),
        format!("--web.listen-address={own}"),
    ];
    let _prometheus = Program::start(&programs.join("prometheus"), &arguments)?;
    // What the dashboards show of nodes is what the exporter says.
    for (panel, query) in dashboards()?.iter().filter(|(panel, _)| panel.starts_with("Nodes: ")) {
        eventually(panel, async || match found(&own, query).await {
            Ok(0) => Ok(Err("no series".to_owned())),
            other => Ok(other.map(drop).map_err(|error| error.to_string())),
        })
        .await?;
    }
    ensure!(outside.alert().is_err(), "an alert without a reason: {:?}", outside.alert());

    outside.available.store(0, Ordering::Relaxed);
    let alert = async || Ok(outside.alert().map(drop));
    eventually("the alert is at its receiver", alert).await?;
    let labels = outside.alert().map_err(anyhow::Error::msg)?["labels"].clone();
    for (key, value) in [
        ("customer", "acme"),
        ("tenant_uid", "u1"),
        ("app", "chat"),
        ("severity", "critical"),
        ("landlord_environment", "customers/acme/tenants/prod"),
    ] {
        ensure!(labels[key] == value, "{key}: {labels}");
    }
    eventually("samples are in the company's store", async || {
        Ok(if outside.is_written_to.load(Ordering::Relaxed) { Ok(()) } else { Err("none".to_owned()) })
    })
    .await?;

    outside.available.store(1, Ordering::Relaxed);
    let ended = |alert: &Value| {
        let parsed = alert["endsAt"].as_str().and_then(|time| time.parse::<k8s_openapi::jiff::Timestamp>().ok());
        parsed.is_some_and(|time| time <= k8s_openapi::jiff::Timestamp::now())
    };
    eventually("the alert is over", async || {
        let alert = outside.alert();
        Ok(alert.and_then(|alert| if ended(&alert) { Ok(()) } else { Err(alert["endsAt"].to_string()) }))
    })
    .await?;
    serving.abort_all();
    Ok(())
}
