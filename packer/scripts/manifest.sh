#!/usr/bin/env bash
# What is in the image: /etc/dayfly/image.json, and the packages beside it.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

case $FAMILY in
  debian) dpkg-query --show --showformat='${Package} ${Version}\n' ;;
  amazon) rpm --query --all --queryformat='%{NAME} %{VERSION}-%{RELEASE}\n' ;;
esac | sort | put /etc/dayfly/packages.txt 0644

# jq is one of our packages; it quotes what the names hold.
# shellcheck disable=SC1091 # The image's own.
jq --null-input \
  --arg os "$(. /etc/os-release && printf '%s' "$PRETTY_NAME")" \
  --arg arch "$(uname -m)" \
  --arg built "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
  --arg base "$BASE_IMAGE" \
  --arg agent "$(/usr/local/bin/dayfly-agent --version | awk '{ print $NF }')" \
  --arg agent_sha256 "$AGENT_SHA256" \
  --arg runner "$RUNNER_VERSION" \
  --arg runner_sha256 "$RUNNER_SHA256" \
  --argjson docker "$DOCKER" \
  --argjson sudo "$RUNNER_SUDO" \
  --arg packages "$(sha256sum /etc/dayfly/packages.txt | cut -d' ' -f1)" \
  '{version: 1, os: $os, arch: $arch, built: $built, base_image: $base,
    agent: {version: $agent, sha256: $agent_sha256}, runner: {version: $runner, sha256: $runner_sha256},
    docker: $docker, sudo: $sudo, packages_sha256: $packages}' | put /etc/dayfly/image.json 0644
cat /etc/dayfly/image.json
