"""Lists what exists in a simulated AWS, by boto3: one JSON object, resource type to names.

usage: witness.py ENDPOINT REGION
"""

import json
import sys

import boto3
from botocore.config import Config

endpoint, region = sys.argv[1:3]
session = boto3.Session("testing", "testing", region_name=region)


def client(service):
    return session.client(service, endpoint_url=endpoint, config=Config(retries={"max_attempts": 2}))


def tagged(items):
    """Objects that carry landlord's marker."""
    return [i for i in items if any(t["Key"] == "landlord-tenant-uid" for t in i.get("Tags", []))]


ec2, eks = client("ec2"), client("eks")
stacks = client("cloudformation").describe_stacks()["Stacks"]
clusters = eks.list_clusters()["clusters"]
zones = client("route53").list_hosted_zones()["HostedZones"]
found = {
    "stacks": [s["StackName"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"],
    "vpcs": [v["VpcId"] for v in tagged(ec2.describe_vpcs()["Vpcs"])],
    "subnets": [s["SubnetId"] for s in tagged(ec2.describe_subnets()["Subnets"])],
    "gateways": [g["InternetGatewayId"] for g in tagged(ec2.describe_internet_gateways()["InternetGateways"])],
    "nats": [
        n["NatGatewayId"]
        for n in tagged(ec2.describe_nat_gateways()["NatGateways"])
        if n["State"] not in ("deleted", "deleting")
    ],
    "addresses": [a["AllocationId"] for a in tagged(ec2.describe_addresses()["Addresses"])],
    "roles": [r["RoleName"] for r in client("iam").list_roles()["Roles"] if r["RoleName"].startswith("landlord-")],
    "clusters": clusters,
    "nodegroups": [n for c in clusters for n in eks.list_nodegroups(clusterName=c)["nodegroups"]],
    "zones": [z["Name"] for z in zones],
    "records": [
        f"{r['Type']} {r['Name']}"
        for z in zones
        for r in client("route53").list_resource_record_sets(HostedZoneId=z["Id"])["ResourceRecordSets"]
    ],
}
print(json.dumps({k: v for k, v in found.items() if v}))
