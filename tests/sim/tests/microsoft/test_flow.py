"""The whole life of an environment, driven by Microsoft's clients: create, ready, delete, nothing left."""

import json

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError,
    ServiceRequestError, ServiceResponseError)

from conftest import LOCATION, SUBSCRIPTION, TENANT, start, stop, wait_for
from flow import TAGS, cluster_of, create_cluster, create_network, pool_of


def listed(cloud):
    """Types of what Resource Manager lists by tag."""
    found = cloud.resources().resources.list(filter="tagName eq 'owner' and tagValue eq 't-1'")
    return sorted(r.type.split("/")[-1].lower() for r in found)


def test_create_ready_delete_leaves_nothing(cloud):
    aks, dns, network, resources = cloud.aks(), cloud.dns(), cloud.network(), cloud.resources()
    assert resources.providers.get("Microsoft.ContainerService").registration_state == "Registered"
    subnet = create_network(cloud)
    gateway = network.nat_gateways.get("rg", "nat")
    assert [s.id for s in gateway.subnets] == [subnet] and gateway.provisioning_state == "Succeeded"

    versions = aks.managed_clusters.list_kubernetes_versions(LOCATION)
    assert "1.35" in [v.version for v in versions.values_property]
    cluster = create_cluster(cloud, subnet)
    assert cluster.properties.provisioning_state == "Succeeded"
    assert cluster.properties.current_kubernetes_version == "1.35.4"
    assert cluster.properties.node_resource_group == f"MC_rg_tenant-a_{LOCATION}"
    assert cluster.properties.oidc_issuer_profile.issuer_url.startswith(f"https://{LOCATION}.oic.prod-aks.azure.com/{TENANT}/")
    pool = aks.agent_pools.begin_create_or_update("rg", "tenant-a", "main", pool_of(subnet)).result()
    assert pool.properties.provisioning_state == "Succeeded" and pool.properties.count == 2
    assert [p.name for p in aks.agent_pools.list("rg", "tenant-a")] == ["main", "system"]
    kubeconfig = aks.managed_clusters.list_cluster_user_credentials("rg", "tenant-a").kubeconfigs[0]
    text = bytes(kubeconfig.value).decode()
    assert "certificate-authority-data" in text and "kubelogin" in text
    with pytest.raises(HttpResponseError, match="disable local accounts"):
        aks.managed_clusters.list_cluster_admin_credentials("rg", "tenant-a")

    zone = dns.zones.create_or_update("rg", "a.example", {"location": "global", "tags": TAGS})
    assert len(zone.name_servers) == 4 and zone.number_of_record_sets == 2
    dns.record_sets.create_or_update("rg", "a.example", "www", "A", {"properties": {"TTL": 60, "ARecords": [{"ipv4Address": "192.0.2.1"}]}})
    record = dns.record_sets.get("rg", "a.example", "www", "A")
    assert record.fqdn == "www.a.example." and record.a_records[0].ipv4_address == "192.0.2.1"
    wait_for("tags", lambda: {"dnszones", "managedclusters", "natgateways", "publicipaddresses", "virtualmachinescalesets",
                              "virtualnetworks"} <= set(listed(cloud)))

    dns.zones.begin_delete("rg", "a.example").result()
    aks.agent_pools.begin_delete("rg", "tenant-a", "main").result()
    aks.managed_clusters.begin_delete("rg", "tenant-a").result()
    with pytest.raises(ResourceNotFoundError) as error:
        aks.managed_clusters.get("rg", "tenant-a")
    assert error.value.error.code == "ResourceNotFound"
    assert [g.name for g in resources.resource_groups.list()] == ["rg"], "the node resource group is gone"
    network.virtual_networks.begin_delete("rg", "net").result()
    network.nat_gateways.begin_delete("rg", "nat").result()
    network.public_ip_addresses.begin_delete("rg", "nat").result()
    resources.resource_groups.begin_delete("rg").result()
    assert not resources.resource_groups.check_existence("rg")
    assert cloud.objects() == []
    wait_for("tags are gone", lambda: listed(cloud) == [])

    entries = cloud.journal()
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    created = {o["id"] for e in entries if e["effect"] == "created" for o in e["objects"]}
    deleted = {o["id"] for e in entries if e["effect"] == "deleted" for o in e["objects"]}
    assert created == deleted
    path = json.loads(cloud.sim(f"critical-path?account={SUBSCRIPTION}"))[""]
    assert 330_000 < path["create_sim_ms"] < 1_400_000, path


def test_deleting_a_group_deletes_what_is_inside(cloud):
    subnet = create_network(cloud)
    create_cluster(cloud, subnet)
    cloud.resources().resource_groups.begin_delete("rg").result()
    assert cloud.objects() == []


def test_dependencies_are_refused_in_azures_words(cloud):
    network = cloud.network()
    subnet = create_network(cloud)
    create_cluster(cloud, subnet)
    for begin, code in [
        (lambda: network.virtual_networks.begin_delete("rg", "net"), "InUseSubnetCannotBeDeleted"),
        (lambda: network.subnets.begin_delete("rg", "net", "nodes"), "InUseSubnetCannotBeDeleted"),
        (lambda: network.nat_gateways.begin_delete("rg", "nat"), "CannotDeleteNatGatewayAssociatedToSubnet"),
        (lambda: network.public_ip_addresses.begin_delete("rg", "nat"), "PublicIPAddressCannotBeDeleted"),
    ]:
        with pytest.raises(HttpResponseError) as error:
            begin()
        assert error.value.error.code == code and error.value.status_code == 400


def test_a_put_overwrites_silently_but_for_conditions(cloud):
    subnet = create_network(cloud)
    network, dns, aks = cloud.network(), cloud.dns(), cloud.aks()
    gateway = network.nat_gateways.begin_create_or_update("rg", "nat", {"location": LOCATION, "tags": {"owner": "other"}}).result()
    assert gateway.tags == {"owner": "other"} and not gateway.public_ip_addresses, "nothing of it was kept"

    dns.zones.create_or_update("rg", "a.example", {"location": "global"}, if_none_match="*")
    with pytest.raises(HttpResponseError) as error:
        dns.zones.create_or_update("rg", "a.example", {"location": "global"}, if_none_match="*")
    assert (error.value.status_code, error.value.error.code) == (412, "PreconditionFailed")
    put = lambda **more: dns.record_sets.create_or_update(
        "rg", "a.example", "www", "TXT", {"properties": {"TTL": 60, "TXTRecords": [{"value": ["x"]}]}}, **more)
    first = put(if_none_match="*")
    second = put(if_match=first.etag)
    assert second.etag != first.etag
    for condition in ({"if_match": first.etag}, {"if_none_match": "*"}):
        with pytest.raises(HttpResponseError) as error:
            put(**condition)
        assert error.value.status_code == 412

    create_cluster(cloud, subnet)
    with pytest.raises(ResourceExistsError):
        aks.managed_clusters.begin_create_or_update(
            "rg", "tenant-a", cluster_of(subnet), match_condition=MatchConditions.IfMissing, etag="*").result()


def test_one_change_of_a_cluster_at_a_time():
    # Slow enough that the cluster is still being created when the others ask.
    cloud = start("--seed", "1", scale=0.02)
    subnet = create_network(cloud)
    aks = cloud.aks()
    poller = aks.managed_clusters.begin_create_or_update("rg", "tenant-a", cluster_of(subnet), polling=True)
    for call in (lambda: aks.managed_clusters.begin_create_or_update("rg", "tenant-a", cluster_of(subnet)),
                 lambda: aks.agent_pools.begin_create_or_update("rg", "tenant-a", "main", pool_of(subnet)),
                 lambda: aks.managed_clusters.begin_delete("rg", "tenant-a")):
        with pytest.raises(ResourceExistsError) as error:
            call()
        assert error.value.error.code == "OperationNotAllowed" and "(Creating) is in progress" in error.value.message
    poller.result()
    stop(cloud)


def test_work_that_fails_late(cloud):
    subnet = create_network(cloud)
    fault = {"code": "InternalOperationError", "message": "no luck"}
    cloud.sim("faults", {"kind": "error", "service": "containerservice", "action": "managedClusters.Ready", "count": 1, "error": fault})
    aks = cloud.aks()
    with pytest.raises(HttpResponseError) as error:
        create_cluster(cloud, subnet)
    assert error.value.error.code == "InternalOperationError" and "no luck" in str(error.value)
    assert aks.managed_clusters.get("rg", "tenant-a").properties.provisioning_state == "Failed"
    assert create_cluster(cloud, subnet).properties.provisioning_state == "Succeeded", "a PUT mends it"


def test_throttling_and_lost_answers(cloud):
    groups = cloud.resources().resource_groups
    cloud.sim("faults", {"kind": "throttle", "service": "resources", "count": 1})
    with pytest.raises(HttpResponseError) as error:
        groups.create_or_update("rg", {"location": LOCATION})
    assert error.value.status_code == 429 and error.value.response.headers["Retry-After"] == "1"
    assert cloud.objects() == []
    cloud.sim("faults", {"kind": "throttle", "service": "resources", "count": 2})
    cloud.resources(retries=3).resource_groups.create_or_update("rg", {"location": LOCATION})
    for kind, expected in [("lost_answer", 2), ("lost_request", 2)]:
        cloud.sim("faults", {"kind": kind, "service": "resources", "action": "resourceGroups.CreateOrUpdate", "count": 1})
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            groups.create_or_update(f"rg-{kind}", {"location": LOCATION})
        assert len(cloud.objects()) == expected, kind


def test_credentials_and_whose_subscription_it_is(cloud):
    other = "99999999-2222-4333-8444-555555555555"
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        list(cloud.resources(credential=cloud.credential(secret="wrong")).resource_groups.list())
    client = "dddddddd-2222-4333-8444-555555555555"
    cloud.sim("principals", {"tenant": TENANT, "client_id": client, "client_secret": "s3", "subscriptions": [other]})
    declared = cloud.credential(client=client, secret="s3")
    assert list(cloud.resources(subscription=other, credential=declared).resource_groups.list()) == []
    with pytest.raises(HttpResponseError) as error:
        list(cloud.resources(credential=declared).resource_groups.list())
    assert (error.value.status_code, error.value.error.code) == (403, "AuthorizationFailed")
    stranger = cloud.credential(tenant="bbbbbbbb-2222-4333-8444-555555555555")
    with pytest.raises(HttpResponseError) as error:
        list(cloud.resources(subscription=other, credential=stranger).resource_groups.list())
    assert error.value.status_code == 403


def test_quotas_in_azures_words(cloud):
    subnet = create_network(cloud)
    cloud.sim("quotas", {"account": SUBSCRIPTION, "limits": {"public-ip-addresses": 1, "vcpus-per-family": 1}})
    with pytest.raises(HttpResponseError) as error:
        cloud.network().public_ip_addresses.begin_create_or_update("rg", "more", {"location": LOCATION})
    assert error.value.error.code == "PublicIPCountLimitReached"
    with pytest.raises(HttpResponseError) as error:
        create_cluster(cloud, subnet)
    assert error.value.error.code == "ErrCode_InsufficientVCPUQuota"
    assert "requested 2, remaining 1 for family standardDSv5Family" in error.value.message


def test_identities_federation_and_roles(cloud):
    cloud.resources().resource_groups.create_or_update("rg", {"location": LOCATION})
    identities, roles = cloud.identities(), cloud.roles()
    identity = identities.user_assigned_identities.create_or_update("rg", "dns", {"location": LOCATION, "tags": TAGS})
    assert identity.tenant_id == TENANT and identity.client_id != identity.principal_id
    put = lambda name, subject: identities.federated_identity_credentials.create_or_update(
        "rg", "dns", name, {"properties": {"issuer": "https://issuer.example/", "subject": subject, "audiences": ["api://AzureADTokenExchange"]}})
    assert put("one", "system:serviceaccount:a:b").subject == "system:serviceaccount:a:b"
    with pytest.raises(ResourceExistsError):
        put("two", "system:serviceaccount:a:b")
    scope = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    role = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/befefa01-2a29-4197-83a8-272ff33ce314"
    assign = lambda name: roles.role_assignments.create(
        scope, name, {"properties": {"roleDefinitionId": role, "principalId": identity.principal_id, "principalType": "ServicePrincipal"}})
    name = "12345678-2222-4333-8444-555555555555"
    first = assign(name)
    assert assign(name).id == first.id, "the same again is no error"
    with pytest.raises(ResourceExistsError) as error:
        assign("22345678-2222-4333-8444-555555555555")
    assert error.value.error.code == "RoleAssignmentExists"
    found = roles.role_assignments.list_for_scope(scope, filter=f"principalId eq '{identity.principal_id}'")
    assert [r.name for r in found] == [name]
    roles.role_assignments.delete(scope, name)
    identities.user_assigned_identities.delete("rg", "dns")
    cloud.resources().resource_groups.begin_delete("rg").result()
    assert cloud.objects() == []
