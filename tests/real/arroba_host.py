"""A firehose written by others: arroba's server with two accounts, its data in memory.

    python tests/real/arroba_host.py PORT      (ends with its standard input)

Prints one line of JSON once it listens. Records are created with com.atproto.repo.createRecord and
`Authorization: Bearer tok`.
"""

import json
import os
import sys
import threading

os.environ.update(
    PDS_HOST="localhost", PLC_HOST="localhost", RELAY_HOST="localhost", APPVIEW_HOST="localhost", REPO_TOKEN="tok"
)

from arroba import firehose, server, xrpc_identity, xrpc_repo, xrpc_server, xrpc_sync  # noqa: E402,F401
from arroba.repo import Repo  # noqa: E402
from arroba.storage import MemoryStorage  # noqa: E402
from arroba.util import new_key  # noqa: E402
from flask import Flask  # noqa: E402
from lexrpc.flask_server import init_flask  # noqa: E402

ACCOUNTS = {"ann": "did:plc:" + "a" * 24, "bob": "did:plc:" + "b" * 24}


def tell(*_, **__):
    firehose.send_events()


def main():
    port = int(sys.argv[1])
    server.storage = MemoryStorage()
    Repo.callback = staticmethod(tell)
    app = Flask(__name__)
    init_flask(server.server, app)
    # The firehose wants a first event to count from.
    for name, did in ACCOUNTS.items():
        repo = Repo.create(
            server.storage, did, handle=f"{name}.test", signing_key=new_key(), rotation_key=new_key()
        )
        repo.callback = tell
    firehose.start()
    threading.Thread(
        target=lambda: app.run("127.0.0.1", port, threaded=True, use_reloader=False), daemon=True
    ).start()
    print(json.dumps({"accounts": ACCOUNTS}), flush=True)
    sys.stdin.read()
    os._exit(0)


main()
