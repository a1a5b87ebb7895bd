"""The chatbot's document sync against servers that answer as a WebDAV file server and Open WebUI do."""

import http.server
import importlib.util
import json
import os
import pathlib
import tempfile
import threading
import time
import unittest
import unittest.mock
import urllib.error
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

STACKS = pathlib.Path(__file__).parents[4] / "config/stacks"
PROGRAM = STACKS / "ai-fileserver-pg/charts/chat/files/documents.py"
SAME_PROGRAM = STACKS / "ai-fileserver/charts/open-webui/files/documents.py"
PROBES = "/landlord-probe"


class Server(http.server.BaseHTTPRequestHandler):
    disable_nagle_algorithm = True
    files = {}      # path -> (content, version)
    uploads = {}    # id -> content
    failing = {}    # id -> why its processing fails
    knowledge = {}  # id -> {name, access_grants, files}
    models = {}
    users = {}      # id -> {email, groups, and of those who sign in password and role}
    refuse = set()
    calls = []
    added = 0
    marks = {}      # id -> what an upload carries beside its content
    hanging = set() # ids whose processing never ends
    asked = set()   # ids whose processing was asked for
    losing = set()  # calls whose answer is lost after they had their effect
    breaking = {}   # call -> status, without an effect
    tags = set()    # models that the LLM service has
    room = None     # bytes that may still be put; None: it does not say
    signed_in_times = 0
    token = "admin"

    def log_message(self, *_):
        pass

    def parse_request(self):
        """Calls that are broken on purpose have no effect."""
        if not super().parse_request():
            return False
        call = f"{self.command} {urllib.parse.urlparse(self.path).path}"
        if call in Server.breaking:
            self.body()
            self.answer({"detail": "broken"}, Server.breaking[call])
            return False
        return True

    def answer(self, value, code=200):
        if f"{self.command} {urllib.parse.urlparse(self.path).path}" in Server.losing:
            self.close_connection = True
            return
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def signed_in(self):
        return self.headers["Authorization"] == "Basic YWNtZTpwdw=="

    def do_PROPFIND(self):
        self.body()
        if not self.signed_in():
            return self.answer({}, 401)
        folder = urllib.parse.unquote(self.path).rstrip("/")
        items = [f"<D:response><D:href>{urllib.parse.quote(folder)}/</D:href><D:collection/></D:response>"]
        found = {}
        for path, (content, version) in Server.files.items():
            rest = path.removeprefix(folder + "/")
            if rest != path:
                name = rest.split("/")[0]
                size = f"<D:getcontentlength>{len(content)}</D:getcontentlength><D:getlastmodified>{version}</D:getlastmodified>"
                found[f"{folder}/{name}"] = size if name == rest else "<D:collection/>"
        if Server.room is not None:
            items.append(f"<D:quota-available-bytes>{Server.room}</D:quota-available-bytes>")
        items += [f"<D:response><D:href>{escape(urllib.parse.quote(path))}</D:href>{kind}</D:response>" for path, kind in found.items()]
        self.answer(f'<D:multistatus xmlns:D="DAV:">{"".join(items)}</D:multistatus>'.encode(), 207)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query, path = urllib.parse.parse_qs(url.query), url.path
        if path == "/health/db":
            return self.answer({"status": True})
        if path == "/api/tags":
            return self.answer({"models": [{"name": name} for name in sorted(Server.tags)]})
        if not path.startswith("/api/"):
            content = Server.files.get(urllib.parse.unquote(path))
            return self.answer(content[0] if content else {}, 200 if content else 404)
        first = query.get("page", ["1"]) == ["1"]
        if path == "/api/v1/knowledge/":
            items = [{"id": i, "name": k["name"]} for i, k in Server.knowledge.items()]
            return self.answer({"items": items if first else []})
        if path.startswith("/api/v1/knowledge/"):
            files = Server.knowledge[path.split("/")[4]]["files"]
            return self.answer({"items": [{"id": i} for i in sorted(files)] if first else []})
        if path == "/api/v1/files/":
            items = [{"id": i, "meta": {"data": Server.marks.get(i)}} for i in Server.uploads]
            return self.answer({"items": items if first else []})
        if path.endswith("/process/status"):
            file_id = path.split("/")[4]
            Server.asked.add(file_id)
            if file_id not in Server.uploads:
                return self.answer({}, 404)
            if file_id in Server.hanging:
                return self.answer({"status": "processing"})
            why = Server.failing.get(file_id)
            return self.answer({"status": "failed", "error": why} if why else {"status": "completed"})
        if path == "/api/v1/groups/":
            return self.answer([{"id": "g1", "name": "Everybody"}] if "g1" in Server.models.get("groups", ()) else [])
        if path == "/api/v1/users/":
            users = [{"id": i, "email": u["email"], "group_ids": sorted(u["groups"])} for i, u in Server.users.items()]
            return self.answer({"users": users if first else []})
        if path == "/api/v1/users/search":
            users = [{"id": i, "email": u["email"]} for i, u in Server.users.items()]
            return self.answer({"users": users})
        if path == "/api/v1/models/model":
            found = query["id"][0] in Server.models
            return self.answer({}, 200 if found else 404)
        return self.answer({}, 500)

    def do_DELETE(self):
        Server.calls.append(f"DELETE {self.path}")
        known = Server.uploads.pop(self.path.split("/")[4], None)
        self.answer({}, 200 if known else 404)

    def do_POST(self):
        body, path = self.body(), urllib.parse.urlparse(self.path).path
        if path == "/api/v1/auths/signin":
            Server.signed_in_times += 1
            value = json.loads(body)
            found = [user for user in Server.users.values() if user["email"] == value["email"]]
            if not found or found[0].get("password") != value["password"]:
                return self.answer({"detail": "wrong password"}, 400)
            return self.answer({"token": Server.token, "role": found[0]["role"]})
        if self.headers["Authorization"] != f"Bearer {Server.token}":
            return self.answer({}, 401)
        Server.calls.append(f"POST {path}")
        if path == "/api/v1/files/":
            return self.upload(body)
        value = json.loads(body)
        if path == "/api/v1/groups/create":
            Server.models["groups"] = ["g1"]
            return self.answer({"id": "g1"})
        if path == "/api/v1/groups/id/g1/users/add":
            for user in value["user_ids"]:
                Server.users[user]["groups"].add("g1")
            return self.answer({"id": "g1"})
        if path == "/api/v1/auths/add":
            identity = value["email"].split("@")[0]
            Server.users[identity] = {**value, "groups": set()}
            return self.answer({"id": identity})
        if path.startswith("/api/v1/users/") and path.endswith("/update"):
            Server.users[path.split("/")[4]].update(value)
            return self.answer({})
        if path == "/api/v1/knowledge/create":
            identity = f"k{len(Server.knowledge) + 1}"
            Server.knowledge[identity] = {**value, "files": set()}
            return self.answer({"id": identity})
        if path == "/api/v1/models/create":
            Server.models[value["id"]] = value
            return self.answer(value)
        knowledge, file_id = Server.knowledge[path.split("/")[4]], value["file_id"]
        if path.endswith("/file/add"):
            if any(Server.uploads[i] == Server.uploads[file_id] for i in knowledge["files"] - {file_id}):
                return self.answer({"detail": "Duplicate content detected"}, 400)
            knowledge["files"].add(file_id)
        elif file_id not in knowledge["files"]:
            return self.answer({"detail": "not found"}, 400)
        else:
            knowledge["files"].discard(file_id)
        return self.answer({})

    def upload(self, body):
        boundary = self.headers["Content-Type"].split("boundary=")[1].encode()
        parts = [part.partition(b"\r\n\r\n") for part in body.split(b"--" + boundary)[1:-1]]
        fields = {head.split(b'name="')[1].split(b'"')[0].decode(): (head, content[:-2]) for head, _, content in parts}
        head, content = fields["file"]
        name = head.split(b'filename="')[1].split(b'"')[0].decode()
        Server.added += 1
        file_id = f"f{Server.added}"
        Server.uploads[file_id] = content
        Server.marks[file_id] = json.loads(fields["metadata"][1])
        # Its upload answers before it is processed.
        if name in Server.refuse:
            Server.failing[file_id] = "can't be read"
        return self.answer({"id": file_id})


class Sync(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        url = f"http://127.0.0.1:{self.server.server_port}"
        os.environ.update(
            FILES_URL=url, CHAT_URL=url, FILES_USER="acme", FILES_PASSWORD="pw", CHAT_EMAIL="docs@b", CHAT_PASSWORD="own",
            OWNER_EMAIL="a@b", OWNER_PASSWORD="pw", OWNER_SECRET="chat, key admin-password",
            CHAT_MODEL="m:1", STATE_FILE=folder.name + "/s.json", INTERVAL_SECONDS="0", FILE_BYTES_MAX="100",
            TOTAL_BYTES_MAX="150", TOKENS_MAX="48", METRICS_PORT="0", SUFFIXES=".txt,.pdf", no_proxy="127.0.0.1",
            PROBE_FOLDER=PROBES, PROBE_EMAIL="probe@b", PROBE_PASSWORD="pw",
        )
        Server.files, Server.uploads, Server.failing, Server.knowledge = {}, {}, {}, {}
        Server.models, Server.refuse, Server.calls, Server.added = {}, set(), [], 0
        Server.marks, Server.hanging, Server.losing, Server.breaking = {}, set(), set(), {}
        Server.signed_in_times, Server.token, Server.asked = 0, "admin", set()
        Server.tags, Server.room = {"m:1", "embeds:latest"}, 1 << 30
        Server.users = {"admin": {"email": "a@b", "groups": set(), "password": "pw", "role": "admin"}}
        spec = importlib.util.spec_from_file_location("documents", PROGRAM)
        self.program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.program)
        self.now = 1_800_000_000.0
        clock = unittest.mock.patch.object(self.program, "time", unittest.mock.Mock(wraps=self.program.time))
        self.clock = clock.start()
        self.addCleanup(clock.stop)
        self.clock.time.side_effect = lambda: self.now
        self.clock.monotonic.side_effect = lambda: self.now
        self.clock.sleep.side_effect = self.passes
        # Nothing here survives the machine.
        durable = unittest.mock.patch.object(self.program.os, "fsync")
        durable.start()
        self.addCleanup(durable.stop)

    def passes(self, seconds):
        self.now += seconds

    def known(self, name="Files"):
        found = [k for k in Server.knowledge.values() if k["name"] == name]
        return sorted(Server.uploads[i].decode() for i in found[0]["files"])

    def test_the_program_of_both_stacks_is_one(self):
        self.assertEqual(PROGRAM.resolve(), SAME_PROGRAM.resolve())

    def test_what_an_answer_lacks_is_told(self):
        self.program.MODELS_URL, self.program.MODELS = os.environ["CHAT_URL"], ["m:1", "embeds"]
        self.assertIsNone(self.program.lacks())
        Server.room = None
        self.assertIsNone(self.program.lacks(), "a file server that does not say how much room there is")

        for broken, why in (
            ({"tags": {"m:1"}}, "the LLM service: the model embeds is missing"),
            ({"breaking": {"GET /api/tags": 500}}, "the LLM service: no answer: "),
            ({"room": 0}, "the file server: its volume is full"),
            ({"breaking": {"PROPFIND /": 503}}, "the file server: no answer: "),
            ({"breaking": {"GET /health/db": 503}}, "the chatbot: no answer: "),
        ):
            with self.subTest(why), unittest.mock.patch.multiple(Server, **broken):
                self.assertTrue(self.program.lacks().startswith(why), self.program.lacks())
        with unittest.mock.patch.object(self.program, "ROOM_BYTES_MIN", 1 << 60):
            self.assertEqual(self.program.lacks(), "the chatbot: its volume is full")
        self.program.MODELS_URL, Server.tags = "", set()
        self.assertIsNone(self.program.lacks(), "models that are somebody else's")

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.program.Metrics)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}{self.program.HEALTH_PATH}"
        with urllib.request.urlopen(url) as answer:
            self.assertEqual((answer.status, answer.read()), (200, b"ok\n"))
        self.program.HEALTH["lacks"] = "the file server: its volume is full"
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url)
        self.assertEqual((refused.exception.code, refused.exception.read()), (503, b"the file server: its volume is full\n"))
        refused.exception.close()

    def test_the_knowledge_follows_the_files(self):
        Server.files = {"/a.txt": (b"one", "1"), "/sub/deep/b.PDF": (b"two", "1"), "/c.exe": (b"no", "1"), "/big.txt": (b"x" * 101, "1"), "/empty.txt": (b"", "1")}
        self.assertEqual(self.program.sync(), 2)
        self.assertEqual(self.known(), ["one", "two"])
        self.assertEqual(Server.models["files"]["meta"]["knowledge"][0]["id"], "k1")
        self.assertEqual(Server.models["files"]["base_model_id"], "m:1")
        # Whoever may use a preset must be let in to the model below it.
        self.assertEqual(Server.models["m:1"]["access_grants"][0]["principal_id"], "*")

        Server.calls = []
        self.program.sync()
        self.assertEqual(Server.calls, [], "nothing changed, nothing was sent")

        Server.files["/a.txt"] = (b"three", "2")
        del Server.files["/sub/deep/b.PDF"]
        self.program.sync()
        self.assertEqual(self.known(), ["three"])
        self.assertEqual(list(Server.uploads.values()), [b"three"], "what is replaced or deleted leaves the disk")

    def test_a_refused_document_is_tried_again_at_growing_intervals(self):
        Server.files, Server.refuse = {"/a.txt": (b"bad", "1"), "/b.txt": (b"bad", "1")}, {"a.txt", "b.txt"}
        hours = []
        for hour in range(80):
            before = Server.added
            self.program.sync()
            hours += [hour] if Server.added > before else []
            self.assertEqual(Server.uploads, {}, "what is refused leaves the disk")
            self.passes(3600)
        self.assertEqual(hours, [0, 1, 3, 7, 15, 31, 55, 79])
        self.assertEqual(self.program.METRICS["refused"], 2)
        # Its model is back.
        Server.refuse = set()
        self.passes(24 * 3600)
        self.program.sync()
        self.assertEqual((self.known(), self.program.REFUSED), (["bad"], {}))

    def test_a_probe_that_is_known_after_one_that_was_not_has_the_refused_tried_again(self):
        Server.files = {"/a.txt": (b"theirs", "1"), f"{PROBES}/p.txt": (b"probe", "1")}
        Server.refuse = {"a.txt", "landlord-probe - p.txt"}
        sync, hurries = self.program.Sync(), self.program.HURRIES
        self.assertEqual((sync.probes(), sync.customer(), hurries.is_set()), (0, 0, False))
        Server.files = {"/a.txt": (b"theirs", "1"), f"{PROBES}/q.txt": (b"another", "1")}
        Server.refuse = set()
        self.assertEqual((sync.customer(), sync.probes(), hurries.is_set()), (0, 1, True))
        # A program that is killed now hurries all the same.
        sync = self.program.Sync()
        self.assertEqual((sync.customer(), sync.probes()), (1, 1))

    def test_a_hurry_begins_a_round_before_its_interval_is_over(self):
        Server.files, Server.refuse = {"/a.txt": (b"theirs", "1"), f"{PROBES}/p.txt": (b"probe", "1")}, {"a.txt", "landlord-probe - p.txt"}
        self.program.INTERVAL_SECONDS = 3600
        workers = self.program.workers()
        self.runs(60, workers)
        Server.files[f"{PROBES}/p.txt"], Server.refuse = (b"other", "2"), set()
        self.runs(60, workers)
        self.assertEqual((self.known("Probe"), self.known()), (["other"], ["theirs"]))

    def test_an_upload_whose_answer_is_lost_does_not_stay(self):
        Server.files, Server.losing = {"/a.txt": (b"one", "1")}, {"POST /api/v1/files/"}
        Server.uploads["theirs"] = b"by hand, in a chat"
        session = self.program.Sync()
        for _ in range(5):
            self.assertEqual(session.customer(), 0)
            self.assertLessEqual(len(Server.uploads), 2, "uploads grow without bound")
        # A program that was killed has no memory of it.
        Server.losing = set()
        self.assertEqual(self.program.sync(), 1)
        self.assertEqual(sorted(Server.uploads.values()), [b"by hand, in a chat", b"one"])

    def test_an_upload_that_was_not_linked_is_gone_on_from(self):
        for lost in (False, True):
            with self.subTest(lost=lost):
                name = f"/{lost}.txt"
                Server.files, added = {name: (name.encode(), "1")}, Server.added
                self.program.sync()
                Server.files[name] = (name.encode() * 2, "2")
                call = "POST /api/v1/knowledge/k1/file/add"
                Server.losing, Server.breaking = ({call}, {}) if lost else (set(), {call: 503})
                self.assertEqual(self.program.sync(), 0)
                self.assertEqual((self.program.METRICS["pending"], list(self.program.WAITING)), (1, [name]))
                # The program that goes on is another one.
                Server.losing, Server.breaking = set(), {}
                self.assertEqual(self.program.sync(), 1)
                self.assertEqual((self.known(), Server.added - added), ([name * 2], 2))
                self.assertEqual(len(Server.uploads), 1)

    def test_what_is_not_processed_in_time_leaves_the_disk_and_is_tried_again_like_a_refused_one(self):
        Server.files = {"/a.txt": (b"one", "1"), "/b.txt": (b"two", "1")}
        Server.hanging = {f"f{number}" for number in range(1, 100) if number != 2}
        self.assertEqual(self.program.sync(), 1)
        self.assertEqual(self.program.REFUSED, {"/a.txt": "not processed after 600 s"})
        self.assertEqual((self.program.METRICS["refused"], self.program.METRICS["pending"], self.program.WAITING), (1, 0, {}))
        self.assertEqual((self.known(), list(Server.uploads.values())), (["two"], [b"two"]))
        begin = self.now
        while self.now < begin + 24 * 3600:
            self.passes(1200)
            self.program.sync()
        self.assertEqual(Server.added, 2 + 4, "after 1, 2, 4, 8 hours")
        # It is another one now.
        Server.files["/a.txt"], Server.hanging = (b"smaller", "2"), set()
        self.assertEqual(self.program.sync(), 2)

    def test_a_program_that_is_killed_does_not_begin_anew_what_was_not_processed_in_time(self):
        deletes = self.program.give_back
        Server.hanging = {f"f{number}" for number in range(1, 10)}
        for is_deleted in (False, True):
            with self.subTest(is_deleted=is_deleted):
                name = f"/{is_deleted}.txt"
                Server.files = {name: (name.encode(), "1")}

                def killed(*arguments):
                    if is_deleted:
                        deletes(*arguments)
                    raise KeyboardInterrupt

                with unittest.mock.patch.object(self.program, "give_back", side_effect=killed):
                    with self.assertRaises(KeyboardInterrupt):
                        self.program.sync()
                added = Server.added
                for _ in range(2):
                    self.assertEqual((self.program.sync(), Server.added, Server.uploads), (0, added, {}))
                    self.assertEqual(self.program.REFUSED, {name: "not processed after 600 s"})

    def test_documents_that_are_late_in_a_row_end_the_round(self):
        Server.files = {f"/{name}.txt": (name.encode(), "1") for name in "abcde"}
        Server.hanging = {f"f{number}" for number in range(1, 4)}
        with self.assertRaises(OSError):
            self.program.sync()
        self.assertEqual((self.program.METRICS["refused"], self.program.METRICS["pending"]), (3, 2))
        self.assertEqual(self.program.sync(), 2)

    def test_a_probe_is_known_and_goes_while_a_document_is_waited_for(self):
        Server.files, Server.hanging = {"/a.txt": (b"theirs", "1")}, {"f1"}
        self.program.INTERVAL_SECONDS, self.program.PROBE_INTERVAL_SECONDS = 60, 1
        ends = threading.Event()
        # By the clock that two threads share.
        with unittest.mock.patch.object(self.program, "time", time):
            thread = threading.Thread(target=self.program.main, args=(ends,), daemon=True)
            thread.start()
            self.until(lambda: "f1" in Server.asked, "nobody waits for the document")
            Server.files = {**Server.files, f"{PROBES}/p.txt": (b"probe", "1")}
            self.until(lambda: self.known("Probe") == ["probe"], "the probe waits for the customer's document")
            Server.files = {"/a.txt": (b"theirs", "1")}
            self.until(lambda: self.known("Probe") == [], "the probe stays")
            self.assertEqual((self.known(), self.program.METRICS["pending"]), ([], 1))
            Server.hanging = set()
            self.until(lambda: self.known() == ["theirs"], "the document is not gone on with")
            self.until(lambda: "/a.txt" in self.program.load()["Files"]["documents"], "it is not noted")
            ends.set()
            thread.join(20)
        # Neither wrote over what the other keeps.
        self.assertEqual(set(self.program.load()), {"Files", "Probe"})

    def until(self, holds, otherwise):
        end = time.monotonic() + 20
        while True:
            try:
                if holds():
                    return
            except (IndexError, KeyError):
                # Its knowledge is not there yet.
                pass
            self.assertLess(time.monotonic(), end, otherwise)
            time.sleep(0.02)

    def test_an_account_of_its_own_survives_what_the_customer_does_to_the_owners(self):
        Server.files = {"/a.txt": (b"one", "1")}
        self.program.sync()
        self.assertEqual(Server.users["docs"]["role"], "admin")
        Server.users["admin"]["password"] = "the customer's"
        Server.files["/b.txt"] = (b"two", "1")
        self.assertEqual(self.program.sync(), 2)
        self.assertIsNone(self.program.SESSION["error"])

    def test_its_own_account_is_mended_by_the_owner(self):
        Server.files = {"/a.txt": (b"one", "1")}
        self.program.sync()
        for broken in ({"password": "another"}, {"role": "user"}):
            with self.subTest(broken):
                Server.users["docs"].update(broken)
                self.assertEqual(self.program.sync(), 1)
                self.assertEqual((Server.users["docs"]["role"], Server.users["docs"]["password"]), ("admin", "own"))

    def test_who_is_not_let_in_says_why_and_what_to_do(self):
        Server.users["admin"]["password"] = "the customer's"
        self.runs(900)
        trouble = self.program.SESSION["error"]
        self.assertIn("docs@b is refused (HTTP 400), and so is a@b", trouble["cause"])
        self.assertIn("set the password of a@b in the chatbot back to that of the Secret chat, key admin-password", trouble["remedy"])
        self.assertNotIn("pw", json.dumps(trouble))
        # The customer signs in, too: what is refused leaves room for that.
        self.assertLess(Server.signed_in_times, 900 / 180 * 8)
        # A chatbot that is down is another trouble.
        Server.breaking = {"POST /api/v1/auths/signin": 503}
        self.program.SESSION["error"] = None
        self.runs(600)
        self.assertIsNone(self.program.SESSION["error"])
        Server.breaking, Server.users["admin"]["password"] = {}, "pw"
        Server.files = {"/a.txt": (b"one", "1")}
        self.runs(600)
        self.assertEqual((self.known(), self.program.SESSION["error"]), (["one"], None))

    def test_an_upload_is_given_back_when_its_document_changes_or_goes(self):
        Server.files, Server.breaking = {"/a.txt": (b"one", "1"), "/b.txt": (b"two", "1")}, {"POST /api/v1/knowledge/k1/file/add": 503}
        self.assertEqual(self.program.sync(), 0)
        Server.files, Server.breaking = {"/a.txt": (b"other", "2")}, {}
        self.assertEqual(self.program.sync(), 1)
        self.assertEqual((self.known(), list(Server.uploads.values())), (["other"], [b"other"]))

    def test_a_document_in_trouble_leaves_the_others_alone(self):
        Server.files = {f"/{name}.txt": (name.encode(), "1") for name in "abc"}
        Server.breaking = {"GET /a.txt": 500}
        self.assertEqual(self.program.sync(), 2)
        self.assertEqual(self.known(), ["b", "c"])
        self.assertEqual((self.program.METRICS["pending"], list(self.program.WAITING)), (1, ["/a.txt"]))
        Server.breaking = {}
        self.assertEqual(self.program.sync(), 3)
        self.assertEqual(self.program.WAITING, {})

    def test_trouble_with_all_of_them_ends_the_round_and_none_keeps_another_from_its_turn(self):
        Server.files = {f"/{name}.txt": (name.encode(), "1") for name in "abcdefg"}
        Server.breaking = {f"GET /{name}.txt": 500 for name in "abcdef"}
        session = self.program.Sync()
        with self.assertRaises(OSError):
            session.customer()
        self.assertEqual(self.program.METRICS["pending"], 7)
        with self.assertRaises(OSError):
            session.customer()
        self.assertEqual(self.known(), [])
        with self.assertRaises(OSError):
            session.customer()
        self.assertEqual(self.known(), ["g"])

    def runs(self, seconds, workers=None):
        """The program's threads in turn, for so long by its own clock."""
        workers = workers or self.program.workers()
        end = self.now + seconds
        while self.now < end:
            for worker in workers:
                worker.step()
            self.passes(1)

    def test_a_file_server_that_is_down_costs_no_sign_in_and_is_asked_less_and_less(self):
        Server.breaking = {"PROPFIND /": 503, f"PROPFIND {PROBES}": 503}
        listed = unittest.mock.patch.object(self.program.Files, "listing", autospec=True, side_effect=self.program.Files.listing)
        with listed as listing:
            self.runs(1800)
        self.assertEqual(Server.signed_in_times, 4, "its account was made, and each thread signed in once")
        self.assertLess(listing.call_count, 1800 / 60 + 1800 / 120 + 10)
        Server.breaking = {}

    def test_a_session_that_is_over_is_begun_anew_and_a_refused_one_seldom(self):
        Server.breaking = {"GET /api/v1/groups/": 401}
        self.runs(1800)
        # 15 in 3 minutes is what the chatbot takes.
        self.assertGreater(Server.signed_in_times, 2)
        self.assertLess(Server.signed_in_times, 1800 / 180 * 8)
        Server.breaking = {"POST /api/v1/auths/signin": 400}
        before = len(Server.calls)
        self.runs(1800)
        self.assertEqual(len(Server.calls), before)

    def test_a_refused_document_is_tried_again_when_it_changes(self):
        Server.files, Server.refuse = {"/a.txt": (b"bad", "1"), "/b.txt": (b"good", "1")}, {"a.txt"}
        self.program.sync()
        self.assertEqual(self.known(), ["good"])
        self.assertEqual(self.program.REFUSED, {"/a.txt": "can't be read"})
        self.assertEqual((self.program.METRICS["known"], self.program.METRICS["refused"]), (1, 1))
        Server.refuse = set()
        self.program.sync()
        self.assertEqual(self.known(), ["good"])
        Server.files["/a.txt"] = (b"mended", "2")
        self.program.sync()
        self.assertEqual(self.known(), ["good", "mended"])
        self.assertEqual(self.program.REFUSED, {})

    def test_equal_files_are_known_under_all_their_names(self):
        Server.files = {"/a.txt": (b"same", "1"), "/b.txt": (b"same", "1")}
        self.assertEqual(self.program.sync(), 2)
        self.assertEqual((self.known(), Server.added), (["same"], 1))
        del Server.files["/a.txt"]
        self.assertEqual(self.program.sync(), 1)
        self.assertEqual(self.known(), ["same"], "the other name still needs it")
        del Server.files["/b.txt"]
        self.program.sync()
        self.assertEqual((self.known(), Server.uploads), ([], {}))

    def test_what_is_in_the_knowledge_and_not_among_the_files_goes(self):
        Server.files = {"/a.txt": (b"one", "1")}
        self.program.sync()
        Server.uploads["orphan"] = b"?"
        Server.knowledge["k1"]["files"].add("orphan")
        self.program.sync()
        self.assertEqual((self.known(), "orphan" in Server.uploads), (["one"], False))
        # A state that is lost is made again, without a second copy of anything.
        os.remove(os.environ["STATE_FILE"])
        self.program.sync()
        self.assertEqual((self.known(), len(Server.uploads)), (["one"], 1))

    def test_all_documents_together_are_bounded(self):
        Server.files = {f"/{name}.txt": (name.encode() * 80, "1") for name in "ab"}
        self.assertEqual(self.program.sync(), 1)
        self.assertEqual(self.program.METRICS["left_out"], 1)
        self.assertEqual(self.program.LEFT_OUT, {"/b.txt": "left out: all documents together are larger than 150 bytes"})

    def test_what_is_too_large_or_empty_is_told_and_what_is_no_document_is_not(self):
        Server.files = {
            "/a.txt": (b"one", "1"), "/big.PDF": (b"x" * 101, "1"), "/empty.txt": (b"", "1"), "/c.exe": (b"x" * 101, "1"),
        }
        self.assertEqual(self.program.sync(), 1)
        told = {"/big.PDF": "left out: larger than 100 bytes", "/empty.txt": "left out: it is empty"}
        self.assertEqual((self.program.METRICS["left_out"], self.program.LEFT_OUT), (2, told))
        self.assertEqual(self.program.told(52428800), "50 MiB")
        Server.files["/big.PDF"], Server.files["/empty.txt"] = (b"x" * 100, "2"), (b"x", "2")
        self.program.sync()
        self.assertEqual((self.program.METRICS["left_out"], self.program.LEFT_OUT), (0, {}))

    def test_the_probe_is_known_apart_and_its_account_sees_nothing_else(self):
        Server.files = {"/a.txt": (b"theirs", "1"), f"{PROBES}/p.txt": (b"probe", "1")}
        Server.users["new"] = {"email": "new@b", "groups": set()}
        sync = self.program.Sync()
        self.assertEqual((sync.probes(), sync.customer()), (1, 1))
        self.assertEqual((self.known("Probe"), self.known("Files")), (["probe"], ["theirs"]))
        grants = {k["name"]: k["access_grants"][0]["principal_id"] for k in Server.knowledge.values()}
        self.assertEqual(grants, {"Probe": "probe", "Files": "g1"})
        self.assertEqual({i: u["groups"] for i, u in Server.users.items()}, {"admin": {"g1"}, "docs": set(), "new": {"g1"}, "probe": set()})
        self.assertEqual(Server.models["probe"]["access_grants"][0]["principal_id"], "probe")
        self.assertEqual(self.program.METRICS["known"], 1, "figures are the customer's")
        del Server.files[f"{PROBES}/p.txt"]
        sync.probes()
        self.assertEqual((self.known("Probe"), self.known("Files")), ([], ["theirs"]))

    def test_what_was_removed_in_the_chatbot_is_no_error(self):
        Server.files = {"/a.txt": (b"one", "1")}
        self.program.sync()
        Server.knowledge["k1"]["files"].clear()
        Server.files["/a.txt"] = (b"two", "2")
        self.program.sync()
        self.assertEqual(self.known(), ["two"])

    def test_a_new_knowledge_base_gets_everything(self):
        Server.files = {"/a.txt": (b"one", "1")}
        self.program.sync()
        # The customer made a fresh chatbot: same files, other knowledge.
        Server.knowledge, Server.uploads = {}, {}
        self.program.sync()
        self.assertEqual(self.known(), ["one"])

    def test_figures_and_reasons_are_told(self):
        Server.files, Server.refuse = {"/a.txt": (b"bad", "1"), "/b.txt": (b"good", "1"), "/c.txt": (b"", "1")}, {"a.txt"}
        self.program.sync()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.program.Metrics)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{url}/metrics") as response:
            metrics = response.read()
        self.assertIn(b'landlord_documents{state="refused"} 1', metrics)
        self.assertIn(b'landlord_documents{state="left_out"} 1', metrics)
        self.program.SESSION["error"] = {"cause": "locked out", "remedy": "a key"}
        with urllib.request.urlopen(f"{url}/status") as response:
            status = json.loads(response.read())
        self.assertEqual(status["reasons"], {"/a.txt": "can't be read", "/c.txt": "left out: it is empty"})
        self.assertEqual(status["error"], {"cause": "locked out", "remedy": "a key"})

    def test_trouble_ends_a_round_and_not_the_program(self):
        self.program.INTERVAL_SECONDS = 0
        os.environ["FILES_PASSWORD"] = "wrong"
        self.program.main()


if __name__ == "__main__":
    unittest.main()
