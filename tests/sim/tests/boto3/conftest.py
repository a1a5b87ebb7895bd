"""Starts the simulator given by CLOUDSIM_BIN for each test and gives boto3 clients for it."""

import pathlib
import sys

import boto3
import pytest
from botocore.config import Config

sys.path.append(str(pathlib.Path(__file__).parents[1] / "shared"))
import simulator
from simulator import nothing_keeps_running, stop, wait_for

REGION = "eu-west-1"
ACCOUNT = "444455556666"


class Cloud(simulator.Simulator):
    """A running simulator."""

    account = ACCOUNT

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


def start(*arguments, **options):
    return simulator.start_as(Cloud, *arguments, **options)


@pytest.fixture
def cloud():
    running = start("--seed", "1")
    yield running
    stop(running)
