# A Debian that is booted, for the scripts beside this file: they set `here`, `cache` (a folder that keeps Debian, or nothing)
# and `extra` (more of its packages), and read this.
work=$(mktemp -d)
name=stormbell-boot-$$
root=$work/root
pids=()

finish() {
  code=$?
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  # The guest's leader ends with its nspawn, and with it everything inside.
  if [ -s "$work/nspawn" ]; then kill -TERM "$(cat "$work/nspawn")" 2>/dev/null || true; fi
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if [ "$code" != 0 ]; then
    echo "FAILED (see $work)" >&2
    journalctl -D "$root"/var/log/journal/* --no-pager -n 25 _SYSTEMD_UNIT=stormbell.service + UNIT=stormbell.service >&2 || true
  elif [ -z "${STORMBELL_KEEP:-}" ]; then
    rm -rf --one-file-system "$work"
  fi
}
trap finish EXIT
began=$SECONDS
ok() { printf '[%3d s] %s\n' "$((SECONDS - began))" "$*"; }
die() { printf 'not so: %s\n' "$*" >&2; exit 1; }
# until_true SECONDS WHAT COMMAND…: what must become true does so within that time.
until_true() {
  local patience=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$patience" ] || die "$what"
    read -rt 0.1 <> <(:) || true
  done
}

# ---- Debian, booted. ---------------------------------------------------------------------
archive=${cache:-$work}/debian-for-boot${extra:+-$extra}.tar
if [ ! -s "$archive" ]; then
  mkdir -p "$(dirname "$archive")"
  mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,udev,ca-certificates,procps,iproute2${extra:+,$extra} \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$archive.part.tar"
  mv "$archive.part.tar" "$archive"
fi
mkdir -p "$root"
tar --extract --file "$archive" --directory "$root" --numeric-owner
mkdir -p "$root/var/log/journal" "$work/world"
: >"$work/world/hooks"

# A guest that reboots ends its nspawn with 133 (because of --keep-unit); it is started again.
boots() {
  while :; do
    systemd-nspawn -D "$root" --boot --register=no --keep-unit -M "$name" --private-network --link-journal=no \
      --console=read-only </dev/null >>"$work/console" 2>&1 &
    echo $! >"$work/nspawn"
    code=0
    wait $! || code=$?
    [ "$code" = 133 ] || return 0
  done
}
boots &
pids+=($!)
in_guest() { nsenter -t "$leader" -a -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
leader=0
is_up() {
  local nspawn child
  nspawn=$(cat "$work/nspawn" 2>/dev/null) || return 1
  for child in $(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null); do
    if [ "$child" != "$1" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = systemd ]; then
      leader=$child
      in_guest systemctl is-system-running --wait >/dev/null 2>&1 && return 0
      [ "$(in_guest systemctl is-system-running 2>/dev/null)" = degraded ] && return 0
    fi
  done
  return 1
}
