#!/usr/bin/env bash
# The packages, from this tree into target/package: a .deb, an .rpm and a tarball, with checksums.
#
#   deploy/package.sh                    everything, as it is released
#   deploy/package.sh --profile dev      with another profile: quicker to build, for trying the packages themselves
#   deploy/package.sh --program FILE     with a program that is built already
#   deploy/package.sh --only deb         also rpm, tar
#   deploy/package.sh --target aarch64-unknown-linux-gnu
#                                        for another processor; needs `rustup target add` of it, its C compiler and an
#                                        emulator: Debian's gcc-aarch64-linux-gnu, g++-aarch64-linux-gnu, qemu-user-static
#   deploy/package.sh --quick            less compressed, and without a list of parts
#
# The same commit gives the same bytes, wherever it lies: times are those of the commit (SOURCE_DATE_EPOCH), and no path of
# this machine is in what comes out. Needs git; for each package its tool:
#
#   cargo install --locked cargo-deb cargo-generate-rpm cargo-cyclonedx
set -euo pipefail
cd "$(dirname "$0")/.."
profile=release program='' only='' quick='' target=''
while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=$2; shift 2 ;;
    --program) program=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    --target) target=$2; shift 2 ;;
    --quick) quick=--fast; shift ;;
    *) echo "$0: what is $1? Its opening lines say what it takes" >&2; exit 64 ;;
  esac
done
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
host=$(rustc --version --verbose | sed -n 's/^host: //p')
machine=$(uname -m) tools='' run=()
if [ "${target:-$host}" != "$host" ]; then
  machine=${target%%-*} tools=${target%%-*}-linux-gnu- run=("qemu-${target%%-*}-static" -L "/usr/${target%%-*}-linux-gnu")
  name=${target//-/_}
  export "CC_$name=${tools}gcc" "CXX_$name=${tools}g++" "CARGO_TARGET_${name^^}_LINKER=${tools}gcc"
else
  target=''
fi
here=$PWD out=$PWD/target/package
root=$out/root
version=$(cargo pkgid | sed 's/.*[#@]//')

if [ -z "$program" ]; then
  cargo_home=${CARGO_HOME:-$HOME/.cargo} built=${CARGO_TARGET_DIR:-$here/target}
  # What a compiler writes down of where things lie: in panics, in line tables, in SQLite's and the TLS library's C.
  maps="--remap-path-prefix=$here=stormbell --remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$built=target"
  files="-ffile-prefix-map=$here=stormbell -ffile-prefix-map=$cargo_home=cargo -ffile-prefix-map=$built=target"
  RUSTFLAGS="${RUSTFLAGS:-} $maps" CFLAGS="${CFLAGS:-} $files" CXXFLAGS="${CXXFLAGS:-} $files" \
    CARGO_INCREMENTAL=0 cargo build --locked --profile "$profile" ${target:+--target "$target"} --bin stormbell
  program=$built/$target/$([ "$profile" = dev ] && echo debug || echo "$profile")/stormbell
fi

rm -rf "$out"
mkdir -p "$root"
put() { install -D -m "${3:-0644}" "$1" "$root/$2"; }
put "$program" usr/bin/stormbell 0755
# Symbols are two thirds of it; where a panic was, the message says.
"${tools}strip" --strip-unneeded "$root/usr/bin/stormbell"
stormbell=("${run[@]}" "$root/usr/bin/stormbell")

put deploy/stormbell.toml etc/stormbell/stormbell.toml
put deploy/stormbell.service usr/lib/systemd/system/stormbell.service
put deploy/stormbell-desk.service usr/lib/systemd/user/stormbell-desk.service
put deploy/package/lintian-overrides usr/share/lintian/overrides/stormbell
put deploy/package/sysusers.conf usr/lib/sysusers.d/stormbell.conf

share=$root/usr/share
mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
"${stormbell[@]}" completions bash >"$share/bash-completion/completions/stormbell"
"${stormbell[@]}" completions zsh >"$share/zsh/vendor-completions/_stormbell"
"${stormbell[@]}" completions fish >"$share/fish/vendor_completions.d/stormbell.fish"
"${stormbell[@]}" man --into "$share/man/man1" >/dev/null 2>&1
gzip -9 --no-name "$share"/man/man1/*.1

doc=usr/share/doc/stormbell
for file in README.md RULES.md SECURITY.md; do
  put "$file" "$doc/$file"
  gzip -9 --no-name "$root/$doc/$file"
done
put CHANGELOG.md "$doc/changelog"
gzip -9 --no-name "$root/$doc/changelog"
for file in receivers.toml sources.toml journal/journal-namespace.conf journal/journald@stormbell.conf \
  templates/message.txt templates/message.de.txt backup/stormbell-backup.service backup/stormbell-backup.timer \
  prometheus/stormbell.rules.yml prometheus/stormbell.rules.test.yml grafana/stormbell.json; do
  put "deploy/$file" "$doc/examples/$file"
done
# For whoever has no network and nothing but the package: the runbook, recovery, every playbook.
deploy/package/book.sh "$root/$doc/book"
# The packs are in the program, too; here they can be read and copied.
(cd rules && find . -type f -print0) | while IFS= read -rd '' file; do put "rules/$file" "usr/share/stormbell/rules/$file"; done

# What the program is made of, and on which terms.
if command -v python3 >/dev/null; then
  python3 deploy/package/licences.py ${target:+"$target"} >"$out/third-party.txt"
  put "$out/third-party.txt" "$doc/third-party.txt"
  gzip -9 --no-name "$root/$doc/third-party.txt"
  rm "$out/third-party.txt"
else
  echo "$0: without the licences of libraries: python3 is not installed" >&2
fi
if [ -n "$quick" ]; then
  :
elif command -v cargo-cyclonedx >/dev/null; then
  cargo cyclonedx --quiet --format json --override-filename stormbell.cdx
  # Where this tree lies, and which run this was, are nothing about the program.
  sed -i "s#file://$here#file:///stormbell#g" stormbell.cdx.json
  sed -i -E '/^  "serialNumber":/d' stormbell.cdx.json
  put stormbell.cdx.json "$doc/stormbell.cdx.json"
  rm stormbell.cdx.json
else
  echo "$0: without a list of parts (SBOM): cargo-cyclonedx is not installed" >&2
fi

if wanted tar; then
  name=stormbell-$version-$machine-linux
  put LICENSE-MIT "$doc/LICENSE-MIT"
  put LICENSE-APACHE "$doc/LICENSE-APACHE"
  tar --create --sort=name --owner=0 --group=0 --numeric-owner --format=gnu --mtime="@$SOURCE_DATE_EPOCH" \
    --directory "$root" --transform "s#^\.#$name#" . | gzip -9 --no-name >"$out/$name.tar.gz"
  # Debian's packages refer to /usr/share/common-licenses.
  rm "$root/$doc/LICENSE-MIT" "$root/$doc/LICENSE-APACHE"
fi
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
if wanted rpm; then
  put deploy/package/copyright "$doc/copyright"
  touch --date="@$SOURCE_DATE_EPOCH" "$root/$doc/copyright"
  cargo generate-rpm ${target:+--target "$target"} ${quick:+--payload-compress none} --source-date "$SOURCE_DATE_EPOCH" --output "$out/"
  rm "$root/$doc/copyright"
fi
if wanted deb; then
  # Debian wants its own form of a changelog beside ours.
  { printf 'stormbell (%s-1) stable; urgency=medium\n\n  * See changelog.gz beside this file.\n\n' "$version"
    printf ' -- The Stormbell developers <stormbell@users.noreply.github.com>  %s\n' "$(date --rfc-email --date="@$SOURCE_DATE_EPOCH")"
  } | gzip -9 --no-name >"$root/$doc/changelog.Debian.gz"
  touch --date="@$SOURCE_DATE_EPOCH" "$root/$doc/changelog.Debian.gz"
  cargo deb ${target:+--target "$target"} --no-build --no-strip --quiet $quick --output "$out/"
fi
cd "$out"
find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum | tee SHA256SUMS
