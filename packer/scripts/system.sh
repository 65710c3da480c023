#!/usr/bin/env bash
# Limits and peace: nothing on the machine wakes up by itself, and no log fills its disk.
set -euo pipefail
# shellcheck source=packer/scripts/lib.sh
. ./lib.sh

put /etc/systemd/journald.conf.d/90-dayfly.conf 0644 << 'END'
# The agent keeps its own log in /var/log/dayfly. In memory, what the journal writes does not wait for the volume.
[Journal]
Storage=volatile
RuntimeMaxUse=64M
END

# In place of the distribution's file of that name: of what a job leaves in /tmp nothing is cleared away by its age,
# since a runner may run for days. The hand-made tool cache of actions/setup-* lies where GitHub's own images have it.
put /etc/tmpfiles.d/tmp.conf 0644 << 'END'
q /tmp 1777 root root -
q /var/tmp 1777 root root -
END
put /etc/tmpfiles.d/dayfly.conf 0644 << END
d /opt/hostedtoolcache 0755 $RUNNER_USER $RUNNER_USER -
END

# Updates, caches and reports of a machine that lives for hours; those that there are. Masked, so that no package
# enables them again.
for unit in apt-daily.timer apt-daily-upgrade.timer unattended-upgrades.service dpkg-db-backup.timer e2scrub_all.timer \
  fstrim.timer man-db.timer motd-news.timer update-notifier-download.timer update-notifier-motd.timer ua-timer.timer \
  apport.service apport-autoreport.path apport-autoreport.timer fwupd-refresh.timer snapd.snap-repair.timer \
  pollinate.service dnf-makecache.timer update-motd.timer update-motd.service systemd-tmpfiles-clean.timer logrotate.timer; do
  for folder in /usr/lib/systemd/system /lib/systemd/system /etc/systemd/system; do
    if [[ -e $folder/$unit ]]; then
      # A unit of the machine's owner is a file there, which mask would not touch.
      [[ -f /etc/systemd/system/$unit && ! -L /etc/systemd/system/$unit ]] && rm -f "/etc/systemd/system/$unit"
      systemctl mask "$unit"
      break
    fi
  done
done
