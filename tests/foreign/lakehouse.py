# Reads frames of Jetstream's v2 wire, one a line of standard input, with a client written by others
# (jetstream-lakehouse, which raises on any deviation) and prints what it understood, one JSON value a line.
import json
import sys

from jetstream_lakehouse.live import decode_message

for frame in sys.stdin:
    try:
        event = decode_message(frame.rstrip("\n"))
    except Exception as error:
        print(json.dumps({"error": str(error)}))
        continue
    told = event and [event.seq, event.kind, event.operation, event.rkey, event.cid]
    print(json.dumps({"event": told}))
