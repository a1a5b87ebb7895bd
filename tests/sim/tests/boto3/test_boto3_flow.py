"""The whole life of an environment, driven by boto3: create, ready, delete, nothing left."""

import json
import pathlib

import pytest
from botocore.exceptions import ClientError

from conftest import ACCOUNT, REGION, start, stop, wait_for

TEMPLATE = (pathlib.Path(__file__).parent / "network.json").read_text()
TAGS = [{"Key": "owner", "Value": "t-1"}]


def code_of(error):
    return error.value.response["Error"]["Code"]


def stack_status(cfn, name):
    return cfn.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def create_stack(cfn, name="net", token="net-1", **more):
    answer = cfn.create_stack(
        StackName=name, TemplateBody=TEMPLATE, Capabilities=["CAPABILITY_IAM"], Tags=TAGS,
        ClientRequestToken=token, **more)
    wait_for("stack", lambda: stack_status(cfn, answer["StackId"]) not in ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"))
    stack = cfn.describe_stacks(StackName=answer["StackId"])["Stacks"][0]
    return stack, {o["OutputKey"]: o["OutputValue"] for o in stack.get("Outputs", [])}


def delete_stack(cfn, stack_id):
    cfn.delete_stack(StackName=stack_id)
    wait_for("deletion", lambda: stack_status(cfn, stack_id) in ("DELETE_COMPLETE", "DELETE_FAILED"))
    return stack_status(cfn, stack_id)


def create_cluster(eks, outputs, name="tenant-a", **more):
    eks.create_cluster(
        name=name, roleArn=outputs["ClusterRoleArn"], clientRequestToken=f"{name}-token", tags={"owner": "t-1"},
        accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
        resourcesVpcConfig={"subnetIds": outputs["Subnets"].split(",")}, **more)
    wait_for("cluster", lambda: eks.describe_cluster(name=name)["cluster"]["status"] == "ACTIVE")


def gone(probe, code):
    """Whether probe fails with that error code."""
    try:
        probe()
    except ClientError as error:
        return error.response["Error"]["Code"] == code
    return False


def test_create_ready_delete_leaves_nothing(cloud):
    cfn, eks, dns = cloud.client("cloudformation"), cloud.client("eks"), cloud.client("route53")
    stack, outputs = create_stack(cfn)
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    vpc = cloud.client("ec2").describe_vpcs(VpcIds=[outputs["VpcId"]])["Vpcs"][0]
    tags = {t["Key"]: t["Value"] for t in vpc["Tags"]}
    assert tags["aws:cloudformation:stack-name"] == "net" and tags["owner"] == "t-1" and tags["Name"] == "net-vpc"

    create_cluster(eks, outputs)
    subnets = outputs["Subnets"].split(",")
    eks.create_addon(clusterName="tenant-a", addonName="coredns", tags={"owner": "t-1"})
    eks.create_addon(clusterName="tenant-a", addonName="vpc-cni")
    addon = lambda name: eks.describe_addon(clusterName="tenant-a", addonName=name)["addon"]
    wait_for("the daemon set", lambda: addon("vpc-cni")["status"] == "ACTIVE")
    wait_for("degradation", lambda: addon("coredns")["status"] == "DEGRADED")
    assert addon("coredns")["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"
    eks.create_nodegroup(
        clusterName="tenant-a", nodegroupName="main", nodeRole=outputs["NodeRoleArn"], subnets=subnets,
        scalingConfig={"minSize": 1, "desiredSize": 2, "maxSize": 3}, instanceTypes=["m5.large"],
        labels={"pool": "main"}, taints=[{"key": "k", "value": "v", "effect": "NO_SCHEDULE"}], tags={"owner": "t-1"})
    group = lambda: eks.describe_nodegroup(clusterName="tenant-a", nodegroupName="main")["nodegroup"]
    wait_for("nodes", lambda: group()["status"] == "ACTIVE")
    wait_for("replicas", lambda: addon("coredns")["status"] == "ACTIVE")
    reservations = cloud.client("ec2").describe_instances(Filters=[{"Name": "tag:eks:nodegroup-name", "Values": ["main"]}])
    assert len(reservations["Reservations"]) == 2

    zone = dns.create_hosted_zone(Name="a.example", CallerReference="ref-1")
    zone_id = zone["HostedZone"]["Id"]
    assert zone_id.startswith("/hostedzone/Z")
    change = dns.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [
        {"Action": "UPSERT", "ResourceRecordSet": {"Name": "x.a.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}}]})
    wait_for("DNS", lambda: dns.get_change(Id=change["ChangeInfo"]["Id"])["ChangeInfo"]["Status"] == "INSYNC")
    dns.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id.split("/")[-1], AddTags=TAGS)
    assert dns.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id.split("/")[-1])["ResourceTagSet"]["Tags"] == TAGS

    tagging = cloud.client("resourcegroupstaggingapi")
    listed = lambda: {m["ResourceARN"].split(":")[2] for page in tagging.get_paginator("get_resources").paginate(
        TagFilters=[{"Key": "owner", "Values": ["t-1"]}]) for m in page["ResourceTagMappingList"]}
    wait_for("tags", lambda: listed() == {"ec2", "eks", "cloudformation"})

    with pytest.raises(ClientError) as error:
        eks.delete_cluster(name="tenant-a")
    assert code_of(error) == "ResourceInUseException"
    eks.delete_nodegroup(clusterName="tenant-a", nodegroupName="main")
    wait_for("no nodes", lambda: gone(group, "ResourceNotFoundException"))
    assert not eks.list_nodegroups(clusterName="tenant-a")["nodegroups"]
    eks.delete_cluster(name="tenant-a")
    wait_for("no cluster", lambda: gone(lambda: eks.describe_cluster(name="tenant-a"), "ResourceNotFoundException"))
    with pytest.raises(ClientError) as error:
        dns.delete_hosted_zone(Id=zone_id)
    assert code_of(error) == "HostedZoneNotEmpty"
    dns.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [
        {"Action": "DELETE", "ResourceRecordSet": {"Name": "x.a.example", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}}]})
    dns.delete_hosted_zone(Id=zone_id)
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_COMPLETE"
    assert gone(lambda: cfn.describe_stacks(StackName="net"), "ValidationError")
    assert cloud.objects() == []
    wait_for("tags are gone", lambda: listed() == set())
    entries = cloud.journal()
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    created = {o["id"] for e in entries if e["effect"] == "created" for o in e["objects"]}
    deleted = {o["id"] for e in entries if e["effect"] == "deleted" for o in e["objects"]}
    assert created == deleted
    path = json.loads(cloud.sim(f"critical-path?account={ACCOUNT}"))[""]
    assert 600_000 < path["create_sim_ms"] < 2_000_000


def test_the_same_token_makes_one_object(cloud):
    cfn, eks = cloud.client("cloudformation"), cloud.client("eks")
    stack, outputs = create_stack(cfn)
    again = cfn.create_stack(StackName="net", TemplateBody=TEMPLATE, ClientRequestToken="net-1", Capabilities=["CAPABILITY_IAM"])
    assert again["StackId"] == stack["StackId"]
    with pytest.raises(ClientError) as error:
        cfn.create_stack(StackName="net", TemplateBody=TEMPLATE, Capabilities=["CAPABILITY_IAM"])
    assert code_of(error) == "AlreadyExistsException"
    with pytest.raises(ClientError) as error:
        cfn.create_stack(StackName="other", TemplateBody=TEMPLATE)
    assert code_of(error) == "InsufficientCapabilitiesException"
    with pytest.raises(ClientError) as error:
        cfn.update_stack(StackName="net", UsePreviousTemplate=True, Capabilities=["CAPABILITY_IAM"])
    assert error.value.response["Error"]["Message"] == "No updates are to be performed."
    create_cluster(eks, outputs)
    same = dict(name="tenant-a", roleArn=outputs["ClusterRoleArn"], tags={"owner": "t-1"},
                accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
                resourcesVpcConfig={"subnetIds": outputs["Subnets"].split(",")})
    assert eks.create_cluster(clientRequestToken="tenant-a-token", **same)["cluster"]["name"] == "tenant-a"
    with pytest.raises(ClientError) as error:
        eks.create_cluster(clientRequestToken="another", **same)
    assert code_of(error) == "ResourceInUseException"
    assert len([o for o in cloud.objects() if o["type"] == "AWS::EKS::Cluster"]) == 1


def test_a_full_quota_rolls_back_and_raising_it_helps(cloud):
    cfn, ec2 = cloud.client("cloudformation"), cloud.client("ec2")
    vpcs = [ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"] for _ in range(5)]
    with pytest.raises(ClientError) as error:
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert code_of(error) == "VpcLimitExceeded"
    stack, _ = create_stack(cfn)
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cfn.describe_stack_events(StackName=stack["StackId"])["StackEvents"]
    reasons = [e["ResourceStatusReason"] for e in events if e["ResourceStatus"] == "CREATE_FAILED"]
    assert any("The maximum number of VPCs has been reached. (Service: Ec2, Status Code: 400" in r for r in reasons)
    assert {o["type"] for o in cloud.objects()} == {"AWS::EC2::VPC", "AWS::CloudFormation::Stack"}
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_COMPLETE"
    cloud.sim("quotas", {"account": ACCOUNT, "limits": {"vpcs": 6}})
    with pytest.raises(ClientError) as error:
        create_stack(cfn)
    assert code_of(error) == "TokenAlreadyExistsException"
    stack, outputs = create_stack(cfn, token="net-2")
    assert stack["StackStatus"] == "CREATE_COMPLETE" and outputs["VpcId"] not in vpcs


def test_a_leftover_blocks_the_stack_until_it_is_swept(cloud):
    cfn, ec2 = cloud.client("cloudformation"), cloud.client("ec2")
    stack, outputs = create_stack(cfn)
    subnet = outputs["Subnets"].split(",")[0]
    interface = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_FAILED"
    failed = [r for r in cfn.describe_stack_resources(StackName=stack["StackId"])["StackResources"] if r["ResourceStatus"] == "DELETE_FAILED"]
    assert [r["LogicalResourceId"] for r in failed] == ["PrivateA"]
    assert "has dependencies and cannot be deleted" in failed[0]["ResourceStatusReason"]
    found = ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["NetworkInterfaces"]
    assert [n["NetworkInterfaceId"] for n in found] == [interface]
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_COMPLETE"
    assert cloud.objects() == []


def test_faults_in_each_services_shape(cloud):
    cases = [
        ("eks", lambda c: c.list_clusters(), "ThrottlingException"),
        ("ec2", lambda c: c.describe_vpcs(), "RequestLimitExceeded"),
        ("cloudformation", lambda c: c.describe_stacks(), "Throttling"),
        ("iam", lambda c: c.list_roles(), "Throttling"),
        ("route53", lambda c: c.list_hosted_zones(), "Throttling"),
        ("elbv2", lambda c: c.describe_load_balancers(), "Throttling"),
        ("resourcegroupstaggingapi", lambda c: c.get_resources(), "ThrottledException"),
        ("sts", lambda c: c.get_caller_identity(), "Throttling"),
    ]
    cloud.sim("faults", {"kind": "throttle"})
    for service, call, expected in cases:
        with pytest.raises(ClientError) as error:
            call(cloud.client(service))
        assert code_of(error) == expected, service
    cloud.sim("faults", method="DELETE")
    for service, call, _ in cases:
        call(cloud.client(service))


def test_lost_answers_have_their_effect_and_lost_requests_do_not(cloud):
    ec2 = cloud.client("ec2")
    for kind, expected in [("lost_answer", 1), ("lost_request", 1)]:
        cloud.sim("faults", {"kind": kind, "service": "ec2", "action": "CreateVpc", "count": 1})
        with pytest.raises(Exception):
            ec2.create_vpc(CidrBlock="10.0.0.0/16")
        assert len(ec2.describe_vpcs()["Vpcs"]) == expected, kind


def test_assumed_roles_act_in_their_account(cloud):
    other = "777788889999"
    role = f"arn:aws:iam::{other}:role/landlord"
    sts = cloud.client("sts")
    assert sts.get_caller_identity()["Account"] == ACCOUNT
    cloud.sim("roles", {"arn": role, "external_id": "x-1"})
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=role, RoleSessionName="test")
    assert code_of(error) == "AccessDenied"
    session = sts.assume_role(RoleArn=role, RoleSessionName="test", ExternalId="x-1")["Credentials"]
    ec2 = cloud.client("ec2", session=session)
    assert cloud.client("sts", session=session).get_caller_identity()["Arn"] == f"arn:aws:sts::{other}:assumed-role/landlord/test"
    ec2.create_vpc(CidrBlock="10.0.0.0/16")
    assert len(cloud.objects(other)) == 1 and cloud.objects() == []
    with pytest.raises(ClientError) as error:
        cloud.client("ec2", session={**session, "SecretAccessKey": "wrong"}).describe_vpcs()
    assert code_of(error) == "SignatureDoesNotMatch"


def test_pod_identities_and_access_entries(cloud):
    cfn, eks = cloud.client("cloudformation"), cloud.client("eks")
    _, outputs = create_stack(cfn)
    create_cluster(eks, outputs)
    me = f"arn:aws:iam::{ACCOUNT}:user/cloudsim"
    assert me in eks.list_access_entries(clusterName="tenant-a")["accessEntries"]
    policies = eks.list_associated_access_policies(clusterName="tenant-a", principalArn=me)["associatedAccessPolicies"]
    assert policies[0]["policyArn"].endswith("AmazonEKSClusterAdminPolicy")
    role = outputs["NodeRoleArn"]
    eks.create_access_entry(clusterName="tenant-a", principalArn=role, kubernetesGroups=["viewers"])
    eks.associate_access_policy(clusterName="tenant-a", principalArn=role, accessScope={"type": "cluster"},
                                policyArn="arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy")
    assert eks.describe_access_entry(clusterName="tenant-a", principalArn=role)["accessEntry"]["kubernetesGroups"] == ["viewers"]
    eks.delete_access_entry(clusterName="tenant-a", principalArn=role)
    made = eks.create_pod_identity_association(clusterName="tenant-a", namespace="dns", serviceAccount="sa", roleArn=role)["association"]
    with pytest.raises(ClientError) as error:
        eks.create_pod_identity_association(clusterName="tenant-a", namespace="dns", serviceAccount="sa", roleArn=role)
    assert code_of(error) == "ResourceInUseException"
    listed = eks.list_pod_identity_associations(clusterName="tenant-a")["associations"]
    assert [a["associationId"] for a in listed] == [made["associationId"]]
    eks.delete_pod_identity_association(clusterName="tenant-a", associationId=made["associationId"])
    arn = eks.describe_cluster(name="tenant-a")["cluster"]["arn"]
    eks.tag_resource(resourceArn=arn, tags={"more": "yes"})
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"]["more"] == "yes"
    eks.untag_resource(resourceArn=arn, tagKeys=["more", "owner"])
    assert eks.list_tags_for_resource(resourceArn=arn)["tags"] == {}


def test_a_restart_continues(tmp_path):
    first = start("--data-dir", str(tmp_path))
    cfn = first.client("cloudformation")
    stack_id = cfn.create_stack(StackName="net", TemplateBody=TEMPLATE, Capabilities=["CAPABILITY_IAM"])["StackId"]
    last = first.journal()[-1]["seq"]
    stop(first)
    second = start("--data-dir", str(tmp_path))
    cfn = second.client("cloudformation")
    wait_for("stack", lambda: stack_status(cfn, stack_id) == "CREATE_COMPLETE")
    # What the first did between the look and its end counts on, too.
    assert second.journal(last)[0]["seq"] > last
    assert delete_stack(cfn, stack_id) == "DELETE_COMPLETE"
    assert second.objects() == []
    stop(second)


def test_presigned_urls_and_regions(cloud):
    ec2 = cloud.client("ec2")
    ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": TAGS}])
    assert len(ec2.describe_vpcs(Filters=[{"Name": "tag:owner", "Values": ["t-*"]}])["Vpcs"]) == 1
    assert ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"] == f"{REGION}a"
    for _ in range(3):
        ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)
    pages = ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 2})
    assert sum(len(p["Volumes"]) for p in pages) == 3


def test_updates_add_change_and_remove(cloud):
    cfn, ec2 = cloud.client("cloudformation"), cloud.client("ec2")
    stack, outputs = create_stack(cfn)

    def update(change):
        template = json.loads(TEMPLATE)
        change(template["Resources"])
        cfn.update_stack(StackName="net", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"], Tags=TAGS)
        wait_for("update", lambda: stack_status(cfn, "net").startswith("UPDATE_") and stack_status(cfn, "net").endswith("_COMPLETE"))
        return stack_status(cfn, "net")

    extra = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "extra", "VpcId": {"Ref": "Vpc"}}}
    template = {"Type": "AWS::EC2::LaunchTemplate", "Properties": {"LaunchTemplateName": "lt", "LaunchTemplateData": {"a": 1}}}
    assert update(lambda r: r.update(Extra=extra, Template=template)) == "UPDATE_COMPLETE"
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["SecurityGroups"]
    assert "extra" in [g["Description"] for g in groups]
    template["Properties"]["LaunchTemplateData"]["a"] = 2
    assert update(lambda r: r.update(Template=template)) == "UPDATE_COMPLETE"
    assert ec2.describe_launch_templates()["LaunchTemplates"][0]["LatestVersionNumber"] == 2
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["SecurityGroups"]
    assert "extra" not in [g["Description"] for g in groups], "what the template no longer has is deleted"
    failed = update(lambda r: r["Vpc"]["Properties"].update(CidrBlock="10.43.0.0/16"))
    assert failed == "UPDATE_ROLLBACK_COMPLETE"
    assert delete_stack(cfn, stack["StackId"]) == "DELETE_COMPLETE"
    assert cloud.objects() == []
