"""Who may do what: tokens, JWTs, impersonation, policies."""

import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
from google.api_core import exceptions
from google.auth.exceptions import RefreshError

from conftest import PROJECT


def jwt(email, lifetime=3600, audience="https://oauth2.googleapis.com/token"):
    """As a service account's key signs it; the simulator knows no key and checks no signature."""
    encode = lambda part: base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    now = int(time.time())
    claims = {"iss": email, "sub": email, "aud": audience, "iat": now, "exp": now + lifetime}
    return f"{encode({'alg': 'RS256', 'typ': 'JWT'})}.{encode(claims)}.c2lnbmF0dXJl"


def token(cloud, **form):
    data = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{cloud.url}/token", data=data)) as answer:
            return 200, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def test_tokens_of_all_kinds(cloud):
    list_zones = lambda bearer: cloud.call("GET", f"/dns/v1/projects/{PROJECT}/managedZones", token=bearer)[0]
    account = f"daemon@{PROJECT}.iam.gserviceaccount.com"
    assert list_zones(jwt(account, audience="https://dns.googleapis.com/")) == 200
    status, answer = token(cloud, grant_type=BEARER, assertion=jwt(account))
    assert status == 200 and answer["token_type"] == "Bearer" and answer["access_token"].startswith("ya29.")
    assert list_zones(answer["access_token"]) == 200
    refresh = {"grant_type": "refresh_token", "client_id": "c", "client_secret": "s"}
    status, answer = token(cloud, refresh_token=f"1//sim-{PROJECT}.x", **refresh)
    assert status == 200 and list_zones(answer["access_token"]) == 200
    assert token(cloud, refresh_token="1//gone", **refresh) == (400, {"error": "invalid_grant", "error_description": "Bad Request"})
    assert token(cloud, grant_type=BEARER, assertion=jwt(account, lifetime=-10))[1]["error"] == "invalid_grant"
    for bad in ("ya29.never-given", "garbage", jwt(account, lifetime=-10)):
        assert list_zones(bad) == 401
    assert list_zones("ya29.sim-other-project.x") == 403
    assert list_zones(jwt("daemon@other-project.iam.gserviceaccount.com")) == 403


def test_refusals_are_in_googles_shape(cloud):
    for path, service in ((f"/v1/projects/{PROJECT}/locations/-/clusters", "container"), (f"/compute/v1/projects/{PROJECT}/global/networks", "compute")):
        status, body = cloud.call("GET", path, token="garbage")
        assert (status, body["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert body["error"]["errors"][0]["reason"] == "authError"
        assert body["error"]["details"][0]["metadata"]["service"] == f"{service}.googleapis.com"
    # Google's client takes a 401 for an old token and wants a new one, which these credentials cannot get.
    with pytest.raises(RefreshError):
        cloud.compute("Networks", token="garbage").list(project=PROJECT)
    with pytest.raises(exceptions.Forbidden) as error:
        cloud.container(project="other-project").list_clusters(parent=f"projects/{PROJECT}/locations/-")
    assert f'Required "container.clusters.list" permission(s) for "projects/{PROJECT}/locations/-"' in error.value.message
    with pytest.raises(exceptions.Forbidden) as error:
        cloud.compute("Networks", project="other-project").get(project=PROJECT, network="net")
    assert f"Required 'compute.networks.get' permission for 'projects/{PROJECT}/global/networks/net'" in error.value.message
    refused = [e for e in cloud.journal() if e["outcome"] == "forbidden"]
    assert refused[0]["account"] == PROJECT and "other-project" in refused[0]["caller"]


def impersonate(cloud, account, bearer=None, **more):
    body = {"scope": ["https://www.googleapis.com/auth/cloud-platform"], **more}
    return cloud.call("POST", f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken", body, token=bearer)


def test_impersonation_needs_a_grant_once_the_account_is_known(cloud):
    landlord = "ya29.sim-landlord-home.x"
    status, answer = impersonate(cloud, f"unknown@{PROJECT}.iam.gserviceaccount.com", landlord, lifetime="600s")
    assert status == 200 and answer["accessToken"].startswith("ya29.") and answer["expireTime"]
    accounts = f"/v1/projects/{PROJECT}/serviceAccounts"
    status, account = cloud.call("POST", accounts, {"accountId": "landlord", "serviceAccount": {"displayName": "L"}})
    assert status == 200 and account["email"] == f"landlord@{PROJECT}.iam.gserviceaccount.com"
    assert impersonate(cloud, account["email"], landlord)[0] == 403
    policy = cloud.call("POST", f"{accounts}/{account['email']}:getIamPolicy")[1]
    member = "serviceAccount:cloudsim@landlord-home.iam.gserviceaccount.com"
    policy["bindings"] = [{"role": "roles/iam.serviceAccountTokenCreator", "members": [member]}]
    assert cloud.call("POST", f"{accounts}/{account['email']}:setIamPolicy", {"policy": policy})[0] == 200
    status, answer = impersonate(cloud, account["email"], landlord)
    assert status == 200
    zones = f"/dns/v1/projects/{PROJECT}/managedZones"
    assert cloud.call("GET", zones, token=answer["accessToken"])[0] == 403, "a known account has only what is granted"
    project = f"/v3/projects/{PROJECT}"
    stale = cloud.call("POST", f"{project}:getIamPolicy", {})[1]
    grant = {"role": "roles/dns.admin", "members": [f"serviceAccount:{account['email']}"]}
    fresh = {**stale, "bindings": stale["bindings"] + [grant]}
    assert cloud.call("POST", f"{project}:setIamPolicy", {"policy": fresh})[0] == 200
    assert cloud.call("GET", zones, token=answer["accessToken"])[0] == 200
    clusters = f"/v1/projects/{PROJECT}/locations/-/clusters"
    assert cloud.call("GET", clusters, token=answer["accessToken"])[0] == 403
    status, body = cloud.call("POST", f"{project}:setIamPolicy", {"policy": stale})
    assert (status, body["error"]["errors"][0]["reason"]) == (409, "aborted")
    assert cloud.call("DELETE", f"{accounts}/{account['email']}")[0] == 200
    assert cloud.call("GET", f"{accounts}/{account['email']}")[0] == 404
