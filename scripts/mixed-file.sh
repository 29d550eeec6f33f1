#!/usr/bin/env bash
# Who delivers a mixed file? The origin replaces a file in mid-download; the download is then resumed, as the manuals say.
#
#   scripts/mixed-file.sh [bytes]
#
# Prints a table; exit status 0 if `bits get` never delivered a mixed file. Needs curl, wget and aria2 (installed from Debian
# packages when they are missing and this runs as root; otherwise left out).
set -euo pipefail
cd "$(dirname "$0")/.."
size=${1:-8000000}
half=$((size / 2))

missing=()
command -v curl >/dev/null || missing+=(curl)
command -v wget >/dev/null || missing+=(wget)
command -v aria2c >/dev/null || missing+=(aria2)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -q >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
    else
        echo "SKIPPED: not installed: ${missing[*]}" >&2
    fi
fi

cargo build --quiet --package openbits-cli --bin bits
cargo build --quiet --package openbits-testkit --bin hostile-origin
built=${CARGO_TARGET_DIR:-target}/debug
work=$(mktemp -d /tmp/obmixed.XXXXXX)
origin=
cleanup() {
    local service
    service=$(bits service-info --json 2>/dev/null | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' || true)
    [ -z "$service" ] || kill "$service" || true
    [ -z "$origin" ] || kill "$origin" || true
    rm -rf "$work"
}
mkdir -m 700 "$work/home" "$work/run"
bits() {
    env -i PATH="$PATH" HOME="$work/home" XDG_RUNTIME_DIR="$work/run" "$built/bits" "$@"
}
trap cleanup EXIT

"$built/hostile-origin" >"$work/origin.log" &
origin=$!
for _ in $(seq 100); do
    base=$(head -n 1 "$work/origin.log")
    [ -z "$base" ] || break
    sleep 0.05
done

# Each gets a URL and a path; as often as their user would try again.
with_curl() { curl -sf -o "$2" "$1" || curl -sf -C - -o "$2" "$1"; }
with_wget() { wget -q -t 1 -O "$2" "$1" || wget -q -t 1 -c -O "$2" "$1"; }
with_aria2c() {
    local options=(-q -x 1 --max-tries=1 --file-allocation=none -d "$(dirname "$2")" -o "$(basename "$2")")
    aria2c "${options[@]}" "$1" || aria2c "${options[@]}" -c "$1"
}
with_bits() { bits get --quiet "$1" "$2"; }

# What a file is, given the two versions.
verdict() {
    if [ ! -e "$1" ]; then echo "no file"
    elif cmp -s "$1" "$2"; then echo "old version"
    elif cmp -s "$1" "$3"; then echo "new version"
    elif cmp -s -n 1000 "$1" "$2" && tail -c 1000 "$1" | cmp -s - <(tail -c 1000 "$3"); then echo "MIXED"
    else echo "partial"
    fi
}

declare -A meaning=(
    [changes-etag]="equal length, new ETag and date"
    [changes-date]="equal length, no ETag, new date"
    [changes-size]="another length, same ETag and date"
)
failed=0
seed=0
printf '| the new version has | program | exit status | what is there |\n|---|---|---|---|\n'
for change in changes-etag changes-date changes-size; do
    for tool in curl wget aria2c bits; do
        [ "$tool" = bits ] || command -v "$tool" >/dev/null || continue
        # The origin knows its files by their paths: each run has one of its own.
        seed=$((seed + 1))
        own=$((size + seed))
        url="${base}b/$change/$own?seed=$seed&at=$half"
        folder=$work/$change-$tool
        mkdir "$folder"
        status=0
        "with_$tool" "$url" "$folder/file" >"$folder/out" 2>&1 || status=$?
        curl -sf -o "$work/old" "${base}b/good/$own?seed=$seed"
        curl -sf -o "$work/new" "$url"
        is=$(verdict "$folder/file" "$work/old" "$work/new")
        case $tool in
            curl) name='`curl -C -`' ;; wget) name='`wget -c`' ;; aria2c) name='`aria2c -c`' ;; bits) name='`bits get`' ;;
        esac
        printf '| %s | %s | %s | %s |\n' "${meaning[$change]}" "$name" "$status" "$is"
        if [ "$tool" = bits ] && [ "$is" != "new version" ]; then failed=1; fi
    done
done
exit $failed
