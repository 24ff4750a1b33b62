"""The licence texts of all libraries in the program, as their authors ask for, into one text on standard output.

    deploy/package/licences.py [TARGET]

From `cargo metadata`, so they are those of Cargo.lock, and from the libraries' own files. Libraries that share a text
stand above it. One without any file is named with its licence, whose usual text is there for others.
"""

import collections
import hashlib
import json
import pathlib
import re
import subprocess
import sys

NAMES = re.compile(r"(licen[sc]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
# Where libraries in C lie within those that bring them.
BUNDLED = ("", "*/", "*/*/")


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(meta):
    """What is in the program: not what builds or tests it."""
    nodes = {node["id"]: node for node in meta["resolve"]["nodes"]}
    found, open_ = set(), [meta["resolve"]["root"]]
    while open_:
        here = open_.pop()
        if here in found:
            continue
        found.add(here)
        for dep in nodes[here]["deps"]:
            if any(kind["kind"] is None for kind in dep["dep_kinds"]):
                open_.append(dep["pkg"])
    found.discard(meta["resolve"]["root"])
    return sorted((package for package in meta["packages"] if package["id"] in found), key=lambda p: (p["name"], p["version"]))


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    # Libraries in C are two folders down at most; elsewhere such folders are tests and examples.
    depths = BUNDLED if package.get("links") else BUNDLED[:1]
    files = {path for depth in depths for path in folder.glob(depth + "*") if NAMES.search(path.name) and path.is_file()}
    for path in sorted(files):
        if path.suffix not in (".rs", ".go", ".py", ".c", ".h", ".toml", ".yml"):
            yield "\n".join(line.rstrip() for line in path.read_text(errors="replace").strip().splitlines())


def main():
    packages = linked(metadata(sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"))
    shared, order, without = collections.defaultdict(list), [], []
    for package in packages:
        name = f"{package['name']} {package['version']} ({package['license'] or 'see its text'})"
        has = False
        for text in texts(package):
            has = True
            key = hashlib.sha256(re.sub(r"\s+", " ", text).encode()).digest()
            if key not in shared:
                order.append((key, text))
            shared[key].append(name)
        if not has:
            without.append(f"{name}, {', '.join(package['authors']) or package['repository'] or 'no author named'}")
    print("Libraries in stormbell, by others, and the terms on which they may be used.\n")
    print("SQLite, which is part of libsqlite3-sys, is in the public domain (https://sqlite.org/copyright.html).")
    print("Rust's own library: MIT OR Apache-2.0, The Rust Project Developers (https://rust-lang.org/policies/licenses).")
    for key, text in order:
        names = list(dict.fromkeys(shared[key]))
        print(f"\n{'=' * 80}\n" + "\n".join(names) + f"\n{'-' * 80}\n{text}")
    if without:
        usual = (pathlib.Path(__file__).parents[2] / "LICENSE-MIT").read_text()
        usual = usual[usual.index("Permission is hereby") :].strip()
        print(f"\n{'=' * 80}\nWithout a text of their own, on the terms named here; that of MIT is:\n" + "\n".join(without))
        print(f"{'-' * 80}\n{usual}")


main()
