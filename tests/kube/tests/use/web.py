"""web.py SOCKET DOMAIN ADDRESS: what a customer's browser does: opens https://chat.DOMAIN, signs in and asks.

The machine reaches the node's network only by HTTP CONNECT over SOCKET; ADDRESS is what the name leads to. Who vouches for
the certificate is asked of the ACME server itself (ROOT: address and path), as a browser knows the authorities. Accounts
come by the environment: CHAT_EMAIL, CHAT_PASSWORD. Prints what was seen as JSON.
"""

import http.client
import json
import os
import socket
import ssl
import sys
import time

SOCKET, DOMAIN, ADDRESS = sys.argv[1:4]
HOST = f"chat.{DOMAIN}"
SENTENCE_FACTS = ("Tromso", "7431")
PATIENCE_SECONDS = 300
ACME = ("10.255.0.1:15000", "/roots/0")


def tunnel(target):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(SOCKET)
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(1)
        if not part:
            sys.exit(f"{target} is not reached: {answer.decode()}")
        answer += part
    if b" 200 " not in answer.split(b"\r\n")[0]:
        sys.exit(f"{target} is not reached: {answer.decode()}")
    return connection


def root():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address, path = ACME
    with context.wrap_socket(tunnel(address)) as stream:
        stream.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        text = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    return text.split("\r\n\r\n", 1)[1]


class Web(http.client.HTTPSConnection):
    def __init__(self, context):
        super().__init__(HOST, context=context)
        self.checked = context

    def connect(self):
        self.sock = self.checked.wrap_socket(tunnel(f"{ADDRESS}:443"), server_hostname=HOST)


def call(context, method, path, token=None, body=None):
    web = Web(context)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    web.request(method, path, None if body is None else json.dumps(body), headers)
    answer = web.getresponse()
    text = answer.read().decode()
    if answer.status >= 300:
        sys.exit(f"{method} https://{HOST}{path}: {answer.status} {text[:300]}")
    return json.loads(text)


def main():
    started = time.monotonic()
    context = ssl.create_default_context(cadata=root())
    with context.wrap_socket(tunnel(f"{ADDRESS}:443"), server_hostname=HOST) as stream:
        certificate = stream.getpeercert()
    token = call(context, "POST", "/api/v1/auths/signin",
                 body={"email": os.environ["CHAT_EMAIL"], "password": os.environ["CHAT_PASSWORD"]})["token"]
    call(context, "GET", "/api/models", token)
    question = {"role": "user", "content": "Copy the sentence about the Blue Heron warehouse."}
    answer = call(context, "POST", "/api/chat/completions", token,
                  {"model": "files", "stream": False, "temperature": 0, "max_tokens": 48, "messages": [question]})
    sources = [name["name"] for source in answer.get("sources") or [] for name in source.get("metadata") or []]
    told = {
        "url": f"https://{HOST}", "address": ADDRESS, "answer": answer["choices"][0]["message"]["content"], "sources": sources,
        "issuer": dict(part[0] for part in certificate["issuer"]).get("commonName"), "until": certificate["notAfter"],
        "names": [name for _, name in certificate["subjectAltName"]], "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(told))
    if "door.txt" not in sources or not any(fact in told["answer"] for fact in SENTENCE_FACTS):
        sys.exit(f"the answer is not from the file: {json.dumps(told)}")


if __name__ == "__main__":
    main()
