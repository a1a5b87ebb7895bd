"""Keeps the chatbot's knowledge equal to the customer's files.

Every interval: lists the customer's files over WebDAV, uploads new and changed documents into one knowledge base of Open
WebUI, removes what was deleted, and makes sure that a model preset with that knowledge exists. A document counts as known
only when Open WebUI says that it has processed it and lists it in the knowledge: its upload answers long before. What it
refused is not tried again until it changes. Files of equal content, which it takes once, are remembered under all names.

With PROBE_FOLDER set, what lies there is kept in a knowledge base, a preset and an account of their own, and looked at
every PROBE_INTERVAL_SECONDS: by these landlord verifies that the chatbot answers. The probe's account sees nothing of the
customer's: knowledge and preset of the customer are granted to a group of all other users.

Only the standard library; every request has a timeout. State is in STATE_FILE; losing it costs one full upload, since
what is in the knowledge and not in the state is removed. Metrics are served at METRICS_PORT, counts and reasons of refusals
as JSON at /status there.
"""

import base64
import hashlib
import http.server
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree

FILES_URL = os.environ["FILES_URL"]
CHAT_URL = os.environ["CHAT_URL"]
STATE_FILE = os.environ["STATE_FILE"]
INTERVAL_SECONDS = int(os.environ["INTERVAL_SECONDS"])
FILE_BYTES_MAX = int(os.environ["FILE_BYTES_MAX"])
# All documents together; what is above is not taken.
TOTAL_BYTES_MAX = int(os.environ["TOTAL_BYTES_MAX"])
METRICS_PORT = int(os.environ["METRICS_PORT"])
# Longest answer of the preset.
TOKENS_MAX = int(os.environ["TOKENS_MAX"])
SUFFIXES = tuple(os.environ["SUFFIXES"].split(","))
# Folder that landlord verifies by; empty: none.
PROBE_FOLDER = os.environ.get("PROBE_FOLDER", "")
PROBE_INTERVAL_SECONDS = int(os.environ.get("PROBE_INTERVAL_SECONDS", "5"))
# All users but the probe's: new ones are added within one interval.
GROUP = "Everybody"
# Reasons of refusals that are told, newest first; all of them are in the log.
REASONS_MAX = 5
# One request: the embedding of a large document takes minutes on a small machine.
TIMEOUT_SECONDS = 600
# Folders below each other; deeper is taken for a loop.
DEPTH_MAX = 32


def request(method, url, headers=None, body=None):
    """The response's bytes; urllib raises for every status above 299."""
    call = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(call, timeout=TIMEOUT_SECONDS) as response:
        return response.read()


class Refused(Exception):
    """The chatbot cannot read a document; trying again would not help."""


class Files:
    """The customer's files, read-only."""

    def __init__(self, user, password):
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {basic}"}

    def listing(self, folder="/", depth=0, without=None):
        """Documents below `folder` as path -> version, which begins with the size in bytes."""
        url = FILES_URL + urllib.parse.quote(folder)
        answer = xml.etree.ElementTree.fromstring(request("PROPFIND", url, {**self.headers, "Depth": "1"}))
        found = {}
        for item in answer.iter("{DAV:}response"):
            path = urllib.parse.unquote(urllib.parse.urlparse(item.findtext("{DAV:}href") or "").path)
            if path.rstrip("/") == folder.rstrip("/") or path.strip("/") == without:
                continue
            if item.find(".//{DAV:}collection") is not None:
                if depth < DEPTH_MAX:
                    found.update(self.listing(path, depth + 1))
            elif path.lower().endswith(SUFFIXES):
                size = int(item.findtext(".//{DAV:}getcontentlength") or 0)
                if 0 < size <= FILE_BYTES_MAX:
                    found[path] = f"{size}-{item.findtext('.//{DAV:}getlastmodified')}"
        return found

    def content(self, path):
        return request("GET", FILES_URL + urllib.parse.quote(path), self.headers)


class Chat:
    """The chatbot, as its administrator."""

    def __init__(self, email, password):
        self.headers = {}
        answer = self.call("POST", "auths/signin", {"email": email, "password": password})
        self.headers = {"Authorization": f"Bearer {answer['token']}"}

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json", **self.headers}
        data = None if body is None else json.dumps(body).encode()
        return json.loads(request(method, f"{CHAT_URL}/api/v1/{path}", headers, data) or b"null")

    def pages(self, path):
        """The items of all pages."""
        page = 1
        while True:
            items = self.call("GET", f"{path}?page={page}")["items"]
            if not items:
                return
            yield from items
            page += 1

    def knowledge(self, collection):
        """The id of the collection's knowledge base, made if missing."""
        for item in self.pages("knowledge/"):
            if item["name"] == collection.name:
                return item["id"]
        made = {"name": collection.name, "description": collection.description, "access_grants": collection.grants}
        return self.call("POST", "knowledge/create", made)["id"]

    def group(self, probe):
        """The id of the group of all users but the probe's, made if missing; who is not in it yet is added."""
        found = [group["id"] for group in self.call("GET", "groups/") if group["name"] == GROUP]
        made = {"name": GROUP, "description": "All users of this environment"}
        group = found[0] if found else self.call("POST", "groups/create", made)["id"]
        users, page = [], 1
        while True:
            answer = self.call("GET", f"users/?page={page}")["users"]
            if not answer:
                break
            users += answer
            page += 1
        missing = [user["id"] for user in users if user["email"] != probe and group not in user["group_ids"]]
        if missing:
            self.call("POST", f"groups/id/{group}/users/add", {"user_ids": missing})
        return group

    def user(self, email, password):
        """The id of a user without rights of its own, made if missing."""
        query = urllib.parse.urlencode({"query": email})
        for user in self.call("GET", f"users/search?{query}")["users"]:
            if user["email"] == email:
                return user["id"]
        made = {"name": "landlord", "email": email, "password": password, "role": "user"}
        return self.call("POST", "auths/add", made)["id"]

    def upload(self, knowledge, path, content):
        boundary = uuid.uuid4().hex
        name = path.strip("/").replace("/", " - ").replace('"', "'")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **self.headers}
        url = f"{CHAT_URL}/api/v1/files/?process_in_background=false"
        file_id = json.loads(request("POST", url, headers, body))["id"]
        try:
            self.until_processed(file_id)
            self.call("POST", f"knowledge/{knowledge}/file/add", {"file_id": file_id})
        except urllib.error.HTTPError as error:
            self.delete(file_id)
            if error.code != 400:
                raise
            raise Refused(reason(error)) from error
        except Refused:
            self.delete(file_id)
            raise
        return file_id

    def until_processed(self, file_id):
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            answer = self.call("GET", f"files/{file_id}/process/status")
            if answer["status"] == "completed":
                return
            if answer["status"] == "failed":
                raise Refused(str(answer.get("error") or "processing failed"))
            time.sleep(1)
        raise OSError(f"{file_id} is not processed after {TIMEOUT_SECONDS} s")

    def linked(self, knowledge):
        """Ids of the files in the knowledge."""
        return {item["id"] for item in self.pages(f"knowledge/{knowledge}/files")}

    def remove(self, knowledge, file_id):
        """Out of the knowledge, and off the disk."""
        try:
            self.call("POST", f"knowledge/{knowledge}/file/remove", {"file_id": file_id})
        except urllib.error.HTTPError as error:
            # Somebody removed it in the chatbot already.
            if error.code not in (400, 404):
                raise
        self.delete(file_id)

    def delete(self, file_id):
        try:
            self.call("DELETE", f"files/{file_id}")
        except urllib.error.HTTPError as error:
            if error.code not in (400, 404):
                raise

    def preset(self, knowledge, collection):
        """A model that answers from the knowledge; what its owner changed stays."""
        source = {"id": knowledge, "name": collection.name, "type": "collection"}
        base = os.environ["CHAT_MODEL"]
        # A preset is of no use to whom the model below it is not granted; nobody chooses that one by itself.
        self.model({
            "id": base, "base_model_id": None, "name": base, "params": {}, "access_grants": grants("user", "*"),
            "meta": {"description": "Below the assistants", "hidden": True},
        })
        self.model({
            "id": collection.preset,
            "base_model_id": base,
            "name": collection.title,
            "meta": {"description": collection.description, "knowledge": [source]},
            # Small models don't call tools reliably: the knowledge is searched for every question.
            "params": {"function_calling": "legacy", "max_tokens": TOKENS_MAX},
            "access_grants": collection.grants,
        })

    def model(self, model):
        """Makes a model unless it is there."""
        try:
            self.call("GET", f"models/model?{urllib.parse.urlencode({'id': model['id']})}")
        except urllib.error.HTTPError as error:
            if error.code not in (401, 404):
                raise
            self.call("POST", "models/create", model)


def grants(kind, identity):
    return [{"principal_type": kind, "principal_id": identity, "permission": "read"}]


class Collection:
    """Files that are known together, and to whom."""

    def __init__(self, name, preset, title, description, access_grants):
        self.name, self.preset, self.title, self.description = name, preset, title, description
        self.grants = access_grants


def load():
    try:
        with open(STATE_FILE, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def save(state):
    with open(STATE_FILE + ".new", "w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(STATE_FILE + ".new", STATE_FILE)


def reason(error):
    """Why the chatbot refused, in its own words."""
    try:
        return str(json.loads(error.read())["detail"])[:200]
    except (ValueError, KeyError, TypeError, OSError):
        return f"HTTP {error.code}"


def forget(chat, knowledge, documents, path):
    """Removes a document unless another name of equal content still needs it."""
    file_id = documents.pop(path).get("file_id")
    if file_id and all(known.get("file_id") != file_id for known in documents.values()):
        chat.remove(knowledge, file_id)


def learn(chat, knowledge, documents, path, content):
    """What is to be remembered of a document that the chatbot has been given."""
    digest = hashlib.sha256(content).hexdigest()
    for known in documents.values():
        if known.get("digest") == digest:
            return {key: known[key] for key in ("digest", "file_id", "refused") if key in known}
    try:
        return {"digest": digest, "file_id": chat.upload(knowledge, path, content)}
    except Refused as error:
        print(f"{path}: refused by the chatbot: {error}", file=sys.stderr, flush=True)
        return {"digest": digest, "refused": str(error)}


def take(wanted):
    """As many of the documents as the bound of their sizes allows, by name."""
    total, taken = 0, {}
    for path, version in sorted(wanted.items()):
        size = int(version.split("-", 1)[0])
        if total + size <= TOTAL_BYTES_MAX:
            total += size
            taken[path] = version
    return taken


class Sync:
    """The customer's files and the probe's, each with a state of its own."""

    def __init__(self):
        self.files = Files(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"])
        self.chat = Chat(os.environ["CHAT_EMAIL"], os.environ["CHAT_PASSWORD"])
        self.probe = os.environ["PROBE_EMAIL"] if PROBE_FOLDER else None

    def customer(self):
        """How many of the customer's documents the chatbot knows."""
        access_grants = grants("group", self.chat.group(self.probe))
        description = "The files of this environment"
        collection = Collection("Files", "files", "Assistant for your files", description, access_grants)
        return self.round(collection, self.files.listing(without=PROBE_FOLDER.strip("/")), METRICS)

    def probes(self):
        """How many probes it knows."""
        user = self.chat.user(self.probe, os.environ["PROBE_PASSWORD"])
        collection = Collection("Probe", "probe", "landlord's probe", "What landlord verifies by", grants("user", user))
        return self.round(collection, self.files.listing(PROBE_FOLDER), dict(METRICS))

    def round(self, collection, listed, metrics):
        chat, files = self.chat, self.files
        knowledge = chat.knowledge(collection)
        chat.preset(knowledge, collection)
        whole = load()
        state = whole.setdefault(collection.name, {})
        if state.get("knowledge") != knowledge:
            state.clear()
            state.update(knowledge=knowledge, documents={})
        documents = state["documents"]
        wanted = take(listed)
        metrics["left_out"] = len(listed) - len(wanted)
        linked = chat.linked(knowledge)
        # Orphans of a lost state, of a crash between upload and note, or of somebody's own hand.
        for file_id in linked - {known.get("file_id") for known in documents.values()}:
            chat.remove(knowledge, file_id)
        for path in list(documents):
            known = documents[path]
            lost = known.get("file_id") and known["file_id"] not in linked
            if lost or wanted.get(path) != known["version"]:
                forget(chat, knowledge, documents, path)
                save(whole)
        for path, version in wanted.items():
            metrics["pending"] = len(wanted) - len(documents)
            if path not in documents:
                try:
                    learned = learn(chat, knowledge, documents, path, files.content(path))
                except urllib.error.HTTPError as error:
                    # It was there when it was listed.
                    if error.code == 404 and error.url.startswith(FILES_URL):
                        continue
                    raise
                documents[path] = {"version": version, **learned}
                save(whole)
        refused = {path: known["refused"] for path, known in documents.items() if "refused" in known}
        metrics["pending"] = len(wanted) - len(documents)
        metrics["refused"] = len(refused)
        metrics["known"] = len(documents) - len(refused)
        metrics["synced"] = int(time.time())
        if metrics is METRICS:
            REFUSED.clear()
            REFUSED.update(list(refused.items())[-REASONS_MAX:])
        return metrics["known"]


def sync():
    """One round over the customer's documents; how many are known."""
    return Sync().customer()


# Counts of documents, and the Unix time of the last round that went to its end.
METRICS = {"known": 0, "pending": 0, "refused": 0, "left_out": 0, "synced": 0}
# Reasons of refusals by path.
REFUSED = {}


class Metrics(http.server.BaseHTTPRequestHandler):
    """Prometheus' text format; at /status JSON with the reasons of refusals."""

    def do_GET(self):
        if self.path == "/status":
            return self.answer("application/json", json.dumps({**METRICS, "reasons": dict(REFUSED)}).encode())
        lines = [f'landlord_documents{{state="{state}"}} {METRICS[state]}\n' for state in METRICS if state != "synced"]
        lines.append(f"landlord_documents_synced_seconds {METRICS['synced']}\n")
        return self.answer("text/plain; version=0.0.4", "".join(lines).encode())

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nobody reads who asked."""


def attempt(what, do):
    """Trouble ends a round, not the program."""
    try:
        return do()
    except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
        print(f"{what} not in sync, trying again: {error}", file=sys.stderr, flush=True)
        return None


def main():
    server = http.server.ThreadingHTTPServer(("", METRICS_PORT), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    due, said, session = 0, None, None
    while True:
        # One sign-in lasts: the chatbot limits how often somebody signs in.
        session = session or attempt("accounts:", Sync)
        if session and PROBE_FOLDER and attempt("probes:", session.probes) is None:
            session = None
        if session and time.monotonic() >= due:
            known = attempt("documents:", session.customer)
            due = time.monotonic() + INTERVAL_SECONDS
            if known is None:
                session = None
            elif known != said:
                said = known
                print(f"{known} documents are known to the chatbot", flush=True)
        if INTERVAL_SECONDS == 0:
            return
        time.sleep(min(INTERVAL_SECONDS, PROBE_INTERVAL_SECONDS) if PROBE_FOLDER else INTERVAL_SECONDS)


if __name__ == "__main__":
    main()
