#!/usr/bin/env bash
# cloud-init does what an EC2 instance needs of it, and no more. The agent does not wait for it: it reads user-data
# itself.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

if ! command -v cloud-init > /dev/null; then
  say "no cloud-init: user-data is for the agent alone"
  exit 0
fi

# Later files go before earlier ones, and lists are taken whole. Kept: the network's setup (its own, in no list), the
# root volume's growth, keys of people who look in, and files and commands of the user's own user-data.
put /etc/cloud/cloud.cfg.d/99-dayfly.cfg 0644 << 'END'
datasource_list: [Ec2]
datasource:
  Ec2:
    # The metadata service is on the host: where it is silent, it is not there.
    max_wait: 30
    timeout: 5
apt_preserve_sources_list: true
package_update: false
package_upgrade: false
preserve_hostname: false
# Each first boot makes them: RSA takes longest.
ssh_genkeytypes: [ed25519]
cloud_init_modules: [seed_random, growpart, resizefs, set_hostname, write-files, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
END

# A list of sources of the base image would go before ours by its name.
if [[ -f /etc/cloud/cloud.cfg.d/90_dpkg.cfg ]]; then
  printf '# See 99-dayfly.cfg.\n' > /etc/cloud/cloud.cfg.d/90_dpkg.cfg
fi
