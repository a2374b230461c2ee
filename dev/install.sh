#!/bin/sh
# Copies the built program, its manual pages, completions and unit file below $DESTDIR$PREFIX, or removes them (`--remove`).
# KAPELLE names the program. It is run once to write the manual pages and completions.
set -eu
cd "$(dirname "$0")/.."
kapelle=${KAPELLE:-target/release/kapelle}
root=${DESTDIR:-}${PREFIX:-/usr/local}
man=$root/share/man/man1
bash=$root/share/bash-completion/completions/kapelle
zsh=$root/share/zsh/site-functions/_kapelle
fish=$root/share/fish/vendor_completions.d/kapelle.fish
doc=$root/share/doc/kapelle
unit=$root/lib/systemd/system/kapelle.service

if [ "${1:-}" = --remove ]; then
    rm -f "$root/bin/kapelle" "$man/kapelle.1" "$man"/kapelle-*.1 "$bash" "$zsh" "$fish" "$unit"
    rm -rf "$doc"
    echo "removed kapelle from $root" >&2
    exit 0
fi

[ -x "$kapelle" ] || {
    echo "$kapelle: file does not exist; run \`make build\` first" >&2
    exit 1
}
# Where files cannot be made, the reason is told once, before anything was copied.
mkdir -p "$root/bin" 2>/dev/null && [ -w "$root/bin" ] || {
    echo "$root/bin: permission denied; run \`sudo make install\`, or \`make install PREFIX=\$HOME/.local\`" >&2
    exit 1
}
mkdir -p "$man" "${bash%/*}" "${zsh%/*}" "${fish%/*}" "$doc"
# A running program cannot be overwritten, so the new one takes its name.
cp "$kapelle" "$root/bin/.kapelle.new"
chmod 755 "$root/bin/.kapelle.new"
mv -f "$root/bin/.kapelle.new" "$root/bin/kapelle"
"$kapelle" man --out "$man" --quiet
"$kapelle" completions bash >"$bash"
"$kapelle" completions zsh >"$zsh"
"$kapelle" completions fish >"$fish"
cp LICENSE README.md "$doc"
if [ -f packaging/kapelle.service ]; then
    mkdir -p "${unit%/*}"
    # PROGRAM is where an archive's program is going to be.
    sed "s#/usr/local/bin/kapelle#${PROGRAM:-${PREFIX:-/usr/local}/bin/kapelle}#" packaging/kapelle.service >"$unit"
fi
echo "installed $root/bin/kapelle, manual pages and completions (bash, zsh, fish)" >&2
case ":$PATH:" in
*":$root/bin:"*) ;;
*) [ -n "${DESTDIR:-}" ] || echo "$root/bin is not in PATH; add it: export PATH=\"$root/bin:\$PATH\"" >&2 ;;
esac
