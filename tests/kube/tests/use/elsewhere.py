"""elsewhere.py SOCKET DOMAIN OTHER_DOMAIN: asks for another customer's chat at the Gateway that serves chat.DOMAIN.

Prints what became of it as JSON: a list of [WHAT, OUTCOME]. An outcome is `open`, which none may be, or what refused it.
"""

import http.client
import json
import ssl
import sys

import web

OTHER = f"chat.{sys.argv[3]}"


def asked(server_name):
    """Asks for the other's chat; `server_name` is what the handshake names."""
    context = ssl.create_default_context(cadata=web.root())
    connection = http.client.HTTPSConnection(OTHER)
    try:
        connection.sock = context.wrap_socket(web.tunnel(f"{web.resolve(web.HOST)}:443"), server_hostname=server_name)
        connection.request("GET", "/health")
        answer = connection.getresponse()
    except OSError as error:
        return f"the Gateway ends the handshake: {error}"
    return "open" if answer.status < 300 else f"the Gateway answers {answer.status}"


def main():
    print(json.dumps([
        ["its chat's name at the neighbour's Gateway", asked(OTHER)],
        ["its chat's name at the neighbour's Gateway, within a handshake for the neighbour's name", asked(web.HOST)],
    ]))


if __name__ == "__main__":
    main()
