"""The parts of an environment, made and removed with Google's clients."""

import json

from google.cloud import compute_v1, container_v1

from conftest import PARENT, PROJECT, REGION, wait_for

MARKS = {"landlord-tenant-uid": "t-1", "landlord-role": "network"}
LABELS = {"landlord-tenant-uid": "t-1"}
NETWORK = f"projects/{PROJECT}/global/networks/net"
SUBNETWORK = f"projects/{PROJECT}/regions/{REGION}/subnetworks/sub"


def create_network(cloud):
    networks = cloud.compute("Networks")
    cloud.finish(networks.insert(project=PROJECT, network_resource=compute_v1.Network(
        name="net", auto_create_subnetworks=False, description=json.dumps(MARKS))))
    subnetworks = cloud.compute("Subnetworks")
    ranges = [compute_v1.SubnetworkSecondaryRange(range_name=n, ip_cidr_range=r)
              for n, r in (("pods", "10.4.0.0/14"), ("services", "10.8.0.0/20"))]
    cloud.finish(subnetworks.insert(project=PROJECT, region=REGION, subnetwork_resource=compute_v1.Subnetwork(
        name="sub", network=NETWORK, ip_cidr_range="10.0.0.0/20", secondary_ip_ranges=ranges,
        private_ip_google_access=True)))
    nat = compute_v1.RouterNat(name="nat", nat_ip_allocate_option="AUTO_ONLY",
                               source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES")
    cloud.finish(cloud.compute("Routers").insert(project=PROJECT, region=REGION, router_resource=compute_v1.Router(
        name="router", network=NETWORK, nats=[nat])))


def delete_network(cloud):
    cloud.finish(cloud.compute("Routers").delete(project=PROJECT, region=REGION, router="router"))
    cloud.finish(cloud.compute("Subnetworks").delete(project=PROJECT, region=REGION, subnetwork="sub"))
    cloud.finish(cloud.compute("Networks").delete(project=PROJECT, network="net"))


def node_pool(name, count=1, machine="e2-standard-2", **config):
    return container_v1.NodePool(name=name, initial_node_count=count, config=container_v1.NodeConfig(
        machine_type=machine, labels={"pool": name},
        workload_metadata_config=container_v1.WorkloadMetadataConfig(mode="GKE_METADATA"), **config))


def cluster(name="tenant-a", **more):
    return container_v1.Cluster(
        name=name, network=NETWORK, subnetwork=SUBNETWORK, resource_labels=LABELS, node_pools=[node_pool("main")],
        release_channel=container_v1.ReleaseChannel(channel="REGULAR"),
        network_config=container_v1.NetworkConfig(datapath_provider="ADVANCED_DATAPATH"),
        private_cluster_config=container_v1.PrivateClusterConfig(enable_private_nodes=True),
        workload_identity_config=container_v1.WorkloadIdentityConfig(workload_pool=f"{PROJECT}.svc.id.goog"),
        ip_allocation_policy=container_v1.IPAllocationPolicy(
            use_ip_aliases=True, cluster_secondary_range_name="pods", services_secondary_range_name="services"), **more)


def done(gke, operation):
    """Waits for an operation of GKE."""
    name = f"{PARENT}/operations/{operation.name}"
    ended = lambda: gke.get_operation(name=name).status == container_v1.Operation.Status.DONE
    wait_for(f"the end of {operation.name}", ended)
    return gke.get_operation(name=name)


def create_cluster(cloud, **more):
    gke = cloud.container()
    operation = done(gke, gke.create_cluster(parent=PARENT, cluster=cluster(**more)))
    assert not operation.error.message, operation
    return gke.get_cluster(name=f"{PARENT}/clusters/tenant-a")
