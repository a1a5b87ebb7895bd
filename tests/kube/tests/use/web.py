"""web.py SOCKET DOMAIN [put]: what a customer's browser does: opens https://chat.DOMAIN, signs in and asks.
With `put` it puts the file by SFTP at sftp.DOMAIN before (FILES_USER, FILES_PASSWORD), and waits until the chatbot knows it.

The machine reaches the node's network only by HTTP CONNECT over SOCKET. Names are asked of the node's resolver, which asks
the cloud's zones. Who vouches for the certificate is asked of the ACME server itself, as a browser knows the authorities,
and written to ROOT_FILE. Accounts come by the environment: CHAT_EMAIL, CHAT_PASSWORD. Prints what was seen as JSON.
"""

import http.client
import io
import json
import os
import socket
import ssl
import struct
import sys
import time

SOCKET, DOMAIN = sys.argv[1:3]
PUT = sys.argv[3:] == ["put"]
SENTENCE = "The secret door code of the Blue Heron warehouse in Tromso is 7431."
QUESTION = "Copy the sentence about the Blue Heron warehouse."
HOST, SFTP_HOST = f"chat.{DOMAIN}", f"sftp.{DOMAIN}"
SENTENCE_FACTS = ("Tromso", "7431")
PATIENCE_SECONDS = 300
ACME = ("10.255.0.1:15000", "/roots/0")
RESOLVER = "10.255.0.1:53"
A, CNAME = 1, 5


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


def exactly(stream, size):
    data = b""
    while len(data) < size:
        part = stream.recv(size - len(data))
        if not part:
            sys.exit("the resolver ended in the middle of an answer")
        data += part
    return data


def read_name(message, at):
    """The name there and where it ends; a pointer leads to the rest."""
    labels = []
    while (length := message[at]) != 0:
        if length >= 0xC0:
            rest, _ = read_name(message, struct.unpack_from("!H", message, at)[0] & 0x3FFF)
            return ".".join([*labels, rest]), at + 2
        labels.append(message[at + 1:at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


def resolve(name):
    """The first address of a name, over TCP: RFC 1035, section 4."""
    asked = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    message = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + asked + struct.pack("!2H", A, 1)
    with tunnel(RESOLVER) as stream:
        stream.sendall(struct.pack("!H", len(message)) + message)
        answer = exactly(stream, struct.unpack("!H", exactly(stream, 2))[0])
    count, at = struct.unpack_from("!H", answer, 6)[0], 12 + len(asked) + 4
    elsewhere = None
    for _ in range(count):
        _, at = read_name(answer, at)
        kind, _, _, size = struct.unpack_from("!HHIH", answer, at)
        at += 10
        if kind == A:
            return socket.inet_ntoa(answer[at:at + 4])
        if kind == CNAME:
            elsewhere = read_name(answer, at)[0]
        at += size
    return resolve(elsewhere) if elsewhere else sys.exit(f"{name} has no address: code {answer[3] & 15}")


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
        self.sock = self.checked.wrap_socket(tunnel(f"{resolve(HOST)}:443"), server_hostname=HOST)


def call(context, method, path, token=None, body=None):
    web = Web(context)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    web.request(method, path, None if body is None else json.dumps(body), headers)
    answer = web.getresponse()
    text = answer.read().decode()
    if answer.status >= 300:
        sys.exit(f"{method} https://{HOST}{path}: {answer.status} {text[:300]}")
    return json.loads(text)


def put():
    # Not needed by those who only ask.
    import paramiko

    transport = paramiko.Transport(tunnel(f"{resolve(SFTP_HOST)}:22"))
    try:
        transport.connect(username=os.environ["FILES_USER"], password=os.environ["FILES_PASSWORD"])
        paramiko.SFTPClient.from_transport(transport).putfo(io.BytesIO(SENTENCE.encode() + b"\n"), "door.txt")
    finally:
        transport.close()


def until_known(context, token):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for base in call(context, "GET", "/api/v1/knowledge/", token)["items"]:
            # Others' files, such as those of the daemon's checks, are not it.
            known = call(context, "GET", f"/api/v1/knowledge/{base['id']}/files", token)["items"]
            if any("door.txt" in json.dumps(file) for file in known):
                return
        time.sleep(1)
    sys.exit("the chatbot does not know the file")


def main():
    started = time.monotonic()
    authority = root()
    if "ROOT_FILE" in os.environ:
        with open(os.environ["ROOT_FILE"], "w", encoding="utf-8") as file:
            file.write(authority)
    context = ssl.create_default_context(cadata=authority)
    address, sftp_address = resolve(HOST), resolve(SFTP_HOST)
    if PUT:
        put()
    with context.wrap_socket(tunnel(f"{address}:443"), server_hostname=HOST) as stream:
        certificate = stream.getpeercert()
    token = call(context, "POST", "/api/v1/auths/signin",
                 body={"email": os.environ["CHAT_EMAIL"], "password": os.environ["CHAT_PASSWORD"]})["token"]
    if PUT:
        until_known(context, token)
    call(context, "GET", "/api/models", token)
    question = {"role": "user", "content": QUESTION}
    answer = call(context, "POST", "/api/chat/completions", token,
                  {"model": "files", "stream": False, "temperature": 0, "max_tokens": 48, "messages": [question]})
    sources = [name["name"] for source in answer.get("sources") or [] for name in source.get("metadata") or []]
    told = {
        "url": f"https://{HOST}", "address": address, "sftp_address": sftp_address, "question": QUESTION,
        "answer": answer["choices"][0]["message"]["content"], "sources": sources,
        "issuer": dict(part[0] for part in certificate["issuer"]).get("commonName"), "until": certificate["notAfter"],
        "names": [name for _, name in certificate["subjectAltName"]], "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(told))
    if "door.txt" not in sources or not any(fact in told["answer"] for fact in SENTENCE_FACTS):
        sys.exit(f"the answer is not from the file: {json.dumps(told)}")


if __name__ == "__main__":
    main()
