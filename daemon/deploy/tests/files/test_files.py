"""The file server itself, with the configuration that its chart writes: what its accounts see, how much they may put, and who is
locked out. CONFIG is that configuration; the program is this Python's copyparty."""

import base64
import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

CONFIG = os.environ["CONFIG"]
ACCOUNTS = "[accounts]\n  acme: customer-secret\n  documents: documents-secret\n  landlord-probe: probe-secret\n"
PASSWORDS = {"acme": "customer-secret", "documents": "documents-secret", "landlord-probe": "probe-secret"}
# Enough for a machine that compiles meanwhile.
PATIENCE_SECONDS = 60


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """On this machine: other ports and folders, a quota of one MiB instead of as many GiB, and no SFTP."""

    def __init__(self, folder):
        self.port = free_port()
        for name in ("data", "probe", "state"):
            (folder / name).mkdir()
        text = CONFIG
        changes = {
            "i: 0.0.0.0": "i: 127.0.0.1", "p: 8080": f"p: {self.port}", "vmaxb: 10g": "vmaxb: 1m",
            "hist: /state/hist": f"hist: {folder}/state", "/data": f"{folder}/data", "/probe": f"{folder}/probe",
            # The Gateway connects from within the cluster, and here from this machine.
            "xff-src: (.*)": r"xff-src: 127.0.0.0/8, \1", "sftp.*": "",
        }
        for old, new in changes.items():
            text, count = re.subn(rf"(?m)^( *){old}$", lambda line, new=new: line[1] + line.expand(new), text)
            if count == 0:
                raise AssertionError(f"{old!r} is not in the configuration: {text}")
        config = folder / "copyparty.conf"
        config.write_text(text + "\n" + ACCOUNTS)
        self.log = open(folder / "log", "w+", encoding="utf-8")
        # A home of its own: nothing is read of whoever runs this.
        environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "TMPDIR": str(folder)}
        command = [sys.executable, "-m", "copyparty", "-c", str(config)]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment, cwd=folder)
        started = time.monotonic()
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() - started > PATIENCE_SECONDS or self.process.poll() is not None:
                    self.stop()
                    raise AssertionError(pathlib.Path(folder / "log").read_text()) from None
                time.sleep(0.1)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def ask(self, method, path, user, password=None, body=None, client="198.51.100.1", forged=""):
        """Status and text; by the Gateway, which appends `client`'s address to whatever it wrote itself."""
        account = base64.b64encode(f"{user}:{password or PASSWORDS[user]}".encode()).decode()
        headers = {"Authorization": f"Basic {account}", "Depth": "1", "X-Forwarded-Proto": "https"}
        headers["X-Forwarded-For"] = ", ".join(filter(None, [forged, client]))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (BrokenPipeError, ConnectionResetError):
            # It answers and ends before all of a body was sent that it does not take.
            return 0, "ended"
        finally:
            connection.close()


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # It takes seconds to start: one for all.
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.server = Server(pathlib.Path(folder.name))
        cls.addClassCleanup(cls.server.stop)

    def test_a_customer_puts_no_more_than_was_ordered(self):
        ask = self.server.ask
        # It counts what was put in a thread of its own, moments later: until then more may be taken.
        started, put = time.monotonic(), []
        while True:
            name = f"{len(put)}.bin"
            status, why = ask("PUT", f"/{name}", "acme", body=os.urandom(600_000))
            if status != 201:
                break
            put.append(name)
            self.assertLess(time.monotonic() - started, PATIENCE_SECONDS, "whatever is put is taken")
            time.sleep(0.5)
        self.assertGreater(len(put), 0, f"nothing is taken: {status} {why}")
        self.assertNotIn(name, ask("PROPFIND", "/", "acme")[1])
        # What is deleted makes room, moments later, too.
        for name in put:
            self.assertEqual(ask("DELETE", f"/{name}", "acme")[0], 200)
        started = time.monotonic()
        while ask("PUT", "/again.bin", "acme", body=os.urandom(600_000))[0] != 201:
            self.assertLess(time.monotonic() - started, PATIENCE_SECONDS, "what was deleted makes no room")
            time.sleep(0.5)

    def test_accounts_see_their_own(self):
        ask = self.server.ask
        self.assertEqual(ask("PUT", "/a.txt", "acme", body=b"theirs")[0], 201)
        self.assertEqual(ask("PUT", "/landlord-probe/p.txt", "landlord-probe", body=b"probe")[0], 201)
        self.assertNotIn("landlord-probe", ask("PROPFIND", "/", "acme")[1])
        self.assertNotEqual(ask("GET", "/landlord-probe/p.txt", "acme")[1], "probe")
        self.assertNotIn("a.txt", ask("PROPFIND", "/", "landlord-probe")[1])
        self.assertNotEqual(ask("GET", "/a.txt", "landlord-probe")[1], "theirs")
        self.assertEqual(ask("GET", "/a.txt", "documents"), (200, "theirs"))
        self.assertNotIn(ask("PUT", "/c.txt", "documents", body=b"c")[0], range(200, 300))
        self.assertNotIn(ask("PUT", "/landlord-probe/big", "landlord-probe", body=bytes(17 << 20))[0], range(200, 300))

    def test_who_guesses_is_locked_out_and_nobody_in_whose_name_it_does(self):
        ask, guesser, victim = self.server.ask, "203.0.113.66", "203.0.113.77"
        self.assertEqual(ask("PROPFIND", "/", "acme", client=victim)[0], 207)
        for guess in range(12):
            status = ask("PROPFIND", "/", "acme", password=f"guess {guess}", client=guesser, forged=victim)[0]
        self.assertEqual(status, 403, "a guesser goes on")
        self.assertEqual(ask("PROPFIND", "/", "acme", client=guesser)[0], 403, "even with the right one, for a day")
        self.assertEqual(ask("PROPFIND", "/", "acme", client=victim)[0], 207)


if __name__ == "__main__":
    unittest.main()
