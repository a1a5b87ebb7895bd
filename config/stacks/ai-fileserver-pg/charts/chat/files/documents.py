"""Keeps the chatbot's knowledge equal to the customer's files.

Every interval: lists the customer's files over WebDAV, uploads new and changed documents into one knowledge base of Open
WebUI, removes what was deleted, and makes sure that a model preset with that knowledge exists. A document counts as known
only when Open WebUI says that it has processed it and lists it in the knowledge: its upload answers long before. What it
refused is not tried again until it changes. Files of equal content, which it takes once, are remembered under all names.
Only the standard library; every request has a timeout. State is in STATE_FILE; losing it costs one full upload, since
what is in the knowledge and not in the state is removed. Metrics are served at METRICS_PORT.
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
KNOWLEDGE = "Files"
PRESET_ID = "files"
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

    def listing(self, folder="/", depth=0):
        """Documents below `folder` as path -> version, which begins with the size in bytes."""
        url = FILES_URL + urllib.parse.quote(folder)
        answer = xml.etree.ElementTree.fromstring(request("PROPFIND", url, {**self.headers, "Depth": "1"}))
        found = {}
        for item in answer.iter("{DAV:}response"):
            path = urllib.parse.unquote(urllib.parse.urlparse(item.findtext("{DAV:}href") or "").path)
            if path.rstrip("/") == folder.rstrip("/"):
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

    def knowledge(self):
        """The id of the knowledge base, made if missing; everybody may read it."""
        page = 1
        while True:
            answer = self.call("GET", f"knowledge/?page={page}")
            for item in answer["items"]:
                if item["name"] == KNOWLEDGE:
                    return item["id"]
            if not answer["items"]:
                break
            page += 1
        made = {"name": KNOWLEDGE, "description": "The files of this environment", "access_grants": EVERYBODY}
        return self.call("POST", "knowledge/create", made)["id"]

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
        found, page = set(), 1
        while True:
            items = self.call("GET", f"knowledge/{knowledge}/files?page={page}")["items"]
            found.update(item["id"] for item in items)
            if not items:
                return found
            page += 1

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

    def preset(self, knowledge):
        """A model that answers from the knowledge; what its owner changed stays."""
        try:
            self.call("GET", f"models/model?id={PRESET_ID}")
            return
        except urllib.error.HTTPError as error:
            if error.code not in (401, 404):
                raise
        source = {"id": knowledge, "name": KNOWLEDGE, "type": "collection"}
        self.call("POST", "models/create", {
            "id": PRESET_ID,
            "base_model_id": os.environ["CHAT_MODEL"],
            "name": "Assistant for your files",
            "meta": {"description": "Answers from the files of this environment", "knowledge": [source]},
            # Small models don't call tools reliably: the knowledge is searched for every question.
            "params": {"function_calling": "legacy", "max_tokens": TOKENS_MAX},
            "access_grants": EVERYBODY,
        })


EVERYBODY = [{"principal_type": "user", "principal_id": "*", "permission": "read"}]


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


def sync():
    files = Files(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"])
    chat = Chat(os.environ["CHAT_EMAIL"], os.environ["CHAT_PASSWORD"])
    knowledge = chat.knowledge()
    chat.preset(knowledge)
    state = load()
    if state.get("knowledge") != knowledge:
        state = {"knowledge": knowledge, "documents": {}}
    documents = state["documents"]
    listed = files.listing()
    wanted = take(listed)
    METRICS["left_out"] = len(listed) - len(wanted)
    linked = chat.linked(knowledge)
    # Orphans of a lost state, of a crash between upload and note, or of somebody's own hand.
    for file_id in linked - {known.get("file_id") for known in documents.values()}:
        chat.remove(knowledge, file_id)
    for path in list(documents):
        known = documents[path]
        lost = known.get("file_id") and known["file_id"] not in linked
        if lost or wanted.get(path) != known["version"]:
            forget(chat, knowledge, documents, path)
            save(state)
    for path, version in wanted.items():
        METRICS["pending"] = len(wanted) - len(documents)
        if path not in documents:
            documents[path] = {"version": version, **learn(chat, knowledge, documents, path, files.content(path))}
            save(state)
    METRICS["pending"] = len(wanted) - len(documents)
    METRICS["refused"] = sum("refused" in known for known in documents.values())
    METRICS["known"] = len(documents) - METRICS["refused"]
    METRICS["synced"] = int(time.time())
    return METRICS["known"]


# Counts of documents, and the Unix time of the last round that went to its end.
METRICS = {"known": 0, "pending": 0, "refused": 0, "left_out": 0, "synced": 0}


class Metrics(http.server.BaseHTTPRequestHandler):
    """Prometheus' text format, whatever is asked for."""

    def do_GET(self):
        lines = [f'landlord_documents{{state="{state}"}} {METRICS[state]}\n' for state in METRICS if state != "synced"]
        lines.append(f"landlord_documents_synced_seconds {METRICS['synced']}\n")
        body = "".join(lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nobody reads who asked."""


def main():
    server = http.server.ThreadingHTTPServer(("", METRICS_PORT), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        try:
            print(f"{sync()} documents are known to the chatbot", flush=True)
        except (OSError, ValueError, KeyError, xml.etree.ElementTree.ParseError) as error:
            print(f"not in sync, trying again: {error}", file=sys.stderr, flush=True)
        if INTERVAL_SECONDS == 0:
            return
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    main()
