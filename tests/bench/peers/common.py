"""What all Python peers share: read frames and rules, time a matcher, say what came out.

Usage of each: NAME.py FRAMES.jsonl RULES.json SECONDS
Rules are pairs of a sort ("words", "phrases", "regexes") and a text. Timed is everything from a
frame's bytes to the set of rules found: JSON, the search and what Python needs in between.
"""

import json
import re
import sys
import time

import orjson

CHUNK = 2000
ROUNDS = 3


def post_text(frame):
    """The text of a frame's post, or None."""
    commit = orjson.loads(frame).get("commit")
    if not commit or commit.get("collection") != "app.bsky.feed.post":
        return None
    record = commit.get("record")
    return record and record.get("text")


def pattern(sort, text):
    """A rule as a regex that finds whole words."""
    return text if sort == "regexes" else r"\b" + re.escape(text) + r"\b"


def run(build):
    """Times `build(rules)`'s result, a function from a text to how many rules it holds."""
    path, rules, seconds = sys.argv[1:4]
    with open(path, "rb") as file:
        frames = file.read().splitlines()
    with open(rules, encoding="utf-8") as file:
        search = build(json.load(file))
    chunks = [frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK)]
    best, posts, matches, spent = {}, 0, 0, 0.0
    for _ in range(ROUNDS):
        for place, chunk in enumerate(chunks):
            if spent > float(seconds):
                break
            began = time.process_time()
            for frame in chunk:
                text = post_text(frame)
                if text is not None:
                    posts += 1
                    matches += search(text)
            took = time.process_time() - began
            spent += took
            best[place] = min(took, best.get(place, took))
    done = sum(len(chunks[place]) for place in best)
    print(json.dumps({"frames": done, "seconds": sum(best.values()), "posts": posts, "matches": matches}))
