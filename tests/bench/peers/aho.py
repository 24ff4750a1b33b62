"""pyahocorasick: one automaton for all terms, over text in small letters; whole words only."""

import ahocorasick
from common import run


def build(rules):
    terms = {}
    for rule, (_, text) in enumerate(rules):
        terms.setdefault(text.lower(), []).append(rule)
    automaton = ahocorasick.Automaton()
    for term, of in terms.items():
        automaton.add_word(term, (len(term), of))
    automaton.make_automaton()

    def search(text):
        text = text.lower()
        found = set()
        for last, (length, of) in automaton.iter(text):
            start, end = last - length + 1, last + 1
            if (start == 0 or not text[start - 1].isalnum()) and (end == len(text) or not text[end].isalnum()):
                found.update(of)
        return len(found)

    return search


run(build)
