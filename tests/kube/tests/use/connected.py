"""connected.py SOCKET DOMAIN: stays signed in to the chatbot at DOMAIN while its password is given a new value.

Accounts come by the environment: CHAT_EMAIL, CHAT_PASSWORD; SECRET is a command, JSON, that prints the Secret with `admin-password`, and
with `admin-password.next` while the new value waits for the chatbot to take it. Prints a line when it is signed in, goes on until its
input ends, and then prints what was seen as JSON. Ends with an error if at any moment neither the old nor the new password was taken, or if
a session ended more often than with the password that it began with: Open WebUI ends an account's sessions when its password changes
(`is_valid_token` in its utils/auth.py, 0.12), and whoever is connected signs in again. A chatbot that restarts takes nobody's for a while,
which is no refusal.
"""

import base64
import json
import os
import ssl
import subprocess
import sys
import threading
import time

import web

# The chatbot takes 15 sign-ins of an account in 3 minutes.
SIGN_IN_SECONDS = 6
SESSION_SECONDS = 0.5
OLD = os.environ["CHAT_PASSWORD"]
STARTED = time.monotonic()


def call(context, method, path, token=None, body=None):
    """The status, and the response as JSON; 0: there is none."""
    try:
        client = web.Web(context)
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        client.request(method, path, None if body is None else json.dumps(body), headers)
        answer = client.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    except (OSError, ValueError, SystemExit):
        return 0, None


def sign_in(context, password):
    """`taken`, `refused` or `away`."""
    account = {"email": os.environ["CHAT_EMAIL"], "password": password}
    status, answer = call(context, "POST", "/api/v1/auths/signin", body=account)
    if status == 200:
        return "taken", answer["token"]
    return ("refused" if status in (400, 401, 403) else "away"), None


def known():
    """The passwords that the Secret has now."""
    data = json.loads(subprocess.run(json.loads(os.environ["SECRET"]), check=True, capture_output=True).stdout)["data"]
    return [base64.b64decode(data[key]).decode() for key in ("admin-password", "admin-password.next") if key in data]


def either(context):
    """As `sign_in`, with whichever of the passwords that are known is taken; `away` if one of them is neither taken nor refused."""
    seen = [sign_in(context, password) for password in dict.fromkeys([OLD, *known()])]
    return next((found for wanted in ("taken", "away") for found in seen if found[0] == wanted), ("refused", None))


def main():
    context = ssl.create_default_context(cadata=web.root())
    outcome, token = sign_in(context, OLD)
    if outcome != "taken":
        sys.exit(f"the password of before is {outcome}")
    print("connected", flush=True)
    ends = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
    session, old, refused_after, tried, ended = {}, {}, None, time.monotonic(), 0
    while not ends.is_set():
        status, _ = call(context, "GET", "/api/v1/auths/", token)
        seen = "ok" if status == 200 else "refused" if status in (401, 403) else "away"
        session[seen] = session.get(seen, 0) + 1
        if seen == "refused" and time.monotonic() - tried > SIGN_IN_SECONDS:
            tried = time.monotonic()
            outcome, again = either(context)
            if outcome == "refused":
                sys.exit("who was connected can't sign in again with any password")
            token, ended = again or token, ended + (again is not None)
        elif refused_after is None and time.monotonic() - tried > SIGN_IN_SECONDS:
            tried = time.monotonic()
            outcome, _ = sign_in(context, OLD)
            old[outcome] = old.get(outcome, 0) + 1
            if outcome == "refused":
                refused_after = round(time.monotonic() - STARTED, 1)
                # The Secret is read after the refusal: what the chatbot takes now stands in it.
                if either(context)[0] == "refused":
                    sys.exit("neither the old nor the new password is taken")
        time.sleep(SESSION_SECONDS)
    new = known()
    seen = {
        "session": session, "sessions_ended": ended, "old": old, "old_refused_after": refused_after, "seconds": round(time.monotonic() - STARTED, 1),
        "new_at_the_end": sign_in(context, new[0])[0], "old_at_the_end": sign_in(context, OLD)[0], "keys": len(new),
    }
    print(json.dumps(seen))
    if ended > 1 or seen["new_at_the_end"] != "taken" or seen["old_at_the_end"] != "refused" or len(new) != 1:
        sys.exit(f"a rotation cost somebody the connection: {json.dumps(seen)}")


if __name__ == "__main__":
    main()
