"""A simulated cluster's real Kubernetes: Entra tokens, nodes, load balancers, disks, leftovers, restart.

Needs the Kubernetes parts of tests/kube, built before (about 0.8 GB of memory while it runs).
"""

import base64
import json
import os
import pathlib
import re
import ssl
import urllib.error
import urllib.request

import pytest
from azure.core.exceptions import ResourceNotFoundError

from conftest import LOCATION, SUBSCRIPTION, start, stop, wait_for
from flow import create_cluster, create_network, pool_of

pytestmark = pytest.mark.skipif(
    os.environ.get("CLOUDSIM_KUBERNETES") != "1", reason="set CLOUDSIM_KUBERNETES=1 where the Kubernetes parts are built")

AKS_SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"


class Kubernetes:
    """Just enough of a client, made from what AKS gives a user."""

    def __init__(self, cloud, bearer):
        credentials = cloud.aks().managed_clusters.list_cluster_user_credentials("rg", "tenant-a")
        config = bytes(credentials.kubeconfigs[0].value).decode()
        ca = base64.b64decode(re.search(r"certificate-authority-data: (\S+)", config)[1]).decode()
        self.endpoint, self.bearer = re.search(r"server: (\S+)", config)[1], bearer
        self.context = ssl.create_default_context(cadata=ca)
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT if hasattr(ssl, "VERIFY_X509_STRICT") else ~0

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.bearer}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.endpoint + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self.context) as answer:
            return json.load(answer)


def token(cloud, scope=AKS_SERVER, **more):
    return cloud.credential(**more).get_token(f"{scope}/.default").token


SERVICE = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"},
           "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}}
CLASS = {"kind": "StorageClass", "apiVersion": "storage.k8s.io/v1", "metadata": {"name": "kept"},
         "provisioner": "disk.csi.azure.com", "volumeBindingMode": "WaitForFirstConsumer", "parameters": {"resourceGroup": "rg"}}


def claim(name, **more):
    return {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}, **more}}


POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {
    "tolerations": [{"operator": "Exists"}],
    "containers": [{"name": "c", "image": "registry.example/c:1", "volumeMounts": [
        {"name": "data", "mountPath": "/data"}, {"name": "kept", "mountPath": "/kept"}]}],
    "volumes": [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in ("data", "kept")]}}


def kinds(cloud):
    return [o["type"] for o in cloud.objects()]


def test_a_cluster_is_a_real_one(tmp_path):
    options = dict(scale=0.004, kubernetes=True)
    cloud = start("--data-dir", str(tmp_path), **options)
    subnet = create_network(cloud)
    create_cluster(cloud, subnet)
    cloud.aks().agent_pools.begin_create_or_update("rg", "tenant-a", "main", pool_of(subnet)).result()
    kube = Kubernetes(cloud, token(cloud))
    ready = lambda: [n for n in kube("GET", "/api/v1/nodes")["items"]
                     if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", []))]
    wait_for("nodes", lambda: len(ready()) == 3)
    nodes = [n for n in ready() if n["metadata"]["labels"]["kubernetes.azure.com/agentpool"] == "main"]
    assert len(nodes) == 2 and nodes[0]["spec"]["taints"][0]["key"] == "k" and nodes[0]["metadata"]["labels"]["pool"] == "main"
    assert nodes[0]["spec"]["providerID"].startswith(f"azure:///subscriptions/{SUBSCRIPTION}/resourceGroups/MC_rg_tenant-a_{LOCATION}/")
    other = "99999999-2222-4333-8444-555555555555"
    cloud.sim("principals", {"tenant": "aaaaaaaa-2222-4333-8444-555555555555", "client_id": other, "client_secret": "s",
                             "subscriptions": [other]})
    for bad in (token(cloud, scope="https://management.azure.com"), token(cloud, client=other, secret="s"), "nonsense"):
        with pytest.raises(urllib.error.HTTPError) as error:
            Kubernetes(cloud, bad)("GET", "/api/v1/nodes")
        assert error.value.code == 401

    classes = kube("GET", "/apis/storage.k8s.io/v1/storageclasses")["items"]
    assert {"default", "managed-csi"} <= {c["metadata"]["name"] for c in classes}
    default = "/api/v1/namespaces/default"
    kube("POST", "/apis/storage.k8s.io/v1/storageclasses", CLASS)
    kube("POST", f"{default}/services", SERVICE)
    kube("POST", f"{default}/persistentvolumeclaims", claim("data"))
    kube("POST", f"{default}/persistentvolumeclaims", claim("kept", storageClassName="kept"))
    kube("POST", f"{default}/pods", POD)
    wait_for("a running pod", lambda: kube("GET", f"{default}/pods/web")["status"]["phase"] == "Running")
    address = lambda: kube("GET", f"{default}/services/web")["status"]["loadBalancer"].get("ingress")
    assert wait_for("an address", address)[0]["ip"].startswith("20.")
    node_group = f"MC_rg_tenant-a_{LOCATION}"
    balancers = list(cloud.network().load_balancers.list(node_group))
    assert [b.name for b in balancers] == ["kubernetes"] and len(balancers[0].frontend_ip_configurations) == 1
    assert kinds(cloud).count("Microsoft.Compute/disks") == 2

    stop(cloud)
    cloud = start("--data-dir", str(tmp_path), **options)

    def answers():
        try:
            return Kubernetes(cloud, token(cloud))("GET", f"{default}/pods/web")["status"]["phase"] == "Running"
        except OSError:
            return False
    wait_for("the same cluster", answers)
    aks = cloud.aks()
    aks.agent_pools.begin_delete("rg", "tenant-a", "main").result()
    assert len([t for t in kinds(cloud) if t.endswith("/agentPools")]) == 1
    aks.managed_clusters.begin_delete("rg", "tenant-a").result()
    with pytest.raises(ResourceNotFoundError):
        aks.managed_clusters.get("rg", "tenant-a")
    assert kinds(cloud).count("Microsoft.Compute/disks") == 1, "a disk in another group stays"
    assert "Microsoft.Network/loadBalancers" not in kinds(cloud), "what lay in the node resource group is gone"
    cloud.resources().resource_groups.begin_delete("rg").result()
    assert cloud.objects() == []
    wait_for("the cluster's data are gone", lambda: not list((pathlib.Path(tmp_path) / "clusters").iterdir()))
    stop(cloud)
