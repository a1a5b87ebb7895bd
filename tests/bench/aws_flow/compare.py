"""Times the AWS flow of several tools against ministack, each with a fresh one, and prints a table.

usage: compare.py FOLDER_OF_LANDLORD_BINARIES FOLDER_OF_NODE_MODULES TENANTS...

Every tool makes the same for each tenant: the network and roles of landlord's own template (as one CloudFormation
stack), a cluster, a node group, a hosted zone. landlord and boto3 also make four add-ons; Ansible has no module for them
and ministack's CloudFormation no type. boto3 is the witness of what exists in the end.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import boto3

HERE = pathlib.Path(__file__).parent
REGION = "eu-central-1"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION}
ACCOUNT = "000000000000"
ADDONS = ["vpc-cni", "kube-proxy", "coredns", "eks-pod-identity-agent"]
START_SECONDS = 60
# Beyond it a tool counts as hung.
TIMEOUT_SECONDS = 1800
SAMPLE_SECONDS = 0.05


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def ministack():
    port = free_port()
    env = os.environ | KEYS | {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen([sys.executable, "-m", "ministack"], env=env, cwd=folder, **quiet)
        try:
            url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
            while True:
                try:
                    urllib.request.urlopen(url, timeout=5).read()
                    break
                except urllib.error.HTTPError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise RuntimeError("ministack does not answer")
                    time.sleep(0.1)
            yield url
        finally:
            server.kill()
            server.wait()


def client(url, service):
    return boto3.client(service, endpoint_url=url, region_name=REGION, aws_access_key_id="testing",
                        aws_secret_access_key="testing")


def there(url):
    """What the witness sees, by kind."""
    eks = client(url, "eks")
    clusters = eks.list_clusters()["clusters"]
    active = [c for c in clusters if eks.describe_cluster(name=c)["cluster"]["status"] == "ACTIVE"]
    return {
        "vpcs": len([v for v in client(url, "ec2").describe_vpcs()["Vpcs"] if not v.get("IsDefault")]),
        "clusters": len(active),
        "groups": sum(len(eks.list_nodegroups(clusterName=c)["nodegroups"]) for c in clusters),
        "zones": len(client(url, "route53").list_hosted_zones()["HostedZones"]),
    }


class Memory(threading.Thread):
    """Peak of the resident memory of a process and all below it, in MiB."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.going = pid, 0, True

    def run(self):
        while self.going:
            self.peak = max(self.peak, self.tree())
            time.sleep(SAMPLE_SECONDS)

    def tree(self):
        parents, resident = collections.defaultdict(list), {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                    parents[int(fields[1])].append(int(entry.name))
                    resident[int(entry.name)] = int(fields[21]) * 4096 / 2**20
        todo, total = [self.pid], 0
        while todo:
            pid = todo.pop()
            total += resident.get(pid, 0)
            todo += parents[pid]
        return total


def timed(command, env, cwd):
    began = time.monotonic()
    with open(os.path.join(cwd, "tool.log"), "w") as log:
        process = subprocess.Popen(command, env=os.environ | KEYS | env, cwd=cwd, stdout=log, stderr=log)
        memory = Memory(process.pid)
        memory.start()
        try:
            code = process.wait(TIMEOUT_SECONDS)
        finally:
            process.kill()
            memory.going = False
            memory.join()
    took = time.monotonic() - began
    if code != 0:
        raise RuntimeError(pathlib.Path(cwd, "tool.log").read_text()[-1500:])
    return took, memory.peak


def landlord(url, count, binaries, folder):
    """The daemon is started before the clock, as it is in production; a customer's order is what is timed.

    The time scale says that this cloud needs no time: it answers at once, and so no look at it is planned for later.
    """
    plugin = binaries / "liblandlord_plugin_eks.so"
    secret = pathlib.Path(folder, "secret")
    secret.write_text("testing")
    secret.chmod(0o600)
    config = pathlib.Path(folder, "landlord.toml")
    config.write_text(f"""
installation = "bench"
[server]
socket = "{folder}/l.sock"
[store]
path = "{folder}/landlord.db"
[deploy]
state_dir = "{folder}/deploy"
[providers.eks]
plugin = "{plugin}"
sha256 = "{hashlib.sha256(plugin.read_bytes()).hexdigest()}"
endpoint_override = "{url}"
time_scale = 0.0001
[providers.eks.credentials.default]
account = "{ACCOUNT}"
kind = "static"
access_key_id = "testing"
secret_access_key_file = "{secret}"
[classes.bench]
description = "infrastructure only"
level = "CLUSTER"
provider = "eks"
credentials = "default"
regions = ["{REGION}"]
machine_type = "m7i.large"
node_count = 1
node_count_max = 10
[classes.bench.parameters]
kubernetes_version = "1.35"
nat = "none"
addons = {json.dumps(ADDONS)}
public_access_cidrs = ["203.0.113.0/24"]
""")
    log = open(os.path.join(folder, "landlordd.log"), "w")
    daemon = subprocess.Popen([binaries / "landlordd", "--config", config], stdout=log, stderr=log)
    memory = Memory(daemon.pid)
    cli = [str(binaries / "landlord"), "--server", f"unix://{folder}/l.sock"]
    run = lambda *arguments: subprocess.run(  # noqa: E731
        [*cli, *arguments], check=True, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run([*cli, "plugins", "-o", "json"], capture_output=True, text=True).stdout.count('"healthy": true') < 1:
            if time.monotonic() > deadline:
                raise RuntimeError(pathlib.Path(log.name).read_text()[-1500:])
            time.sleep(0.1)
        memory.start()
        began = time.monotonic()
        names = [f"t{i}" for i in range(count)]
        file = pathlib.Path(folder, "tenants.yaml")
        tenant = "apiVersion: landlord.dev/v1\nkind: Tenant\nmetadata: {{customer: bench, name: {0}}}\n" \
                 "spec: {{tenantClass: bench, domain: {0}.example.com, storageGib: 10}}\n"
        for name in names:
            file.write_text(tenant.format(name))
            run("apply", "-f", str(file))
        for name in names:
            run("wait", f"customers/bench/tenants/{name}", "--for=ready", "--timeout=30m")
        return time.monotonic() - began, memory.peak
    except subprocess.CalledProcessError as error:
        raise RuntimeError(error.stdout + error.stderr)
    finally:
        memory.going = False
        daemon.terminate()
        daemon.wait()


def specs(template, count):
    """The same template for each tenant, under a name of its own."""
    marker = re.search(r"landlord-([0-9a-f]{32})", json.dumps(template)).group(1)
    made = []
    for index in range(count):
        text = json.dumps(template).replace(marker, hashlib.md5(str(index).encode()).hexdigest())
        made.append({"name": f"flow-{index}", "domain": f"flow-{index}.example.com", "addons": ADDONS,
                     "template": json.loads(text)})
    return made


def template_of(url):
    stacks = client(url, "cloudformation")
    name = next(s["StackName"] for s in stacks.list_stacks()["StackSummaries"] if s["StackName"].startswith("landlord-"))
    body = stacks.get_template(StackName=name)["TemplateBody"]
    return body if isinstance(body, dict) else json.loads(body)


def by_boto3(url, tenants, folder, _modules):
    file = pathlib.Path(folder, "specs.json")
    file.write_text(json.dumps(tenants))
    return timed([sys.executable, str(HERE / "boto3_flow.py"), url, REGION, str(file)], {}, folder)


def by_ansible(url, tenants, folder, _modules):
    hosts = {tenant["name"]: {} for tenant in tenants}
    inventory = {"tenants": {"hosts": hosts}}
    pathlib.Path(folder, "inventory.yml").write_text(json.dumps(inventory))
    values = {"ansible_python_interpreter": sys.executable,
              "specs": {tenant["name"]: tenant for tenant in tenants}}
    pathlib.Path(folder, "values.json").write_text(json.dumps(values))
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.yml", "--forks",
               str(max(5, len(tenants))), "-e", "@values.json", str(HERE / "playbook.yml")]
    env = {"ANSIBLE_HOME": folder, "ANSIBLE_LOCALHOST_WARNING": "0", "AWS_ENDPOINT_URL": url, "HOME": folder}
    return timed(command, env, folder)


def by_cdk(url, tenants, folder, modules):
    file = pathlib.Path(folder, "specs.json")
    file.write_text(json.dumps(tenants))
    command = [str(modules / ".bin/cdk"), "deploy", "--all", "--require-approval", "never", "--concurrency",
               str(len(tenants)), "--method", "direct", "--progress", "events", "--app",
               f"{sys.executable} {HERE / 'cdk_app.py'}", "--output", os.path.join(folder, "out")]
    env = {"AWS_ENDPOINT_URL": url, "FLOW_SPECS": str(file), "HOME": folder, "CDK_DISABLE_VERSION_CHECK": "1",
           "CI": "true", "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
           "CDK_DISABLE_CLI_TELEMETRY": "true"}
    return timed(command, env, folder)


def main():
    binaries, modules, counts = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), [int(n) for n in sys.argv[3:]]
    template = None
    print("| tenants | tool | time | memory | time over landlord's | memory over landlord's |")
    print("|---|---|---|---|---|---|")
    for count in counts:
        base = None
        tools = [("landlord", None), ("boto3", by_boto3), ("Ansible", by_ansible), ("CDK", by_cdk)]
        for tool, run in tools:
            with ministack() as url, tempfile.TemporaryDirectory(prefix="flow-") as folder:
                try:
                    if run is None:
                        took, memory = landlord(url, count, binaries, folder)
                        template = template or template_of(url)
                        base = took, memory
                    else:
                        took, memory = run(url, specs(template, count), folder, modules)
                    seen = there(url)
                    if set(seen.values()) != {count}:
                        raise RuntimeError(f"boto3 sees {seen} instead of {count} of each")
                except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                    print(f"| {count} | {tool} | not measured | | | |", flush=True)
                    print(f"SKIPPED: {tool} with {count} tenants: {error}", file=sys.stderr, flush=True)
                    if run is None:
                        return 1
                    continue
                print(f"| {count} | {tool} | {took:.1f} s | {memory:.0f} MiB | {took / base[0]:.1f} | "
                      f"{memory / base[1]:.1f} |", flush=True)
    return 0


sys.exit(main())
