//! `--real`: the customer's part, with real pods. Puts a file by SFTP, asks the chatbot over HTTPS, and says how to go on by
//! hand. Like the rest it only runs programs that a user has too.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use landlord_test_harness::{
    World,
    real::{customer_python, customer_scripts},
};
use landlord_test_kube::{Artifacts, forward, node_sockets, node_supported};
use serde_json::Value;

use crate::{
    Level,
    narrate::{say, say_block},
};

/// Where the stack lives in a cluster of the tenant's own.
const NAMESPACE: &str = "ai-fileserver";
/// What it takes, reported before anything is built; refused where it can't work.
pub(crate) fn announce() -> Result<()> {
    node_supported()
        .context("--real needs a machine that can run a node: a kubelet with namespaces, mounts and control groups")?;
    say_block(
        "Real pods on a real node: kubelet, containerd, Envoy, cert-manager, an ACME server, and four apps with a model.\n\
         Network policies are enforced; names and certificates are those of the simulated cloud's zone.\n\
         The first time this builds programs and images: half an hour on two cores and 6 GB below ~/.cache/landlord.\n\
         Later runs take about 4 minutes. Nothing leaves this machine.",
    );
    Ok(())
}

/// A key of a Secret of the stack, as the cluster's own administrator.
fn secret(artifacts: &Artifacts, (cluster, namespace): (&Path, &str), name: &str, key: &str) -> Result<String> {
    let path = format!("go-template={{{{index .data {key:?} | base64decode}}}}");
    let mut command = Command::new(&artifacts.kubebox);
    command.arg("kubectl").arg("--kubeconfig").arg(cluster.join("admin.kubeconfig"));
    let output = command.args(["-n", namespace, "get", "secret", name, "-o", &path]).output()?;
    if !output.status.success() {
        bail!("can't read secret {name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Uses the environment as its customer does, and says how to do it by hand.
pub(crate) fn show(world: &World, artifacts: &Artifacts, level: Level) -> Result<()> {
    let (customer, domain) = (level.customer(), format!("{}.example.com", level.customer()));
    let tenant = world.cli().tenant(level.tenant())?.context("the tenant is gone")?;
    let namespace = tenant["placement"]["isolation"]["namespace"].as_str().unwrap_or(NAMESPACE);
    let cluster = world.clusters().pop().context("no cluster")?;
    // A tenant's own node, where it has one, is the way that its customers come.
    let socket = node_sockets(&cluster).pop().context("no node runs")?;
    let chat = format!("chat.{domain}");
    let password = secret(artifacts, (&cluster, namespace), "files", "customer-password")?;
    let admin = secret(artifacts, (&cluster, namespace), "chat", "admin-password")?;
    let authority = world.folder().join("test-ca.pem");
    say(&format!("a file is put by SFTP, and https://{chat} is asked about it"));
    let mut used = Command::new(customer_python()?);
    used.arg(customer_scripts().join("web.py"))
        .arg(&socket)
        .args([domain.as_str(), "put"])
        .env("ROOT_FILE", &authority);
    used.env("FILES_USER", customer).env("FILES_PASSWORD", &password);
    let output = used.env("CHAT_EMAIL", format!("admin@{domain}")).env("CHAT_PASSWORD", &admin).output()?;
    if !output.status.success() {
        bail!("the customer's part failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let reported: Value = serde_json::from_slice(&output.stdout)?;
    let text = |key: &str| reported[key].as_str().unwrap_or_default().to_owned();
    let (chat_at, sftp_at) = (text("address"), text("sftp_address"));
    let sources = reported["sources"][0].as_str().unwrap_or_default();
    let web = forward(socket.clone(), format!("{chat_at}:443"))?.port();
    let files = forward(socket, format!("{sftp_at}:22"))?.port();
    say_block(&format!(
        "Question: {}\nAnswer:   {}\nSource:   {sources}\n\n\
         The chat:  https://{chat} (in the cloud's zone: {chat_at}), account admin@{domain}, password {admin}\n\
         Its certificate is {}'s, until {}; the test authority is in {authority}\n\n\
         From this machine, which reaches the node by no other way:\n\
         \x20 curl --cacert {authority} --connect-to {chat}:443:127.0.0.1:{web} https://{chat}/health\n\
         \x20 sftp -P {files} {customer}@127.0.0.1        # password {password}\n\n\
         In a browser, which trusts the test authority in a home of its own and nowhere else (certutil is in libnss3-tools):\n\
         \x20 mkdir -p {home}/.pki/nssdb && certutil -d sql:{home}/.pki/nssdb -N --empty-password\n\
         \x20 certutil -d sql:{home}/.pki/nssdb -A -t C,, -n landlord-test -i {authority}\n\
         \x20 HOME={home} chromium --host-resolver-rules='MAP {chat}:443 127.0.0.1:{web}' https://{chat}    # as root: --no-sandbox",
        text("question"),
        text("answer"),
        text("issuer"),
        text("until"),
        authority = authority.display(),
        home = world.folder().join("browser").display(),
    ));
    Ok(())
}
