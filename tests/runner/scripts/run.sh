#!/bin/bash
# Keeps the listener alive: starts run-helper.sh again for as long as it says so (exit code 2).
# The helper is a copy, because an update may replace the template while it runs.
set -u

dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

while :; do
    cp -f "$dir/run-helper.sh.template" "$dir/run-helper.sh"
    chmod +x "$dir/run-helper.sh"
    "$dir/run-helper.sh" "$@"
    code=$?
    if [[ $code -eq 2 ]]; then
        echo "Restarting runner..."
    else
        echo "Exiting runner..."
        exit "$code"
    fi
done
