# root.sh -- Debian 13 roots in the cache folder, for the tools that need programs of that release on whatever this machine runs.
#
# debootstrap makes a root once per machine, packages verified against Debian's keys, addresses derived from the system's own
# sources. It is made in a scratch folder and renamed at the end, under a lock.
#
# A program runs in a root with a mount namespace of its own: /proc, /dev, /sys, /tmp, this checkout and the folders named
# in PLX_PEERS_BIND (separated by colons) appear at their usual places, and with the program's end they are gone: nothing
# stays mounted. Network namespace, process numbers and working folder are the caller's, so a server on a loopback
# address is reached as usual, and the process id is the one that the caller started.
# Needs common.sh.

need_root() {
    [ "$(id -u)" = 0 ] || die "this needs root (chroot and a mount namespace)" "Run it as root: sudo -E tools/${0##*/} $*"
}

# Everything a program of the root needs to see, then the program; exec all the way keeps the process id.
in_root() { # ROOT PROGRAM ARG...
    local dir=$1
    shift
    ROOT=$dir BINDS="/tmp:$top:${PLX_PEERS_BIND:-}" CWD=$PWD exec unshare --mount --propagation private -- bash -c '
        set -e
        for m in /proc /dev /sys; do mount --rbind "$m" "$ROOT$m"; done
        IFS=:
        for d in $BINDS; do
            [ -n "$d" ] || continue
            [ -d "$d" ] || { echo "PLX_PEERS_BIND names $d, which is no folder" >&2; exit 1; }
            mkdir -p "$ROOT$d"
            mount --rbind "$d" "$ROOT$d"
        done
        [ -d "$ROOT$CWD" ] || CWD=/
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
        unset IFS BINDS
        exec chroot "$ROOT" /usr/bin/env --chdir="$CWD" -u ROOT -u CWD -u LD_LIBRARY_PATH "$@"' root "$@"
}

# root_make NAME MEGABYTES FUNCTION: makes $cache/NAME unless it is there. FUNCTION SCRATCH LOG installs what the root is for.
root_make() {
    local name=$1 dir=$cache/$1 log=$cache/$1.log uri suite signed
    [ ! -e "$dir/.complete" ] || return 0
    need_root make
    command -v debootstrap >/dev/null || packages_install test
    mkdir -p "$cache"
    exec 8>"$cache/.$name.lock"
    flock -n 8 || { say "another run is making the root; waiting for it"; flock 8; }
    [ ! -e "$dir/.complete" ] || return 0

    disk_need "$cache" "$2" "the Debian 13 root"
    find "$cache" -maxdepth 1 -name "scratch-$name.*" -exec rm -rf --one-file-system {} +
    scratch=$(mktemp -d "$cache/scratch-$name.XXXXXX")
    trap 'rm -rf --one-file-system "$scratch"' EXIT
    chmod 755 "$scratch"
    read -r uri suite signed < <(trixie_sources | awk '$2 == "trixie"' | head -n 1) ||
        die "no Debian source found in /etc/apt" "Add the system's own Debian mirror there; Debian 13's address is derived from it."
    say "making a Debian 13 root (debootstrap)"
    debootstrap --variant=minbase --merged-usr --keyring="$signed" --include=ca-certificates "$suite" "$scratch" "$uri" >"$log" 2>&1 || {
        tail -n 20 "$log" "$scratch/debootstrap/debootstrap.log" >&2
        die "debootstrap failed; its last lines are above" "Is there a network? Then run this again."
    }
    # Nothing may be started inside, and names are looked up as the host does.
    printf '#!/bin/sh\nexit 101\n' >"$scratch/usr/sbin/policy-rc.d"
    chmod +x "$scratch/usr/sbin/policy-rc.d"
    rm -f "$scratch/etc/resolv.conf"
    cp -L /etc/resolv.conf "$scratch/etc/resolv.conf"
    "$3" "$scratch" "$log"
    rm -rf "$scratch"/var/cache/apt/archives/*.deb "$scratch"/var/lib/apt/lists/*_*
    touch "$scratch/.complete"
    rm -rf --one-file-system "$dir"
    mv -T "$scratch" "$dir"
    say "the root stands in $dir ($(du -sm "$dir" | cut -f1) MB)"
}
