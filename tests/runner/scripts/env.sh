#!/bin/bash
# Keeps the variables that jobs are likely to need, and the PATH, beside the listener.
set -u

dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

[[ -f "$dir/.env" ]] || touch "$dir/.env"
for name in LANG JAVA_HOME ANT_HOME M2_HOME ANDROID_HOME ANDROID_SDK_ROOT GRADLE_HOME NVM_BIN NVM_PATH \
    LD_LIBRARY_PATH PERL5LIB; do
    value="${!name:-}"
    if [[ -n "$value" ]] && ! grep -q "^$name=" "$dir/.env"; then
        echo "$name=$value" >> "$dir/.env"
    fi
done
echo "$PATH" > "$dir/.path"
