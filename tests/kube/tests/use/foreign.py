"""foreign.py SOCKET DOMAIN: uses the accounts of another customer at DOMAIN's public addresses.

Accounts come by the environment: FILES_USER, FILES_PASSWORD, CHAT_EMAIL, CHAT_PASSWORD. Prints what became of each attempt as
JSON: a list of [WHAT, OUTCOME]. An outcome is `open`, which none may be, or what refused it.
"""

import base64
import http.client
import json
import os
import ssl

import paramiko

import web

# Of nobody (RFC 5737): what a wrong password is sent in the name of, and what the file server must not take its client for.
VICTIM = "203.0.113.77"


def by_chat():
    connection = web.Web(ssl.create_default_context(cadata=web.root()))
    account = {"email": os.environ["CHAT_EMAIL"], "password": os.environ["CHAT_PASSWORD"]}
    connection.request("POST", "/api/v1/auths/signin", json.dumps(account), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return "open" if answer.status < 300 else f"the chatbot answers {answer.status}"


def listing(user, password, more):
    host = f"webdav.{web.DOMAIN}"
    context = ssl.create_default_context(cadata=web.root())
    connection = http.client.HTTPSConnection(host)
    connection.sock = context.wrap_socket(web.tunnel(f"{web.resolve(host)}:443"), server_hostname=host)
    account = base64.b64encode(f"{user}:{password}".encode()).decode()
    connection.request("PROPFIND", "/", headers={"Authorization": f"Basic {account}", "Depth": "1", **more})
    return connection.getresponse()


def by_webdav():
    answer = listing(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"], {})
    listed = answer.read().decode()
    # Whoever is nobody there may learn that it is empty for him.
    return "open" if answer.status < 300 and "door.txt" in listed else f"the file server answers {answer.status}"


def in_anothers_name():
    """A wrong password that shall count as another client's, who would be locked out after a few of them."""
    answer = listing("landlord-probe", "a wrong one", {"X-Forwarded-For": f"{VICTIM}, {VICTIM}"})
    return "open" if answer.status < 300 else f"the file server answers {answer.status}"


def by_sftp():
    transport = paramiko.Transport(web.tunnel(f"{web.resolve(web.SFTP_HOST)}:22"))
    try:
        transport.connect(username=os.environ["FILES_USER"], password=os.environ["FILES_PASSWORD"])
    except paramiko.AuthenticationException:
        return "the file server refuses the account"
    finally:
        transport.close()
    return "open"


def main():
    print(json.dumps([
        ["its chat, by its public name through the Gateway", by_chat()],
        ["its files, by WebDAV through the Gateway", by_webdav()],
        [f"its files, with a wrong password in the name of {VICTIM}", in_anothers_name()],
        ["its files, by SFTP at its public name", by_sftp()],
    ]))


if __name__ == "__main__":
    main()
