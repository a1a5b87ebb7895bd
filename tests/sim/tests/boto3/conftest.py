"""Starts the simulator given by CLOUDSIM_BIN for each test and gives boto3 clients for it."""

import json
import os
import subprocess
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config

REGION = "eu-west-1"
ACCOUNT = "444455556666"


class Cloud:
    """A running simulator."""

    def __init__(self, process, url):
        self.process, self.url = process, url

    def client(self, service, account=ACCOUNT, session=None, retries=1):
        keys = {
            "aws_access_key_id": f"AKIA{account}TEST",
            "aws_secret_access_key": "cloudsim",
        }
        if session:
            keys = {
                "aws_access_key_id": session["AccessKeyId"],
                "aws_secret_access_key": session["SecretAccessKey"],
                "aws_session_token": session["SessionToken"],
            }
        config = Config(retries={"total_max_attempts": retries, "mode": "standard"}, read_timeout=60)
        return boto3.client(service, region_name=REGION, endpoint_url=self.url, config=config, **keys)

    def sim(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def objects(self, account=ACCOUNT):
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
