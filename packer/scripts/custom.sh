#!/usr/bin/env bash
# The place of the user's own script (`custom_script`): as root, with the variables of provision.sh, after the runner
# and the agent are installed. This one does nothing.
set -euo pipefail
