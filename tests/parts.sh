#!/bin/sh
# Installs the real programs that `make test-real` runs, on Debian as root; elsewhere says that their tests are skipped.
# Nothing that is installed here starts to run: a policy-rc.d keeps the packages from starting their services.
set -eu
parts="acl aide busybox-static chromium curl dbus debhelper docker-compose docker.io fuse3 iptables lintian mmdebstrap podman polkitd prometheus \
prometheus-alertmanager prometheus-node-exporter systemd-container tor torsocks victoria-metrics wrk"

missing=
for part in $parts; do
    dpkg-query -W -f '${Status}' "$part" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $part"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "not Debian, or not root: tests of real parts that are missing here are skipped:$missing" >&2
    exit 0
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "installing the real parts that the tests run:$missing"
apt-get -qq update
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null
