"""Checks the signatures of requests (JSON on standard input) by a secret; prints how many there were. A changed body must fail."""

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(sys.argv[1])
requests = json.load(sys.stdin)
for request in requests:
    webhook.verify(request["body"], request["headers"])
    try:
        webhook.verify(request["body"] + " ", request["headers"])
    except WebhookVerificationError:
        continue
    sys.exit("a changed body has the same signature")
print(len(requests))
