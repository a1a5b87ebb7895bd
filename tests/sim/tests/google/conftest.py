"""Starts the simulator given by CLOUDSIM_BIN for each test and gives Google's own clients for it."""

import json
import pathlib
import sys
import urllib.request

import pytest
from google.api_core.client_options import ClientOptions
from google.cloud import compute_v1, container_v1, dns
from google.oauth2.credentials import Credentials

sys.path.append(str(pathlib.Path(__file__).parents[1] / "shared"))
import simulator
from simulator import nothing_keeps_running, stop, wait_for

PROJECT = "acme-prod"
REGION = "europe-west1"
ZONE = "europe-west1-b"
PARENT = f"projects/{PROJECT}/locations/{REGION}"


class Cloud(simulator.Simulator):
    """A running simulator."""

    account = PROJECT

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


def start(*arguments, **options):
    return simulator.start_as(Cloud, *arguments, **options)


@pytest.fixture
def cloud():
    running = start("--seed", "1")
    yield running
    stop(running)
