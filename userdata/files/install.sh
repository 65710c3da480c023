#!/usr/bin/env bash
# Installs the Dayfly agent on an image without it, and starts it: dayfly-install BUCKET KEY SHA256 SECONDS
# Run once by cloud-init, on Amazon Linux 2023, Ubuntu and Debian. Whatever fails ends the instance, and so do SECONDS.
set -Eeuo pipefail
bucket=$1 key=$2 sha256=$3 seconds=$4
step=start

say() { printf 'dayfly-install: %s\n' "$*"; }
failed() {
  trap - ERR
  say "failed at: $step; this instance ends"
  # Its shutdown behaviour is "terminate".
  systemctl --no-block poweroff
  exit 1
}
trap failed ERR

# Not in this process, which may hang, or be killed.
systemd-run --quiet --unit=dayfly-install-limit --on-active="$seconds" --timer-property=AccuracySec=5s systemctl --no-block poweroff

# By systemd's rules for such files, as far as they are simple: NAME=value, NAME="value".
if [[ -r /etc/dayfly/agent.env ]]; then
  while IFS='=' read -r name value; do
    case $name in
      AWS_CA_BUNDLE | AWS_ENDPOINT_URL | HTTPS_PROXY | NO_PROXY) export "$name=$(sed -E 's/^"(.*)"$/\1/' <<< "$value")" ;;
    esac
  done < /etc/dayfly/agent.env
fi

if [[ -x /usr/local/lib/dayfly/pre-install ]]; then
  step="pre_install"
  /usr/local/lib/dayfly/pre-install
fi

step="packages"
lacking=()
ldconfig -p | grep -q 'libicuuc\.so\.' || lacking+=(icu)
command -v nft > /dev/null || command -v iptables > /dev/null || lacking+=(nftables)
command -v tar > /dev/null || lacking+=(tar)
command -v gzip > /dev/null || lacking+=(gzip)
if [[ ${#lacking[@]} -gt 0 ]]; then
  say "installs ${lacking[*]}"
  if command -v apt-get > /dev/null; then
    apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"; }
    apt update
    # Its name has the number of its interface.
    icu=$(apt-cache pkgnames libicu | grep -E '^libicu[0-9]+$' | sort -V | tail -n1)
    apt install --no-install-recommends "${lacking[@]/#icu/$icu}"
  else
    dnf --assumeyes --quiet install "${lacking[@]/#icu/libicu}"
  fi
fi

step="the agent, s3://$bucket/$key"
folder=$(mktemp -d)
python3 /usr/local/lib/dayfly/fetch.py "$bucket" "$key" "$sha256" "$folder/agent.tar.gz"
tar --extract --gzip --file="$folder/agent.tar.gz" --directory="$folder" --no-same-owner
install -D -m 0755 "$folder/dayfly-agent" /usr/local/bin/dayfly-agent
install -D -m 0644 "$folder/dayfly-agent.service" "$folder/dayfly-agent-end.service" -t /etc/systemd/system
rm -rf "$folder"

if [[ -x /usr/local/lib/dayfly/post-install ]]; then
  step="post_install"
  /usr/local/lib/dayfly/post-install
fi

step="the agent's start"
systemctl daemon-reload
systemctl enable dayfly-agent.service
systemctl start dayfly-agent.service
# From here on the agent sees to the instance's end.
systemctl stop dayfly-install-limit.timer
say "the agent runs"
