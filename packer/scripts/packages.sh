#!/usr/bin/env bash
# What the runner's .NET, the agent and common actions need.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

# Words, separated by spaces, by intent.
read -ra extra <<< "$EXTRA_PACKAGES"

case $FAMILY in
  debian)
    apt update
    if is_true "$UPGRADE"; then apt upgrade; fi
    # Its name has the number of its interface, which each release changes.
    icu=$(apt-cache pkgnames libicu | grep -E '^libicu[0-9]+$' | sort -V | tail -n1)
    [[ -n $icu ]] || die "no package libicu… in apt's lists"
    apt install --no-install-recommends ca-certificates curl git "$icu" jq libgssapi-krb5-2 libkrb5-3 libssl3 libstdc++6 \
      nftables sudo tar gzip unzip xz-utils zlib1g zstd "${extra[@]}"
    ;;
  amazon)
    if is_true "$UPGRADE"; then dnf --assumeyes --quiet upgrade; fi
    # curl is there as curl-minimal, with which curl would be in conflict.
    dnf --assumeyes --quiet install ca-certificates findutils git gzip jq krb5-libs libicu libstdc++ nftables openssl-libs \
      procps-ng shadow-utils sudo tar unzip xz zlib zstd "${extra[@]}"
    ;;
esac

# Rules of the distribution's own would be loaded at boot, beside which the agent's would have to stand.
if [[ -e /etc/systemd/system/sysinit.target.wants/nftables.service || -e /etc/systemd/system/multi-user.target.wants/nftables.service ]]; then
  systemctl disable nftables.service
fi
