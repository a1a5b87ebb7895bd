"""Keeps the chatbot's knowledge equal to the customer's files.

Every interval: lists the customer's files over WebDAV, uploads new and changed documents into one knowledge base of Open
WebUI, removes what was deleted, and makes sure that a model preset with that knowledge exists. A document counts as known
only when Open WebUI says that it has processed it and lists it in the knowledge: its upload answers long before. Files of equal
content, which it takes once, are remembered under all names.

What it refused is tried again at growing intervals, when it changes, and when a probe is known after one was not: a model that is
missing refuses every document, and comes back. Trouble with one document leaves the others alone. An upload is noted before it is
waited for, and gone on from; one that nobody noted, since its answer was lost, is found by what it carries and deleted.

With PROBE_FOLDER set, what lies there is kept in a knowledge base, a preset and an account of their own, and looked at
every PROBE_INTERVAL_SECONDS: by these landlord verifies that the chatbot answers. The probe's account sees nothing of the
customer's: knowledge and preset of the customer are granted to a group of all other users.

Only the standard library; every request has a timeout. State is in STATE_FILE; losing it costs one full upload, since
what is in the knowledge and not in the state is removed. Metrics are served at METRICS_PORT, counts and reasons of refusals
as JSON at /status there. At HEALTH_PATH there it is said whether all is there that an answer needs, as far as that is seen
cheaply: landlord asks every minute, through the Gateway like everybody else, so that no name of a customer's is in it.
"""

import base64
import hashlib
import http.client
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
# Reasons that are told, the last ones of refusals and of what waits; all of them are in the log.
REASONS_MAX = 5
# One request: the embedding of a large document takes minutes on a small machine.
TIMEOUT_SECONDS = 600
# Folders below each other; deeper is taken for a loop.
DEPTH_MAX = 32
# A refused document is tried again after the first of them, then after twice as long each time, up to the other.
REFUSED_SECONDS_MIN, REFUSED_SECONDS_MAX = 3600, 24 * 3600
# Documents in trouble one after another that end a round: the chatbot or the file server is, not they.
TROUBLES_MAX = 3
# The longest pause of something that goes on failing: probes are looked for by landlord, which waits a minute and a half.
PROBES_PAUSE_SECONDS_MAX = 60
PAUSE_SECONDS_MAX = 300
# Open WebUI takes 15 sign-ins of an account in 3 minutes, the administrator's own among them.
SIGN_IN_SECONDS = 20
HEALTH_PATH = "/landlord/health"
# What is said there is found out so often: landlord's beat is a minute.
HEALTH_SECONDS = 15
# One request of it: answers of milliseconds.
HEALTH_TIMEOUT_SECONDS = 5
# A volume with less room is full: nothing of any use fits.
ROOM_BYTES_MIN = 16 << 20
# The server of the models below, as Ollama's API has it; empty: they are somebody else's.
MODELS_URL = os.environ.get("MODELS_URL", "")
MODELS = [name for name in os.environ.get("MODELS", "").split(",") if name]
# What uploads of this program carry, so that one whose answer was lost is known again.
MARK = {"landlord": "documents"}
# What a server, or the way to it, may do to a request.
TROUBLE = (OSError, ValueError, KeyError, TypeError, http.client.HTTPException, xml.etree.ElementTree.ParseError)


def request(method, url, headers=None, body=None, timeout=TIMEOUT_SECONDS):
    """The response's bytes; urllib raises for every status above 299."""
    call = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(call, timeout=timeout) as response:
        return response.read()


class Refused(Exception):
    """The chatbot cannot read a document, or cannot now."""


class Late(OSError):
    """A document has not been processed in the time that is given to it."""


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

    def room(self):
        """Bytes that the customer may still put (RFC 4331); `None`: the file server does not say."""
        asked = b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop><quota-available-bytes/></prop></propfind>'
        headers = {**self.headers, "Depth": "0", "Content-Type": "text/xml"}
        answer = request("PROPFIND", FILES_URL + "/", headers, asked, HEALTH_TIMEOUT_SECONDS)
        told = xml.etree.ElementTree.fromstring(answer).findtext(".//{DAV:}quota-available-bytes")
        return int(told) if told else None


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

    def pages(self, path, items="items", **query):
        """What stands under `items` on all pages."""
        page = 1
        while True:
            found = self.call("GET", f"{path}?{urllib.parse.urlencode({**query, 'page': page})}")[items]
            if not found:
                return
            yield from found
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
        users = self.pages("users/", items="users")
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

    def upload(self, path, content):
        """The id of the file, which is yet to be processed."""
        boundary = uuid.uuid4().hex
        name = path.strip("/").replace("/", " - ").replace('"', "'")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{json.dumps(MARK)}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", **self.headers}
        try:
            # Answers before the file is processed, so that its id is known whatever happens meanwhile.
            return json.loads(request("POST", f"{CHAT_URL}/api/v1/files/?process_in_background=true", headers, body))["id"]
        except urllib.error.HTTPError as error:
            if error.code not in (400, 413):
                raise
            raise Refused(reason(error)) from error

    def link(self, knowledge, file_id, since):
        """Puts a file into the knowledge, once it is processed."""
        self.until_processed(file_id, since)
        try:
            self.call("POST", f"knowledge/{knowledge}/file/add", {"file_id": file_id})
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
            raise Refused(reason(error)) from error

    def until_processed(self, file_id, since):
        while True:
            answer = self.call("GET", f"files/{file_id}/process/status")
            if answer["status"] == "completed":
                return
            if answer["status"] == "failed":
                raise Refused(str(answer.get("error") or "processing failed")[:200])
            # A chatbot that was restarted meanwhile will never process it; a clock that was set back must not have it waited for.
            if not 0 <= time.time() - since < TIMEOUT_SECONDS:
                raise Late(f"not processed after {TIMEOUT_SECONDS} s")
            time.sleep(1)

    def uploads(self):
        """Ids of all files that this program has uploaded, whether somebody knows of them or not."""
        files = self.pages("files/", content="false")
        marks = {file["id"]: ((file.get("meta") or {}).get("data") or {}) for file in files}
        return {file_id for file_id, mark in marks.items() if MARK.items() <= mark.items()}

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


def is_due(known):
    """Whether the chatbot is to be given a document of which this is known."""
    return known is None or ("refused" in known and known.get("retry_at", 0) <= time.time())


def give_back(chat, uploads, path):
    """Deletes what was uploaded for a document, and forgets it."""
    chat.delete(uploads[path]["file_id"])
    del uploads[path]


def learn(chat, state, keep, path, content):
    """What is to be remembered of a document that the chatbot has been given. `keep` makes the state durable."""
    documents, uploads = state["documents"], state["uploads"]
    digest = hashlib.sha256(content).hexdigest()
    for known in documents.values():
        if known.get("digest") == digest and not is_due(known):
            if path in uploads:
                give_back(chat, uploads, path)
            return {key: value for key, value in known.items() if key != "version"}
    if path in uploads and uploads[path]["digest"] != digest:
        give_back(chat, uploads, path)
    try:
        if path not in uploads:
            if any(other["digest"] == digest for other in uploads.values()):
                raise Late("a file of equal content is not processed yet")
            uploads[path] = {"digest": digest, "since": time.time(), "file_id": chat.upload(path, content)}
            keep()
        file_id = uploads[path]["file_id"]
        if file_id not in state["linked"]:
            chat.link(state["knowledge"], file_id, uploads[path]["since"])
        del uploads[path]
        return {"digest": digest, "file_id": file_id}
    except Refused as error:
        if path in uploads:
            give_back(chat, uploads, path)
        tries = documents.get(path, {}).get("tries", 0) + 1
        pause = min(REFUSED_SECONDS_MAX, REFUSED_SECONDS_MIN * 2 ** (tries - 1))
        print(f"{path}: refused by the chatbot, trying again in {pause} s: {error}", file=sys.stderr, flush=True)
        return {"digest": digest, "refused": str(error), "tries": tries, "retry_at": time.time() + pause}
    except OSError as error:
        # Late, or gone from the chatbot: begun anew. Whatever else happened, the next round goes on from the upload.
        is_gone = isinstance(error, urllib.error.HTTPError) and error.code == 404
        if path in uploads and (isinstance(error, Late) or is_gone):
            give_back(chat, uploads, path)
        raise


def take(wanted):
    """As many of the documents as the bound of their sizes allows, by name."""
    total, taken = 0, {}
    for path, version in sorted(wanted.items()):
        size = int(version.split("-", 1)[0])
        if total + size <= TOTAL_BYTES_MAX:
            total += size
            taken[path] = version
    return taken


def is_of(error, server, code):
    return isinstance(error, urllib.error.HTTPError) and error.code == code and error.url.startswith(server)


class Sync:
    """The customer's files and the probe's, each with a state of its own."""

    def __init__(self):
        self.files = Files(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"])
        self.chat = Chat(os.environ["CHAT_EMAIL"], os.environ["CHAT_PASSWORD"])
        self.probe = os.environ["PROBE_EMAIL"] if PROBE_FOLDER else None
        # Why documents wait, by collection and path.
        self.waiting = {}
        # Uploads may be there that nobody noted: those of an earlier run, and those whose answer was lost.
        self.may_have_lost = True
        # Whether what was refused is to be tried again now.
        self.hurries = False

    def customer(self):
        """How many of the customer's documents the chatbot knows."""
        self.hurries = False
        if self.may_have_lost:
            self.delete_lost()
            self.may_have_lost = False
        access_grants = grants("group", self.chat.group(self.probe))
        description = "The files of this environment"
        collection = Collection("Files", "files", "Assistant for your files", description, access_grants)
        return self.round(collection, self.files.listing(without=PROBE_FOLDER.strip("/")), METRICS)

    def probes(self):
        """How many probes it knows."""
        user = self.chat.user(self.probe, os.environ["PROBE_PASSWORD"])
        collection = Collection("Probe", "probe", "landlord's probe", "What landlord verifies by", grants("user", user))
        metrics = dict(METRICS)
        known = self.round(collection, self.files.listing(PROBE_FOLDER), metrics)
        whole = load()
        if metrics["refused"] + metrics["pending"] > 0:
            if not whole.get("trouble"):
                save({**whole, "trouble": True})
        elif known and whole.get("trouble"):
            # What kept the chatbot from the probe may have kept it from the customer's documents.
            for document in whole.get("Files", {}).get("documents", {}).values():
                if "refused" in document:
                    document["retry_at"] = 0
            save({**whole, "trouble": False})
            self.hurries = True
        return known

    def delete_lost(self):
        """Deletes uploads of this program that are in no knowledge and that no state has."""
        chat = self.chat
        lost = chat.uploads()
        for knowledge in [item["id"] for item in chat.pages("knowledge/")]:
            lost -= chat.linked(knowledge)
        for state in load().values():
            if isinstance(state, dict):
                lost -= {upload["file_id"] for upload in state.get("uploads", {}).values()}
        for file_id in lost:
            chat.delete(file_id)

    def round(self, collection, listed, metrics):
        chat = self.chat
        knowledge = chat.knowledge(collection)
        chat.preset(knowledge, collection)
        whole = load()
        state = whole.setdefault(collection.name, {})
        if state.get("knowledge") != knowledge:
            state.clear()
            state.update(knowledge=knowledge, documents={})
        documents, uploads = state["documents"], state.setdefault("uploads", {})
        wanted = take(listed)
        metrics["left_out"] = len(listed) - len(wanted)
        linked = chat.linked(knowledge)
        # Orphans of a lost state, of a crash between upload and note, or of somebody's own hand.
        for file_id in linked - {known.get("file_id") for known in [*documents.values(), *uploads.values()]}:
            chat.remove(knowledge, file_id)
        for path in list(documents):
            known = documents[path]
            lost = known.get("file_id") and known["file_id"] not in linked
            if lost or wanted.get(path) != known["version"]:
                forget(chat, knowledge, documents, path)
                save(whole)
        for path in [path for path in uploads if path not in wanted]:
            give_back(chat, uploads, path)
            save(whole)
        ended = self.give(collection, wanted, {**state, "linked": linked}, lambda: save(whole), metrics)
        self.count(collection, wanted, documents, metrics)
        if ended:
            raise OSError(f"{TROUBLES_MAX} documents in a row were in trouble; the last: {ended}")
        metrics["synced"] = int(time.time())
        return metrics["known"]

    def give(self, collection, wanted, state, keep, metrics):
        """Gives the chatbot what it does not know. Gives why it stopped, if it did not come to the end."""
        documents, waiting = state["documents"], self.waiting.setdefault(collection.name, {})
        due = [path for path in wanted if is_due(documents.get(path))]
        troubles = 0
        # Those that were in trouble last time come last: no document keeps another from its turn.
        for path in sorted(due, key=lambda path: (path in waiting, path)):
            metrics["pending"] = len(wanted) - len(documents)
            try:
                learned = learn(self.chat, state, keep, path, self.files.content(path))
            except TROUBLE as error:
                keep()
                # It was there when it was listed.
                if is_of(error, FILES_URL + "/", 404) and not is_of(error, CHAT_URL + "/api/", 404):
                    continue
                if is_of(error, CHAT_URL + "/api/", 401):
                    raise
                self.may_have_lost = True
                print(f"{path}: not known yet, trying again: {error}", file=sys.stderr, flush=True)
                waiting[path] = str(error)[:200]
                troubles += 1
                if troubles == TROUBLES_MAX:
                    return waiting[path]
                continue
            troubles = 0
            waiting.pop(path, None)
            documents[path] = {"version": wanted[path], **learned}
            keep()
        return None

    def count(self, collection, wanted, documents, metrics):
        refused = {path: known["refused"] for path, known in documents.items() if "refused" in known}
        waiting = self.waiting.setdefault(collection.name, {})
        for path in [path for path in waiting if path not in wanted or path in documents]:
            del waiting[path]
        metrics["pending"] = len(wanted) - len(documents)
        metrics["refused"] = len(refused)
        metrics["known"] = len(documents) - len(refused)
        if metrics is METRICS:
            for told, found in ((REFUSED, refused), (WAITING, waiting)):
                told.clear()
                told.update(list(found.items())[-REASONS_MAX:])


def chatbot_lacks():
    request("GET", f"{CHAT_URL}/health/db", timeout=HEALTH_TIMEOUT_SECONDS)
    room = os.statvfs(os.path.dirname(STATE_FILE))
    return "its volume is full" if room.f_bavail * room.f_frsize < ROOM_BYTES_MIN else None


def models_lack():
    if not MODELS_URL:
        return None
    answer = json.loads(request("GET", f"{MODELS_URL}/api/tags", timeout=HEALTH_TIMEOUT_SECONDS))
    found = {model["name"] for model in answer["models"]}
    missing = [name for name in MODELS if (name if ":" in name else f"{name}:latest") not in found]
    return f"the model {missing[0]} is missing" if missing else None


def files_lack():
    room = Files(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"]).room()
    return "its volume is full" if room is not None and room < ROOM_BYTES_MIN else None


def lacks():
    """What an answer needs and has not, in a line; `None`: nothing that is seen so cheaply."""
    parts = {"the chatbot": chatbot_lacks, "the LLM service": models_lack, "the file server": files_lack}
    for what, look in parts.items():
        try:
            why = look()
        except TROUBLE as error:
            why = f"no answer: {error}"
        if why:
            return f"{what}: {why}"
    return None


def look_after_health():
    never = threading.Event()
    while True:
        HEALTH["lacks"] = lacks()
        never.wait(HEALTH_SECONDS)


def sync():
    """One round over the customer's documents; how many are known."""
    return Sync().customer()


# Counts of documents, and the Unix time of the last round that went to its end.
METRICS = {"known": 0, "pending": 0, "refused": 0, "left_out": 0, "synced": 0}
# Reasons of refusals, and of what else keeps a document from being known, by path.
REFUSED, WAITING = {}, {}
# What was lacking at the last look; `None`: nothing, or nobody has looked yet.
HEALTH = {"lacks": None}


class Metrics(http.server.BaseHTTPRequestHandler):
    """Prometheus' text format; at /status JSON with the reasons of refusals, at HEALTH_PATH what is lacking."""

    def do_GET(self):
        if self.path == HEALTH_PATH:
            lacking = HEALTH["lacks"]
            return self.answer("text/plain; charset=utf-8", f"{lacking or 'ok'}\n".encode(), 503 if lacking else 200)
        if self.path == "/status":
            return self.answer("application/json", json.dumps({**METRICS, "reasons": {**REFUSED, **WAITING}}).encode())
        lines = [f'landlord_documents{{state="{state}"}} {METRICS[state]}\n' for state in METRICS if state != "synced"]
        lines.append(f"landlord_documents_synced_seconds {METRICS['synced']}\n")
        return self.answer("text/plain; version=0.0.4", "".join(lines).encode())

    def answer(self, kind, body, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Nobody reads who asked."""


class Task:
    """Something that is done at its interval while it succeeds, and less and less often while it does not."""

    def __init__(self, what, interval, pause_max):
        self.what, self.interval, self.pause_max = what, interval, pause_max
        self.failures, self.due = 0, 0

    def is_due(self):
        return time.monotonic() >= self.due

    def run(self, do):
        """What came of it, `None` if it failed: trouble ends a round, not the program. And whether the session is over."""
        try:
            result = do()
        except TROUBLE as error:
            print(f"{self.what} not in sync, trying again: {error}", file=sys.stderr, flush=True)
            self.failures += 1
            # No exponent of any size: 2 ** 16 is above every pause.
            pause = min(self.pause_max, max(self.interval, 1) * 2 ** min(self.failures, 16))
            self.due = time.monotonic() + max(self.interval, pause)
            return None, is_of(error, CHAT_URL + "/api/", 401)
        self.failures, self.due = 0, time.monotonic() + self.interval
        return result, False


def main():
    server = http.server.ThreadingHTTPServer(("", METRICS_PORT), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=look_after_health, daemon=True).start()
    # A session lasts until the chatbot says that it is over: the chatbot limits how often somebody signs in.
    accounts = Task("accounts:", SIGN_IN_SECONDS, PAUSE_SECONDS_MAX)
    probes = Task("probes:", PROBE_INTERVAL_SECONDS, PROBES_PAUSE_SECONDS_MAX)
    documents = Task("documents:", INTERVAL_SECONDS, max(INTERVAL_SECONDS, PAUSE_SECONDS_MAX))
    said, session = None, None
    while True:
        if session is None and accounts.is_due():
            session, _ = accounts.run(Sync)
        if session and PROBE_FOLDER and probes.is_due():
            _, is_over = probes.run(session.probes)
            if session.hurries:
                documents.due = 0
            session = None if is_over else session
        if session and documents.is_due():
            known, is_over = documents.run(session.customer)
            if known is not None and known != said:
                said = known
                print(f"{known} documents are known to the chatbot", flush=True)
            session = None if is_over else session
        if INTERVAL_SECONDS == 0:
            return
        time.sleep(min(INTERVAL_SECONDS, PROBE_INTERVAL_SECONDS) if PROBE_FOLDER else INTERVAL_SECONDS)


if __name__ == "__main__":
    main()
