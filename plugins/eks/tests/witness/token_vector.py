"""Prints the URL inside an EKS token as botocore signs it: the fixed vector of src/kube_access.rs."""

import datetime

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

WHEN = datetime.datetime.fromtimestamp(1_764_000_000, datetime.timezone.utc).replace(tzinfo=None)
for name in ("get_current_datetime",):
    if hasattr(botocore.auth, name):
        setattr(botocore.auth, name, lambda remove_tzinfo=True: WHEN)
url = "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
request = AWSRequest(method="GET", url=url, headers={"x-k8s-aws-id": "landlord-1"})
keys = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
signer = botocore.auth.SigV4QueryAuth(keys, "sts", "eu-central-1", expires=60)
signer.add_auth(request)
print(request.url)
