"""A simulator of CLOUDSIM_BIN's that runs while one test does. Each cloud's `conftest.py` adds its vendor's clients."""

import json
import os
import subprocess
import time
import urllib.request

import pytest

SCALE = 0.001
STARTED = []


class Simulator:
    """A running one. `account` is whose objects are listed unless another one is named."""

    account = None

    def __init__(self, process, url, scale):
        self.process, self.url, self.scale = process, url, scale

    def sim(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        method = method or ("GET" if body is None else "POST")
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def objects(self, account=None):
        return json.loads(self.sim(f"objects?account={account or self.account}"))["objects"]

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


def start_as(cloud, *arguments, scale=SCALE, kubernetes=False):
    """Starts one, as an object of the class `cloud`."""
    binary = os.environ.get("CLOUDSIM_BIN")
    assert binary, "set CLOUDSIM_BIN to the cloudsim binary"
    command = [binary, "--listen", "127.0.0.1:0", "--time-scale", str(scale), *arguments]
    if not kubernetes:
        command.append("--no-kubernetes")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    STARTED.append(process)
    line = process.stdout.readline()
    assert "listens on " in line, line
    return cloud(process, line.split("listens on ")[1].strip(), scale)


def stop(simulator):
    simulator.process.terminate()
    assert simulator.process.wait(timeout=90) == 0


@pytest.fixture(autouse=True)
def nothing_keeps_running():
    """A test that failed in between leaves no simulator behind."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=90)
