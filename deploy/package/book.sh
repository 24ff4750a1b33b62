#!/usr/bin/env bash
# The book as plain Markdown: its pages, with what they take in from elsewhere ({{#include FILE}}, FILE:FIRST:LAST or
# FILE:ANCHOR) in its place, as mdbook does.
#
#   deploy/package/book.sh FOLDER
set -euo pipefail
into=$(realpath -m "$1")
cd "$(dirname "$0")/../docs/src"
find . -name '*.md' -print0 | while IFS= read -rd '' page; do
  mkdir -p "$(dirname "$into/$page")"
  awk -v folder="$(dirname "$page")" '
    function fail(what) { print FILENAME ": " what > "/dev/stderr"; failed = 1; exit 1 }
    function take(what,   part, parts, file, line, got, number, begin, end, inside, taken) {
      parts = split(what, part, ":"); file = folder "/" part[1]
      begin = "<!-- ANCHOR: " part[2] " -->"; end = "<!-- ANCHOR_END: " part[2] " -->"
      while ((got = (getline line < file)) > 0) {
        number++
        if (parts == 2 && line == begin) { inside = 1; continue }
        if (parts == 2 && line == end) inside = 0
        if (parts == 2 && !inside) continue
        if (parts == 3 && (number < part[2] + 0 || part[3] != "" && number > part[3] + 0)) continue
        print line; taken++
      }
      close(file)
      if (got < 0 || !taken) fail("nothing is taken from " what)
    }
    index($0, "{{#include ") == 1 { take(substr($0, 12, length($0) - 13)); next }
    index($0, "{{#") { fail($0) }
    { print }
    END { exit failed }' "$page" >"$into/$page"
done
