#!/usr/bin/env bash
# docker, started by its socket: the first job that uses it waits for it, and no other.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

is_true "$DOCKER" || exit 0

case $FAMILY in
  debian) apt install --no-install-recommends docker.io iptables ;;
  amazon) dnf --assumeyes --quiet install docker ;;
esac

# Containers' logs shall not fill the disk of a runner that takes many jobs.
put /etc/docker/daemon.json 0644 << 'END'
{ "log-driver": "json-file", "log-opts": { "max-size": "10m", "max-file": "3" } }
END

systemctl disable docker.service containerd.service
systemctl enable docker.socket
