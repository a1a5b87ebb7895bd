"""Starts the simulator given by CLOUDSIM_BIN for each test and gives Google's own clients for it."""

import json
import os
import subprocess
import time
import urllib.request

import pytest
from google.api_core.client_options import ClientOptions
from google.cloud import compute_v1, container_v1, dns
from google.oauth2.credentials import Credentials

PROJECT = "acme-prod"
REGION = "europe-west1"
ZONE = "europe-west1-b"
PARENT = f"projects/{PROJECT}/locations/{REGION}"


class Cloud:
    """A running simulator."""

    def __init__(self, process, url):
        self.process, self.url = process, url

    def credentials(self, project=PROJECT, token=None):
        return Credentials(token=token or f"ya29.sim-{project}.test")

    def options(self):
        return ClientOptions(api_endpoint=self.url)

    def container(self, **who):
        return container_v1.ClusterManagerClient(
            credentials=self.credentials(**who), transport="rest", client_options=self.options())

    def compute(self, name, **who):
        client = getattr(compute_v1, f"{name}Client")
        return client(credentials=self.credentials(**who), client_options=self.options())

    def finish(self, operation):
        """Polls an operation of Compute until it is DONE, with the client of its place; the client that
        `operation.result()` makes by itself would ask Google, as it does not inherit the endpoint."""
        last = lambda link: link.rsplit("/", 1)[1]
        query = {"project": PROJECT, "operation": operation.name}
        kind = "GlobalOperations"
        if operation.zone:
            kind, query["zone"] = "ZoneOperations", last(operation.zone)
        elif operation.region:
            kind, query["region"] = "RegionOperations", last(operation.region)
        client = self.compute(kind)
        done = lambda: client.get(**query).status == compute_v1.Operation.Status.DONE
        wait_for(f"the end of {operation.name}", done)
        return client.get(**query)

    def dns(self, project=PROJECT):
        return dns.Client(project=project, credentials=self.credentials(project), client_options=self.options())

    def call(self, method, path, body=None, token=None):
        """A plain request, for what has no client here; gives status and JSON."""
        headers = {"Authorization": f"Bearer {token or self.credentials().token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def sim(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def objects(self, project=PROJECT):
        return json.loads(self.sim(f"objects?account={project}"))["objects"]

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


def start(*arguments, kubernetes=False):
    binary = os.environ.get("CLOUDSIM_BIN")
    assert binary, "set CLOUDSIM_BIN to the cloudsim binary"
    command = [binary, "--listen", "127.0.0.1:0", *arguments]
    if not kubernetes:
        command.append("--no-kubernetes")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    assert "listens on " in line, line
    return Cloud(process, line.split("listens on ")[1].strip())


def stop(cloud):
    cloud.process.terminate()
    assert cloud.process.wait(timeout=90) == 0


@pytest.fixture
def cloud():
    running = start("--time-scale", "0.001", "--seed", "1")
    yield running
    stop(running)
