"""The whole life of an environment, driven by Google's clients: create, ready, delete, nothing left."""

import uuid

import pytest
from google.api_core import exceptions
from google.cloud import compute_v1, container_v1

from conftest import PARENT, PROJECT, REGION, ZONE, start, stop, wait_for
from environment import (
    LABELS, MARKS, NETWORK, cluster, create_cluster, create_network, delete_network, done, node_pool)

NAME = f"{PARENT}/clusters/tenant-a"
STATUS = container_v1.Cluster.Status


def kinds(cloud):
    return {o["type"] for o in cloud.objects()}


def test_create_ready_delete_leaves_nothing(cloud):
    create_network(cloud)
    network = cloud.compute("Networks").get(project=PROJECT, network="net")
    assert network.subnetworks[0].endswith("/subnetworks/sub") and not network.auto_create_subnetworks
    subnetwork = cloud.compute("Subnetworks").get(project=PROJECT, region=REGION, subnetwork="sub")
    assert subnetwork.gateway_address == "10.0.0.1" and len(subnetwork.secondary_ip_ranges) == 2
    router = cloud.compute("Routers").get(project=PROJECT, region=REGION, router="router")
    assert router.nats[0].type_ == "PUBLIC" and router.nats[0].nat_ip_allocate_option == "AUTO_ONLY"

    gke = cloud.container()
    operation = gke.create_cluster(parent=PARENT, cluster=cluster())
    assert operation.operation_type == container_v1.Operation.Type.CREATE_CLUSTER
    assert operation.zone == REGION and operation.target_link.endswith("/clusters/tenant-a")
    assert gke.get_cluster(name=NAME).status == STATUS.PROVISIONING
    assert done(gke, operation).end_time
    found = gke.get_cluster(name=NAME)
    assert found.status == STATUS.RUNNING and found.endpoint and found.master_auth.cluster_ca_certificate
    assert found.resource_labels == LABELS and found.current_node_count == 3, "one node in each zone"
    assert found.network_config.datapath_provider == container_v1.DatapathProvider.ADVANCED_DATAPATH
    assert found.workload_identity_config.workload_pool == f"{PROJECT}.svc.id.goog"
    assert found.private_cluster_config.enable_private_nodes
    assert found.release_channel.channel == container_v1.ReleaseChannel.Channel.REGULAR
    assert [p.name for p in found.node_pools] == ["main"] and found.node_pools[0].config.labels["pool"] == "main"
    groups = found.node_pools[0].instance_group_urls
    assert len(groups) == 3

    taint = container_v1.NodeTaint(key="tenant", value="t-1", effect="NO_SCHEDULE")
    pool = node_pool("extra", taints=[taint])
    assert not done(gke, gke.create_node_pool(parent=NAME, node_pool=pool)).error.message
    extra = gke.get_node_pool(name=f"{NAME}/nodePools/extra")
    assert extra.status == container_v1.NodePool.Status.RUNNING and extra.config.taints[0].effect == taint.effect
    done(gke, gke.set_node_pool_size(request={"name": f"{NAME}/nodePools/extra", "node_count": 2}))
    assert gke.get_cluster(name=NAME).current_node_count == 9
    request = {"name": f"{NAME}/nodePools/extra", "labels": {"labels": {"pool": "new"}}, "taints": {"taints": []}}
    done(gke, gke.update_node_pool(request=request))
    extra = gke.get_node_pool(name=f"{NAME}/nodePools/extra")
    assert extra.config.labels == {"pool": "new"} and not extra.config.taints
    done(gke, gke.delete_node_pool(name=f"{NAME}/nodePools/extra"))
    with pytest.raises(exceptions.NotFound):
        gke.get_node_pool(name=f"{NAME}/nodePools/extra")

    dns = cloud.dns()
    zone = dns.zone("tenant-a", dns_name="tenant-a.example.", description="Tenant")
    zone.create()
    assert zone.exists() and len(zone.name_servers) == 4
    changes = zone.changes()
    record = zone.resource_record_set("www.tenant-a.example.", "A", 300, ["192.0.2.1"])
    changes.add_record_set(record)
    changes.create()
    assert changes.status == "pending"
    wait_for("the change", lambda: changes.reload() or changes.status == "done")
    assert {r.record_type for r in zone.list_resource_record_sets()} == {"NS", "SOA", "A"}
    with pytest.raises(exceptions.BadRequest) as error:
        zone.delete()
    assert error.value.errors[0]["reason"] == "containerNotEmpty"
    changes = zone.changes()
    changes.delete_record_set(record)
    changes.create()
    zone.delete()
    assert not zone.exists()

    with pytest.raises(exceptions.BadRequest) as error:
        cloud.compute("Networks").delete(project=PROJECT, network="net")
    assert "already being used by" in error.value.message
    done(gke, gke.delete_cluster(name=NAME))
    with pytest.raises(exceptions.NotFound):
        gke.get_cluster(name=NAME)
    delete_network(cloud)
    assert cloud.objects() == []


def test_marks_and_labels_show_in_journal_and_objects(cloud):
    create_network(cloud)
    marked = [o for o in cloud.objects() if o["type"] == "compute.googleapis.com/Network"]
    assert marked[0]["tags"] == MARKS and marked[0]["account"] == PROJECT
    created = [e for e in cloud.journal() if e["action"] == "subnetworks.insert" and e["effect"] == "created"]
    assert created[0]["region"] == REGION and created[0]["service"] == "compute" and created[0]["account"] == PROJECT
    assert created[0]["caller"] == f"cloudsim@{PROJECT}.iam.gserviceaccount.com"
    networks = cloud.compute("Networks")
    found = list(networks.list(request={"project": PROJECT, "filter": 'description:"t-1"'}))
    assert [n.name for n in found] == ["net"]
    assert not list(networks.list(request={"project": PROJECT, "filter": "name=other"}))


def test_an_operation_is_one_at_a_time(cloud):
    create_network(cloud)
    gke = cloud.container()
    creating = gke.create_cluster(parent=PARENT, cluster=cluster())
    for change in (
        lambda: gke.delete_cluster(name=NAME),
        lambda: gke.create_node_pool(parent=NAME, node_pool=node_pool("extra")),
        lambda: gke.update_cluster(name=NAME, update={"desired_logging_service": "none"}),
    ):
        with pytest.raises(exceptions.BadRequest) as error:
            change()
        assert f"Cluster is running incompatible operation {creating.name}" in error.value.message
        assert error.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
    with pytest.raises(exceptions.Conflict) as error:
        gke.create_cluster(parent=PARENT, cluster=cluster())
    assert "Already exists" in error.value.message
    done(gke, creating)
    upgrade = gke.update_cluster(name=NAME, update={"desired_master_version": "1.37"})
    assert gke.get_cluster(name=NAME).status == STATUS.RECONCILING
    assert done(gke, upgrade).operation_type == container_v1.Operation.Type.UPGRADE_MASTER
    found = gke.get_cluster(name=NAME)
    assert found.current_master_version.startswith("1.37.") and found.status == STATUS.RUNNING
    with pytest.raises(exceptions.BadRequest):
        gke.update_cluster(name=NAME, update={"desired_master_version": "1.35"})
    request = {"name": NAME, "resource_labels": {"a": "b"}, "label_fingerprint": found.label_fingerprint}
    done(gke, gke.set_labels(request=request))
    assert gke.get_cluster(name=NAME).resource_labels == {"a": "b"}
    assert len(gke.list_operations(parent=f"projects/{PROJECT}/locations/-").operations) == 3
    assert [c.name for c in gke.list_clusters(parent=f"projects/{PROJECT}/locations/-").clusters] == ["tenant-a"]
    assert gke.get_server_config(name=PARENT).default_cluster_version


def test_a_repeated_request_id_gives_the_same_operation(cloud):
    networks = cloud.compute("Networks")
    request = {"project": PROJECT, "request_id": str(uuid.uuid4()),
               "network_resource": compute_v1.Network(name="net", auto_create_subnetworks=False)}
    first, second = networks.insert(request=request), networks.insert(request=request)
    assert first.name == second.name
    cloud.finish(first)
    with pytest.raises(exceptions.Conflict):
        networks.insert(request={**request, "request_id": str(uuid.uuid4())})
    with pytest.raises(exceptions.BadRequest):
        networks.insert(request={**request, "request_id": "not-a-uuid"})


def test_disks_addresses_and_labels(cloud):
    disks = cloud.compute("Disks")
    cloud.finish(disks.insert(project=PROJECT, zone=ZONE, disk_resource=compute_v1.Disk(name="d", size_gb=10, labels=LABELS)))
    cloud.finish(disks.insert(project=PROJECT, zone=ZONE, disk_resource=compute_v1.Disk(name="e", size_gb=10)))
    query = {"project": PROJECT, "filter": "labels.landlord-tenant-uid=t-1"}
    found = [d for _, place in disks.aggregated_list(request=query) for d in place.disks]
    assert [d.name for d in found] == ["d"]
    fingerprint = found[0].label_fingerprint
    body = compute_v1.ZoneSetLabelsRequest(labels={"x": "y"}, label_fingerprint=fingerprint)
    cloud.finish(disks.set_labels(project=PROJECT, zone=ZONE, resource="d", zone_set_labels_request_resource=body))
    with pytest.raises(exceptions.PreconditionFailed):
        disks.set_labels(project=PROJECT, zone=ZONE, resource="d", zone_set_labels_request_resource=body)
    assert dict(disks.get(project=PROJECT, zone=ZONE, disk="d").labels) == {"x": "y"}
    addresses = cloud.compute("Addresses")
    for n in range(8):
        addresses.insert(project=PROJECT, region=REGION, address_resource=compute_v1.Address(name=f"a{n}"))
    with pytest.raises(exceptions.Forbidden) as error:
        addresses.insert(project=PROJECT, region=REGION, address_resource=compute_v1.Address(name="a8"))
    assert error.value.errors[0]["reason"] == "quotaExceeded" and "STATIC_ADDRESSES" in error.value.message
    assert addresses.get(project=PROJECT, region=REGION, address="a0").status == "RESERVED"


def test_what_fails_late_fails_in_its_operation(cloud):
    create_network(cloud)
    gke = cloud.container()
    error = {"code": "RESOURCE_EXHAUSTED", "status": 429, "message": "out of room"}
    cloud.sim("faults", [{"kind": "error", "service": "container", "action": "ClusterReady", "count": 1, "error": error},
                         {"kind": "error", "service": "compute", "action": "Operation:addresses.insert", "error": error}])
    failed = done(gke, gke.create_cluster(parent=PARENT, cluster=cluster()))
    assert (failed.error.code, failed.error.message) == (8, "out of room")
    assert gke.get_cluster(name=NAME).status == STATUS.ERROR
    assert not done(gke, gke.delete_cluster(name=NAME)).error.message
    addresses = cloud.compute("Addresses")
    operation = addresses.insert(project=PROJECT, region=REGION, address_resource=compute_v1.Address(name="a"))
    ended = cloud.finish(operation)
    assert ended.error.errors[0].message == "out of room" and ended.http_error_status_code == 429
    with pytest.raises(exceptions.NotFound):
        addresses.get(project=PROJECT, region=REGION, address="a")


def test_state_outlives_the_simulator(tmp_path):
    options = ("--data-dir", str(tmp_path))
    running = start(*options)
    create_network(running)
    before = create_cluster(running)
    stop(running)
    running = start(*options)
    after = running.container().get_cluster(name=NAME)
    assert after.id == before.id and after.status == STATUS.RUNNING
    networks = running.compute("Networks")
    with pytest.raises(exceptions.BadRequest):
        networks.delete(project=PROJECT, network=NETWORK.rsplit("/", 1)[1])
    stop(running)
