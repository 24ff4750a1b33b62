#!/usr/bin/env bash
# The .deb in a booted Debian: installed, killed, hung, reloaded, upgraded, rebooted, purged, and its sandbox from inside.
#
#   tests/boot/run.sh FILE.deb [FOLDER]      as root; FOLDER keeps Debian for the next time (one minute, 180 MB)
#
# Needs mmdebstrap, systemd-container, dpkg, python3 and curl. The guest has no network but its own loopback; the world it
# lives in (world.py) is put into that. Ends with 0 only if all that is promised was seen.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
deb=$(realpath "$1")
cache=${2:-}
extra=
. "$here/guest.sh"

# The world lives in the guest's network, with the host's Python.
world() {
  nsenter -t "$leader" -n -- ip link set lo up
  nsenter -t "$leader" -n -- python3 "$here/world.py" "$work/world" &
  pids+=($!)
  until_true 20 "the world begins" nsenter -t "$leader" -n -- curl --silent --output /dev/null 127.0.0.1:18080/
}
until_true 60 "Debian boots" is_up 0
ok "Debian is booted"
world

of_unit() { in_guest systemctl show --value -p "$1" stormbell; }
is_active() { [ "$(of_unit ActiveState)/$(of_unit SubState)" = active/running ]; }
is_active_as_other() { is_active && [ "$(of_unit MainPID)" != "$1" ]; }
# What systemd's stamps count in (µs); a container has the host's.
monotonic() { python3 -c 'import time; print(time.monotonic_ns() // 1000)'; }
api() { nsenter -t "$leader" -n -- curl --silent --fail --max-time 10 "127.0.0.1:8787$1" "${@:2}"; }
is_ready() { api /readyz >/dev/null; }
says() { nsenter -t "$leader" -n -- curl --silent --fail --data-binary "$1" 127.0.0.1:18080/say; }
told() { grep -c "\"type\": \"incident.opened\".*\"topic\": \"$1\"" "$work/world/hooks" || true; }
was_told() { [ "$(told "$1")" -ge 1 ]; }
# tells TOPIC WHAT: a post about it becomes a message.
tells() {
  says "there is $1 in the lobby"
  until_true 30 "$2: a post about $1 rings" was_told "$1"
}

# ---- Installed. --------------------------------------------------------------------------
package() { cp "$1" "$root/var/tmp/stormbell.deb" && in_guest dpkg -i /var/tmp/stormbell.deb >>"$work/dpkg" 2>&1; }
package "$deb" || { cat "$work/dpkg" >&2; die "the package installs"; }
until_true 60 "active after installation" is_active
[ "$(in_guest systemctl is-enabled stormbell)" = enabled ] || die "enabled"
[ "$(in_guest stat -c '%a %U' /etc/stormbell/credentials)" = "700 root" ] || die "a folder for credentials"
[ "$(in_guest stat -c '%a %U:%G' /etc/stormbell/stormbell.toml)" = "640 root:stormbell-config" ] || die "the configuration is not everybody's to read"
in_guest stormbell check --config /etc/stormbell/stormbell.toml >/dev/null 2>&1 || die "the sample passes check"
ok "installed, enabled, active with the sample configuration"

# Debian is kept without documents; so they are looked for in the package.
content=$(dpkg-deb --fsys-tarfile "$deb" | tar --list | sed 's#^\./##')
has() { grep -qxF "$1" <<<"$content" || die "the package has $1"; }
for document in $(sed -n 's/^Documentation=//p' "$root/usr/lib/systemd/system/stormbell.service"); do
  case $document in
    man:*) page=${document#man:} && has "usr/share/man/man${page//[^0-9]/}/${page%(*}.${page//[^0-9]/}.gz" ;;
    *) has "${document#file:///}" ;;
  esac
done
for file in book/SUMMARY.md book/runbook.md book/privacy.md book/admin/backup.md examples/prometheus/stormbell.rules.yml \
  examples/grafana/stormbell.json examples/backup/stormbell-backup.timer; do
  has "usr/share/doc/stormbell/$file"
done
ok "what the unit and the documents name is in the package"

# Whoever reads the journal as everybody does sees the link.
[[ $(in_guest journalctl -u stormbell --no-pager) =~ "makes the first one, an admin: http://"[^\ ]+/invited/ ]] \
  || die "the link for the first account is in the journal"
ok "the journal has the link for the first account, in words"

topics=(fire smoke flood gunfire ransom outage leak strike riot spill)
mkdir -p "$root/etc/stormbell/rules" "$root/etc/systemd/system/stormbell.service.d"
{
  printf 'schema = 1\n[pack]\nname = "test"\ntitle = "Test"\nversion = "1.0.0"\n'
  for topic in "${topics[@]}"; do
    printf '[[rule]]\nid = "%s.rule"\ntitle = "%s reported"\nseverity = "critical"\ntopic = "%s"\nquery = "%s"\n' \
      "$topic" "$topic" "$topic" "$topic"
  done
} >"$root/etc/stormbell/rules/test.toml"
cat >"$root/etc/stormbell/stormbell.toml" <<'T'
schema = 1
rules = ["rules/"]
[organization]
name = "St. Brigid's Hospital"
[web]
listen = "127.0.0.1:8787"
token = { credential = "api" }
[[source]]
name = "sky"
kind = "jetstream"
url = "ws://127.0.0.1:18080/subscribe"
[[receiver]]
name = "hook"
kind = "webhook"
url = "http://127.0.0.1:18080/hook"
secret = { credential = "hook" }
[[receiver]]
name = "popup"
kind = "desktop"
[[route]]
severity = ["info"]
steps = [{ notify = ["popup"] }]
[[route]]
steps = [{ notify = ["hook"] }]
T
cp "$root/etc/stormbell/stormbell.toml" "$work/good.toml"
token=boot-api-token-0123456789
printf '%s\n' "$token" >"$root/etc/stormbell/credentials/api"
printf 'whsec_cGxhbnRlZHdlYmhvb2tzZWNyZXQ=' | in_guest systemd-creds encrypt --name=hook - /etc/stormbell/credentials/hook.cred 2>>"$work/console"
cat >"$root/etc/systemd/system/stormbell.service.d/boot.conf" <<'T'
[Service]
LoadCredential=api:/etc/stormbell/credentials/api
LoadCredentialEncrypted=hook:/etc/stormbell/credentials/hook.cred
# So that a hang is found while somebody waits for it.
WatchdogSec=4
T
in_guest systemctl daemon-reload
in_guest systemctl restart stormbell
until_true 60 "ready" is_ready
[ "$(of_unit Type)" = notify ] || die "Type=notify"
tells fire "after installation"
grep -q '"signed": true' "$work/world/hooks" || die "signed with the encrypted credential"
ok "a post rings; secrets came as credentials, one of them encrypted"

[ "$(in_guest stat -c '%a %G' /run/stormbell/desk.sock)" = "660 stormbell-desk" ] || die "the desk's socket and its group"
[ "$(in_guest stat -c '%a %G' /run/stormbell)" = "750 stormbell-desk" ] || die "the folder of the desk's socket"
ok "the desk's socket is its group's"

# ---- The sandbox. ------------------------------------------------------------------------
in_guest systemd-analyze security --threshold=11 stormbell.service >"$work/security" || die "exposure of 1.1 or less: $(tail -1 "$work/security")"
status() { in_guest awk -v key="$1:" '$1 == key { print $2 }' "/proc/$(of_unit MainPID)/status"; }
[ "$(status CapEff)/$(status CapBnd)/$(status Seccomp)/$(status NoNewPrivs)" = "0000000000000000/0000000000000000/2/1" ] || die "no capabilities, seccomp, no new privileges"
[ "$(status Uid)" != 0 ] || die "not root"
# The same unit with a program that tries to get out.
sed -e 's#^ExecStart=.*#ExecStart=/usr/bin/perl /var/lib/stormbell-probe/probe.pl#' -e 's#^ExecPaths=#ExecPaths=/usr/bin/perl #' \
  -e '/^ExecReload=/d' -e 's#^\(State\|Runtime\)Directory=.*#\1Directory=stormbell-probe#' -e 's#^WorkingDirectory=.*##' \
  -e 's#^Type=.*#Type=oneshot#' -e '/^\(Restart\|Watchdog\|NotifyAccess\)/d' \
  "$root/usr/lib/systemd/system/stormbell.service" >"$root/run-probe.service"
mv "$root/run-probe.service" "$root/etc/systemd/system/stormbell-probe.service"
install -D -m 0644 "$here/probe.pl" "$root/var/lib/private/stormbell-probe/probe.pl"
in_guest systemctl daemon-reload
in_guest systemctl start stormbell-probe || { in_guest journalctl -u stormbell-probe --no-pager >&2; die "the probe runs"; }
probed=$(in_guest journalctl -u stormbell-probe -o cat --no-pager | grep -E '^(BAD|probed)' || true)
[ "$probed" = probed ] || die "the sandbox: $probed"
rm -r "$root/etc/systemd/system/stormbell-probe.service" "$root/var/lib/private/stormbell-probe"
in_guest rm -rf /var/lib/stormbell-probe
in_guest systemctl daemon-reload
ok "the sandbox from inside; $(tail -1 "$work/security" | sed 's/^[^O]*//; s/ [^ ]*$//')"

# ---- Killed and hung. --------------------------------------------------------------------
pid=$(of_unit MainPID)
killed=$(monotonic)
in_guest kill -9 "$pid"
says "there is smoke in the lobby"
until_true 30 "back after kill -9" is_active_as_other "$pid"
# Ready by systemd's own stamp: how often is asked here, and how long an answer takes, is no part of it.
back=$((($(of_unit ActiveEnterTimestampMonotonic) - killed) / 1000))
[ "$back" -gt 0 ] && [ "$back" -le 1000 ] || die "back within a second after kill -9: $back ms"
until_true 30 "what was said meanwhile rings" was_told smoke
[[ $(tail -1 "$work/world/cursors") =~ ^[0-9]+$ ]] || die "it resumed at a cursor"
[ "$(told fire)" = 1 ] || die "nobody is told twice"
ok "killed, back after $back ms, resumed"

pid=$(of_unit MainPID)
in_guest kill -STOP "$pid"
says "there is flood in the lobby"
until_true 60 "the watchdog ends what hangs" is_active_as_other "$pid"
until_true 30 "what was said while it hung rings" was_told flood
[[ $(in_guest journalctl -u stormbell --no-pager) == *"Failed with result 'watchdog'"* ]] || die "it was the watchdog"
ok "hung, ended by the watchdog, resumed"

# ---- A broken configuration. -------------------------------------------------------------
break_it() { printf '\n[[sauce]]\n' >>"$root/etc/stormbell/stormbell.toml"; }
mend_it() { cp "$work/good.toml" "$root/etc/stormbell/stormbell.toml"; }
has_kept() { in_guest test -f /var/lib/private/stormbell/configuration/rules/test.toml; }
pid=$(of_unit MainPID)
until_true 30 "what works is kept" has_kept
break_it
if in_guest systemctl reload stormbell 2>/dev/null; then die "a reload of nonsense fails"; fi
is_active && [ "$(of_unit MainPID)" = "$pid" ] || die "the daemon goes on after a refused reload"
tells gunfire "after a refused reload"
in_guest systemctl restart stormbell
until_true 60 "ready with the configuration that worked last" is_ready
says_old() { [[ $(of_unit StatusText) == "OLD CONFIGURATION"* ]]; }
until_true 30 "the status says so" says_old
tells ransom "after a restart with a broken configuration"
pid=$(of_unit MainPID)
in_guest kill -9 "$pid"
until_true 30 "back with a broken configuration" is_active_as_other "$pid"
until_true 60 "ready again" is_ready
mend_it
in_guest systemctl reload stormbell || die "a reload of what was mended"
says_new() { ! says_old; }
until_true 30 "the status says so no more" says_new
ok "broken configuration: refused at reload; restarted and killed with it, the old one is used; mended by a reload"

# ---- Upgraded. ---------------------------------------------------------------------------
newer() {
  dpkg-deb --raw-extract "$deb" "$work/newer"
  sed -i "s/^Version: .*/&+boot$1/" "$work/newer/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone --build "$work/newer" "$work/newer.deb" >/dev/null
  rm -r "$work/newer"
}
incidents() { api /api/v1/incidents --header "authorization: Bearer $token" | grep -o '"id":"inc-[a-z0-9]*"' | sort -u; }
before=$(incidents)
[ "$(wc -l <<<"$before")" -ge 5 ] || die "five incidents before the upgrade"
newer 1
pid=$(of_unit MainPID)
package "$work/newer.deb" || { tail -20 "$work/dpkg" >&2; die "the upgrade"; }
until_true 60 "restarted by the upgrade" is_active_as_other "$pid"
until_true 60 "ready after the upgrade" is_ready
cmp -s "$work/good.toml" "$root/etc/stormbell/stormbell.toml" || die "the upgrade keeps the configuration"
[ "$(incidents)" = "$before" ] || die "the upgrade keeps the data"
tells outage "after an upgrade"
break_it
newer 2
pid=$(of_unit MainPID)
package "$work/newer.deb" || die "an upgrade over a broken configuration"
is_active && [ "$(of_unit MainPID)" = "$pid" ] || die "a new version that refuses the configuration leaves the old one running"
tells leak "under a refused upgrade"
mend_it
ok "upgraded: configuration and data are kept; a version that refuses the configuration does not stop the running one"

# ---- Stopped, failed, removed; then a package. ---------------------------------------------
says_not_running() { grep -q 'stormbell: the daemon is not running' "$work/dpkg"; }
in_guest systemctl stop stormbell
newer 3
: >"$work/dpkg"
package "$work/newer.deb" || die "an upgrade of what is stopped"
[ "$(of_unit ActiveState)" = inactive ] || die "what somebody stopped stays stopped"
says_not_running || die "the upgrade says that the daemon is not running"

# Nothing that it could go on with.
break_it
in_guest rm -rf /var/lib/private/stormbell/configuration /var/lib/private/stormbell/configuration.old
if in_guest systemctl start stormbell 2>/dev/null; then die "it starts with nonsense"; fi
has_failed() { [ "$(of_unit ActiveState)" = failed ]; }
until_true 30 "failed" has_failed
mend_it
newer 4
: >"$work/dpkg"
package "$work/newer.deb" || die "an upgrade of what has failed"
is_active || die "an upgrade starts what has failed"
until_true 60 "ready after it had failed" is_ready

in_guest dpkg --remove stormbell >>"$work/dpkg" 2>&1 || die "removed"
package "$work/newer.deb" || die "installed again"
is_active || die "an installation after a removal starts it"
if says_not_running; then die "nothing says that a running daemon does not run"; fi
until_true 60 "ready after it was installed again" is_ready
[ "$(in_guest systemctl is-enabled stormbell)" = enabled ] || die "enabled again"
cmp -s "$work/good.toml" "$root/etc/stormbell/stormbell.toml" || die "removal and installation keep the configuration"
tells spill "after removal and installation"
[ ! -e "$root/var/lib/misc/stormbell.left-running" ] || die "what the removal noted is gone"

in_guest systemctl stop stormbell
in_guest dpkg --remove stormbell >>"$work/dpkg" 2>&1 || die "removed when it was stopped"
package "$work/newer.deb" || die "installed again when it was stopped"
[ "$(of_unit ActiveState)" = inactive ] || die "what somebody stopped before the removal stays stopped"
says_not_running || die "the installation says that the daemon is not running"
in_guest systemctl start stormbell
until_true 60 "ready once more" is_ready
ok "a package starts what had failed and what the last removal stopped, and says when it leaves alone what somebody stopped"

# ---- A journal of its own. ---------------------------------------------------------------
dropin=$root/etc/systemd/system/stormbell.service.d/journal-namespace.conf
install -D -m 0644 "$here/../../deploy/journal/journal-namespace.conf" "$dropin"
install -m 0644 "$here/../../deploy/journal/journald@stormbell.conf" "$root/etc/systemd/journald@stormbell.conf"
in_guest systemctl daemon-reload
in_guest systemctl restart stormbell
until_true 60 "ready with a journal of its own" is_ready
tells riot "with a journal of its own"
has_own() { [[ $(in_guest journalctl --namespace=stormbell -u stormbell --no-pager) == *"source connected"* ]]; }
until_true 30 "the lines are in the journal of its own" has_own
[ "$(in_guest systemctl is-active systemd-journald@stormbell.service)" = active ] || die "a journald of its own"
rm "$dropin" "$root/etc/systemd/journald@stormbell.conf"
in_guest systemctl daemon-reload
in_guest systemctl restart stormbell
until_true 60 "ready with the usual journal" is_ready
# What is in it is journald's to keep; here nothing may be left in the end.
in_guest systemctl stop systemd-journald@stormbell.service 'systemd-journald@stormbell.socket' 'systemd-journald-varlink@stormbell.socket' 2>/dev/null || true
in_guest sh -c 'rm -rf /var/log/journal/*.stormbell'
ok "the drop-in for a journal of its own"

# ---- Rebooted. ---------------------------------------------------------------------------
old=$leader
in_guest systemctl reboot 2>/dev/null || true
until_true 90 "Debian boots again" is_up "$old"
world
until_true 60 "ready after the reboot" is_ready
tells strike "after a reboot"
ok "rebooted"

# ---- Removed and purged. -----------------------------------------------------------------
in_guest dpkg --remove stormbell >>"$work/dpkg" 2>&1 || die "removed"
in_guest test -s /etc/stormbell/stormbell.toml || die "removal keeps the configuration"
in_guest test -d /var/lib/private/stormbell || die "removal keeps the data"
in_guest dpkg --purge stormbell >>"$work/dpkg" 2>&1 || die "purged"
left=$(in_guest find / -xdev -name '*stormbell*' -not -path '/proc/*' -not -path '/var/tmp/*' -not -path '/tmp/*')
[ -z "$left" ] || die "purge leaves $left"
if in_guest getent group stormbell-desk stormbell-config >/dev/null; then die "purge leaves a group"; fi
[ "$(of_unit LoadState)" = not-found ] || die "purge leaves the unit"
if in_guest pgrep -x stormbell >/dev/null; then die "purge leaves a process"; fi
ok "removed with configuration and data kept; purged without a trace"
