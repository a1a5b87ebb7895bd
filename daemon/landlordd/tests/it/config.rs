//! Configuration as its user meets it: layers, origins, mistakes.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use landlord_core::{
    Level,
    isolation::{Certificate, GatewayNames},
};
use landlord_deploy::{platform, stack};
use landlordd::config::{Config, Layers, check, load, print};

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn from_file(text: &str) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "landlord.toml", text);
    load(&Layers { file: Some(file), ..Layers::default() })
        .map(|loaded| loaded.config)
        .map_err(|error| error.to_string())
}

#[test]
fn the_documented_file_equals_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/landlord.toml");
    let text = fs::read_to_string(&file).unwrap();
    let documented = load(&Layers { file: Some(file), ..Layers::default() }).unwrap().config;
    assert_eq!(documented, Config::default());
    // Every key of the defaults stands in the file itself.
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let written: toml::Table = text.parse().unwrap();
    assert_eq!(defaults, written);
}

#[test]
fn the_examples_are_configurations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let loaded = load(&Layers { file: Some(file.clone()), ..Layers::default() });
        let config = loaded.unwrap_or_else(|error| panic!("{}: {error}", file.display())).config;
        assert!(!config.classes.is_empty(), "{}", file.display());
        for (name, issuer) in &config.auth.issuers {
            assert!(!issuer.groups.is_empty(), "{}: whoever comes from {name} may do nothing", file.display());
        }
    }
}

/// Folder of this checkout.
fn checkout() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Configurations of the README, as its reader copies them: for a cloud, and beside its `[deploy]` for a cluster that is there.
fn of_the_readme() -> [String; 2] {
    let text = fs::read_to_string(checkout().join("README.md")).unwrap();
    let mut blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let cloud = blocks.next().unwrap().to_owned();
    let (deploy, _) = cloud.split_once("[providers.eks]").unwrap();
    let adopted = blocks.fold(deploy.to_owned(), |all, block| all + block);
    [cloud, adopted]
}

#[test]
fn what_a_reader_copies_orders_what_real_pods_prove() {
    let mut copied: Vec<(String, String)> = Vec::new();
    for file in fs::read_dir(checkout().join("config/examples")).unwrap() {
        let file = file.unwrap().path();
        copied.push((file.display().to_string(), fs::read_to_string(&file).unwrap()));
    }
    copied.extend(of_the_readme().map(|text| ("README.md".to_owned(), text)));
    let (mut own, mut shared) = (0, 0);
    for (from, text) in copied {
        let config = from_file(&text).unwrap_or_else(|error| panic!("{from}: {error}"));
        let deploy = &config.deploy;
        // Values for a stack, platform or release that is not there are refused.
        stack::load_all(&checkout().join("config/stacks"), &deploy.values, &deploy.chart_mirrors).unwrap();
        platform::load_all(&checkout().join("config/platforms"), &deploy.values, &deploy.chart_mirrors).unwrap();
        let values = serde_json::to_value(&deploy.values).unwrap();
        let value = |path: &str| values.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default();
        assert!(!deploy.gateway_api_crds.as_os_str().is_empty(), "{from}: no release of the platform brings it");
        assert_eq!(value("/standard/edge/issuer/kind"), "acme", "{from}");
        // Limits are kept for it.
        assert_eq!(value("/standard/edge/issuer/acme/server"), config.acme_limits["lets-encrypt"].server, "{from}");
        if config.providers.contains_key("eks") {
            // What EKS makes by itself hides clients' addresses, which the file server bans.
            for place in ["standard/edge/gateway/annotations", "ai-fileserver-pg/files/sftp/annotations"] {
                let path = format!("/{place}/service.beta.kubernetes.io~1aws-load-balancer-type");
                assert_eq!(value(&path), "nlb", "{from}: {path}");
            }
        }
        for (name, class) in &config.classes {
            let stack = class.stack.as_ref().map_or("ai-fileserver-pg", |stack| stack.as_str());
            assert_eq!(stack, "ai-fileserver-pg", "{from}: {name}");
            if class.level == Level::Cluster {
                own += 1;
                assert!(class.platform.as_ref().is_some_and(|own| own.as_str() == "standard"), "{from}: {name}");
                continue;
            }
            shared += 1;
            let guardrails = class.guardrails.as_ref().unwrap();
            let gateway = guardrails.gateway().unwrap();
            // Without credentials for tenants' zones.
            assert_eq!((gateway.names, guardrails.load_balancers()), (GatewayNames::Listed, 1), "{from}: {name}");
            // An adopted cluster has its operator's; others their host cluster's platform's.
            if class.provider.as_str() != "kubernetes" {
                let issuer = Certificate::ClusterIssuer("landlord".parse().unwrap());
                assert_eq!((gateway.class.as_str(), &gateway.certificate), ("landlord", &issuer), "{from}: {name}");
            }
        }
    }
    assert_eq!((own, shared), (8, 7));
}

#[test]
fn later_layers_win_and_origins_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "landlord.toml", "[engine]\npasses_max = 1\nlease_ttl = '10s'\n");
    write(folder.path(), "conf.d/20-b.toml", "[engine]\npasses_max = 3\n");
    write(folder.path(), "conf.d/10-a.toml", "[engine]\npasses_max = 2\n");
    let layers = Layers { file: Some(file), sets: vec!["log.filter=debug".into()], environment: false };
    let loaded = load(&layers).unwrap();
    assert_eq!(loaded.config.engine.passes_max, 3);
    assert_eq!(loaded.config.log.filter, "debug");
    let shown = print(&loaded);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("engine.passes_max").contains("20-b.toml"), "{shown}");
    assert!(line("engine.lease_ttl").contains("landlord.toml"), "{shown}");
    assert!(line("log.filter").contains("--set"), "{shown}");
    assert!(line("store.path").ends_with("# default"), "{shown}");
}

#[test]
fn what_is_no_configuration_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "landlord.toml", "");
    let large = write(folder.path(), "conf.d/10-disk.toml", "");
    fs::OpenOptions::new().write(true).open(&large).unwrap().set_len(5 << 20).unwrap();
    let layers = Layers { file: Some(file), ..Layers::default() };
    let refused = load(&layers).map(drop).unwrap_err().to_string();
    assert!(refused.contains("10-disk.toml is no regular file, or has more than"), "{refused}");
    fs::remove_file(&large).unwrap();
    load(&layers).map(drop).unwrap();
}

#[test]
fn mistakes_are_named() {
    let cases = [
        ("[engine]\nlease_tll = '3s'\n", "did you mean \"lease_ttl\"?"),
        ("[engin]\nlease_ttl = '3s'\n", "did you mean \"engine\"?"),
        ("listen = 'unix:/run/landlord.sock'\n", "unknown key \"listen\"; known here are: "),
        ("[engine]\nlease_ttl = 'soon'\n", "not a duration"),
        ("[engine]\nlease_ttl = 40\n", "expected a duration such as \"30s\""),
        ("[engine]\npasses_max = 'many'\n", "engine.passes_max"),
        (
            "[customers]\nunknown = 'ask'\n",
            "customers.unknown: unknown value \"ask\"; known here are: create, refuse (in",
        ),
    ];
    for (text, expected) in cases {
        let error = from_file(text).unwrap_err();
        assert!(error.contains(expected), "{text:?} gave {error:?}");
        assert!(error.contains("landlord.toml"), "no origin in {error:?}");
    }
    let missing = load(&Layers { file: Some("/nowhere/landlord.toml".into()), ..Layers::default() });
    assert!(missing.err().unwrap().to_string().contains("does not exist"));
    let folder = tempfile::tempdir().unwrap();
    let refused = load(&Layers { file: Some(folder.path().to_owned()), ..Layers::default() });
    assert!(refused.err().unwrap().to_string().contains("is a folder"));
}

const PROVIDER: &str = "
[providers.eks]
plugin = '/usr/lib/landlord/plugin.so'
allow_unpinned = true
[providers.eks.credentials.default]
kind = 'static'
account = '111122223333'
";

#[test]
fn references_and_secrets_are_checked_together() {
    let text = format!(
        "{PROVIDER}secret_access_key = 'abc'
[classes.small]
level = 'CLUSTER'
provider = 'gke'
credentials = 'default'
regions = []
machine_type = 'm'
node_count = 0
node_count_max = 1
[[placement]]
name = 'all'
class = 'large'
[residency.nobody]
regions = ['atlantis']
"
    );
    let problems = check(&from_file(&text).unwrap()).unwrap_err().join("\n");
    for expected in [
        "secret_access_key_file",
        "providers.gke is not configured",
        "classes.small.regions",
        "classes.small.node_count",
        "class \"large\" is not configured",
        "residency.nobody: binds nobody",
        "no class is offered in \"atlantis\"",
    ] {
        assert!(problems.contains(expected), "{expected:?} is not in:\n{problems}");
    }
    let pinned = PROVIDER.replace("allow_unpinned = true", "");
    let problems = check(&from_file(&pinned).unwrap()).unwrap_err().join("\n");
    assert!(problems.contains("sha256sum"), "{problems}");
}

const SHARED: &str = "
[classes.own]
level = 'CLUSTER'
provider = 'eks'
credentials = 'default'
regions = ['here']
machine_type = 'm'
node_count = 1
node_count_max = 3
[classes.space]
level = 'NAMESPACE'
provider = 'eks'
regions = ['here']
[classes.space.hosts]
labels = { tier = 'shared' }
[classes.space.hosts.grow]
class = 'own'
tenants_max = 50
host_clusters_max = 2
[classes.space.guardrails]
customer_group = 'oidc:{customer}'
[classes.space.guardrails.quota]
pods = 7
[classes.pool]
level = 'NODE'
provider = 'eks'
credentials = 'default'
regions = ['here']
machine_type = 'm'
node_count = 1
node_count_max = 3
";

#[test]
fn classes_of_shared_levels_say_where_and_how_fenced() {
    let checked = check(&from_file(&format!("{PROVIDER}{SHARED}")).unwrap()).unwrap();
    let class = |name: &str| checked.catalog.classes[&name.parse().unwrap()].clone();
    let space = class("space");
    assert_eq!(space.guardrails.unwrap().quota().pods, 7);
    assert_eq!(space.hosts.unwrap().grow.unwrap().host_clusters_max, 2);
    assert!(space.credentials.is_empty() && class("pool").hosts.is_none());
}

#[test]
fn what_does_not_belong_to_a_level_is_named() {
    let cases = [
        (
            "level = 'NAMESPACE'",
            "level = 'NAMESPACE'\nmachine_type = 'm'\nnode_count = 2",
            &["space.machine_type", "space.node_count"][..],
        ),
        ("level = 'NODE'", "level = 'NODE'\ndisk_size_gib = 1", &[]),
        (
            "level = 'CLUSTER'\nprovider = 'eks'\ncredentials = 'default'",
            "level = 'CLUSTER'\nprovider = 'eks'",
            &["own.credentials: is missing"],
        ),
        (
            "node_count_max = 3\n[classes.space]",
            "node_count_max = 3\n[classes.own.hosts]\n[classes.own.guardrails]\n[classes.space]",
            &["own.hosts", "own.guardrails"],
        ),
        ("class = 'own'", "class = 'pool'", &["grow.class: classes.pool is of level NODE"]),
        ("class = 'own'", "class = 'none'", &["grow.class: classes.none is not configured"]),
        ("tenants_max = 50", "tenants_max = 0", &["grow.tenants_max: must be 1 to 10000"]),
        (
            "[classes.space.hosts.grow]",
            "[classes.space.hosts.reserve_percent]\nmemory = 101\n[classes.space.hosts.grow]",
            &["hosts.reserve_percent.memory: must be 0 to 100, not 101"],
        ),
        ("host_clusters_max = 2", "host_clusters_max = 0", &["leave `grow` out"]),
        ("oidc:{customer}", "oidc:everybody", &["every customer's namespace"]),
        (
            "pods = 7",
            "pods = 7\n[classes.space.guardrails.gateway]\nclass = 'a'\nnames = 'listed'\ncertificate = { cluster_issuer = 'b' }",
            &["space.guardrails.gateway.names: \"listed\" are the names that a class's stack serves"],
        ),
        (
            "regions = ['here']\n[classes.space.hosts]",
            "regions = ['here', 'there']\n[classes.space.hosts]",
            &["own is not offered in there"],
        ),
    ];
    for (from, to, expected) in cases {
        let text = format!("{PROVIDER}{SHARED}");
        assert!(text.contains(from), "{from}");
        let problems = check(&from_file(&text.replacen(from, to, 1)).unwrap()).err().unwrap_or_default();
        assert_eq!(problems.len(), expected.len(), "{to}: {problems:?}");
        for part in expected {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part:?} is not in {problems:?}");
        }
    }
    for (from, to, part) in [("pods = 7", "pod = 7", "pod"), ("labels = {", "label = {", "did you mean \"labels\"?")] {
        let error = from_file(&format!("{PROVIDER}{SHARED}").replace(from, to)).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_certificates_name_is_of_one_ca() {
    let with = |second: &str| {
        let listener = |port: u16, ca: &str| {
            format!(
                "[[server.listeners]]\naddress = '0.0.0.0:{port}'\n[server.listeners.tls]\ncert_file = 'c'\nkey_file = 'k'\n\
                 client_ca_file = '{ca}'\n"
            )
        };
        let names = "[[auth.certificates]]\ncommon_name = 'ops'\nprincipal = 'ops'\n";
        let config =
            from_file(&format!("{}{}{names}", listener(7443, "operators.pem"), listener(7444, second))).unwrap();
        check(&config).err().unwrap_or_default().join("\n")
    };
    assert_eq!(with("operators.pem"), "");
    assert!(with("portals.pem").contains("2 different client_ca_file"), "{}", with("portals.pem"));
}

#[test]
fn nobody_listens_without_tls_by_accident() {
    let tls = "[server.listeners.tls]\ncert_file = 'c'\nkey_file = 'k'\n";
    let cases = [
        ("address = '0.0.0.0:7443'", Some("server.listeners[0].tls: is missing")),
        ("address = '127.0.0.1:7443'", Some("server.listeners[0].tls: is missing")),
        ("address = '0.0.0.0:7443'\ninsecure = true", Some("is not a loopback address")),
        ("address = 'localhost'\ninsecure = true", Some("is not an address such as")),
        ("address = '127.0.0.1:7443'\ninsecure = true", None),
        ("address = '[::1]:7443'\ninsecure = true", None),
        (&format!("address = '0.0.0.0:7443'\n{tls}"), None),
        (&format!("address = '0.0.0.0:7443'\ninsecure = true\n{tls}"), Some("has TLS")),
        (&format!("address = '0.0.0.0:7443'\n{tls}client_auth = 'required'"), Some("names no CA")),
        (&format!("address = '0.0.0.0:7443'\n{tls}client_auth = 'required'\nclient_ca_file = 'ca'"), None),
    ];
    for (text, expected) in cases {
        let config = from_file(&format!("[[server.listeners]]\n{text}\n")).unwrap();
        let problems = check(&config).err().unwrap_or_default().join("\n");
        match expected {
            Some(expected) => assert!(problems.contains(expected), "{text}: {problems}"),
            None => assert!(problems.is_empty(), "{text}: {problems}"),
        }
    }
}

#[test]
fn callers_are_named_without_doubt() {
    let issuer = "issuer = 'https://login.example.com'\naudiences = ['landlord']\n";
    let cases = [
        (format!("[auth.issuers.corp]\n{issuer}"), None),
        (format!("[auth.issuers.landlord]\n{issuer}"), Some("can't be the name of an issuer")),
        (format!("[auth.issuers.'a:b']\n{issuer}"), Some("can't be the name of an issuer")),
        (format!("[auth.issuers.uid]\n{issuer}"), Some("can't be the name of an issuer")),
        (format!("[auth.issuers.anonymous]\n{issuer}"), Some("can't be the name of an issuer")),
        (
            format!("[auth.issuers.corp]\n{issuer}[auth.issuers.other]\n{issuer}"),
            Some("auth.issuers.other.issuer: \"https://login.example.com\" is the issuer \"corp\" already"),
        ),
        (
            format!("[auth.issuers.corp]\n{issuer}bearer_file = '/nowhere/token'\n"),
            Some("bearer_file /nowhere/token: "),
        ),
        ("[auth.issuers.corp]\nissuer = 'http://login.example.com'\naudiences = ['a']\n".into(), Some("must be https")),
        (
            "[auth.issuers.corp]\nissuer = 'https://login.example.com'\naudiences = []\n".into(),
            Some("audiences: is empty"),
        ),
        (
            "[[auth.local_users]]\nuid = 7\nprincipal = 'a'\n[[auth.local_users]]\nuid = 7\nprincipal = 'b'\n".into(),
            Some("7 is named twice"),
        ),
        ("[[auth.local_users]]\nuid = 7\nprincipal = ''\n".into(), Some("principal: is empty")),
        ("[[auth.local_users]]\nuid = 7\nprincipal = 'a'\ncustomer = 'A B'\n".into(), Some("local_users[0].customer")),
        ("[[auth.certificates]]\nuri = 'u'\ndns_name = 'd'\nprincipal = 'a'\n".into(), Some("exactly one of")),
        ("[[auth.certificates]]\nprincipal = 'a'\n".into(), Some("exactly one of")),
    ];
    for (text, expected) in cases {
        let problems = check(&from_file(&text).unwrap()).err().unwrap_or_default().join("\n");
        match expected {
            Some(expected) => assert!(problems.contains(expected), "{text}: {problems}"),
            None => assert!(problems.is_empty(), "{text}: {problems}"),
        }
    }
    // Algorithms with a shared secret can't even be written.
    assert!(from_file(&format!("[auth.issuers.corp]\n{issuer}algorithms = ['HS256']\n")).is_err());
}

#[test]
fn host_clusters_are_counted_neither_always_nor_never() {
    for (interval, fits) in [("4s", false), ("5s", true), ("1h", true), ("61m", false)] {
        let text = format!("[engine]\ncapacity_interval = '{interval}'\n");
        let problems = check(&from_file(&text).unwrap()).err().unwrap_or_default();
        let named = problems.iter().any(|problem| problem.contains("engine.capacity_interval: must be 5s to 1h"));
        assert_eq!(named, !fits, "{interval}: {problems:?}");
    }
}

#[test]
fn secret_files_are_read_and_masked() {
    use secrecy::ExposeSecret as _;
    let folder = tempfile::tempdir().unwrap();
    let secret = write(folder.path(), "key", "hunter2\n");
    let text = format!("{PROVIDER}secret_access_key_file = '{}'\n", secret.display());
    let file = write(folder.path(), "landlord.toml", &text);
    let loaded = load(&Layers { file: Some(file), ..Layers::default() }).unwrap();

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(check(&loaded.config).unwrap_err().join("\n").contains("chmod 600"));

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let checked = check(&loaded.config).unwrap();
    let json = checked.providers[0].credential_json.expose_secret();
    assert!(json.contains(r#""secret_access_key":"hunter2""#), "{json}");
    assert!(!print(&loaded).contains("hunter2"));
    assert!(!format!("{checked:?}").contains("hunter2"));
}

#[test]
fn a_secret_is_in_a_regular_file_and_read_again_from_there() {
    use secrecy::ExposeSecret as _;
    let folder = tempfile::tempdir().unwrap();
    let secret = write(folder.path(), "key", "hunter2\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let with = |file: &Path| {
        let mut settings = serde_json::Map::new();
        settings.insert("secret_access_key_file".into(), file.display().to_string().into());
        landlordd::config::resolve("credentials", &settings)
    };
    assert!(with(&secret).unwrap().expose_secret().contains("hunter2"));
    fs::write(&secret, "rotated\n").unwrap();
    assert!(with(&secret).unwrap().expose_secret().contains("rotated"));
    // Neither waits for a writer, nor reads without end.
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    for refused in [fifo.as_path(), Path::new("/dev/zero")] {
        let problems = with(refused).unwrap_err().join("\n");
        assert!(problems.contains("no regular file"), "{problems}");
    }
}

#[test]
fn a_check_names_what_no_store_can_be_opened_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "landlord.toml", "");
    let refused = |sets: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_landlordd"));
        command.arg("--check-config").arg("--config").arg(&file);
        let output = command.args(sets.iter().flat_map(|set| ["--set", set])).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let several = "store.url=postgres://u@a,b:6432/d?sslmode=require";
    assert!(!refused(&[several]).contains("store."));
    let absent = format!("store.password_file={}", folder.path().join("absent").display());
    assert!(refused(&[several, &absent]).contains("store.password_file: can't read"));
    let any = refused(&["store.url=postgres://u@a/d?target_session_attrs=any"]);
    assert!(any.contains("store.url can't be used") && any.contains("only the server that writes"), "{any}");
    let folder = refused(&[&format!("store.path={}", folder.path().display())]);
    assert!(folder.contains("store.path: ") && folder.contains("is a folder"), "{folder}");
}

#[test]
fn a_configuration_that_everybody_can_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "landlord.toml", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let loaded = load(&Layers { file: Some(file), ..Layers::default() }).map(drop);
    let refused = loaded.unwrap_err().to_string();
    assert!(refused.contains("chmod o-w"), "{refused}");
}

#[test]
fn all_unknown_keys_and_wrong_values_are_named_at_once() {
    let text = "instalation = 'x'\n[engine]\nlease_tt = '10s'\npasses_max = 'many'\n[server]\nsoket = '/x'\n";
    let error = from_file(text).unwrap_err();
    for word in ["instalation", "lease_tt", "passes_max", "soket", "did you mean \"installation\""] {
        assert!(error.contains(word), "{word} is missing in:\n{error}");
    }
    assert_eq!(error.lines().count(), 4, "{error}");
    assert!(error.lines().all(|line| line.contains("landlord.toml")), "{error}");
}

#[test]
fn what_does_not_fit_is_named_with_what_is_unknown() {
    let text = "installation = 'No Label'\n[engin]\nx = 1\n[engine]\npasses_max = 'many'\nlease_ttl = '0s'\n\
                [classes.small]\nlevel = 'CLUSTER'\nprovider = 'eks'\nregions = []\nmachine_type = 'm'\nnode_count = 'two'\n";
    let error = from_file(text).unwrap_err();
    for word in
        ["installation: ", "unknown key \"engin\"", "engine.lease_ttl", "classes.small.node_count", "small.regions"]
    {
        assert!(error.contains(word), "{word} is missing in:\n{error}");
    }
    assert_eq!(error.matches("passes_max").count(), 1, "{error}");
    // What lacks a key is reported as that alone: no rule is wrong because its class can't be read.
    let lacking =
        from_file("[classes.small]\nprovider = 3\n[[placement]]\nname = 'all'\nclass = 'small'\n").unwrap_err();
    assert!(lacking.contains("classes.small.provider") && lacking.contains("`level`"), "{lacking}");
    assert!(!lacking.contains("missing field `provider`") && !lacking.contains("placement"), "{lacking}");
}

#[test]
fn a_file_that_is_no_toml_is_named_with_the_line() {
    let error = from_file("[engine]\nlease_ttl = '3s'\n[engine]\n").unwrap_err();
    assert!(error.contains("landlord.toml: TOML parse error at line 3"), "{error}");
    assert!(!error.starts_with(':') && !error.contains(": :"), "{error}");
}

#[test]
fn durations_that_can_not_be_nothing_are_refused_together() {
    let config = from_file("[engine]\nlease_ttl = '0s'\nresync_interval = '0s'\npasses_max = 0\n").unwrap();
    let problems = check(&config).unwrap_err().join("\n");
    for key in ["engine.lease_ttl", "engine.resync_interval", "engine.passes_max"] {
        assert!(problems.contains(key), "{problems}");
    }
}

#[test]
fn parents_of_domains_are_domains() {
    let config = from_file("[domains]\nallowed_parents = ['A_b.example.com']\nreserved_parents = ['']\n").unwrap();
    let problems = check(&config).unwrap_err().join("\n");
    assert!(
        problems.contains("domains.allowed_parents") && problems.contains("domains.reserved_parents"),
        "{problems}"
    );
}

#[test]
fn webhooks_are_checked_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let secret = write(folder.path(), "secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let open = write(folder.path(), "open", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let of = |name: &str, url: &str, secret: &Path, more: &str| {
        format!("[webhooks.{name}]\nurl = '{url}'\nsecret_file = '{}'\n{more}\n", secret.display())
    };
    let large = write(folder.path(), "large.pem", "");
    fs::OpenOptions::new().write(true).open(&large).unwrap().set_len(2 << 20).unwrap();
    let fine = of("portal", "https://portal.example.com/hooks", &secret, "events = ['dev.landlord.tenant.ready']");
    assert_eq!(check(&from_file(&fine).unwrap()).unwrap().webhooks.len(), 1);
    let wrong = [
        of("plain", "http://portal.example.com/", &secret, ""),
        of("inside", "https://169.254.169.254/", &secret, ""),
        of("readable", "https://portal.example.com/", &open, ""),
        of("types", "https://portal.example.com/", &secret, "events = ['ready']"),
        of("nets", "https://portal.example.com/", &secret, "allowed_networks = ['inside']\ntimeout = '5min'"),
        of("no-url", "portal", &secret, ""),
        of("no-file", "https://portal.example.com/", &secret, &format!("ca_file = '{}'", large.display())),
    ];
    let problems = check(&from_file(&wrong.concat()).unwrap()).unwrap_err().join("\n");
    for expected in [
        "webhooks.plain: is not https",
        "webhooks.inside: 169.254.169.254 is at",
        "webhooks.readable.secret_file",
        "webhooks.types.events: \"ready\" is none of dev.landlord.tenant.accepted",
        "webhooks.nets.allowed_networks: \"inside\"",
        "webhooks.nets.timeout: must be 1s to 1m",
        "webhooks.no-url.url",
        &format!("webhooks.no-file: ca_file {}: it has more than 1048576 bytes", large.display()),
    ] {
        assert!(problems.contains(expected), "{expected:?} is not in:\n{problems}");
    }
    assert!(!problems.contains("MfKQ"), "{problems}");
}

#[test]
fn limits_of_certificates_are_known_for_lets_encrypt_and_fit() {
    let known = from_file("").unwrap().acme_limits["lets-encrypt"].clone();
    assert_eq!((known.orders.max, known.registered_domain.max, known.same_names.max), (300, 50, 5));
    // One figure changes, the others stay.
    let text = "[acme_limits.lets-encrypt]\nregistered_domain = { max = 500 }\n";
    let raised = from_file(text).unwrap().acme_limits["lets-encrypt"].clone();
    assert_eq!((raised.orders, raised.registered_domain.max), (known.orders, 500));
    assert_eq!(raised.registered_domain.window, known.registered_domain.window);
    let wrong = "[acme_limits.own]\nserver = 'http://acme.example.com'\norders = { max = 1, window = '60days' }\n\
                 [acme_limits.again]\nserver = 'https://ACME-v02.api.letsencrypt.org/directory/'\n\
                 [acme_limits.nowhere]\nserver = 'https:///directory'\n";
    let problems = check(&from_file(wrong).unwrap()).err().unwrap().join("\n");
    for part in
        ["acme_limits.own.server", "acme_limits.own.orders.window", "has limits already", "acme_limits.nowhere.server"]
    {
        assert!(problems.contains(part), "{part} is not in {problems}");
    }
}
