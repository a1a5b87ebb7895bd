"""root.py SOCKET FILE: writes what vouches for the certificates of a node's ACME server, once that server answers.

The machine reaches the node's network only by HTTP CONNECT over SOCKET.
"""

import os
import socket
import ssl
import sys

ACME = ("10.255.0.1:15000", "/roots/0")
PATIENCE_SECONDS = 30


def main():
    path, file = sys.argv[1:3]
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_SECONDS)
    connection.connect(path)
    address, wanted = ACME
    connection.sendall(f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(1)
        if not part:
            sys.exit(f"{address} is not reached: {answer.decode()}")
        answer += part
    context = ssl.create_default_context()
    # Who vouches for the server that is asked who vouches is of no matter here.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connection) as stream:
        stream.sendall(f"GET {wanted} HTTP/1.0\r\n\r\n".encode())
        text = b"".join(iter(lambda: stream.recv(65536), b"")).decode()
    root = text.split("\r\n\r\n", 1)[1]
    if "BEGIN CERTIFICATE" not in root:
        sys.exit(f"{address} has no root: {text[:200]}")
    with open(file + ".new", "w", encoding="utf-8") as output:
        output.write(root)
    os.replace(file + ".new", file)


if __name__ == "__main__":
    main()
