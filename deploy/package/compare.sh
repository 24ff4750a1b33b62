#!/usr/bin/env bash
# Whether the same commit gives the same packages wherever it lies: two clones in folders of different names, built one
# after the other with caches of their own, and compared byte by byte.
#
#   deploy/package/compare.sh [FOLDER] [arguments of deploy/package.sh]
#
# FOLDER keeps both; what differs is named, and of archives the files in it. Ends with 0 only if nothing differs.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
case ${1:-} in
  '' | --*) work=$(mktemp -d) ;;
  *) work=$(realpath -m "$1"); shift ;;
esac
mkdir -p "$work"
clones=("$work/one" "$work/a-folder-with-another-name/two")
# Both before anything is built: the tree here may go on meanwhile.
for clone in "${clones[@]}"; do
  rm -rf "$clone"
  git clone --quiet --no-hardlinks "$here" "$clone"
done
for clone in "${clones[@]}"; do
  echo "==> $clone"
  (cd "$clone" && env -u CARGO_TARGET_DIR deploy/package.sh "$@" >package.log 2>&1) || { tail -n 30 "$clone/package.log" >&2; exit 1; }
  # The next one compiles everything anew.
  mv "$clone/target/package" "$clone/package"
  rm -rf "$clone/target"
done
cat "$work/one/package/SHA256SUMS"
if cmp "$work/one/package/SHA256SUMS" "$work/a-folder-with-another-name/two/package/SHA256SUMS"; then
  echo "the same, byte by byte"
else
  diff -rq "$work/one/package/root" "$work/a-folder-with-another-name/two/package/root" >&2 || true
  exit 1
fi
