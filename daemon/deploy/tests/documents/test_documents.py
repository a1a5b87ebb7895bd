"""The chatbot's document sync against servers that answer as SFTPGo and Open WebUI do."""

import http.server
import importlib.util
import json
import os
import pathlib
import tempfile
import threading
import unittest
import urllib.parse

PROGRAM = pathlib.Path(__file__).parents[4] / "config/stacks/ai-fileserver/charts/open-webui/files/documents.py"
FOLDER = 1 << 31


class Server(http.server.BaseHTTPRequestHandler):
    files = {}      # path -> (content, version)
    uploads = {}    # id -> (name, content)
    knowledge = {}  # id -> {name, files}
    models = {}
    refuse = set()
    calls = 0

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

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        query = urllib.parse.parse_qs(url.query)
        if url.path == "/api/v2/user/token":
            good = self.headers["Authorization"] == "Basic YWNtZTpwdw=="
            return self.answer({"access_token": "t"} if good else {}, 200 if good else 401)
        if url.path == "/api/v2/user/files":
            return self.answer(Server.files[query["path"][0]][0])
        if url.path == "/api/v2/user/dirs":
            return self.answer(self.entries(query["path"][0]))
        if url.path == "/api/v1/knowledge/":
            items = [{"id": i, "name": k["name"]} for i, k in Server.knowledge.items()]
            return self.answer({"items": items if query["page"] == ["1"] else [], "total": len(items)})
        if url.path == "/api/v1/models/model":
            found = query["id"][0] in Server.models
            return self.answer({}, 200 if found else 404)
        return self.answer({}, 500)

    @staticmethod
    def entries(folder):
        found = {}
        for path, (content, version) in Server.files.items():
            rest = path.removeprefix(folder.rstrip("/") + "/")
            if rest == path:
                continue
            name = rest.split("/")[0]
            plain = {"name": name, "mode": 0o644, "size": len(content), "last_modified": version}
            found[name] = plain if name == rest else {"name": name, "mode": FOLDER | 0o755}
        # SFTPGo answers null for an empty folder.
        return list(found.values()) or None

    def do_POST(self):
        body, path = self.body(), urllib.parse.urlparse(self.path).path
        if path == "/api/v1/auths/signin":
            return self.answer({"token": "admin"})
        if self.headers["Authorization"] != "Bearer admin":
            return self.answer({}, 401)
        Server.calls += 1
        if path == "/api/v1/knowledge/create":
            Server.knowledge["k1"] = {"name": json.loads(body)["name"], "files": set()}
            return self.answer({"id": "k1"})
        if path == "/api/v1/models/create":
            model = json.loads(body)
            Server.models[model["id"]] = model
            return self.answer(model)
        if path == "/api/v1/files/":
            head, _, rest = body.partition(b"\r\n\r\n")
            name = head.split(b'filename="')[1].split(b'"')[0].decode()
            if name in Server.refuse:
                return self.answer({"detail": "can't be read"}, 400)
            file_id = f"f{len(Server.uploads)}-{name}"
            Server.uploads[file_id] = rest.rsplit(b"\r\n--", 1)[0]
            return self.answer({"id": file_id})
        knowledge = Server.knowledge[path.split("/")[4]]
        file_id = json.loads(body)["file_id"]
        if path.endswith("/file/add"):
            knowledge["files"].add(file_id)
        elif file_id not in knowledge["files"]:
            return self.answer({"detail": "not found"}, 400)
        else:
            knowledge["files"].discard(file_id)
        return self.answer({})


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
            SUFFIXES=".txt,.pdf", no_proxy="127.0.0.1",
        )
        Server.files, Server.uploads, Server.knowledge, Server.models, Server.refuse = {}, {}, {}, {}, set()
        spec = importlib.util.spec_from_file_location("documents", PROGRAM)
        self.program = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.program)

    def known(self):
        return sorted(Server.uploads[i].decode() for i in Server.knowledge["k1"]["files"])

    def test_the_knowledge_follows_the_files(self):
        Server.files = {"/a.txt": (b"one", "1"), "/sub/deep/b.PDF": (b"two", "1"), "/c.exe": (b"no", "1"), "/big.txt": (b"x" * 101, "1"), "/empty.txt": (b"", "1")}
        self.assertEqual(self.program.sync(), 2)
        self.assertEqual(self.known(), ["one", "two"])
        self.assertEqual(Server.models["files"]["meta"]["knowledge"][0]["id"], "k1")
        self.assertEqual(Server.models["files"]["base_model_id"], "m:1")

        calls = Server.calls
        self.program.sync()
        self.assertEqual(Server.calls, calls, "nothing changed, nothing was sent")

        Server.files["/a.txt"] = (b"three", "2")
        del Server.files["/sub/deep/b.PDF"]
        self.program.sync()
        self.assertEqual(self.known(), ["three"])

    def test_a_refused_document_is_tried_again_when_it_changes(self):
        Server.files, Server.refuse = {"/a.txt": (b"bad", "1"), "/b.txt": (b"good", "1")}, {"a.txt"}
        self.program.sync()
        self.assertEqual(self.known(), ["good"])
        Server.refuse = set()
        self.program.sync()
        self.assertEqual(self.known(), ["good"])
        Server.files["/a.txt"] = (b"mended", "2")
        self.program.sync()
        self.assertEqual(self.known(), ["good", "mended"])

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
        with open(os.environ["STATE_FILE"], encoding="utf-8") as file:
            state = json.load(file)
        state["knowledge"] = "old"
        with open(os.environ["STATE_FILE"], "w", encoding="utf-8") as file:
            json.dump(state, file)
        self.program.sync()
        self.assertEqual(self.known(), ["one", "one"])

    def test_trouble_ends_a_round_and_not_the_program(self):
        os.environ["FILES_PASSWORD"] = "wrong"
        self.program.main()


if __name__ == "__main__":
    unittest.main()
