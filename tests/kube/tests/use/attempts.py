"""attempts.py TARGETS: tries to reach what is not its own, from wherever it runs: a neighbour's pod, by `kubectl exec`.

TARGETS is JSON: a list of [WHAT, HOST, PORT]. Prints what became of each as JSON: a list of [WHAT, OUTCOME]. An outcome is
`open`, which none may be, or what refused it.
"""

import json
import socket
import sys

# An engine that drops lets a connection wait; one that is let in has answered within milliseconds.
PATIENCE_SECONDS = 3


def attempt(host, port):
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        return f"no such name: {error}"
    try:
        socket.create_connection((address, port), PATIENCE_SECONDS).close()
    except TimeoutError:
        return f"{address} does not answer"
    except OSError as error:
        return f"{address}: {error}"
    return "open"


def main():
    print(json.dumps([[what, attempt(host, port)] for what, host, port in json.loads(sys.argv[1])]))


if __name__ == "__main__":
    main()
