#!/usr/bin/env bash
# Makes an image of the machine that it runs on: Amazon Linux 2023, Ubuntu 24.04, or Debian. As root; may be run again.
#
#   AGENT_BUNDLE    dayfly-agent-ARCH.tar.gz of `make dist`: the agent and its units
#   AGENT_SHA256    its SHA-256
#   RUNNER_URL      where the runner's tar.gz is; file:// will do
#   RUNNER_VERSION  its version, three numbers
#   RUNNER_SHA256   its SHA-256, as the release tells it
#   RUNNER_SUDO     true (default) or false: whether jobs may use sudo without a password
#   DOCKER          true (default) or false: whether docker is installed
#   UPGRADE         true (default) or false: whether the image's packages are brought up to date first
#   EXTRA_PACKAGES  further packages, separated by spaces
#   BASE_IMAGE      what this was made from, for the manifest
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

[[ $(id -u) == 0 ]] || die "needs root"
export RUNNER_SUDO=${RUNNER_SUDO:-true} DOCKER=${DOCKER:-true} UPGRADE=${UPGRADE:-true}
export EXTRA_PACKAGES=${EXTRA_PACKAGES:-} BASE_IMAGE=${BASE_IMAGE:-unknown}
export RUNNER_FOLDER=/opt/actions-runner RUNNER_USER=runner
need AGENT_BUNDLE AGENT_SHA256 RUNNER_URL RUNNER_VERSION RUNNER_SHA256
FAMILY=$(family)
export FAMILY

# A machine that has just booted is still being set up. In a folder that nothing booted there is nobody to wait for.
if [[ -d /run/systemd/system ]] && command -v cloud-init > /dev/null; then
  cloud-init status --wait > /dev/null || say "cloud-init had trouble: $(cloud-init status)"
fi

# cleanup takes away what the steps before it need; check looks at what is left.
for step in packages docker runner agent system cloud-init custom warm-up manifest cleanup check; do
  say "$step"
  begun=$SECONDS
  bash "./$step.sh" || die "$step failed (packer/scripts/$step.sh)"
  say "$step: $((SECONDS - begun)) s"
done
say "done"
