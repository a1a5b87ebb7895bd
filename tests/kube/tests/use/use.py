"""use.py CHAT SFTP_PORT: what a customer does: puts a file by SFTP, asks the chatbot, gets an answer that names the file.

Accounts come by the environment: FILES_USER, FILES_PASSWORD, CHAT_EMAIL, CHAT_PASSWORD. Prints times and the answer as
JSON; its exit code says whether the answer came from the file.
"""

import io
import json
import os
import sys
import time
import urllib.error
import urllib.request

import paramiko

CHAT, SFTP_PORT = sys.argv[1], int(sys.argv[2])
SENTENCE = "The secret door code of the Blue Heron warehouse in Tromso is 7431."
NAME = "door.txt"
# The file is known within one interval plus the time to embed it, on a machine that compiles meanwhile.
PATIENCE_SECONDS = 240
# What the file says and the question does not. A model of 135 million parameters repeats one or the other.
FACTS = ("Tromso", "7431")
STARTED = time.monotonic()


def after():
    return round(time.monotonic() - STARTED, 1)


def call(method, path, token=None, body=None):
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(CHAT + path, data, headers, method=method), timeout=300) as answer:
        return json.loads(answer.read())


def put(password):
    transport = paramiko.Transport(("127.0.0.1", SFTP_PORT))
    try:
        transport.connect(username=os.environ["FILES_USER"], password=password)
        client = paramiko.SFTPClient.from_transport(transport)
        client.putfo(io.BytesIO(SENTENCE.encode() + b"\n"), NAME)
        return client.listdir(".")
    finally:
        transport.close()


def refused():
    try:
        put("wrong")
    except paramiko.AuthenticationException:
        return True
    return False


def main():
    told = {"wrong_password_refused": refused(), "listed": put(os.environ["FILES_PASSWORD"]), "put_after": after()}
    account = {"email": os.environ["CHAT_EMAIL"], "password": os.environ["CHAT_PASSWORD"]}
    token = call("POST", "/api/v1/auths/signin", body=account)["token"]
    knowledge = []
    while after() < PATIENCE_SECONDS and "door.txt" not in knowledge:
        knowledge = []
        for base in call("GET", "/api/v1/knowledge/", token)["items"]:
            knowledge += [file["filename"] for file in call("GET", f"/api/v1/knowledge/{base['id']}/files", token)["items"]]
        time.sleep(1)
    told.update(knowledge=knowledge, known_after=after())
    # As the web client does first: the chatbot looks up which models there are.
    told["models"] = [model["id"] for model in call("GET", "/api/models", token)["data"]]
    question = {"role": "user", "content": "Copy the sentence about the Blue Heron warehouse."}
    answer = call("POST", "/api/chat/completions", token, {"model": "files", "stream": False, "temperature": 0,
                                                           "max_tokens": 48, "messages": [question]})
    sources = [name["name"] for source in answer.get("sources") or [] for name in source.get("metadata") or []]
    told.update(answer=answer["choices"][0]["message"]["content"], sources=sources, answered_after=after())
    print(json.dumps(told))
    quoted = any(SENTENCE in text for source in answer.get("sources") or [] for text in source.get("document") or [])
    answered = any(fact in told["answer"] for fact in FACTS)
    if not (NAME in sources and quoted and answered and told["wrong_password_refused"]):
        sys.exit(f"the answer is not from the file: {json.dumps(told)}")


if __name__ == "__main__":
    main()
