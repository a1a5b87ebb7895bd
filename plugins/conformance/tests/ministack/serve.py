"""ministack, and what EKS answers about a cluster without Fargate profiles: ministack does not know them."""

import re

from ministack.app import main
from ministack.services import eks

PROFILES = re.compile(r"(/clusters/[A-Za-z0-9_-]+)/fargate-profiles")
rest = eks.handle_request


async def handle_request(method, path, headers, body, query_params):
    found = PROFILES.fullmatch(path)
    if method != "GET" or not found:
        return await rest(method, path, headers, body, query_params)
    cluster = await rest(method, found.group(1), headers, body, query_params)
    if cluster[0] != 200:
        return cluster
    return 200, {"Content-Type": "application/json"}, b'{"fargateProfileNames": []}'


eks.handle_request = handle_request
main()
