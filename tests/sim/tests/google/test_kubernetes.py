"""A simulated GKE cluster's real Kubernetes: tokens, nodes, load balancers, disks, leftovers, restart.

Needs the Kubernetes parts of tests/kube, built before (about 0.8 GB of memory while it runs).
"""

import base64
import json
import os
import pathlib
import ssl
import urllib.error
import urllib.request

import pytest
from google.api_core import exceptions

from conftest import PARENT, PROJECT, REGION, start, stop, wait_for
from environment import create_cluster, create_network, delete_network, done
from test_access import jwt

pytestmark = pytest.mark.skipif(
    os.environ.get("CLOUDSIM_KUBERNETES") != "1", reason="set CLOUDSIM_KUBERNETES=1 where the Kubernetes parts are built")

NAME = f"{PARENT}/clusters/tenant-a"
SERVICE = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"},
           "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}}
INTERNAL = {**SERVICE, "metadata": {"name": "inside", "annotations": {"networking.gke.io/load-balancer-type": "Internal"}}}
CLAIM = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": "data"},
         "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}}
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {
    "containers": [{"name": "c", "image": "registry.example/c:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}}


class Kubernetes:
    """Just enough of a client."""

    def __init__(self, cluster, bearer=f"ya29.sim-{PROJECT}.test"):
        ca = base64.b64decode(cluster.master_auth.cluster_ca_certificate).decode()
        self.context = ssl.create_default_context(cadata=ca)
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT if hasattr(ssl, "VERIFY_X509_STRICT") else ~0
        self.endpoint, self.bearer = f"https://{cluster.endpoint}", bearer

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.bearer}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.endpoint + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self.context) as answer:
            return json.load(answer)


def kinds(cloud):
    return {o["type"].split("/")[1] for o in cloud.objects()}


def ready(kube):
    is_ready = lambda n: any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", []))
    return [n for n in kube("GET", "/api/v1/nodes")["items"] if is_ready(n)]


def sweep(cloud):
    """Deletes what the cluster's controllers left, users first."""
    here = {"project": PROJECT, "region": REGION}
    for name, query, argument in (
        ("ForwardingRules", here, "forwarding_rule"), ("TargetPools", here, "target_pool"),
        ("RegionBackendServices", here, "backend_service"), ("Addresses", here, "address"), ("Firewalls", {"project": PROJECT}, "firewall"),
    ):
        client = cloud.compute(name)
        for item in list(client.list(request=query)):
            cloud.finish(client.delete(**query, **{argument: item.name}))
    # Google's client has no service for these any more that need an own import: a plain request does.
    checks = f"/compute/v1/projects/{PROJECT}/global/httpHealthChecks"
    for check in cloud.call("GET", checks)[1].get("items", []):
        assert cloud.call("DELETE", f"{checks}/{check['name']}")[0] == 200
    groups = cloud.compute("NetworkEndpointGroups")
    for place, found in groups.aggregated_list(project=PROJECT):
        for group in found.network_endpoint_groups:
            query = {"zone": place.split("/")[1], "network_endpoint_group": group.name}
            cloud.finish(groups.delete(project=PROJECT, **query))
    disks = cloud.compute("Disks")
    for place, found in disks.aggregated_list(request={"project": PROJECT, "filter": "labels.goog-k8s-cluster-name=tenant-a"}):
        for disk in found.disks:
            cloud.finish(disks.delete(project=PROJECT, zone=place.split("/")[1], disk=disk.name))
    wait_for("no leftovers", lambda: kinds(cloud) == {"Network", "Subnetwork", "Router"})


def test_a_cluster_is_a_real_one(tmp_path):
    options = dict(scale=0.004, kubernetes=True)
    cloud = start("--data-dir", str(tmp_path), **options)
    create_network(cloud)
    cluster = create_cluster(cloud)
    kube = Kubernetes(cluster)
    nodes = wait_for("ready nodes", lambda: len(ready(kube)) == 3 and ready(kube))
    labels = nodes[0]["metadata"]["labels"]
    assert labels["cloud.google.com/gke-nodepool"] == "main" and labels["pool"] == "main"
    assert {n["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in nodes} == {f"{REGION}-{z}" for z in "bcd"}
    assert nodes[0]["spec"]["providerID"].startswith(f"gce://{PROJECT}/{REGION}-")
    for bad in ("ya29.sim-other-project.x", "ya29.never-given", jwt(f"daemon@{PROJECT}.iam.gserviceaccount.com"), "nonsense"):
        with pytest.raises(urllib.error.HTTPError) as error:
            Kubernetes(cluster, bad)("GET", "/api/v1/nodes")
        assert error.value.code == 401, bad

    gke = cloud.container()
    pool = f"{NAME}/nodePools/main"
    taints = {"taints": [{"key": "tenant", "value": "t-1", "effect": "PREFER_NO_SCHEDULE"}]}
    done(gke, gke.update_node_pool(request={"name": pool, "labels": {"labels": {"tenant": "t-1"}}, "taints": taints}))
    node = lambda: kube("GET", f"/api/v1/nodes/{nodes[0]['metadata']['name']}")
    wait_for("new labels", lambda: node()["metadata"]["labels"].get("tenant") == "t-1")
    assert "pool" not in node()["metadata"]["labels"]
    assert node()["spec"]["taints"] == [{"key": "tenant", "value": "t-1", "effect": "PreferNoSchedule"}]

    default = "/api/v1/namespaces/default"
    kube("POST", f"{default}/services", SERVICE)
    kube("POST", f"{default}/services", INTERNAL)
    kube("POST", f"{default}/persistentvolumeclaims", CLAIM)
    kube("POST", f"{default}/pods", POD)
    wait_for("a bound claim", lambda: kube("GET", f"{default}/persistentvolumeclaims/data")["status"]["phase"] == "Bound")
    wait_for("a running pod", lambda: kube("GET", f"{default}/pods/web")["status"]["phase"] == "Running")
    address = lambda name: kube("GET", f"{default}/services/{name}")["status"]["loadBalancer"].get("ingress")
    found = {name: wait_for("an address", lambda: address(name))[0]["ip"] for name in ("web", "inside")}
    rules = list(cloud.compute("ForwardingRules").list(project=PROJECT, region=REGION))
    rules.sort(key=lambda r: r.load_balancing_scheme)
    assert [r.I_p_address for r in rules] == [found["web"], found["inside"]] and "default/web" in rules[0].description
    assert rules[0].port_range == "80-80" and rules[1].backend_service and rules[1].ports == ["80"]
    firewalls = {f.name for f in cloud.compute("Firewalls").list(project=PROJECT)}
    assert f"k8s-fw-{rules[0].name}" in firewalls and any(f.startswith("gke-tenant-a-") for f in firewalls)
    query = {"project": PROJECT, "filter": "labels.goog-gke-volume:*"}
    disks = [d for _, place in cloud.compute("Disks").aggregated_list(request=query) for d in place.disks]
    assert len(disks) == 1 and disks[0].size_gb == 5 and len(disks[0].users) == 1

    stop(cloud)
    cloud = start("--data-dir", str(tmp_path), **options)
    gke = cloud.container()

    def answers():
        try:
            kube = Kubernetes(gke.get_cluster(name=NAME))
            return kube("GET", f"{default}/pods/web")["status"]["phase"] == "Running"
        except OSError:
            return False
    wait_for("the same cluster", answers)
    assert not done(gke, gke.delete_cluster(name=NAME)).error.message
    left = {"ForwardingRule", "TargetPool", "Address", "Firewall", "HttpHealthCheck", "Disk", "BackendService",
            "NetworkEndpointGroup"}
    assert kinds(cloud) == left | {"Network", "Subnetwork", "Router"}
    with pytest.raises(exceptions.BadRequest) as error:
        cloud.compute("Networks").delete(project=PROJECT, network="net")
    assert error.value.errors[0]["reason"] == "resourceInUseByAnotherResource"
    sweep(cloud)
    delete_network(cloud)
    assert cloud.objects() == []
    wait_for("the cluster's data to go", lambda: not list((pathlib.Path(tmp_path) / "clusters").iterdir()))
    stop(cloud)
