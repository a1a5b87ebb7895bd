"""A portal: portal.py CUSTOMER TENANT CLASS. The environment names daemon, issuer and secrets; see README.md."""

import json
import os
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

sys.path.insert(0, os.environ.get("GEN", str(Path(__file__).parent / "gen")))
from landlord.v1 import tenant_pb2, tenant_pb2_grpc  # noqa: E402

# Errors after which the same call may succeed; with a request_id also one that changes something.
RETRYABLE = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}
DEADLINE_S = 20


def file(variable):
    return Path(os.environ[variable]).read_text().strip()


class Tokens(grpc.AuthMetadataPlugin):
    """Shows a token with every call, and gets another one before it ends."""

    def __init__(self):
        self.token, self.renew_at, self.fetched, self.lock = "", 0.0, 0, threading.Lock()

    def __call__(self, context, callback):
        try:
            callback((("authorization", f"Bearer {self.get()}"),), None)
        except Exception as error:  # grpc wants it by the callback
            callback((), error)

    def get(self):
        with self.lock:  # one of several calls gets the new one
            if time.monotonic() >= self.renew_at:
                form = {"grant_type": "client_credentials", "client_id": os.environ["CLIENT_ID"],
                        "client_secret": file("CLIENT_SECRET_FILE")}
                data = urllib.parse.urlencode(form).encode()
                with urllib.request.urlopen(os.environ["TOKEN_URL"], data, timeout=10) as response:
                    answer = json.load(response)
                self.token, self.fetched = answer["access_token"], self.fetched + 1
                self.renew_at = time.monotonic() + answer.get("expires_in", 60) / 2
            return self.token


def connect(tokens):
    """One channel for everything: it reconnects by itself, and notices a daemon that vanished."""
    tls = grpc.ssl_channel_credentials(Path(os.environ["LANDLORD_CA_FILE"]).read_bytes())
    credentials = grpc.composite_channel_credentials(tls, grpc.metadata_call_credentials(tokens))
    options = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]
    return grpc.secure_channel(os.environ["LANDLORD_SERVER"], credentials, options)


def details(error):
    """What an error says to machines: reason, its metadata, and fields that are wrong."""
    reason, metadata, fields = "", {}, {}
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    for detail in status_pb2.Status.FromString(packed).details:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            fields = {violation.field: violation.description for violation in bad.field_violations}
    return reason, metadata, fields


def retry_after(error, usual):
    """Seconds before the same call again: as the daemon says, else the usual ones; None: it would fail again."""
    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    for detail in status_pb2.Status.FromString(packed).details:
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(retry):
            return retry.retry_delay.ToTimedelta().total_seconds()
    # Without RetryInfo, RESOURCE_EXHAUSTED is a quota or a message that is too large: nothing that goes by itself.
    return usual if error.code() in RETRYABLE else None


def again(call, *arguments):
    """Calls until it succeeds or can't; waits longer each time."""
    for wait in (0.5, 1, 2, 4, None):
        try:
            return call(*arguments, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            delay = retry_after(error, wait)
            if wait is None or delay is None or delay > DEADLINE_S:
                raise
            time.sleep(delay)


def serve_webhooks(secret, events):
    """Takes events that are signed, each once."""
    webhook, seen = Webhook(secret), set()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(min(int(self.headers.get("content-length", 0)), 1 << 20))
            try:
                webhook.verify(body, {name.lower(): value for name, value in self.headers.items()})
            except WebhookVerificationError:
                return self.answer(401)
            # A portal would keep these ids as long as landlord repeats: it may send an event twice.
            if self.headers["webhook-id"] not in seen:
                seen.add(self.headers["webhook-id"])
                events.put(json.loads(body))
            self.answer(204)

        def answer(self, status):
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["WEBHOOK_PORT"])), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Watch:
    """What happens to a customer's tenants, without a gap: a broken stream goes on where it was."""

    def __init__(self, tenants, parent):
        self.tenants, self.parent, self.token, self.stream = tenants, parent, "", None
        self.begin()

    def begin(self):
        request = tenant_pb2.WatchTenantsRequest(parent=self.parent, resume_token=self.token)
        self.stream = self.tenants.WatchTenants(request)  # no deadline: it is meant to last
        self.token = next(self.stream).resume_token  # the first message only says where it begins

    def events(self):
        while True:
            delay = 0.2
            try:
                for message in self.stream:
                    self.token = message.resume_token
                    if message.HasField("event"):
                        yield message.event
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.OUT_OF_RANGE:
                    raise  # older than what is kept: list again, and watch without a token
                if error.code() not in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAUTHENTICATED}:
                    delay = retry_after(error, delay)
                    if delay is None:
                        raise
            time.sleep(delay)
            self.begin()


def main():
    customer, tenant_id, tenant_class = sys.argv[1:]
    parent, name = f"customers/{customer}", f"customers/{customer}/tenants/{tenant_id}"
    told, tokens = queue.Queue(), Tokens()
    serve_webhooks(file("WEBHOOK_SECRET_FILE"), told)
    tenants = tenant_pb2_grpc.TenantServiceStub(connect(tokens))

    # Watch first, then list: what happens in between is in the watch.
    watch = Watch(tenants, parent)
    known = {tenant.name for tenant in again(tenants.ListTenants, tenant_pb2.ListTenantsRequest(parent=parent)).tenants}
    print("listed", len(known))

    wrong = tenant_pb2.Tenant(tenant_class=tenant_class, domain="not a domain", storage_gib=-1)
    try:
        tenants.CreateTenant(tenant_pb2.CreateTenantRequest(parent=parent, tenant_id="Wrong", tenant=wrong), timeout=DEADLINE_S)
    except grpc.RpcError as error:
        reason, _, fields = details(error)
        print("refused", reason, *sorted(fields))

    # The same request_id is the same order, however often it is sent: no answer does not mean no order.
    order = tenant_pb2.CreateTenantRequest(
        parent=parent, tenant_id=tenant_id, request_id=str(uuid.uuid4()),
        tenant=tenant_pb2.Tenant(tenant_class=tenant_class, domain=f"{tenant_id}.{customer}.example.com", storage_gib=10))
    operation = again(tenants.CreateTenant, order).name
    print("ordered once", again(tenants.CreateTenant, order).name == operation)

    broken = False
    for event in watch.events():
        if event.tenant != name:
            continue
        if not broken:  # as a lost connection would
            broken = watch.stream.cancel()
        if event.reason in ("Ready", "Failed"):
            print(event.reason, "by watch, resumed" if broken else "by watch")
            break
    while True:
        event = told.get(timeout=DEADLINE_S)
        if event["subject"] == name and event["type"] in ("dev.landlord.tenant.ready", "dev.landlord.tenant.failed"):
            print(event["type"], "by webhook")
            break
    tokens.renew_at = 0.0  # as when it ends
    state = again(tenants.GetTenant, tenant_pb2.GetTenantRequest(name=name)).state
    print(tenant_pb2.Tenant.State.Name(state), "with token", tokens.fetched)


if __name__ == "__main__":
    main()
