#!/bin/sh
# Makes everything that is published, into dist/: wheel, source, Debian package, bill of materials, licences, checksums.
# The same commit gives the same bytes. Run by `make release`; PYTHON has what requirements-release.lock names.
set -eu
umask 022
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

version=$("$PYTHON" -c 'import exporter; print(exporter.__version__)')
[ "$(dpkg-parsechangelog -S Version 2>/dev/null || echo "$version")" = "$version" ] ||
    { echo "debian/changelog is of another version than exporter/__init__.py ($version)" >&2 && exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf dist
mkdir dist

git archive --prefix=source/ HEAD | tar -x -C "$work"
"$PYTHON" -m build --no-isolation --outdir dist "$work/source" >"$work/log" || { cat "$work/log" >&2 && exit 1; }

# The bill of materials is read from an environment of exactly what the lock names, which tells the licences too.
"$PYTHON" -m venv "$work/environment"
"$work/environment/bin/python" -m pip --disable-pip-version-check -q install --only-binary=:all: --require-hashes -r requirements.lock
"$work/environment/bin/python" -m pip --disable-pip-version-check -q uninstall -y flit_core pip setuptools
"$PYTHON" -m cyclonedx_py environment --output-reproducible --pyproject pyproject.toml --mc-type application \
    --output-file "dist/grid-exporter-$version.cdx.json" "$work/environment/bin/python"
"$PYTHON" release/licences.py "dist/grid-exporter-$version.cdx.json" >dist/licences.txt

# The Debian package is for the release that it is built on.
if command -v dpkg-buildpackage >/dev/null; then
    (cd "$work/source" && dpkg-buildpackage -us -uc -b) >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
    mv "$work"/grid-exporter_*.deb dist/
else
    echo "no dpkg-buildpackage here: no Debian package is made" >&2
fi

(cd dist && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS && cat SHA256SUMS)
