#!/usr/bin/env bash
# Has the runner load and compile all its code once: what it needs is there, or the build fails here.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

/usr/local/bin/dayfly-agent warm-up
# It has written its log as every start of it does.
rm -rf "$RUNNER_FOLDER/_diag"
