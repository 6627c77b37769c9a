# The life of the Debian package on a machine: two versions of it are in /package-check.
set -euo pipefail
cd /package-check
export DEBIAN_FRONTEND=noninteractive
unit=/usr/lib/systemd/system/feature-server.service
data=/var/lib/feature-server
configuration=/etc/feature-server/feature-server.toml
enabled=/etc/systemd/system/multi-user.target.wants/feature-server.service

server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true' EXIT

fail() {
    echo "package check: $1" >&2
    exit 1
}

# Gives a command the rights that the unit has.
as_service=(setpriv --reuid feature-server --regid feature-server --clear-groups --bounding-set=-all --no-new-privs)

# Starts the unit's command as systemd would, on free ports, and waits until it listens.
start() {
    install -d -m 0700 -o feature-server -g feature-server "$data"
    local command line
    command=$(sed -n 's/^ExecStart=//p' "$unit")
    rm -f said && mkfifo said
    # The words of the command have no quotes.
    # shellcheck disable=SC2086
    "${as_service[@]}" env FEATURE_SERVER__SERVER__LISTEN=127.0.0.1:0 \
        FEATURE_SERVER__METRICS__LISTEN=127.0.0.1:0 $command >said 2>log &
    server=$!
    exec 3<said
    address=
    while read -r line <&3; do
        case $line in "listening on "*) address=${line#listening on } && break ;; esac
    done
    [ -n "$address" ] || { cat log >&2 && fail "the server did not start"; }
    curl -fsS "http://$address/grpc.health.v1.Health/Check" | grep -q '"SERVING"' || fail "not healthy"
    token=$("${as_service[@]}" feature-server token --data "$data" --role IAM_OWNER --instance demo)
}

stop() {
    kill -TERM "$server"
    wait "$server" || fail "the server ended with $?"
    exec 3<&-
}

call() {
    curl -fsS -H "authorization: Bearer $token" -H 'content-type: application/json' "$@" \
        "http://$address/v2/features/instance"
}

has_the_setting() {
    call | grep -q '"actions":{"enabled":true' || fail "$1"
}

echo "install"
dpkg --install first.deb >/dev/null
getent passwd feature-server | grep -q ":$data:" || fail "there is no user"
[ -L "$enabled" ] || fail "the unit is not enabled"
systemd-analyze verify --man=no "$unit"
for path in bin/feature-server lib/sysusers.d/feature-server.conf share/man/man1/feature-server.1.gz \
    share/bash-completion/completions/feature-server share/zsh/vendor-completions/_feature-server \
    share/fish/vendor_completions.d/feature-server.fish share/doc/feature-server/copyright; do
    dpkg --listfiles feature-server | grep -qx "/usr/$path" || fail "the package has no /usr/$path"
done
start
call -X PUT -d '{"actions": true}' >/dev/null
has_the_setting "the setting is not there"
stop

echo "upgrade"
echo "# a change of the operator" >>"$configuration"
dpkg --install second.deb >/dev/null
dpkg-query --show --showformat '${Version}' feature-server | grep -qx 999.0.0-1 || fail "the version is the old one"
tail -1 "$configuration" | grep -qx "# a change of the operator" || fail "the configuration is not the operator's"
[ -L "$enabled" ] || fail "the unit is not enabled after the upgrade"
start
has_the_setting "the setting is gone after the upgrade"
stop

echo "remove"
dpkg --remove feature-server >/dev/null
[ ! -e /usr/bin/feature-server ] || fail "the binary is still there"
[ -e "$configuration" ] || fail "the configuration is gone"

echo "purge"
dpkg --purge feature-server >/dev/null 2>&1
[ ! -e "$configuration" ] || fail "the configuration is still there"
[ ! -L "$enabled" ] || fail "the unit is still enabled"
# The package never deletes data: only the operator can know that no one needs it.
[ -d "$data/journal" ] || fail "the data is gone"
getent passwd feature-server >/dev/null || fail "the data has no owner"
