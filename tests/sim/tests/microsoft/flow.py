"""What the tests build again and again: a group, a network with a NAT gateway, a cluster."""

from azure.mgmt.containerservice import models as aks

from conftest import LOCATION

TAGS = {"owner": "t-1"}


def create_network(cloud, group="rg"):
    """Gives the id of the subnet."""
    cloud.resources().resource_groups.create_or_update(group, {"location": LOCATION, "tags": TAGS})
    network = cloud.network()
    address = network.public_ip_addresses.begin_create_or_update(
        group, "nat", {"location": LOCATION, "sku": {"name": "Standard"}, "tags": TAGS,
                       "properties": {"publicIPAllocationMethod": "Static"}}).result()
    gateway = network.nat_gateways.begin_create_or_update(
        group, "nat", {"location": LOCATION, "sku": {"name": "Standard"}, "tags": TAGS,
                       "properties": {"publicIpAddresses": [{"id": address.id}]}}).result()
    vnet = network.virtual_networks.begin_create_or_update(
        group, "net", {"location": LOCATION, "tags": TAGS, "properties": {
            "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
            "subnets": [{"name": "nodes", "properties": {
                "addressPrefix": "10.0.0.0/20", "natGateway": {"id": gateway.id}}}]}}).result()
    return vnet.subnets[0].id


def cluster_of(subnet, **more):
    return aks.ManagedCluster(
        location=LOCATION, tags=TAGS, identity=aks.ManagedClusterIdentity(type="SystemAssigned"),
        properties=aks.ManagedClusterProperties(
            dns_prefix="tenant", kubernetes_version="1.35", disable_local_accounts=True,
            aad_profile=aks.ManagedClusterAADProfile(managed=True, enable_azure_rbac=True),
            oidc_issuer_profile=aks.ManagedClusterOIDCIssuerProfile(enabled=True),
            network_profile=aks.ContainerServiceNetworkProfile(
                network_plugin="azure", network_plugin_mode="overlay", network_dataplane="cilium",
                outbound_type="userAssignedNATGateway"),
            agent_pool_profiles=[aks.ManagedClusterAgentPoolProfile(
                name="system", mode="System", count=1, vm_size="Standard_D2s_v5", vnet_subnet_id=subnet)],
            **more))


def create_cluster(cloud, subnet, group="rg", name="tenant-a"):
    return cloud.aks().managed_clusters.begin_create_or_update(group, name, cluster_of(subnet)).result()


def pool_of(subnet, count=2):
    return aks.AgentPool(properties=aks.ManagedClusterAgentPoolProfileProperties(
        count=count, vm_size="Standard_D4s_v5", mode="User", vnet_subnet_id=subnet,
        node_labels={"pool": "main"}, node_taints=["k=v:NoSchedule"]))
