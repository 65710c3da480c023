# shellcheck shell=bash
# What the steps share. Each is run by provision.sh, as root, with the variables that it documents.

# Ends with what is wrong.
die() {
  printf 'image: %s\n' "$*" >&2
  exit 1
}

say() { printf 'image: %s\n' "$*"; }

# `debian` (Debian, Ubuntu) or `amazon` (Amazon Linux 2023).
family() {
  local id like
  # shellcheck disable=SC1091 # The image's own.
  id=$(. /etc/os-release && printf '%s' "$ID")
  # shellcheck disable=SC1091
  like=$(. /etc/os-release && printf '%s' "${ID_LIKE:-}")
  case " $id $like " in
    *" debian "* | *" ubuntu "*) echo debian ;;
    *" amzn "*) echo amazon ;;
    *) die "/etc/os-release: found ID=$id, expected Debian, Ubuntu or Amazon Linux 2023" ;;
  esac
}

# Fails where a variable that a step needs is empty.
need() {
  local name
  for name in "$@"; do
    [[ -n ${!name:-} ]] || die "$name: found nothing, expected a value; provision.sh tells of each variable"
  done
}

# apt that asks nothing, and waits for the one that a fresh machine runs by itself.
apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"; }

# verified FILE SHA256: fails where the file is another one.
verified() {
  local found
  [[ $2 =~ ^[0-9a-f]{64}$ ]] || die "SHA-256 of $1: found \"$2\", expected 64 small hexadecimal digits"
  found=$(sha256sum "$1" | cut -d' ' -f1)
  [[ $found == "$2" ]] || die "$1: found the SHA-256 $found, expected $2"
}

# put PATH MODE: writes standard input there, whole or not at all.
put() {
  mkdir -p "$(dirname "$1")"
  cat > "$1.new"
  chmod "$2" "$1.new"
  mv -f "$1.new" "$1"
}

is_true() {
  case ${1:-} in
    true) return 0 ;;
    false) return 1 ;;
    *) die "found \"${1:-}\", expected true or false" ;;
  esac
}
