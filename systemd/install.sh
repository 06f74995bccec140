#!/bin/sh
# Puts grid-exporter in place or takes it away: `make install` and `make uninstall`, from the project's folder.
#
#   install.sh install [GROUP...]     makes the service's user a member of these groups, where they exist
#   install.sh uninstall
#
# PREFIX   where programs and units go (/usr/local)
# ALERTS   the file with the settings of the alerts (/etc/grid-exporter/alerts.yml)
# RUNBOOKS an address to link the alerts' runbooks to, where they are kept elsewhere than in the repository
# DESTDIR  for packagers: a folder to put all files into; nothing outside it is touched, nothing is started
# PYTHON   the interpreter to build with (the system's)
set -eu
umask 022

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
name=grid-exporter
library=$PREFIX/lib/$name
share=$PREFIX/share/$name
# Where systemd looks, whatever the prefix is.
case $PREFIX in /usr | /usr/local) settings=$PREFIX/lib ;; *) settings=/etc ;; esac
units="grid-exporter.service grid-aide-check.service grid-aide-check.timer grid-aide-accept.service grid-aide-accept.path"
settings_file=${ALERTS:-$DESTDIR/etc/$name/alerts.yml}
enabled="grid-exporter.service grid-aide-check.timer"
# Whoever wants to accept over HTTP enables it; an upgrade restarts it where it runs.
optional="grid-aide-accept.path"

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$name: $*" >&2 && exit 1; }
booted() { [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; }
put() { install -D -m 644 "$1" "$DESTDIR$2"; }
put_once() { [ -e "$DESTDIR$2" ] || put "$1" "$2"; }
has_thresholds() { [ -e "$settings_file" ] && grep -q '^[^#]*thresholds' "$settings_file"; }

# The service cannot look into /root or a home, so its Python must not lie there.
find_python() {
    for python in ${PYTHON:-/usr/bin/python3 /usr/bin/python3.[1-9][0-9]}; do
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
        python=
    done
    [ "$python" ] || fail "needs ${PYTHON:-/usr/bin/python3} to be Python 3.11 or newer; another: make install PYTHON=..."
    place=$("$python" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
    case $place in /root* | /home/*) fail "the service cannot use $python: it lies in $place" ;; esac
    "$python" -c 'import venv, ensurepip' 2>/dev/null || fail "Python's venv is missing; on Debian: apt install python3-venv"
}

# An environment of exactly the locked versions. It is made beside the one in use, so that a failure leaves that one
# as it is, and then told its right name.
build() {
    new=$DESTDIR$library.new
    trap 'rm -rf "$new"' EXIT
    rm -rf "$new"
    "$python" -m venv "$new"
    # Wheels alone, so that nothing runs that is downloaded; and no settings from a home (a target, for one).
    set -- env HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent "$new/bin/python" -m pip --no-cache-dir --disable-pip-version-check -q
    "$@" install --no-compile --only-binary=:all: --require-hashes -r requirements.lock
    "$@" install --no-compile --no-deps --no-build-isolation .
    # What writes the dashboards is no part of the service, and only wanted where its owner has other thresholds.
    ! has_thresholds || "$@" install --no-compile --only-binary=:all: --require-hashes --target "$new/sdk" -r requirements-dashboards.lock ||
        say "The dashboards' colours stay as they are shipped: what writes them could not be installed."
    "$@" -q uninstall -y flit_core pip setuptools
    # Where this was built says nothing to anybody, and would make each build another; so do scripts that hold it.
    find "$new/lib" -name direct_url.json -delete
    find "$new/lib" -name RECORD -exec sed -i '/direct_url.json/d; /^\.\.\//d' {} +
    find "$new/bin" -type f ! -name $name -delete
    sed -i "s|$new|$library|g" "$new/bin/$name" "$new/pyvenv.cfg"
    "$new/bin/python" -m compileall -q -f -j 0 -s "$new" -p "$library" "$new/lib"
    rm -rf "$DESTDIR$library"
    mv "$new" "$DESTDIR$library"
    mkdir -p "$DESTDIR$PREFIX/bin"
    ln -sfn "$library/bin/$name" "$DESTDIR$PREFIX/bin/$name"
}

put_files() {
    for unit in $units; do
        sed "s|/usr/local/|$PREFIX/|g" "systemd/$unit" | put /dev/stdin "$settings/systemd/system/$unit"
    done
    put systemd/sysusers.conf "$settings/sysusers.d/$name.conf"
    put systemd/tmpfiles.conf "$settings/tmpfiles.d/$name.conf"
    put systemd/config.example.yml /etc/$name/config.example.yml
    put systemd/alerts.example.yml /etc/$name/alerts.example.yml
    put_once systemd/default /etc/default/$name
    for file in prometheus/prometheus.yml prometheus/alertmanager.yml; do put "$file" "$share/${file#*/}"; done
}

# Those that Prometheus and Grafana have agree: a mistake in their owner's settings keeps both as they are.
make_monitoring() {
    rules=prometheus/rules dashboards=grafana/dashboards
    [ -e "$settings_file" ] || return 0
    rules=$DESTDIR$library/made/rules
    if make_from_settings prometheus "$rules"; then
        [ -d "$DESTDIR$library/sdk" ] || return 0
        dashboards=$DESTDIR$library/made/dashboards
        make_from_settings grafana "$dashboards" && return
    fi
    mistake="the rules of the alerts and the dashboards are as they were: $settings_file can't be used"
    return 1
}

make_from_settings() {
    PYTHONPATH=$DESTDIR$library/sdk PYTHONDONTWRITEBYTECODE=1 \
        "$DESTDIR$library/bin/python" -m "$1" --settings "$settings_file" --out "$2"
}

# The rules and dashboards are the project's own and follow it; targets and data sources are their owner's.
put_monitoring() {
    if make_monitoring; then
        links=${RUNBOOKS:+s|runbook_url: .*/|runbook_url: $RUNBOOKS/|}
        for file in "$rules"/*.yml; do
            sed "$links" "$file" | put /dev/stdin "$share/rules/${file##*/}"
            [ ! -d "$DESTDIR/etc/prometheus" ] || put "$DESTDIR$share/rules/${file##*/}" "/etc/prometheus/rules/grid-${file##*/}"
        done
        for file in "$dashboards"/*.json; do put "$file" "$share/dashboards/${file##*/}"; done
    fi
    rm -rf "$DESTDIR$library/made" "$DESTDIR$library/sdk"
    if [ -d "$DESTDIR/etc/prometheus" ]; then
        for file in prometheus/targets/*.yml; do put_once "$file" "/etc/prometheus/targets/${file##*/}"; done
    fi
    provisioning=/etc/grafana/provisioning
    if [ -d "$DESTDIR/etc/grafana" ]; then
        sed "s|/var/lib/grafana/dashboards|$share/dashboards|" grafana/provisioning/dashboards/grid.yaml |
            put /dev/stdin $provisioning/dashboards/grid.yaml
        # A second default data source would keep Grafana from starting.
        ls "$DESTDIR$provisioning/datasources"/*.y*ml >/dev/null 2>&1 ||
            put grafana/provisioning/datasources/grid.yaml $provisioning/datasources/grid.yaml
    fi
}

# Members rather than SupplementaryGroups= in a drop-in: a group that is removed one day does not stop the service,
# and `sudo -u grid-exporter grid-exporter doctor` sees exactly what the service sees.
join_groups() {
    for group; do
        if getent group "$group" >/dev/null; then
            usermod -a -G "$group" $name
        else
            say "There is no group $group here: left out."
        fi
    done
}

start() {
    booted || return 0
    systemctl daemon-reload
    if [ "$first" ]; then
        # shellcheck disable=SC2086 # a list of words
        systemctl -q enable --now $enabled
    else
        # shellcheck disable=SC2086
        systemctl try-restart $enabled $optional
    fi || fail "it is installed but does not start: journalctl -n 30 -u $name"
}

tell() {
    say "$name $("$library/bin/python" -c 'import exporter; print(exporter.__version__)') is installed."
    say "  what works, and how to fix the rest:    sudo -u $name $name doctor"
    say "  what it is started with:              /etc/default/$name"
    say "  every setting explained:              /etc/$name/config.example.yml"
    if [ -d /etc/prometheus ] && ! grep -q 'targets/grid' /etc/prometheus/prometheus.yml 2>/dev/null; then
        say "  Prometheus needs these lines in /etc/prometheus/prometheus.yml (or all of $share/prometheus.yml):"
        say "      rule_files: [rules/*.yml]"
        say "      scrape_configs:"
        say "        - {job_name: grid, file_sd_configs: [{files: [targets/grid*.yml]}]}"
    fi
    if [ -d /etc/grafana ]; then say "  Grafana sees its dashboards after:     sudo systemctl restart grafana-server"; fi
}

install_all() {
    find_python
    first=1
    mistake=
    [ ! -e "$DESTDIR$settings/systemd/system/$name.service" ] || first=
    build
    put_files
    put_monitoring
    [ -z "$DESTDIR" ] || { [ -z "$mistake" ] || fail "$mistake"; return 0; }
    systemd-sysusers "$settings/sysusers.d/$name.conf"
    systemd-tmpfiles --create "$settings/tmpfiles.d/$name.conf"
    join_groups "$@"
    start
    tell
    [ -z "$mistake" ] || fail "$mistake"
}

# What its owner wrote and what AIDE found stays, and with it the user that some of it belongs to, who loses all groups.
uninstall_all() {
    if booted; then
        # shellcheck disable=SC2086
        systemctl -q disable --now $enabled $optional 2>/dev/null || true
    fi
    for unit in $units; do rm -f "$DESTDIR$settings/systemd/system/$unit"; done
    rm -f "$DESTDIR$settings/sysusers.d/$name.conf" "$DESTDIR$settings/tmpfiles.d/$name.conf"
    rm -rf "$DESTDIR$library" "$DESTDIR$share" "$DESTDIR$PREFIX/bin/$name" "$DESTDIR/etc/$name/config.example.yml" "$DESTDIR/etc/$name/alerts.example.yml"
    rm -f "$DESTDIR"/etc/prometheus/rules/grid-alerts.yml "$DESTDIR"/etc/prometheus/rules/grid-recording.yml
    rm -f "$DESTDIR/etc/grafana/provisioning/dashboards/grid.yaml"
    for folder in "$settings/systemd/system" "$settings/sysusers.d" "$settings/tmpfiles.d" /etc/prometheus/rules "/etc/$name"; do
        rmdir -p --ignore-fail-on-non-empty "$DESTDIR$folder" 2>/dev/null || true
    done
    [ -z "$DESTDIR" ] || return 0
    rm -f /var/lib/systemd/timers/stamp-grid-aide-check.timer
    if getent passwd $name >/dev/null; then usermod -G "" $name; fi
    if booted; then systemctl daemon-reload; fi
    say "$name is gone. Your settings (/etc/$name, /etc/default/$name, Prometheus's targets), what AIDE found"
    say "(/var/lib/grid-exporter-aide) and the user $name are still here."
}

[ "$DESTDIR" ] || [ "$(id -u)" = 0 ] || fail "this changes the system: sudo make $1"
command=$1
shift
"${command}_all" "$@"
