#!/bin/bash
# The command of the README: it succeeds, it can be run again, --stay leaves a server, and a busy port is explained.
# timeout: 900
set -u
cd "$(dirname "$0")/../.."
port=4433
log=$(mktemp)
holder=
failed=0
cleanup() {
    [ -z "$holder" ] || kill "$holder" 2>/dev/null
    rm -f "$log"
}
trap cleanup EXIT

check() { # NAME COMMAND...
    local name=$1
    shift
    if "$@"; then echo "ok $name"; else
        echo "not ok $name"
        sed 's/^/# /' "$log" | tail -n 25
        failed=1
    fi
}
is_bound() { grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf %04X $port) " /proc/net/udp /proc/net/udp6; }
is_free() { ! is_bound; }
says() { grep -q -- "$1" "$log"; }
says_twice() { [ "$(grep -c -- "$1" "$log")" = 2 ]; }
quickstart() { tools/quickstart "$@" >"$log" 2>&1; }
refuses() { ! quickstart "$@"; }

check succeeds quickstart
check both_files_arrive_whole says_twice 'the same as served'
check names_the_curl_command says '--http3-only'
check names_the_chromium_command says 'ignore-certificate-errors-spki-list='
check leaves_nothing_running is_free
check succeeds_again quickstart
check stay quickstart --stay
check stay_leaves_a_server is_bound
check stay_serves build/apps/plx-get --cacert build/quickstart/cert.pem -o "$log" "https://127.0.0.1:$port/"
check stay_is_replaced quickstart --stay
pid=$(cat build/quickstart/pid 2>/dev/null)
check stay_can_be_ended kill "$pid"
for _ in $(seq 100); do is_free && break || sleep 0.1; done
check port_is_free_again is_free

python3 -c "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('127.0.0.1', $port))
time.sleep(60)" &
holder=$!
for _ in $(seq 100); do is_bound && break || sleep 0.1; done
check busy_port_is_a_failure refuses
check busy_port_is_explained says "UDP port $port is taken"
exit $failed
