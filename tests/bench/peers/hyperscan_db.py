"""Hyperscan: all rules in one database, each reported once a text.

It has no `\\b` by Unicode's rules (HS_FLAG_UCP), so its `\\b` knows ASCII only and it finds fewer.
"""

import hyperscan
from common import pattern, run


def build(rules):
    flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_UTF8 | hyperscan.HS_FLAG_SINGLEMATCH
    database = hyperscan.Database()
    expressions = [pattern(sort, text).encode() for sort, text in rules]
    database.compile(
        expressions=expressions, ids=list(range(len(rules))), elements=len(rules), flags=[flags] * len(rules)
    )
    found = []

    def search(text):
        found.clear()
        database.scan(text.encode(), match_event_handler=lambda rule, *_: found.append(rule))
        return len(found)

    return search


run(build)
