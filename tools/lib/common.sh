# common.sh -- what the shell tools share: speaking, the cache folder, packages, and apt sources of Debian 13.
#
# Everything that is made once per machine (an OpenSSL, a root with peers) lives in the cache folder, so that a fresh
# clone finds it. It is made in a scratch folder beside its final place and renamed at the end: what has the final name
# is whole. A lock keeps two clones from making the same thing at once.
#
# No mirror is named here. The system's own sources say where Debian comes from; `apt-get indextargets` reads both
# their notations for us, and only the suite is replaced.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/pollux
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
started=$SECONDS

say() { printf '%4ds  %s\n' $((SECONDS - started)) "$*" >&2; }

# die WHAT [REMEDY...]: every line after the first says what to do about it.
die() {
    printf '\n%s: %s\n' "${0##*/}" "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

debian_release() { # the number of this Debian, or of the Debian nearest to this system
    local id= like= version=
    id=$(. /etc/os-release && echo "${ID:-}")
    version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    [ "$id" = debian ] && [ -n "$version" ] && { echo "${version%%.*}"; return; }
    [ "$id" = debian ] && { echo 13; return; } # testing and unstable carry no number
    return 1
}

packages_of() { # GROUP: the names of a group, for this release
    local release
    release=$(debian_release) || release=13
    awk -v group="$1" -v here="$1@$release" '$1 == group || $1 == here {for (i = 2; i <= NF; i++) print $i}' \
        "$top/tools/packages.txt"
}

packages_missing() { # GROUP
    local have
    have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | awk '$1 == "installed" {print $2}')
    packages_of "$1" | grep -vxF -f <(printf '%s\n' "$have") || true
}

disk_need() { # FOLDER MEGABYTES WHAT
    mkdir -p "$1" || die "cannot make the folder $1" "Give yourself write access, or set XDG_CACHE_HOME to a folder of yours."
    local free
    free=$(df -Pm "$1" | awk 'NR == 2 {print $4}')
    [ "$free" -ge "$2" ] || die "too little disk: $3 needs $2 MB below $1, $free MB are free" \
        "Free some, or set XDG_CACHE_HOME to a folder on a larger disk, and run this again."
}

packages_install() { # GROUP
    local missing as_root=()
    command -v apt-get >/dev/null || die "this system has no apt-get" \
        "Install the equivalents of these by hand, then run this again:" "$(packages_of "$1" | tr '\n' ' ')"
    missing=$(packages_missing "$1")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "packages are missing and this is not root" "As root, run:" \
            "apt-get update && apt-get install -y --no-install-recommends $(echo $missing)" "and then this again."
        as_root=(sudo)
    fi
    say "installing $(echo "$missing" | wc -w) packages: $(echo $missing)"
    disk_need /var/cache/apt 1500 "installing packages"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600)
    "${apt[@]}" update >&2 || die "apt-get update failed" \
        "Is there a network? Do the sources in /etc/apt answer? (A proxy goes into /etc/apt/apt.conf.d.)"
    "${apt[@]}" install -y --no-install-recommends $missing >&2 || die "apt-get install failed; its last lines above say why" \
        "Repair that (often: apt-get -f install, or a full disk), then run this again."
    missing=$(packages_missing "$1")
    [ -z "$missing" ] || die "still missing after apt-get install: $(echo $missing)"
}

# The system's Debian sources as lines "URI SUITE SIGNED-BY", with every suite carried over to Debian 13.
trixie_sources() {
    local code uri suite signed list
    code=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$code" ] || die "/etc/os-release names no Debian release" "This step derives Debian 13's sources from the system's own; it needs a Debian system."
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)' 'Created-By: Packages' |
        sort -u | while read -r uri suite component signed; do
            case $suite in "$code" | "$code-updates" | "$code-security") ;; *) continue ;; esac
            [ "$component" = main ] || continue
            case $uri in
            mirror+file:*) # a list of mirrors: the first one
                list=${uri#mirror+file:}
                uri=$(grep -v '^#' "${list%/}" | awk 'NF {print $1; exit}') ;;
            esac
            case $signed in /*) [ -r "$signed" ] || signed=$keyring ;; *) signed=$keyring ;; esac
            echo "${uri%/} trixie${suite#"$code"} $signed"
        done | sort -u
}

# apt_trixie FOLDER: makes an apt configuration of its own below FOLDER; the array `apt_own` then runs it.
apt_trixie() {
    local dir=$1 lines
    [ -r "$keyring" ] || die "the Debian archive keys are missing ($keyring)" "apt-get install debian-archive-keyring"
    lines=$(trixie_sources)
    [ -n "$lines" ] || die "no Debian source found in /etc/apt" \
        "Add the system's own Debian mirror there (suite and component main); Debian 13's address is derived from it."
    mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/parts"
    while read -r uri suite signed; do
        printf 'Types: deb deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$uri" "$suite" "$signed"
    done <<<"$lines" >"$dir/parts/trixie.sources"
    apt_own=(-o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$dir/parts" -o "Dir::Etc::Preferences=/dev/null"
        -o "Dir::Etc::PreferencesParts=/dev/null" -o "Dir::State=$dir/state" -o "Dir::State::Status=/dev/null" -o "Dir::Cache=$dir/cache"
        -o "APT::Sandbox::User=$(id -un)" -o "APT::Get::List-Cleanup=0" -o "Acquire::Languages=none"
        -o "Acquire::AllowInsecureRepositories=false" -o "Acquire::Retries=3")
    apt-get -q "${apt_own[@]}" update >&2 || die "cannot read the package lists of Debian 13" \
        "Is there a network? The addresses tried (derived from /etc/apt):" "$(awk '{print $1, $2}' <<<"$lines" | paste -sd';')"
}
