//! Bad input: each a clear error with its exit code, and nothing changed.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use landlord_e2e::{FAST, bare_world, binaries};
use landlord_test_harness::{TenantFile, cloud::EKS, judge, private};
use sha2::{Digest as _, Sha256};

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 5;
const CONFLICT: i32 = 6;
const UNAVAILABLE: i32 = 8;

fn apply(cli: &landlord_test_harness::Cli, yaml: &str) -> landlord_test_harness::CliOutput {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), yaml).unwrap();
    cli.run(&["apply", "-f", &file.path().display().to_string()]).unwrap()
}

#[test]
fn a_bad_tenant_is_refused_with_all_that_is_wrong() {
    let world = bare_world(&EKS, FAST).unwrap();
    let cli = world.cli();
    let good = TenantFile::new("acme", "prod", "eks-cluster-bare").yaml();
    let cases: [(String, &[&str]); 8] = [
        (good.replace("eks-cluster-bare", "eks-huge"), &["eks-huge", "the classes are"]),
        (good.replace("prod.acme.example.com", "not a domain"), &["tenant.domain"]),
        (good.replace("storageGib: 10", "storageGib: 0"), &["tenant.storage_gib", "1 to 65536"]),
        (good.replace("storageGib", "storageGB"), &["did you mean spec.storageGib?"]),
        (good.replace("customer: acme", "customer: ../etc"), &["parent", "a-z"]),
        (good.replace("name: prod", "name: Prod"), &["tenant_id"]),
        (good.replace("kind: Tenant", "kind: Pod"), &["\"Pod\"", "\"Tenant\""]),
        (
            good.replace("storageGib: 10", "storageGib: -3").replace("prod.acme.example.com", "x"),
            &["tenant.domain", "tenant.storage_gib"],
        ),
    ];
    for (yaml, expected) in cases {
        let response = apply(&cli, &yaml);
        assert_eq!(response.code, USAGE, "{yaml}\n{response:?}");
        for part in expected {
            assert!(response.stderr.contains(part), "{part:?} is not in:\n{}", response.stderr);
        }
    }
    let huge = format!("{good}  stackValues: {{chat: {{note: \"{}\"}}}}\n", "x".repeat(10 << 20));
    let response = apply(&cli, &huge);
    assert_eq!(response.code, USAGE, "{}", response.stderr);
    assert_eq!(cli.ok(&["get", "tenants", "-o", "name"]).unwrap(), "");
    judge::account_is_empty(world.simulator().control(), EKS.account).unwrap();
}

#[test]
fn a_message_of_ten_megabytes_is_refused_by_the_daemon() {
    use landlord_proto::v1::{CreateTenantRequest, Tenant, tenant_service_client::TenantServiceClient};
    let world = bare_world(&EKS, FAST).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let status = runtime.block_on(async {
        let channel = landlord_test_harness::client::connect(&world.socket()).await.unwrap();
        let mut client = TenantServiceClient::new(channel).max_encoding_message_size(usize::MAX);
        let tenant = Tenant { display_name: "x".repeat(10 << 20), ..Tenant::default() };
        let request = CreateTenantRequest {
            adopt_uid: String::new(),
            parent: "customers/acme".into(),
            tenant_id: "prod".into(),
            tenant: Some(tenant),
            ..CreateTenantRequest::default()
        };
        client.create_tenant(request).await.unwrap_err()
    });
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("limit"), "{status}");
}

#[test]
fn the_same_request_fifty_times_at_once_makes_one_tenant() {
    use landlord_proto::v1::{CreateTenantRequest, Tenant, tenant_service_client::TenantServiceClient};
    let world = bare_world(&EKS, FAST).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let names = runtime.block_on(async {
        let channel = landlord_test_harness::client::connect(&world.socket()).await.unwrap();
        let request = CreateTenantRequest {
            adopt_uid: String::new(),
            parent: "customers/acme".into(),
            tenant_id: "prod".into(),
            tenant: Some(Tenant {
                tenant_class: "eks-cluster-bare".into(),
                domain: "acme.example.com".into(),
                storage_gib: 10,
                ..Tenant::default()
            }),
            request_id: uuid::Uuid::new_v4().to_string(),
            validate_only: false,
        };
        let calls = (0..50).map(|_| {
            let mut client = TenantServiceClient::new(channel.clone());
            let request = request.clone();
            async move { client.create_tenant(request).await.unwrap().into_inner().name }
        });
        let names: std::collections::BTreeSet<String> = futures::future::join_all(calls).await.into_iter().collect();
        let mut other = request.clone();
        other.tenant_id = "other".into();
        let mut client = TenantServiceClient::new(channel);
        let reused = client.create_tenant(other).await.unwrap_err();
        assert_eq!(reused.code(), tonic::Code::InvalidArgument, "{reused}");
        names
    });
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(world.cli().ok(&["get", "tenants", "-o", "name"]).unwrap().lines().count(), 1);
    assert_eq!(world.cli().ok(&["get", "operations", "-o", "name"]).unwrap().lines().count(), 1);
}

#[test]
fn names_states_and_absent_daemons_have_their_exit_codes() {
    let world = bare_world(&EKS, FAST).unwrap();
    let cli = world.cli();
    assert_eq!(cli.run(&["get", "acme/none"]).unwrap().code, NOT_FOUND);
    assert_eq!(cli.run(&["delete", "acme/none"]).unwrap().code, NOT_FOUND);
    assert_eq!(cli.run(&["get", "nonsense"]).unwrap().code, USAGE);
    assert_eq!(cli.run(&["wait", "acme/none", "--for=nothing"]).unwrap().code, USAGE);
    assert_eq!(cli.run(&["--no-such-flag"]).unwrap().code, USAGE);
    let mut tenant = TenantFile::new("acme", "prod", "eks-cluster-bare");
    tenant.more = "  deletionProtection: true\n".into();
    cli.apply(&tenant).unwrap();
    let protected = cli.run(&["delete", &tenant.name()]).unwrap();
    assert_eq!(protected.code, CONFLICT);
    assert!(protected.stderr.contains("deletion_protection"), "{}", protected.stderr);
    assert_eq!(cli.run(&["delete", &tenant.name(), "--etag", "old"]).unwrap().code, CONFLICT);
    assert_eq!(cli.run(&["retry", &tenant.name()]).unwrap().code, CONFLICT);
    let mut stolen = TenantFile::new("bolt", "prod", "eks-cluster-bare");
    stolen.domain.clone_from(&tenant.domain);
    let taken = apply(&cli, &stolen.yaml());
    assert_eq!(taken.code, CONFLICT);
    assert!(taken.stderr.contains(&tenant.domain) && !taken.stderr.contains("customers/acme"), "{}", taken.stderr);
    tenant.domain = "other.example.com".into();
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), tenant.yaml()).unwrap();
    let moved = cli.run(&["apply", "-f", &file.path().display().to_string()]).unwrap();
    assert_eq!(moved.code, USAGE, "{moved:?}");
    assert!(moved.stderr.contains("can't be changed"), "{}", moved.stderr);
    let nobody = Command::new(&world.binaries().landlord)
        .args(["--server", "unix:///nowhere/landlord.sock", "get", "tenants"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(UNAVAILABLE));
}

#[test]
fn a_second_daemon_on_the_same_store_refuses_to_start() {
    let mut world = bare_world(&EKS, FAST).unwrap();
    let pid = world.daemon().unwrap().pid().to_string();
    let second = Command::new(&world.binaries().landlordd)
        .arg("--config")
        .arg(world.config())
        .args(["--set", &format!("server.socket={}/second.sock", world.folder().display())])
        .output()
        .unwrap();
    assert!(!second.status.success());
    let reported = String::from_utf8_lossy(&second.stderr);
    assert!(reported.contains("in use by process") && reported.contains(&pid), "{reported}");
}

fn start_with_plugin(plugin: &Path, sha256: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("landlord.toml");
    let pin = if sha256.is_empty() { "allow_unpinned = true".into() } else { format!("sha256 = '{sha256}'") };
    fs::write(
        &config,
        format!(
            "[store]\npath = '{0}/landlord.db'\n[server]\nsocket = '{0}/landlord.sock'\n\
             [providers.eks]\nplugin = '{1}'\n{pin}\n[providers.eks.credentials.default]\nkind = 'default'\n",
            folder.path().display(),
            plugin.display()
        ),
    )
    .unwrap();
    let output = Command::new(&binaries().unwrap().landlordd)
        .arg("--config")
        .arg(&config)
        .arg("--check-config")
        .output()
        .unwrap();
    assert!(!output.status.success(), "{} was accepted", plugin.display());
    assert!(!folder.path().join("landlord.db").exists(), "a refused start made a store");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_plugin_that_is_not_what_it_should_be_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.so");
    fs::copy(binaries().unwrap().plugin(EKS.provider).unwrap(), &good).unwrap();
    fs::set_permissions(&good, fs::Permissions::from_mode(0o755)).unwrap();

    let missing = folder.path().join("missing.so");
    assert!(start_with_plugin(&missing, "").contains("can't be opened"));

    let writable = folder.path().join("writable.so");
    fs::copy(&good, &writable).unwrap();
    fs::set_permissions(&writable, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(start_with_plugin(&writable, "").contains("chmod 755"));

    let link = folder.path().join("link.so");
    std::os::unix::fs::symlink(&good, &link).unwrap();
    assert!(start_with_plugin(&link, "").contains("symbolic link"));

    let wrong = start_with_plugin(&good, &"0".repeat(64));
    assert!(wrong.contains("SHA-256"), "{wrong}");

    let text = folder.path().join("text.so");
    fs::write(&text, "hello").unwrap();
    fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(start_with_plugin(&text, "").contains("no ELF"));
}

#[test]
fn a_check_of_the_configuration_starts_plugins_and_has_them_validate_classes() {
    let world = bare_world(&EKS, FAST).unwrap();
    let check = |sets: &[String]| {
        let mut command = Command::new(&world.binaries().landlordd);
        command.arg("--config").arg(world.config()).arg("--check-config");
        let output = command.args(sets.iter().map(|set| format!("--set={set}"))).output().unwrap();
        let reported = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), reported)
    };
    let (fine, reported) = check(&[]);
    assert!(fine && reported.contains("the configuration is fine"), "{reported}");
    let class = EKS.bare_class();
    // Both regions, and both parameters.
    let (fine, reported) = check(&[format!("classes.{class}.parameters.vpc_cidr='10.0.0.0/30'")]);
    assert!(!fine && reported.matches("vpc_cidr").count() == 2, "{reported}");
    assert!(
        EKS.regions.iter().all(|region| reported.contains(&format!("classes.{class}: in {region}: "))),
        "{reported}"
    );
    let (fine, reported) = check(&[format!("classes.{class}.parameters.natt='none'")]);
    assert!(!fine && reported.contains("natt"), "{reported}");
    let (fine, reported) = check(&["providers.eks.settings.nonsense=1".to_owned()]);
    assert!(!fine && reported.contains("does not start") && reported.contains("nonsense"), "{reported}");
    // Whoever finds it, all of it is named.
    let sets = [format!("classes.{class}.parameters.natt='none'"), "engine.lease_ttl='0s'".to_owned()];
    let (fine, reported) = check(&sets);
    assert!(!fine && reported.contains("natt") && reported.contains("engine.lease_ttl"), "{reported}");
    // A library that is no plugin.
    let other = world.folder().join("other.so");
    let libc = fs::read_to_string("/proc/self/maps").unwrap();
    let libc =
        libc.lines().find_map(|line| line.split_whitespace().last().filter(|path| path.contains("libc.so"))).unwrap();
    fs::copy(libc, &other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).unwrap();
    let plugin = format!("providers.eks.plugin='{}'", other.display());
    let pin = ["providers.eks.sha256=''".to_owned(), "providers.eks.allow_unpinned=true".to_owned()];
    let (fine, reported) = check(&[&[plugin][..], &pin].concat());
    assert!(!fine && reported.contains("providers.eks") && reported.contains("does not start"), "{reported}");
}

#[test]
fn the_example_for_production_passes_the_check_where_its_files_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["landlord.example.com".into()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    fs::create_dir(at("tls")).unwrap();
    fs::create_dir(at("policies")).unwrap();
    for name in ["tls/tls.crt", "tls/clients.crt", "ca.crt"] {
        fs::write(at(name), &certificate).unwrap();
    }
    private(&at("token"), "of-the-daemons-account\n").unwrap();
    private(&at("tls/tls.key"), &key.serialize_pem()).unwrap();
    let audit = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    private(&at("audit.key"), &audit.serialize_pem()).unwrap();
    let plugin = at("plugin.so");
    fs::copy(binaries().unwrap().plugin(EKS.provider).unwrap(), &plugin).unwrap();
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).unwrap();
    let hash = hex::encode(Sha256::digest(fs::read(&plugin).unwrap()));
    let config = landlord_test_harness::binaries::checkout().join("config");
    let mut text = fs::read_to_string(config.join("examples/production.toml")).unwrap();
    // As if this folder were the machine.
    for (there, here) in [
        ("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt", at("ca.crt").display().to_string()),
        ("/var/run/secrets/kubernetes.io/serviceaccount/token", at("token").display().to_string()),
        ("/usr/lib/landlord/liblandlord_plugin_eks.so", plugin.display().to_string()),
        ("/etc/landlord", folder.path().display().to_string()),
        ("/var/lib/landlord", folder.path().display().to_string()),
        (&"0".repeat(64), hash),
    ] {
        assert!(text.contains(there), "{there}");
        text = text.replace(there, &here);
    }
    fs::write(at("landlord.toml"), &text).unwrap();
    let artifacts = landlord_test_kube::Artifacts::ensure(&mut |_| {}).unwrap();
    let check = |set: &str| {
        let mut command = Command::new(&binaries().unwrap().landlordd);
        command.arg("--config").arg(at("landlord.toml")).arg("--check-config");
        command.arg(format!("--set=deploy.helm_path={}", artifacts.helm.display()));
        command.arg(format!("--set=deploy.gateway_api_crds={}", artifacts.gateway_crds.display()));
        command.arg(format!("--set=deploy.stacks_dir={}", config.join("stacks").display()));
        command.arg(format!("--set=deploy.platforms_dir={}", config.join("platforms").display()));
        command.arg(format!("--set=store.path={}", at("landlord.db").display())).arg(set);
        // The example has the role of the machine that it runs on: no machine is asked for one here.
        // <https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-client.html>
        command.arg("--set=providers.eks.environment=['AWS_EC2_METADATA_DISABLED']");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        let output = command.output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    assert_eq!(check("--set=log.filter=info"), "the configuration is fine\n");
    // And it looks at what it names.
    fs::remove_file(at("tls/clients.crt")).unwrap();
    fs::write(at("policies/site.cedar"), "permit (principal, action, resource) when { resource.colour };").unwrap();
    let refused = check("--set=log.filter=info");
    assert!(refused.contains("clients.crt") && refused.contains("site.cedar/policy0"), "{refused}");
}
