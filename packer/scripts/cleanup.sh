#!/usr/bin/env bash
# Takes away what belongs to this machine and not to those made of its image: ids, keys, logs, caches.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

case $FAMILY in
  debian)
    apt autoremove
    apt clean
    rm -rf /var/lib/apt/lists/*
    ;;
  amazon)
    dnf --assumeyes --quiet autoremove
    dnf clean all --quiet
    rm -rf /var/cache/dnf
    ;;
esac

if command -v cloud-init > /dev/null; then
  # As on a machine that never ran it; its log goes as well.
  cloud-init clean --logs
fi
# systemd makes a new one at each first boot.
: > /etc/machine-id
rm -f /var/lib/dbus/machine-id /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub /var/lib/systemd/random-seed
rm -rf /var/log/journal /root/.bash_history /root/.cache
find /var/log -type f -exec truncate --size=0 {} +
# The agent's memory of this boot, if it has run here.
rm -rf /var/log/dayfly
