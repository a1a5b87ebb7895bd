"""Starts the simulator given by CLOUDSIM_BIN for each test and gives Microsoft's clients for it.

The clients are unchanged and speak to https://management.azure.com and https://login.microsoftonline.com; a transport
leads their requests to the simulator and lets them sleep in its time.
"""

import pathlib
import sys
import time
from urllib.parse import urlsplit, urlunsplit

import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.dns import DnsManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

sys.path.append(str(pathlib.Path(__file__).parents[1] / "shared"))
import simulator
from simulator import nothing_keeps_running, stop, wait_for

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "aaaaaaaa-2222-4333-8444-555555555555"
CLIENT = "cccccccc-2222-4333-8444-555555555555"
LOCATION = "westeurope"


class Redirect(RequestsTransport):
    """Sends everything to the simulator, whose time is compressed."""

    def __init__(self, url, scale):
        super().__init__()
        self.url, self.scale = urlsplit(url), scale

    def send(self, request, **kwargs):
        parts = urlsplit(request.url)
        assert parts.scheme == "https" and parts.hostname in ("management.azure.com", "login.microsoftonline.com"), parts
        request.url = urlunsplit((self.url.scheme, self.url.netloc, parts.path, parts.query, ""))
        try:
            return super().send(request, **kwargs)
        finally:
            # The clients inspect the address of the request again when they poll.
            request.url = urlunsplit(parts)

    def sleep(self, duration):
        time.sleep(max(duration * self.scale, 0.005))


class Cloud(simulator.Simulator):
    """A running simulator."""

    account = SUBSCRIPTION

    def transport(self):
        return Redirect(self.url, self.scale)

    def credential(self, client=CLIENT, secret="cloudsim", tenant=TENANT):
        return ClientSecretCredential(tenant, client, secret, transport=self.transport())

    def client(self, kind, subscription=SUBSCRIPTION, credential=None, retries=0):
        return kind(credential or self.credential(), subscription, transport=self.transport(), retry_total=retries)

    def resources(self, **more):
        return self.client(ResourceManagementClient, **more)

    def network(self, **more):
        return self.client(NetworkManagementClient, **more)

    def aks(self, **more):
        return self.client(ContainerServiceClient, **more)

    def dns(self, **more):
        return self.client(DnsManagementClient, **more)

    def identities(self, **more):
        return self.client(ManagedServiceIdentityClient, **more)

    def roles(self, **more):
        return self.client(AuthorizationManagementClient, **more)


def start(*arguments, **options):
    return simulator.start_as(Cloud, *arguments, **options)


@pytest.fixture
def cloud():
    running = start("--seed", "1")
    yield running
    stop(running)
