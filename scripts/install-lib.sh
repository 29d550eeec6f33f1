#!/bin/sh
# Puts library, headers, pkg-config files and the CMake package below a prefix. `cargo xtask install-lib` builds and calls this.
#
#   scripts/install-lib.sh PREFIX LIBRARY VERSION
#
# With DESTDIR set, the files go below DESTDIR while their contents name PREFIX, as packagers want it.
set -eu
prefix=$1 library=$2 version=$3
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
case $prefix in /*) ;; *) echo "the prefix must be a full path" >&2; exit 2 ;; esac
to=${DESTDIR:-}$prefix

mkdir -p "$to/lib/pkgconfig" "$to/lib/cmake/openbits" "$to/include/openbits/shim"
install -m 755 "$library" "$to/lib/libopenbits.so.$version"
ln -sf "libopenbits.so.$version" "$to/lib/libopenbits.so.1"
ln -sf libopenbits.so.1 "$to/lib/libopenbits.so"
install -m 644 "$here"/include/openbits/*.h "$to/include/openbits/"
install -m 644 "$here"/include/openbits/shim/*.h "$to/include/openbits/shim/"
fill() {
    sed -e "s|@PREFIX@|$prefix|g" -e "s|@VERSION@|$version|g" "$here/dist/cpp/$1.in" > "$to/lib/$2/$1"
}
fill openbits.pc pkgconfig
fill openbits-windows.pc pkgconfig
fill openbits-config.cmake cmake/openbits
fill openbits-config-version.cmake cmake/openbits
