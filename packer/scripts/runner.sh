#!/usr/bin/env bash
# The runner and its user. The release is known by its SHA-256.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

[[ $RUNNER_VERSION =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "RUNNER_VERSION: found \"$RUNNER_VERSION\", expected three numbers such as 2.337.0"

if ! id "$RUNNER_USER" > /dev/null 2>&1; then
  useradd --create-home --user-group --shell /bin/bash "$RUNNER_USER"
fi
if getent group docker > /dev/null; then
  usermod --append --groups docker "$RUNNER_USER"
fi
if is_true "$RUNNER_SUDO"; then
  printf '%s ALL=(ALL) NOPASSWD:ALL\n' "$RUNNER_USER" | put /etc/sudoers.d/90-dayfly-runner 0440
  visudo --check --quiet --file=/etc/sudoers.d/90-dayfly-runner
else
  rm -f /etc/sudoers.d/90-dayfly-runner
fi

new=$RUNNER_FOLDER.new
rm -rf "$new"
trap 'rm -rf "$new" "$new.tar.gz"' EXIT
mkdir -p "$new"
curl --fail --silent --show-error --location --retry 5 --retry-delay 2 --connect-timeout 20 --max-time 900 --output "$new.tar.gz" "$RUNNER_URL" \
  || die "RUNNER_URL: $RUNNER_URL can't be read"
verified "$new.tar.gz" "$RUNNER_SHA256"
tar --extract --gzip --file="$new.tar.gz" --directory="$new" --no-same-owner
[[ -x $new/bin/Runner.Listener ]] || die "$RUNNER_URL: has no program bin/Runner.Listener"
# By this the agent knows the version without running it.
printf '{"version": "%s"}\n' "$RUNNER_VERSION" > "$new/.dayfly-runner.json"
chown -R "$RUNNER_USER:$RUNNER_USER" "$new"
rm -rf "$RUNNER_FOLDER"
mv "$new" "$RUNNER_FOLDER"
