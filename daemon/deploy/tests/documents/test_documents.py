"""The chatbot's document sync against servers that answer as a WebDAV file server and Open WebUI do."""

import http.server
import importlib.util
import json
import os
import pathlib
import tempfile
import threading
import unittest
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape

STACKS = pathlib.Path(__file__).parents[4] / "config/stacks"
PROGRAM = STACKS / "ai-fileserver-pg/charts/chat/files/documents.py"
SAME_PROGRAM = STACKS / "ai-fileserver/charts/open-webui/files/documents.py"
PROBES = "/landlord-probe"


class Server(http.server.BaseHTTPRequestHandler):
    files = {}      # path -> (content, version)
    uploads = {}    # id -> content
    failing = {}    # id -> why its processing fails
    knowledge = {}  # id -> {name, access_grants, files}
    models = {}
    users = {}      # id -> {email, groups}
    refuse = set()
    calls = []
    added = 0

    def log_message(self, *_):
        pass

    def answer(self, value, code=200):
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
        items += [f"<D:response><D:href>{escape(urllib.parse.quote(path))}</D:href>{kind}</D:response>" for path, kind in found.items()]
        self.answer(f'<D:multistatus xmlns:D="DAV:">{"".join(items)}</D:multistatus>'.encode(), 207)

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query, path = urllib.parse.parse_qs(url.query), url.path
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
        if path.endswith("/process/status"):
            why = Server.failing.get(path.split("/")[4])
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
            return self.answer({"token": "admin"})
        if self.headers["Authorization"] != "Bearer admin":
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
            Server.users["probe"] = {"email": value["email"], "groups": set()}
            return self.answer({"id": "probe"})
        if path == "/api/v1/knowledge/create":
            identity = f"k{len(Server.knowledge) + 1}"
            Server.knowledge[identity] = {**value, "files": set()}
            return self.answer({"id": identity})
        if path == "/api/v1/models/create":
            Server.models[value["id"]] = value
            return self.answer(value)
        knowledge, file_id = Server.knowledge[path.split("/")[4]], value["file_id"]
        if path.endswith("/file/add"):
            if any(Server.uploads[i] == Server.uploads[file_id] for i in knowledge["files"]):
                return self.answer({"detail": "Duplicate content detected"}, 400)
            knowledge["files"].add(file_id)
        elif file_id not in knowledge["files"]:
            return self.answer({"detail": "not found"}, 400)
        else:
            knowledge["files"].discard(file_id)
        return self.answer({})

    def upload(self, body):
        head, _, rest = body.partition(b"\r\n\r\n")
        name = head.split(b'filename="')[1].split(b'"')[0].decode()
        Server.added += 1
        file_id = f"f{Server.added}"
        Server.uploads[file_id] = rest.rsplit(b"\r\n--", 1)[0]
        # Its upload answers before it is processed.
        if name in Server.refuse:
            Server.failing[file_id] = "can't be read"
        return self.answer({"id": file_id})


class Sync(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        url = f"http://127.0.0.1:{self.server.server_port}"
        os.environ.update(
            FILES_URL=url, CHAT_URL=url, FILES_USER="acme", FILES_PASSWORD="pw", CHAT_EMAIL="a@b", CHAT_PASSWORD="pw",
            CHAT_MODEL="m:1", STATE_FILE=folder.name + "/s.json", INTERVAL_SECONDS="0", FILE_BYTES_MAX="100",
            TOTAL_BYTES_MAX="150", TOKENS_MAX="48", METRICS_PORT="0", SUFFIXES=".txt,.pdf", no_proxy="127.0.0.1",
            PROBE_FOLDER=PROBES, PROBE_EMAIL="probe@b", PROBE_PASSWORD="pw",
        )
        Server.files, Server.uploads, Server.failing, Server.knowledge = {}, {}, {}, {}
        Server.models, Server.refuse, Server.calls, Server.added = {}, set(), [], 0
        Server.users = {"admin": {"email": "a@b", "groups": set()}}
        spec = importlib.util.spec_from_file_location("documents", PROGRAM)
        self.program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.program)

    def known(self, name="Files"):
        found = [k for k in Server.knowledge.values() if k["name"] == name]
        return sorted(Server.uploads[i].decode() for i in found[0]["files"])

    def test_the_program_of_both_stacks_is_one(self):
        self.assertEqual(PROGRAM.resolve(), SAME_PROGRAM.resolve())

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

    def test_the_probe_is_known_apart_and_its_account_sees_nothing_else(self):
        Server.files = {"/a.txt": (b"theirs", "1"), f"{PROBES}/p.txt": (b"probe", "1")}
        Server.users["new"] = {"email": "new@b", "groups": set()}
        sync = self.program.Sync()
        self.assertEqual((sync.probes(), sync.customer()), (1, 1))
        self.assertEqual((self.known("Probe"), self.known("Files")), (["probe"], ["theirs"]))
        grants = {k["name"]: k["access_grants"][0]["principal_id"] for k in Server.knowledge.values()}
        self.assertEqual(grants, {"Probe": "probe", "Files": "g1"})
        self.assertEqual({i: u["groups"] for i, u in Server.users.items()}, {"admin": {"g1"}, "new": {"g1"}, "probe": set()})
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
        Server.files, Server.refuse = {"/a.txt": (b"bad", "1"), "/b.txt": (b"good", "1")}, {"a.txt"}
        self.program.sync()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.program.Metrics)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{url}/metrics") as response:
            self.assertIn(b'landlord_documents{state="refused"} 1', response.read())
        with urllib.request.urlopen(f"{url}/status") as response:
            self.assertEqual(json.loads(response.read())["reasons"], {"/a.txt": "can't be read"})

    def test_trouble_ends_a_round_and_not_the_program(self):
        os.environ["FILES_PASSWORD"] = "wrong"
        self.program.main()


if __name__ == "__main__":
    unittest.main()
