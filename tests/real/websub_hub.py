"""A WebSub hub written by others (flask-websub), beside a feed that can be added to.

    websub_hub.py PORT FOLDER METHOD

POST /add          adds an entry, whose title is the body; the hub is told by its own hub.mode=publish.
METHOD is how it signs: sha1, sha256, sha384 or sha512.
"""

import sys

from celery import Celery
from flask import Flask, Response, request
from flask_websub.hub import Hub, SQLite3HubStorage

port, folder, method = int(sys.argv[1]), sys.argv[2], sys.argv[3]
base = f"http://127.0.0.1:{port}"
entries = ["old"]

celery = Celery("hub", broker="memory://")
celery.conf.task_always_eager = True  # no worker: what it does, it does while it is asked
storage = SQLite3HubStorage(f"{folder}/hub.sqlite3")
hub = Hub(storage, celery, SIGNATURE_ALGORITHM=method, MAX_ATTEMPTS=2, BACKOFF_BASE=0.2)

app = Flask(__name__)
app.config["PUBLISH_SUPPORTED"] = True
app.config["HUB_MIN_LEASE_SECONDS"] = 5
app.register_blueprint(hub.build_blueprint(url_prefix="/hub"))


@hub.register_validator
def is_welcome(callback_url, topic, *_):
    return "this topic is closed" if "closed" in topic else None


@app.post("/add")
def add():
    entries.insert(0, request.get_data(as_text=True))
    return ""


@app.get("/feed")
@app.get("/closed")
def feed():
    own = base + request.path
    entry = (
        "<entry><id>urn:x:{0}</id><title>{0}</title><link href='https://b.example/{0}'/>"
        "<updated>2026-11-22T15:38:00Z</updated></entry>"
    )
    body = "".join(entry.format(title) for title in entries)
    body = f"<feed xmlns='http://www.w3.org/2005/Atom'><title>B</title>{body}</feed>"
    links = f'<{own}>; rel="self", <{base}/hub>; rel="hub"'
    return Response(body, content_type="application/atom+xml", headers={"Link": links})


app.run(host="127.0.0.1", port=port, threaded=True)
