"""Keeps the chatbot's knowledge equal to the customer's files.

Every interval: lists the customer's folder through the file server's API, uploads new and changed
documents into one knowledge base of Open WebUI, removes what was deleted, and makes sure that a
model preset with that knowledge exists. Only the standard library; every request has a timeout.
What was uploaded is remembered in STATE_FILE; losing it costs one full upload, nothing else.
"""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

FILES_URL = os.environ["FILES_URL"]
CHAT_URL = os.environ["CHAT_URL"]
STATE_FILE = os.environ["STATE_FILE"]
INTERVAL_SECONDS = int(os.environ["INTERVAL_SECONDS"])
FILE_BYTES_MAX = int(os.environ["FILE_BYTES_MAX"])
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


class Files:
    """The customer's account on the file server."""

    def __init__(self, user, password):
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        answer = request("GET", f"{FILES_URL}/api/v2/user/token", {"Authorization": f"Basic {basic}"})
        self.headers = {"Authorization": f"Bearer {json.loads(answer)['access_token']}"}

    def listing(self, folder="/", depth=0):
        """Documents below `folder` as path -> version."""
        query = urllib.parse.urlencode({"path": folder})
        entries = json.loads(request("GET", f"{FILES_URL}/api/v2/user/dirs?{query}", self.headers)) or []
        found = {}
        for entry in entries:
            path = folder.rstrip("/") + "/" + entry["name"]
            mode = entry.get("mode", 0)
            # The modes are Go's: the highest bit is a folder, any other type bit is no plain file.
            if mode & (1 << 31):
                if depth < DEPTH_MAX:
                    found.update(self.listing(path, depth + 1))
            elif mode & ~0o7777 == 0 and path.lower().endswith(SUFFIXES):
                size = entry.get("size", 0)
                if 0 < size <= FILE_BYTES_MAX:
                    found[path] = f"{size}-{entry['last_modified']}"
        return found

    def content(self, path):
        query = urllib.parse.urlencode({"path": path})
        return request("GET", f"{FILES_URL}/api/v2/user/files?{query}", self.headers)


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
        self.call("POST", f"knowledge/{knowledge}/file/add", {"file_id": file_id})
        return file_id

    def remove(self, knowledge, file_id):
        try:
            self.call("POST", f"knowledge/{knowledge}/file/remove", {"file_id": file_id})
        except urllib.error.HTTPError as error:
            # Somebody removed it in the chatbot already.
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
            "params": {"function_calling": "legacy"},
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


def sync():
    files = Files(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"])
    chat = Chat(os.environ["CHAT_EMAIL"], os.environ["CHAT_PASSWORD"])
    knowledge = chat.knowledge()
    chat.preset(knowledge)
    state = load()
    if state.get("knowledge") != knowledge:
        state = {"knowledge": knowledge, "documents": {}}
    documents = state["documents"]
    wanted = files.listing()
    for path in [path for path, known in documents.items() if wanted.get(path) != known["version"]]:
        if documents[path]["file_id"]:
            chat.remove(knowledge, documents[path]["file_id"])
        del documents[path]
        save(state)
    for path, version in sorted(wanted.items()):
        if path in documents:
            continue
        try:
            file_id = chat.upload(knowledge, path, files.content(path))
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            # A document that can't be read (encrypted, empty) is tried again when it changes.
            print(f"{path}: refused by the chatbot", file=sys.stderr, flush=True)
            file_id = None
        documents[path] = {"version": version, "file_id": file_id}
        save(state)
    return len(documents)


def main():
    while True:
        try:
            print(f"{sync()} documents are known to the chatbot", flush=True)
        except (OSError, ValueError, KeyError) as error:
            print(f"not in sync, trying again: {error}", file=sys.stderr, flush=True)
        if INTERVAL_SECONDS == 0:
            return
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    main()
