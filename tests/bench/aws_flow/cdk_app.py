"""The same flow as one CDK stack a tenant: the network's template as it is, around it cluster, node group and zone."""

import json
import os

import aws_cdk as cdk
from aws_cdk import aws_eks, aws_route53, cloudformation_include


def stack(app, spec, folder):
    made = cdk.Stack(
        app,
        spec["name"],
        stack_name=spec["name"],
        # No bootstrap stack and no bucket: the template goes with the call.
        synthesizer=cdk.LegacyStackSynthesizer(),
    )
    file = os.path.join(folder, spec["name"] + ".json")
    with open(file, "w") as out:
        json.dump(spec["template"], out)
    network = cloudformation_include.CfnInclude(made, "Network", template_file=file)
    ref = lambda name: network.get_resource(name).ref  # noqa: E731
    attribute = lambda name, what: network.get_resource(name).get_att(what).to_string()  # noqa: E731
    cluster = aws_eks.CfnCluster(
        made,
        "Cluster",
        name=spec["name"],
        version="1.35",
        role_arn=attribute("ClusterRole", "Arn"),
        resources_vpc_config=aws_eks.CfnCluster.ResourcesVpcConfigProperty(
            subnet_ids=[ref("PrivateSubnet1"), ref("PrivateSubnet2")],
            security_group_ids=[ref("ControlPlaneSecurityGroup")],
        ),
    )
    pool = aws_eks.CfnNodegroup(
        made,
        "Nodes",
        cluster_name=spec["name"],
        nodegroup_name="default",
        node_role=attribute("NodeRole", "Arn"),
        subnets=[ref("PublicSubnet1"), ref("PublicSubnet2")],
        scaling_config=aws_eks.CfnNodegroup.ScalingConfigProperty(min_size=1, max_size=1, desired_size=1),
    )
    pool.add_dependency(cluster)
    aws_route53.CfnHostedZone(made, "Zone", name=spec["domain"])


app = cdk.App()
specs = json.load(open(os.environ["FLOW_SPECS"]))
for spec in specs:
    stack(app, spec, os.path.dirname(os.environ["FLOW_SPECS"]))
app.synth()
