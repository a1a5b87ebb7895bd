"""A simulated cluster's real Kubernetes: tokens, nodes, load balancers, disks, leftovers, restart.

Needs the Kubernetes parts of tests/kube, built before (about 0.8 GB of memory while it runs).
"""

import base64
import json
import os
import pathlib
import ssl
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.signers import RequestSigner

from conftest import ACCOUNT, REGION, start, stop, wait_for
from test_boto3_flow import create_cluster, create_stack, delete_stack, gone

pytestmark = pytest.mark.skipif(
    os.environ.get("CLOUDSIM_KUBERNETES") != "1", reason="set CLOUDSIM_KUBERNETES=1 where the Kubernetes parts are built")


def token(cluster, account=ACCOUNT):
    """As `aws eks get-token` makes it."""
    session = boto3.Session(f"AKIA{account}TEST", "cloudsim", region_name=REGION)
    signer = RequestSigner(session.client("sts").meta.service_model.service_id, REGION, "sts", "v4", session.get_credentials(), session.events)
    request = {"method": "GET", "url": f"https://sts.{REGION}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15",
               "body": {}, "headers": {"x-k8s-aws-id": cluster}, "context": {}}
    url = signer.generate_presigned_url(request, region_name=REGION, expires_in=60, operation_name="")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


class Kubernetes:
    """Just enough of a client."""

    def __init__(self, cluster, bearer):
        ca = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
        self.context = ssl.create_default_context(cadata=ca)
        self.context.verify_flags &= ~ssl.VERIFY_X509_STRICT if hasattr(ssl, "VERIFY_X509_STRICT") else ~0
        self.endpoint, self.bearer = cluster["endpoint"], bearer

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.bearer}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.endpoint + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=self.context) as answer:
            return json.load(answer)


def kinds(cloud):
    return {o["type"] for o in cloud.objects()}


SERVICE = {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"},
           "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80}]}}
CLAIM = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "metadata": {"name": "data"},
         "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}}
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {
    "containers": [{"name": "c", "image": "registry.example/c:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}}


def test_a_cluster_is_a_real_one(tmp_path):
    options = dict(scale=0.004, kubernetes=True)
    cloud = start("--data-dir", str(tmp_path), **options)
    cfn, eks = cloud.client("cloudformation"), cloud.client("eks")
    stack, outputs = create_stack(cfn)
    create_cluster(eks, outputs)
    eks.create_addon(clusterName="tenant-a", addonName="aws-ebs-csi-driver")
    eks.create_nodegroup(clusterName="tenant-a", nodegroupName="main", nodeRole=outputs["NodeRoleArn"],
                         subnets=outputs["Subnets"].split(","), scalingConfig={"minSize": 1, "desiredSize": 2, "maxSize": 3},
                         instanceTypes=["m5.large"], labels={"pool": "main"})
    addon = lambda: eks.describe_addon(clusterName="tenant-a", addonName="aws-ebs-csi-driver")["addon"]
    wait_for("driver", lambda: addon()["status"] == "ACTIVE")
    describe = lambda: eks.describe_cluster(name="tenant-a")["cluster"]
    kube = Kubernetes(describe(), token("tenant-a"))
    ready = lambda: [n for n in kube("GET", "/api/v1/nodes")["items"]
                     if any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"].get("conditions", []))]
    nodes = wait_for("ready nodes", lambda: len(ready()) == 2 and ready())
    labels = nodes[0]["metadata"]["labels"]
    assert labels["eks.amazonaws.com/nodegroup"] == "main" and labels["pool"] == "main"
    assert labels["topology.kubernetes.io/zone"].startswith(REGION)
    assert nodes[0]["spec"]["providerID"].startswith(f"aws:///{REGION}")
    for bad in (token("tenant-b"), token("tenant-a", "999988887777"), "nonsense"):
        with pytest.raises(urllib.error.HTTPError) as error:
            Kubernetes(describe(), bad)("GET", "/api/v1/nodes")
        assert error.value.code == 401

    default = "/api/v1/namespaces/default"
    kube("POST", f"{default}/services", SERVICE)
    kube("POST", f"{default}/persistentvolumeclaims", CLAIM)
    kube("POST", f"{default}/pods", POD)
    wait_for("a bound claim", lambda: kube("GET", f"{default}/persistentvolumeclaims/data")["status"]["phase"] == "Bound")
    wait_for("a running pod", lambda: kube("GET", f"{default}/pods/web")["status"]["phase"] == "Running")
    address = lambda: kube("GET", f"{default}/services/web")["status"]["loadBalancer"].get("ingress")
    assert wait_for("an address", address)[0]["hostname"].endswith(f".elb.{REGION}.amazonaws.com")
    balancers = cloud.client("elbv2").describe_load_balancers()["LoadBalancers"]
    assert len(balancers) == 1 and balancers[0]["State"]["Code"] == "active"
    disks = cloud.client("ec2").describe_volumes(Filters=[{"Name": "tag:kubernetes.io/created-for/pvc/name", "Values": ["data"]}])["Volumes"]
    assert len(disks) == 1 and disks[0]["Size"] == 5

    stop(cloud)
    cloud = start("--data-dir", str(tmp_path), **options)
    cfn, eks = cloud.client("cloudformation"), cloud.client("eks")
    restarted = lambda: Kubernetes(describe(), token("tenant-a"))("GET", f"{default}/pods/web")["status"]["phase"] == "Running"

    def answers():
        try:
            return restarted()
        except OSError:
            return False
    wait_for("the same cluster", answers)
    eks.delete_nodegroup(clusterName="tenant-a", nodegroupName="main")
    wait_for("no nodes", lambda: not eks.list_nodegroups(clusterName="tenant-a")["nodegroups"])
    eks.delete_cluster(name="tenant-a")
    wait_for("no cluster", lambda: gone(lambda: eks.describe_cluster(name="tenant-a"), "ResourceNotFoundException"))
    assert {"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::EC2::Volume"} <= kinds(cloud), "leftovers"
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_FAILED"
    ec2, elb = cloud.client("ec2"), cloud.client("elbv2")
    elb.delete_load_balancer(LoadBalancerArn=balancers[0]["LoadBalancerArn"])
    for group in elb.describe_target_groups()["TargetGroups"]:
        elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
    ec2.delete_volume(VolumeId=disks[0]["VolumeId"])
    interfaces = lambda: ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB *"]}])["NetworkInterfaces"]
    wait_for("no interfaces", lambda: not interfaces())
    # Each group is named by the other's rules until those are taken away.
    groups = ec2.describe_security_groups(Filters=[{"Name": "tag:kubernetes.io/cluster/tenant-a", "Values": ["owned"]}])["SecurityGroups"]
    ids = {g["GroupId"] for g in groups}
    for group in groups:
        rules = [r for r in group["IpPermissions"] if any(p["GroupId"] in ids for p in r.get("UserIdGroupPairs", []))]
        if rules:
            ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=rules)
    for group in groups:
        ec2.delete_security_group(GroupId=group["GroupId"])
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_COMPLETE"
    assert cloud.objects() == []
    # The API forgets a cluster before the machine has stopped its processes.
    wait_for("the end of the cluster's data", lambda: not list((pathlib.Path(tmp_path) / "clusters").iterdir()))
    stop(cloud)
