#!/bin/sh
# Fetches the programs that `peers` compares with: install.sh FOLDER
# ripgrep comes from Debian (as root), Python's packages go into a virtual environment in FOLDER.
set -u
command -v rg >/dev/null || apt-get install -y ripgrep || echo "ripgrep cannot be installed" >&2
python3 -m venv "$1" || exit 1
for package in orjson pyahocorasick google-re2 hyperscan; do
    "$1/bin/pip" install --quiet "$package" || echo "$package cannot be installed" >&2
done
