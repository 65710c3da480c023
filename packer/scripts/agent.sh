#!/usr/bin/env bash
# The agent and its two units, from one archive that is known by its SHA-256.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

verified "$AGENT_BUNDLE" "$AGENT_SHA256"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tar --extract --gzip --file="$AGENT_BUNDLE" --directory="$folder" --no-same-owner
install -D -m 0755 "$folder/dayfly-agent" /usr/local/bin/dayfly-agent
for unit in dayfly-agent.service dayfly-agent-end.service; do
  install -D -m 0644 "$folder/$unit" "/etc/systemd/system/$unit"
done
# It runs here, so it is for this processor.
/usr/local/bin/dayfly-agent --version > /dev/null || die "$AGENT_BUNDLE: its agent does not run on $(uname -m)"
# The other is started by this one alone.
systemctl enable dayfly-agent.service
