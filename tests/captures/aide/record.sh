#!/bin/sh
# Records what a real AIDE says of a small tree in every state; as root, into this directory:
#     sh tests/captures/aide/record.sh [SUFFIX]
# AIDE 0.18.3 (Debian 12) made what has no suffix, AIDE 0.19.1 (Debian 13) what has -0.19. Paths are of the tree that is made for it, and gone afterwards.
set -eu
suffix=${1:-}
here=$(cd "$(dirname "$0")" && pwd)
box=/srv/aide-capture
test ! -e "$box" # never someone else's
trap 'rm -rf "$box"' EXIT
mkdir -p "$box/tree/sub"
cd "$box"
cat >aide.conf <<EOF
database_in=file:$box/aide.db
database_out=file:$box/aide.db.new
database_attrs=sha256
$box/tree p+u+g+ftype+s+acl+xattrs+sha256
EOF

update() { # NAME [ENVIRONMENT…]: a report and what was said on standard error
    name=$1
    shift
    "$@" aide --config aide.conf --log-level=warning --before "database_out=file:$box/candidate.db" --after "report_format=json
report_level=added_removed_attributes
report_url=file:$box/report.json" --update 2>"$here/$name$suffix.stderr" || echo "$name: exit $?"
    cp report.json "$here/$name$suffix.json"
    test -s "$here/$name$suffix.stderr" || rm "$here/$name$suffix.stderr"
}
unprivileged="setpriv --bounding-set=-dac_override,-dac_read_search"

printf a >tree/a
printf b >tree/sub/b
install -o nobody -m 600 /dev/null tree/shut
printf s >tree/shut
aide --config aide.conf --init >"$here/init$suffix.txt"
mv aide.db.new aide.db
cp aide.db "$here/aide$suffix.db"
update clean
update unhashed $unprivileged # what cannot be read is no change, and the exit status is 0
chown nobody tree/sub && chmod 700 tree/sub
update unreadable $unprivileged
chown root tree/sub && chmod 755 tree/sub

printf new >tree/new
printf more >>tree/a
chmod 600 tree/a
rm tree/sub/b
update changed

for bad in missing empty text cut-off; do
    case $bad in
        missing) rm aide.db ;;
        empty) : >aide.db ;;
        text) echo 'no database' >aide.db ;;
        cut-off) head -c 100 "$here/aide$suffix.db" >aide.db ;;
    esac
    : >report.json
    update "database-$bad"
done
cp "$here/aide$suffix.db" aide.db

rm -rf tree/*
python3 - <<'EOF'
names = [b"bad\xffutf", b'quote"x', b"new\nline", b"esc\x1b[31m", b"esc'[31m", b"back\\slash", b"sp ace", b"rtl\xe2\x80\xaetxt",
         "ünï".encode(), b'a": "f+++"},"number_of_entries": {"total": 1', b"literal\\u0027"]
for name in names:
    open(b"tree/" + name, "w").close()
EOF
update names

aide --config aide.conf --config-check --log-level notice --after database_in=file:/nonexistent 2>"$here/database-in$suffix.stderr"
for i in $(seq 300); do echo "$i" >"tree/file$i"; done
# A box that works while it is checked: files come and go, one is written to. One line of each kind is kept.
python3 - <<'EOF' &
import pathlib, time
end, tree = time.monotonic() + 6, pathlib.Path("tree")
while time.monotonic() < end:
    with (tree / "log").open("ab") as log:
        log.write(bytes(100000))
    for i in range(40):
        (tree / f"{i}.tmp").touch()
    for i in range(40):
        (tree / f"{i}.tmp").unlink()
EOF
busy=$!
while kill -0 $busy 2>/dev/null; do
    aide --config aide.conf --check --after report_url=file:/dev/null 2>>busy >/dev/null || true
done
wait $busy
sed 's/[0-9]*\.tmp/0.tmp/g; s/([0-9][0-9]*)/(0)/g' busy | sort -u >"$here/busy$suffix.stderr"
echo nonsense >>aide.conf
aide --config aide.conf --config-check --log-level notice 2>"$here/bad-config$suffix.stderr" || echo "bad-config: exit $?"
chmod 644 "$here"/*
