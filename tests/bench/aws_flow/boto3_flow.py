"""The bare calls, tenants side by side in threads: what a script by hand would do."""

import concurrent.futures
import json
import sys
import time

import boto3

POLL_SECONDS = 0.2


def wait(look, done):
    while look() != done:
        time.sleep(POLL_SECONDS)


def tenant(endpoint, region, spec):
    session = boto3.session.Session(region_name=region)
    client = lambda name: session.client(name, endpoint_url=endpoint)  # noqa: E731
    stacks, eks, zones = client("cloudformation"), client("eks"), client("route53")
    name = spec["name"]
    zones.create_hosted_zone(Name=spec["domain"], CallerReference=name)
    stacks.create_stack(
        StackName=name,
        TemplateBody=json.dumps(spec["template"]),
        Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_IAM"],
    )
    describe = lambda: stacks.describe_stacks(StackName=name)["Stacks"][0]  # noqa: E731
    wait(lambda: describe()["StackStatus"], "CREATE_COMPLETE")
    out = {o["OutputKey"]: o["OutputValue"] for o in describe()["Outputs"]}
    eks.create_cluster(
        name=name,
        version="1.35",
        roleArn=out["ClusterRoleArn"],
        resourcesVpcConfig={
            "subnetIds": [out["PrivateSubnet1"], out["PrivateSubnet2"]],
            "securityGroupIds": [out["ControlPlaneSecurityGroupId"]],
        },
    )
    wait(lambda: eks.describe_cluster(name=name)["cluster"]["status"], "ACTIVE")
    eks.create_nodegroup(
        clusterName=name,
        nodegroupName="default",
        nodeRole=out["NodeRoleArn"],
        subnets=[out["PublicSubnet1"], out["PublicSubnet2"]],
        scalingConfig={"minSize": 1, "maxSize": 1, "desiredSize": 1},
    )
    for addon in spec["addons"]:
        eks.create_addon(clusterName=name, addonName=addon)
    group = lambda: eks.describe_nodegroup(clusterName=name, nodegroupName="default")  # noqa: E731
    wait(lambda: group()["nodegroup"]["status"], "ACTIVE")


def main():
    endpoint, region, specs = sys.argv[1], sys.argv[2], json.load(open(sys.argv[3]))
    with concurrent.futures.ThreadPoolExecutor(len(specs)) as pool:
        for done in [pool.submit(tenant, endpoint, region, spec) for spec in specs]:
            done.result()


main()
