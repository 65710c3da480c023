#!/bin/sh
# Written by dayfly-agent, which is told of the job here. That never fails the job.
'/usr/local/bin/dayfly-agent' hook started --socket '/run/dayfly-hook/hook.sock' < /dev/null || :
if command -v bash > /dev/null; then
  exec bash --noprofile --norc -e -o pipefail '/opt/it'\''s/started.sh'
fi
exec sh -e '/opt/it'\''s/started.sh'
