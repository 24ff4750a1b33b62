#!/usr/bin/env bash
# The .rpm in a booted Debian that has rpm: installed, started, upgraded, upgraded over a configuration that it refuses,
# erased.
#
#   tests/boot/rpm.sh FILE.rpm NEWER.rpm [FOLDER]    as root; FOLDER keeps Debian for the next time
#
# NEWER is the same with a higher release: `cargo generate-rpm --set-metadata 'release = "2"'` after deploy/package.sh.
# Dependencies are Debian's to know, so they are not looked at. Needs mmdebstrap and systemd-container.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
first=$(realpath "$1") newer=$(realpath "$2")
cache=${3:-}
extra=rpm
. "$here/guest.sh"
until_true 60 "Debian boots" is_up 0
ok "Debian is booted, and has $(in_guest rpm --version)"

of_unit() { in_guest systemctl show --value -p "$1" stormbell; }
is_active() { [ "$(of_unit ActiveState)/$(of_unit SubState)" = active/running ]; }
is_active_as_other() { is_active && [ "$(of_unit MainPID)" != "$1" ]; }
does() {
  cp "$2" "$root/var/tmp/stormbell.rpm"
  in_guest rpm --force-debian "$1" --nodeps /var/tmp/stormbell.rpm >>"$work/rpm" 2>&1 || { tail -20 "$work/rpm" >&2; return 1; }
}
config=$root/etc/stormbell/stormbell.toml
is_mine() { [ "$(in_guest stat -c '%a %U:%G' /etc/stormbell/stormbell.toml)" = "640 root:stormbell-config" ]; }

does --install "$first" || die "it installs"
[ "$(in_guest stat -c '%a %U' /etc/stormbell/credentials)" = "700 root" ] || die "a folder for credentials"
is_mine || die "the configuration is not everybody's to read"
in_guest getent group stormbell-desk >/dev/null || die "the desks' group"
[ "$(of_unit ActiveState)" = inactive ] || die "nothing starts unasked, as is the custom there"
in_guest systemctl start stormbell || { in_guest journalctl -u stormbell --no-pager >&2; die "it starts"; }
until_true 60 "active" is_active
ok "installed, and started with the sample configuration"

printf '\n# ours\n' >>"$config"
pid=$(of_unit MainPID)
does --upgrade "$newer" || die "the upgrade"
until_true 60 "restarted by the upgrade" is_active_as_other "$pid"
grep -q '^# ours$' "$config" && is_mine || die "the upgrade keeps the configuration and whose it is"
ok "upgraded: restarted, the configuration is kept"

cp "$config" "$work/good.toml"
printf '\n[[sauce]]\n' >>"$config"
pid=$(of_unit MainPID)
cp "$first" "$root/var/tmp/older.rpm"
in_guest rpm --force-debian --upgrade --oldpackage --nodeps /var/tmp/older.rpm >>"$work/rpm" 2>&1 || die "another version over a broken configuration"
grep -q 'the old one goes on running' "$work/rpm" || die "it says so"
is_active && [ "$(of_unit MainPID)" = "$pid" ] || die "a version that refuses the configuration leaves the old one running"
cp "$work/good.toml" "$config"
ok "a version that refuses the configuration does not stop the running one"

in_guest rpm --force-debian --erase --nodeps stormbell >>"$work/rpm" 2>&1 || { tail -20 "$work/rpm" >&2; die "erased"; }
if in_guest pgrep -x stormbell >/dev/null; then die "erasing leaves a process"; fi
[ "$(of_unit LoadState)" = not-found ] || die "erasing leaves the unit"
in_guest test -e /usr/bin/stormbell && die "erasing leaves the program"
in_guest test -d /var/lib/private/stormbell || die "erasing keeps the data"
in_guest grep -q '^# ours$' /etc/stormbell/stormbell.toml.rpmsave || die "erasing keeps a configuration that was changed"
ok "erased; data and the changed configuration are kept"
