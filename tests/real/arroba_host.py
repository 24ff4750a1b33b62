"""A firehose written by others: arroba's server with two accounts, its data in memory.

    python tests/real/arroba_host.py PORT      (ends with its standard input)

Prints one line of JSON once it listens, and one for each subscriber that from now on hears of
everything: its WebSocket is open a moment before that. Records are created with
com.atproto.repo.createRecord and `Authorization: Bearer tok`.
"""

import json
import os
import sys
import threading
import time

os.environ.update(
    PDS_HOST="localhost", PLC_HOST="localhost", RELAY_HOST="localhost", APPVIEW_HOST="localhost", REPO_TOKEN="tok"
)

from arroba import firehose, server, xrpc_identity, xrpc_repo, xrpc_server, xrpc_sync  # noqa: E402,F401
from arroba.repo import Repo  # noqa: E402
from arroba.storage import MemoryStorage  # noqa: E402
from arroba.util import new_key  # noqa: E402
from flask import Flask  # noqa: E402
from lexrpc.flask_server import init_flask  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

ACCOUNTS = {"ann": "did:plc:" + "a" * 24, "bob": "did:plc:" + "b" * 24}


def say(what):
    # In one piece: several threads print.
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Subscribers(list):
    def append(self, subscriber):
        super().append(subscriber)
        say({"subscribed": len(self)})


def tell():
    # Again and again: the collector does not hear of what happens while it is at work.
    while True:
        firehose.send_events()
        time.sleep(0.05)


def main():
    port = int(sys.argv[1])
    server.storage = MemoryStorage()
    app = Flask(__name__)
    init_flask(server.server, app)
    # The firehose wants a first event to count from.
    for name, did in ACCOUNTS.items():
        Repo.create(server.storage, did, handle=f"{name}.test", signing_key=new_key(), rotation_key=new_key())
    firehose.start()
    firehose.subscribers = Subscribers()
    host = make_server("127.0.0.1", port, app, threaded=True)
    for work in (tell, host.serve_forever):
        threading.Thread(target=work, daemon=True).start()
    say({"accounts": ACCOUNTS})
    sys.stdin.read()
    os._exit(0)


main()
