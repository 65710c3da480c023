#!/bin/bash
# Registers this runner, or takes the registration back: ./config.sh remove --token T
set -u

if [[ $(id -u) -eq 0 && -z "${RUNNER_ALLOW_RUNASROOT:-}" ]]; then
    echo "Must not run with sudo"
    exit 1
fi

dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$dir" || exit 1

if [[ "${1:-}" == "remove" ]]; then
    exec ./bin/Runner.Listener "$@"
fi
./env.sh
exec ./bin/Runner.Listener configure "$@"
