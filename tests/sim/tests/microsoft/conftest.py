"""Starts the simulator given by CLOUDSIM_BIN for each test and gives Microsoft's clients for it.

The clients are unchanged and speak to https://management.azure.com and https://login.microsoftonline.com; a transport
leads their requests to the simulator and lets them sleep in its time.
"""

import json
import os
import subprocess
import time
import urllib.request
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

SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "aaaaaaaa-2222-4333-8444-555555555555"
CLIENT = "cccccccc-2222-4333-8444-555555555555"
LOCATION = "westeurope"
SCALE = 0.001
STARTED = []


class Redirect(RequestsTransport):
    """Sends everything to the simulator, whose time is compressed."""

    def __init__(self, url, scale=SCALE):
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


class Cloud:
    """A running simulator."""

    def __init__(self, process, url, scale):
        self.process, self.url, self.scale = process, url, scale

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

    def sim(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def objects(self, account=SUBSCRIPTION):
        return json.loads(self.sim(f"objects?account={account}"))["objects"]

    def journal(self, since=0):
        return [json.loads(line) for line in self.sim(f"journal?since={since}").splitlines()]


def wait_for(what, probe, seconds=180):
    """Polls until probe gives a true value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen in {seconds} s")


def start(*arguments, scale=SCALE, kubernetes=False):
    binary = os.environ.get("CLOUDSIM_BIN")
    assert binary, "set CLOUDSIM_BIN to the cloudsim binary"
    command = [binary, "--listen", "127.0.0.1:0", "--time-scale", str(scale), *arguments]
    if not kubernetes:
        command.append("--no-kubernetes")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    STARTED.append(process)
    line = process.stdout.readline()
    assert "listens on " in line, line
    return Cloud(process, line.split("listens on ")[1].strip(), scale)


def stop(cloud):
    cloud.process.terminate()
    assert cloud.process.wait(timeout=90) == 0


@pytest.fixture(autouse=True)
def nothing_keeps_running():
    """A test that failed in between leaves no simulator behind."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=90)


@pytest.fixture
def cloud():
    running = start("--seed", "1")
    yield running
    stop(running)
