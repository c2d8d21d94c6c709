#!/bin/sh
# Installs the Muster agent on this host, or upgrades it, and waits until the host has joined its collector.
#
#   curl -fsSL URL/install.sh | sh -s -- --token TOKEN
#
# A collector gives this file with its own address and the unit in it, and its drop-ins. Nothing runs before the last line has come.
set -eu

url_default='@URL@'
service=muster-agent
join_seconds=60

usage() {
  cat <<'USAGE'
install.sh: installs the Muster agent on this host, or upgrades it

  sh install.sh --token TOKEN

  --token TOKEN     enrolment token, from: muster-collector token create [MUSTER_TOKEN]; not needed to upgrade
  --url URL         where the collector is (default where this script came from)
  --name NAME       what people call this host (default its host name)
  --insecure-http   allow http to another machine: tokens, samples and the agent itself can be altered on the way
  --root DIRECTORY  install into an image that is mounted there; its hosts join when they start
  --uninstall       stop the agent and remove it; its configuration and its identity stay
  --purge           with --uninstall: remove those too
  --help            print this and exit
USAGE
}

# Whoever reads this may have gone.
say() {
  printf '%s\n' "$*" || true
}

fail() {
  printf '%s: %s\n' "$not_done" "$*" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

main() {
  # Others must get at what is not secret, whatever the habits of who installs: the agent is no root.
  umask 022
  trap '' PIPE
  url=$url_default token=${MUSTER_TOKEN:-} name='' root='' insecure=false action=install purge=false not_done='Not installed'
  read_options "$@"
  bin=$root/usr/local/bin
  program=$bin/$service
  etc=$root/etc/muster
  state=$root/var/lib/$service
  textfiles=$root/var/lib/muster-textfile
  unit=$root/etc/systemd/system/$service.service
  starter=$root/usr/local/lib/muster/start-agent
  dropins=$root/usr/local/lib/muster/drop-ins
  [ "$(id -u)" = 0 ] || fail 'this needs root; run it with sudo sh, or as root'
  if [ -z "$root" ] && has dpkg-query && dpkg-query -W -f '${Status}' "$service" 2>/dev/null | grep -q ' installed'; then
    fail "this host has the Debian package $service; upgrade or remove it with apt or dpkg"
  fi
  case $action in
    install) install_agent ;;
    uninstall) uninstall_agent ;;
  esac
}

read_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --token | --url | --name | --root)
        [ -n "${2:-}" ] || fail "$1 needs a value; --help lists the options"
        case $1 in
          --token) token=$2 ;;
          --url) url=${2%/} ;;
          --name) name=$2 ;;
          --root) root=${2%/} ;;
        esac
        shift
        ;;
      --insecure-http) insecure=true ;;
      --uninstall) action=uninstall not_done='Not removed' ;;
      --purge) purge=true ;;
      --help)
        usage
        exit 0
        ;;
      *) fail "$1 is not an option; --help lists them" ;;
    esac
    shift
  done
  [ "$purge" = false ] || [ "$action" = uninstall ] || fail '--purge goes with --uninstall'
  case $root in
    '' | /*) [ -d "$root/" ] || fail "there is no directory $root: mount the image there first" ;;
    *) fail "--root must be an absolute path, was $root" ;;
  esac
}

install_agent() {
  check_wishes
  check_host
  mkdir -p "$bin"
  remove_leftovers
  work=$bin/.$service.$$
  mkdir -m 700 "$work"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  fetch_program
  make_configuration
  # All that may fail for want of something has been tried: from here on the installation is changed.
  write_configuration
  mv -f "$work/$service" "$program"
  write_unit
  if [ -n "$root" ]; then
    say "The agent is in $root; its hosts join $url when they start."
    return
  fi
  if [ -d /run/systemd/system ]; then start_by_systemd; else start_plainly; fi
  await_joining
}

# What one that was killed has left. Another one may be at work.
remove_leftovers() {
  for left in "$bin/.$service."*; do
    if [ ! -d "/proc/${left##*.}" ] || [ "${left##*.}" = $$ ]; then rm -rf "$left"; fi
  done
}

check_wishes() {
  rest=${url#http://}
  rest=${rest#https://}
  case $rest in
    "$url" | '' | *[!]A-Za-z0-9.:[_-]*)
      fail "the collector's address must be such as https://muster.example:7430, was $url; give it by --url"
      ;;
  esac
  case $url in
    http://localhost | http://localhost:* | http://\[::1\]*) ;;
    http://127.*[A-Za-z]* | http://[!1]* | http://1[!2]* | http://12[!7]* | http://127[!.]*) need_consent ;;
  esac
  case $token in
    *[!A-Za-z0-9_-]*) fail 'the token must be as muster-collector token create prints it' ;;
  esac
  # As the configuration file takes it, between quotes.
  case $name in
    *[\"\\[:cntrl:]]*) fail 'the name must not hold quotes, backslashes or line breaks' ;;
  esac
  if [ -z "$token" ] && [ ! -s "$etc/token" ] && [ ! -s "$state/identity.json" ]; then
    fail 'the host needs an enrolment token to join: give it by --token; muster-collector token create makes one'
  fi
}

need_consent() {
  [ "$insecure" = true ] || fail "$url is not encrypted: whoever is on the way could read the token and replace the agent; use https, or say --insecure-http"
}

# Which agent runs here. An image is taken to be for this processor, and to have what the agent needs.
check_host() {
  [ "$(uname -s)" = Linux ] || fail "the agent runs on Linux, not on $(uname -s)"
  case $(uname -m) in
    x86_64 | amd64) platform=linux-x64 loader=/lib64/ld-linux-x86-64.so.2 ;;
    aarch64 | arm64) platform=linux-arm64 loader=/lib/ld-linux-aarch64.so.1 ;;
    *) fail "there is no agent for $(uname -m), only for x86_64 and aarch64" ;;
  esac
  [ -n "$root" ] || [ -e "$loader" ] || fail "there is no $loader: the agent needs glibc 2.28 or newer; it does not run with musl (Alpine)"
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    version=$(systemctl --version | sed -n '1s/^systemd \([0-9][0-9]*\).*/\1/p')
    [ "${version:-0}" -ge 247 ] || fail "the service needs systemd 247 or newer, this is ${version:-unknown}"
  fi
}

fetch_program() {
  packed=$service-$platform.gz
  fetch SHA256SUMS
  wanted=$(find_sum "$packed")
  [ -n "$wanted" ] || fail "$url has no agent for $platform; build it there with: node scripts/build-agent.ts"
  say "Fetching the agent for $platform from $url"
  fetch "$packed"
  found=$(sum_of "$work/$packed")
  [ "$found" = "$wanted" ] || fail "what came from $url/api/v1/agent/$packed is damaged: its SHA-256 is $found and should be $wanted; try again"
  gzip -dc "$work/$packed" >"$work/$service" || fail "cannot unpack the agent; is there room in $bin?"
  rm "$work/$packed"
  chmod 755 "$work/$service"
  [ -n "$root" ] || "$work/$service" --help >/dev/null 2>"$work/words" ||
    fail "the agent does not run here; it needs glibc 2.28, libstdc++ and libgcc, and $bin must not be mounted noexec: $(cat "$work/words")"
}

fetch() {
  from=$url/api/v1/agent/$1
  if has curl; then
    curl -fsS --connect-timeout 15 --retry 3 -o "$work/$1" "$from" </dev/null || cannot_fetch $?
  elif has wget; then
    wget -q -O "$work/$1" "$from" </dev/null || cannot_fetch $?
  else
    fail 'curl or wget is needed'
  fi
}

cannot_fetch() {
  # curl's and wget's words for a file that cannot be written; of no other fault.
  case $1 in
    23 | 3) fail "cannot write to $bin: is its disk full?" ;;
  esac
  fail "cannot get $from; is the collector there, and were agents built there (node scripts/build-agent.ts)?"
}

find_sum() {
  while read -r sum file; do
    if [ "$file" = "$1" ]; then
      say "$sum"
      return
    fi
  done <"$work/SHA256SUMS"
}

sum_of() {
  if has sha256sum; then
    sha256sum <"$1" | cut -d ' ' -f 1
  elif has openssl; then
    openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
  else
    fail 'sha256sum or openssl is needed'
  fi
}

# What is there stays: the configuration is the host's.
make_configuration() {
  config=$etc/agent.yaml
  if [ ! -e "$config" ]; then
    config=$work/agent.yaml
    {
      printf '# The Muster agent. Others may read this file: it is no place for secrets.\n'
      printf 'url: "%s"\n' "$url"
      [ "$insecure" = false ] || printf 'insecure-http: true\n'
      [ -z "$name" ] || printf 'name: "%s"\n' "$name"
    } >"$config"
    chmod 644 "$config"
  fi
  [ -z "$root" ] || return 0
  check_configuration || fail "the agent would not start with $config: $(cat "$work/words")"
  [ "$config" = "$etc/agent.yaml" ] || return 0
  collector=$(read_checked collector) named=$(read_checked name)
  check_configuration --url "$url" --insecure-http || fail "$(cat "$work/words")"
  [ "$collector" = "$(read_checked collector)" ] ||
    fail "$config names the collector $collector, not $url: to upgrade the agent of that one, say --url $collector; to move this host, stop the agent, change url there, remove $state/identity.json, and run this again with a token"
  [ -z "$name" ] || [ "$name" = "$named" ] ||
    fail "$config is there already and names this host $named: change name there, or leave out --name"
}

# As the service will start it: without what is in the environment here.
check_configuration() {
  env -i "$work/$service" check-config --config "$config" "$@" >"$work/words" 2>&1
}

read_checked() {
  sed -n "s/^  $1  *//p" "$work/words"
}

# A token that is used up is emptied, not removed, because the service reads the file whenever it starts.
write_configuration() {
  mkdir -p "$etc" "$textfiles"
  [ "$config" = "$etc/agent.yaml" ] || mv "$config" "$etc/agent.yaml"
  if [ -n "$token" ] || [ ! -e "$etc/token" ]; then
    (umask 077 && printf '%s\n' "$token" >"$work/token")
    mv "$work/token" "$etc/token"
  fi
}

write_unit() {
  mkdir -p "${unit%/*}"
  cat >"$work/unit" <<'UNIT'
@UNIT@
UNIT
  chmod 644 "$work/unit"
  mv "$work/unit" "$unit"
  write_drop_ins
  [ -n "$root" ] || return 0
  mkdir -p "${unit%/*}/multi-user.target.wants"
  ln -sf "/etc/systemd/system/$service.service" "${unit%/*}/multi-user.target.wants/$service.service"
}

# What a person may put beside the unit, to let the agent see more.
write_drop_ins() {
  mkdir -p "$dropins"
  @DROPINS@
}

start_by_systemd() {
  systemctl daemon-reload
  systemctl enable --quiet "$service"
  # Returns when the first tick was taken.
  systemctl restart "$service" || end_in_vain 'the agent does not start'
}

# Without systemd: a user of its own, and a program that starts the agent. Nothing watches it there.
start_plainly() {
  id muster >/dev/null 2>&1 || useradd --system --shell /bin/false --home-dir "$state" muster 2>/dev/null ||
    adduser -S -D -H -s /bin/false -h "$state" muster 2>/dev/null || fail 'cannot make the user muster, as which the agent runs'
  rm -f "$unit"
  mkdir -p "$state" "${starter%/*}"
  chown -R muster "$state" "$etc/token"
  chmod 700 "$state"
  cat >"$starter" <<'STARTER'
#!/bin/sh
# Starts the Muster agent as the user muster, on a host without systemd. Run it as root when the host starts.
set -eu
cd /
touch /var/log/muster-agent.log
chown muster /var/log/muster-agent.log
chmod 640 /var/log/muster-agent.log
pid=$(head -n 1 /var/lib/muster-agent/pid 2>/dev/null) || pid=
if [ -n "$pid" ] && [ "$(stat -c %U "/proc/$pid" 2>/dev/null)" = muster ]; then
  echo 'The agent runs already'
  exit 0
fi
rm -f /var/lib/muster-agent/pid
agent='umask 077; echo $$ >/var/lib/muster-agent/pid; MUSTER_TOKEN_FILE=/etc/muster/token exec /usr/local/bin/muster-agent </dev/null >>/var/log/muster-agent.log 2>&1'
# Whoever runs this may wait for the end of a pipe that su would hold open.
setsid su -s /bin/sh muster -c "$agent" </dev/null >/dev/null 2>&1 &
for _ in 1 2 3 4 5; do
  [ ! -s /var/lib/muster-agent/pid ] || exit 0
  sleep 1
done
echo 'The agent does not start' >&2
exit 1
STARTER
  chmod 755 "$starter"
  stop_plain
  "$starter" || give_up 'the agent does not start'
  say "This host has no systemd. Nothing starts the agent again by itself: let $starter run at boot,"
  say "for example by this line in root's crontab: @reboot $starter"
}

# The agent wrote its process id. After a kill it may be that of another process.
plain_pid() {
  pid=$(head -n 1 "$state/pid" 2>/dev/null) || return 0
  case $pid in
    '' | *[!0-9]*) return 0 ;;
  esac
  [ "$(stat -c %U "/proc/$pid" 2>/dev/null)" != muster ] || say "$pid"
}

stop_plain() {
  pid=$(plain_pid)
  [ -n "$pid" ] || return 0
  kill "$pid"
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    [ -d "/proc/$pid" ] || return 0
    sleep 1
  done
  kill -9 "$pid" 2>/dev/null || return 0
}

await_joining() {
  waited=0
  until env -i "$program" status >"$work/status" 2>&1; do
    [ "$waited" -lt 3 ] || is_running || end_in_vain 'the agent has ended'
    ! grep -q '^FAIL  identity: this host is .*, but: 40[13]:' "$work/status" || give_up "its collector takes nothing from this host"
    [ "$waited" -lt "$join_seconds" ] || give_up "nothing of it has arrived within $join_seconds s; it goes on trying"
    sleep 1
    waited=$((waited + 1))
  done
  : >"$etc/token"
  host=$(sed -n 's/^  ok  identity: this host is \([^ ,]*\).*/\1/p' "$work/status")
  say "This host is $host: $url/hosts/$host"
}

is_running() {
  if [ -d /run/systemd/system ]; then
    case $(systemctl show --property SubState --value "$service") in
      auto-restart | failed | dead) return 1 ;;
    esac
  else
    [ -n "$(plain_pid)" ]
  fi
}

# What it ends for, such as a token that is not taken, trying again does not change.
end_in_vain() {
  [ ! -d /run/systemd/system ] || systemctl stop "$service" || true
  give_up "$1"
}

give_up() {
  say "The agent is installed, but $1. What it says:" >&2
  [ ! -e "$work/status" ] || cat "$work/status" >&2
  if [ -d /run/systemd/system ]; then
    journalctl --unit "$service" --lines 10 --output cat --no-pager >&2 || true
  else
    tail -n 10 /var/log/muster-agent.log >&2 || true
  fi
  say "With a token that is not taken: make a new one, and run this again with it. With an identity that is not taken:" >&2
  say "stop the agent and remove $state/identity.json before that." >&2
  exit 1
}

uninstall_agent() {
  [ ! -e "$program" ] || [ -w "$bin" ] || fail "$bin cannot be written"
  if [ -z "$root" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now --quiet "$service" 2>/dev/null || true
  elif [ -z "$root" ]; then
    stop_plain
  fi
  remove_leftovers
  rm -f "$program" "$unit" "${unit%/*}/multi-user.target.wants/$service.service" "$starter"
  rm -rf "$dropins"
  rmdir "${starter%/*}" 2>/dev/null || true
  [ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
  rmdir "$textfiles" 2>/dev/null || true # what jobs left there is theirs
  if [ "$purge" = true ]; then
    rm -rf "$etc" "$state" "$root/var/lib/private/$service" "$root/var/log/$service.log" "$unit.d"
    [ -n "$root" ] || ! has userdel || userdel muster 2>/dev/null || true
    say 'The agent is removed, with its configuration and its identity.'
  else
    say "The agent is removed. $etc and $state stay; --uninstall --purge removes them too."
  fi
}

{
  main "$@"
  exit
}
