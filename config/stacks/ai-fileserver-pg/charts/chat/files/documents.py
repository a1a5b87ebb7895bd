"""Keeps the chatbot's knowledge equal to the customer's files.

Every interval: lists the customer's files over WebDAV, uploads new and changed documents into one knowledge base of Open
WebUI, removes what was deleted, and makes sure that a model preset with that knowledge exists. A document counts as known
only when Open WebUI says that it has processed it and lists it in the knowledge: its upload answers long before. Files of equal
content, which it takes once, are remembered under all names.

What it refused, or had not processed in time, is tried again at growing intervals, when it changes, and when a probe is known after
one was not: a model that is missing refuses every document, and comes back. Trouble with one document leaves the others alone. An
upload is noted before it is waited for, and gone on from; one that nobody noted, since its answer was lost, is found by what it
carries and deleted. Documents that are not taken (empty, too large by themselves or together) are told with the reason.

With PROBE_FOLDER set, what lies there is kept in a knowledge base, a preset and an account of their own, and looked at
every PROBE_INTERVAL_SECONDS by a thread of its own, whatever the customer's documents wait for: by these landlord verifies that the
chatbot answers. The probe's account sees nothing of the customer's: knowledge and preset of the customer are granted to a group
of all other users.

It signs in with an account of its own, which it makes as the owner, the chatbot's first administrator: that one is the customer's,
who may change its password in the chatbot. While neither is let in, /status says so, with what to do.

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
import traceback
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
# All users but the probe's and this program's: new ones are added within one interval.
GROUP = "Everybody"
# Reasons that are told, the last ones each of refusals, of what waits and of what is left out; refusals are all in the log.
REASONS_MAX = 5
# One request: the embedding of a large document takes minutes on a small machine.
TIMEOUT_SECONDS = 600
# Folders below each other; deeper is taken for a loop.
DEPTH_MAX = 32
# A document that was refused or not processed in time is tried again after the first of them, then after twice as long each
# time, up to the other.
REFUSED_SECONDS_MIN, REFUSED_SECONDS_MAX = 3600, 24 * 3600
# Documents in trouble one after another that end a round: the chatbot or the file server is, not they.
TROUBLES_MAX = 3
# The longest pause of something that goes on failing: probes are looked for by landlord, which waits a minute and a half.
PROBES_PAUSE_SECONDS_MAX = 60
PAUSE_SECONDS_MAX = 300
# Open WebUI takes 15 sign-ins of an account in 3 minutes; the owner's, who signs in too, are tried at growing pauses.
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
# Collection of the customer's documents, and its part of the state.
CUSTOMERS = "Files"
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


class LockedOut(OSError):
    """The chatbot lets in neither this program's account nor the owner's."""


class Files:
    """The customer's files, read-only."""

    def __init__(self, user, password):
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {basic}"}

    def listing(self, folder="/", depth=0, without=None):
        """Documents below `folder`, of any size, as path -> version, which begins with the size in bytes."""
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


# One at a time: two threads would make the same account or model.
MAKING = threading.Lock()


class Chat:
    """The chatbot, as an administrator."""

    def __init__(self, email, password):
        self.headers = {}
        answer = self.call("POST", "auths/signin", {"email": email, "password": password})
        self.headers = {"Authorization": f"Bearer {answer['token']}"}
        self.role = answer.get("role")

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

    def group(self, others):
        """The id of the group of all users but the `others`, made if missing; who is not in it yet is added."""
        found = [group["id"] for group in self.call("GET", "groups/") if group["name"] == GROUP]
        made = {"name": GROUP, "description": "All users of this environment"}
        group = found[0] if found else self.call("POST", "groups/create", made)["id"]
        users = self.pages("users/", items="users")
        missing = [user["id"] for user in users if user["email"] not in others and group not in user["group_ids"]]
        if missing:
            self.call("POST", f"groups/id/{group}/users/add", {"user_ids": missing})
        return group

    def user(self, email, password):
        """The id of a user without rights of its own, made if missing."""
        found = self.found(email)
        made = {"name": "landlord", "email": email, "password": password, "role": "user"}
        return found["id"] if found else self.call("POST", "auths/add", made)["id"]

    def found(self, email):
        """A user by its address, `None` if there is none."""
        query = urllib.parse.urlencode({"query": email})
        return next((user for user in self.call("GET", f"users/search?{query}")["users"] if user["email"] == email), None)

    def administrator(self, email, password):
        """An administrator with this password, made if missing and mended if somebody changed it."""
        account = {"name": "landlord", "email": email, "password": password, "role": "admin"}
        found = self.found(email)
        self.call("POST", f"users/{found['id']}/update" if found else "auths/add", account)

    def upload(self, path, content, mark):
        """The id of the file, which is yet to be processed."""
        boundary = uuid.uuid4().hex
        name = path.strip("/").replace("/", " - ").replace('"', "'")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{json.dumps(mark)}\r\n'
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

    def uploads(self, collection):
        """Ids of all files that this program has uploaded for a collection, whether somebody knows of them or not."""
        files = self.pages("files/", content="false")
        marks = {file["id"]: ((file.get("meta") or {}).get("data") or {}) for file in files}
        ours = {file_id: mark for file_id, mark in marks.items() if MARK.items() <= mark.items()}
        # Uploads of older programs don't say which one they are of.
        return {file_id for file_id, mark in ours.items() if mark.get("collection", CUSTOMERS) == collection}

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
        with MAKING:
            try:
                self.call("GET", f"models/model?{urllib.parse.urlencode({'id': model['id']})}")
            except urllib.error.HTTPError as error:
                if error.code not in (401, 404):
                    raise
                self.call("POST", "models/create", model)


def is_refused(error):
    """Whether an account or its password is wrong: a chatbot that is busy, or away, says something else."""
    return isinstance(error, urllib.error.HTTPError) and error.code in (400, 401, 403)


def sign_in():
    """The chatbot, as this program's own administrator, whose account the owner makes."""
    email, password = os.environ["CHAT_EMAIL"], os.environ["CHAT_PASSWORD"]
    with MAKING:
        try:
            chat = Chat(email, password)
            if chat.role == "admin":
                SESSION["error"] = None
                return chat
            refused = f"{email} is no administrator any more"
        except urllib.error.HTTPError as error:
            if not is_refused(error):
                raise
            refused = f"{email} is refused (HTTP {error.code})"
        owner = os.environ["OWNER_EMAIL"]
        try:
            Chat(owner, os.environ["OWNER_PASSWORD"]).administrator(email, password)
        except urllib.error.HTTPError as error:
            if not is_refused(error):
                raise
            cause = (
                f"no document reaches the chatbot: {refused}, and so is {owner}, who would mend that (HTTP {error.code}): "
                "somebody changed the password in the chatbot"
            )
            remedy = (
                f"set the password of {owner} in the chatbot back to that of the Secret {os.environ['OWNER_SECRET']} (the stack's README "
                f"says how where nobody knows it): it is tried again within {PAUSE_SECONDS_MAX // 60} minutes, and may change again after that"
            )
            SESSION["error"] = {"cause": cause, "remedy": remedy}
            raise LockedOut(cause) from error
        chat = Chat(email, password)
        SESSION["error"] = None
        return chat


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


# Each thread keeps its own part of the state.
STATE = threading.Lock()
# What is kept beside the states of collections: whether the last probe was in trouble, and whether what was refused is to be
# tried again at once.
TROUBLE_KEPT, HURRY_KEPT = "trouble", "hurry"


def keep(**parts):
    """Makes parts of the state durable; the others stay as they are."""
    with STATE:
        save({**load(), **parts})


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


def learn(chat, state, note, path, version, content):
    """Gives the chatbot a document, and notes what came of it, and with which version. `note` makes the state durable."""
    documents, uploads = state["documents"], state["uploads"]
    digest = hashlib.sha256(content).hexdigest()
    for known in documents.values():
        if known.get("digest") == digest and not is_due(known):
            documents[path] = {**known, "version": version}
            if path in uploads:
                give_back(chat, uploads, path)
            return
    if path in uploads and uploads[path]["digest"] != digest:
        give_back(chat, uploads, path)
    try:
        if path not in uploads:
            if any(other["digest"] == digest for other in uploads.values()):
                raise OSError("a file of equal content is not processed yet")
            file_id = chat.upload(path, content, marked(state["collection"]))
            uploads[path] = {"digest": digest, "since": time.time(), "file_id": file_id}
            note()
        file_id = uploads[path]["file_id"]
        if file_id not in state["linked"]:
            chat.link(state["knowledge"], file_id, uploads[path]["since"])
        del uploads[path]
        documents[path] = {"version": version, "digest": digest, "file_id": file_id}
    except (Refused, Late) as error:
        tries = documents.get(path, {}).get("tries", 0) + 1
        pause = min(REFUSED_SECONDS_MAX, REFUSED_SECONDS_MIN * 2 ** (tries - 1))
        print(f"{path}: refused by the chatbot, trying again in {pause} s: {error}", file=sys.stderr, flush=True)
        refused = {"refused": str(error), "tries": tries, "retry_at": time.time() + pause}
        documents[path] = {"version": version, "digest": digest, **refused}
        # Before its upload goes: a program that is killed between would begin it anew.
        note()
        if path in uploads:
            give_back(chat, uploads, path)
        # Not the document's fault alone where others are late, too.
        if isinstance(error, Late):
            raise
    except OSError as error:
        # Gone from the chatbot: begun anew. Whatever else happened, the next round goes on from the upload.
        if path in uploads and isinstance(error, urllib.error.HTTPError) and error.code == 404:
            give_back(chat, uploads, path)
        raise


def marked(collection):
    return {**MARK, "collection": collection}


def told(size):
    """A bound in bytes as people write it."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size} bytes"


def take(listed):
    """As many of the documents as the bounds of their sizes allow, by name; and why the others are left out."""
    total, taken, left = 0, {}, {}
    for path, version in sorted(listed.items()):
        size = int(version.split("-", 1)[0])
        if size == 0:
            left[path] = "left out: it is empty"
        elif size > FILE_BYTES_MAX:
            left[path] = f"left out: larger than {told(FILE_BYTES_MAX)}"
        elif total + size > TOTAL_BYTES_MAX:
            left[path] = f"left out: all documents together are larger than {told(TOTAL_BYTES_MAX)}"
        else:
            total += size
            taken[path] = version
    return taken, left


def is_of(error, server, code):
    return isinstance(error, urllib.error.HTTPError) and error.code == code and error.url.startswith(server)


class Sync:
    """The customer's files or the probe's, in a session of the chatbot's."""

    def __init__(self):
        self.files = Files(os.environ["FILES_USER"], os.environ["FILES_PASSWORD"])
        self.chat = sign_in()
        self.probe = os.environ["PROBE_EMAIL"] if PROBE_FOLDER else None
        # Why documents wait, by path.
        self.waiting = {}
        # Uploads may be there that nobody noted: those of an earlier run, and those whose answer was lost.
        self.may_have_lost = True

    def customer(self):
        """How many of the customer's documents the chatbot knows."""
        kept = load()
        if kept.get(HURRY_KEPT):
            # What kept the chatbot from the probe may have kept it from the customer's documents.
            state = kept.get(CUSTOMERS, {})
            for document in state.get("documents", {}).values():
                if "refused" in document:
                    document["retry_at"] = 0
            keep(**{CUSTOMERS: state, HURRY_KEPT: False})
        access_grants = grants("group", self.chat.group({self.probe, os.environ["CHAT_EMAIL"]}))
        description = "The files of this environment"
        collection = Collection(CUSTOMERS, "files", "Assistant for your files", description, access_grants)
        return self.round(collection, self.files.listing(without=PROBE_FOLDER.strip("/")), METRICS)

    def probes(self):
        """How many probes it knows."""
        user = self.chat.user(self.probe, os.environ["PROBE_PASSWORD"])
        collection = Collection("Probe", "probe", "landlord's probe", "What landlord verifies by", grants("user", user))
        metrics = dict(METRICS)
        known = self.round(collection, self.files.listing(PROBE_FOLDER), metrics)
        was_in_trouble = load().get(TROUBLE_KEPT)
        if metrics["refused"] + metrics["pending"] > 0:
            if not was_in_trouble:
                keep(**{TROUBLE_KEPT: True})
        elif known and was_in_trouble:
            keep(**{TROUBLE_KEPT: False, HURRY_KEPT: True})
            HURRIES.set()
        return known

    def delete_lost(self, collection):
        """Deletes uploads of this program for the collection that are in no knowledge and that no state has."""
        chat = self.chat
        lost = chat.uploads(collection)
        for knowledge in [item["id"] for item in chat.pages("knowledge/")] if lost else []:
            lost -= chat.linked(knowledge)
        for state in load().values():
            if isinstance(state, dict):
                lost -= {upload["file_id"] for upload in state.get("uploads", {}).values()}
        for file_id in lost:
            chat.delete(file_id)

    def round(self, collection, listed, metrics):
        chat = self.chat
        if self.may_have_lost:
            self.delete_lost(collection.name)
            self.may_have_lost = False
        knowledge = chat.knowledge(collection)
        chat.preset(knowledge, collection)
        state = load().get(collection.name, {})
        if state.get("knowledge") != knowledge:
            state = {"knowledge": knowledge, "documents": {}}
        documents, uploads = state["documents"], state.setdefault("uploads", {})

        def note():
            keep(**{collection.name: state})

        wanted, left = take(listed)
        metrics["left_out"] = len(left)
        if metrics is METRICS:
            tell(LEFT_OUT, left)
        linked = chat.linked(knowledge)
        # Orphans of a lost state, of a crash between upload and note, or of somebody's own hand.
        for file_id in linked - {known.get("file_id") for known in [*documents.values(), *uploads.values()]}:
            chat.remove(knowledge, file_id)
        for path in list(documents):
            known = documents[path]
            lost = known.get("file_id") and known["file_id"] not in linked
            if lost or wanted.get(path) != known["version"]:
                forget(chat, knowledge, documents, path)
                note()
        # Of what is not wanted any more, and of what was refused by a program that was killed then.
        for path in [path for path in uploads if path not in wanted or not is_due(documents.get(path))]:
            give_back(chat, uploads, path)
            note()
        ended = self.give(wanted, {**state, "linked": linked, "collection": collection.name}, note, metrics)
        self.count(wanted, documents, metrics)
        if ended:
            raise OSError(f"{TROUBLES_MAX} documents in a row were in trouble; the last: {ended}")
        metrics["synced"] = int(time.time())
        return metrics["known"]

    def give(self, wanted, state, note, metrics):
        """Gives the chatbot what it does not know. Gives why it stopped, if it did not come to the end."""
        documents, waiting = state["documents"], self.waiting
        due = [path for path in wanted if is_due(documents.get(path))]
        troubles = 0
        # Those that were in trouble last time come last: no document keeps another from its turn.
        for path in sorted(due, key=lambda path: (path in waiting, path)):
            metrics["pending"] = len(wanted) - len(documents)
            try:
                learn(self.chat, state, note, path, wanted[path], self.files.content(path))
            except TROUBLE as error:
                note()
                # It was there when it was listed.
                if is_of(error, FILES_URL + "/", 404) and not is_of(error, CHAT_URL + "/api/", 404):
                    continue
                if is_of(error, CHAT_URL + "/api/", 401):
                    raise
                waiting[path] = str(error)[:200]
                if not isinstance(error, Late):
                    self.may_have_lost = True
                    print(f"{path}: not known yet, trying again: {error}", file=sys.stderr, flush=True)
                troubles += 1
                if troubles == TROUBLES_MAX:
                    return waiting[path]
                continue
            troubles = 0
            waiting.pop(path, None)
            note()
        return None

    def count(self, wanted, documents, metrics):
        refused = {path: known["refused"] for path, known in documents.items() if "refused" in known}
        for path in [path for path in self.waiting if path not in wanted or path in documents]:
            del self.waiting[path]
        metrics["pending"] = len(wanted) - len(documents)
        metrics["refused"] = len(refused)
        metrics["known"] = len(documents) - len(refused)
        if metrics is METRICS:
            tell(REFUSED, refused)
            tell(WAITING, self.waiting)


def tell(reasons, found):
    reasons.clear()
    reasons.update(list(found.items())[-REASONS_MAX:])


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
# Reasons of refusals, of what else keeps a document from being known, and of what is not taken, by path.
REFUSED, WAITING, LEFT_OUT = {}, {}, {}
# Why the chatbot lets nobody in, and what to do; `None`: it does, or nobody has tried yet.
SESSION = {"error": None}
# Whether what was refused is to be tried again at once.
HURRIES = threading.Event()
# What was lacking at the last look; `None`: nothing, or nobody has looked yet.
HEALTH = {"lacks": None}


class Metrics(http.server.BaseHTTPRequestHandler):
    """Prometheus' text format; at /status JSON with the reasons of what is not known, at HEALTH_PATH what is lacking."""

    def do_GET(self):
        if self.path == HEALTH_PATH:
            lacking = HEALTH["lacks"]
            return self.answer("text/plain; charset=utf-8", f"{lacking or 'ok'}\n".encode(), 503 if lacking else 200)
        if self.path == "/status":
            status = {**METRICS, **SESSION, "reasons": {**REFUSED, **WAITING, **LEFT_OUT}}
            return self.answer("application/json", json.dumps(status).encode())
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


class Worker:
    """One thing that is done at its interval, in a session of its own, which lasts until the chatbot says that it is over: the
    chatbot limits how often somebody signs in."""

    def __init__(self, task, do, hurries=None):
        self.accounts = Task("accounts:", SIGN_IN_SECONDS, PAUSE_SECONDS_MAX)
        self.task, self.do, self.hurries, self.session = task, do, hurries or threading.Event(), None

    def step(self):
        """Does what is due."""
        if self.session is None and self.accounts.is_due():
            self.session, _ = self.accounts.run(Sync)
        if self.session and (self.task.is_due() or self.hurries.is_set()):
            # Before its round looks what was kept of it: a hurry that begins now begins another round.
            self.hurries.clear()
            _, is_over = self.task.run(lambda: self.do(self.session))
            self.session = None if is_over else self.session

    def run(self, ends):
        """Until it ends."""
        while not ends.is_set():
            self.step()
            ends.wait(min(max(self.task.interval, 1), PROBE_INTERVAL_SECONDS))


def workers():
    """The customer's, and the probe's."""

    def customer(session):
        before = METRICS["known"]
        known = session.customer()
        if known != before:
            print(f"{known} documents are known to the chatbot", flush=True)

    documents = Task("documents:", INTERVAL_SECONDS, max(INTERVAL_SECONDS, PAUSE_SECONDS_MAX))
    probes = Task("probes:", PROBE_INTERVAL_SECONDS, PROBES_PAUSE_SECONDS_MAX)
    found = [Worker(documents, customer, HURRIES)]
    return found + ([Worker(probes, Sync.probes)] if PROBE_FOLDER else [])


def whole_or_not_at_all(worker, ends):
    """A thread that fails takes the program with it: nobody would see that the other goes on alone."""
    try:
        worker.run(ends)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main(ends=None):
    server = http.server.ThreadingHTTPServer(("", METRICS_PORT), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=look_after_health, daemon=True).start()
    customer, *others = workers()
    if INTERVAL_SECONDS == 0:
        for worker in (*others, customer):
            worker.step()
        return
    ends = ends or threading.Event()
    for other in others:
        threading.Thread(target=whole_or_not_at_all, args=(other, ends), daemon=True).start()
    customer.run(ends)


if __name__ == "__main__":
    main()
