#!/usr/bin/env bash
# The last word is the agent's: whether jobs can run on this image.
set -euo pipefail

/usr/local/bin/dayfly-agent check
