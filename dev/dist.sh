#!/bin/sh
# Makes a release archive in target/packages (PACKAGES names another folder): the layout of a prefix below one folder, so that
# `cp -r` installs it, with licence and README. SHA256SUMS beside it has its checksum. Equal input gives an equal archive.
set -eu
cd "$(dirname "$0")/.."
kapelle=${KAPELLE:-target/release/kapelle}
packages=${PACKAGES:-${CARGO_TARGET_DIR:-target}/packages}
[ -x "$kapelle" ] || {
    echo "$kapelle: file does not exist; run \`make dist\`" >&2
    exit 1
}
version=$("$kapelle" --version | cut -d' ' -f2)
name=kapelle-$version-$(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)
mkdir -p "$packages"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
KAPELLE=$kapelle DESTDIR=$stage PREFIX=/$name PROGRAM=/usr/local/bin/kapelle ./dev/install.sh 2>/dev/null
cp LICENSE README.md CHANGELOG.md "$stage/$name"
if command -v strip >/dev/null; then
    strip "$stage/$name/bin/kapelle"
fi
# Times and owners of this machine do not belong into the archive.
when=$(git log -1 --format=%ct 2>/dev/null || echo 0)
tar --sort=name --mtime="@$when" --owner=0 --group=0 --numeric-owner -C "$stage" -cf - "$name" | gzip -n >"$packages/$name.tar.gz"
(cd "$packages" && sha256sum "$name.tar.gz" >SHA256SUMS)
echo "$packages/$name.tar.gz"
