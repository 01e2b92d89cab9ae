#!/bin/sh
# Start-up of the guest's root file system, run by init.
export PATH=/sbin:/bin
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -o remount,rw /
# The first start: one name for each of busybox's programs.
[ -e /bin/ls ] || /bin/busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
hostname debian
read -r up _ </proc/uptime
root=$(sed -n 's/^\([^ ]*\) \/ ext4.*/\1/p' /proc/mounts)
echo "guest: $(uname -sr) on $(uname -m), root on $root, up $up s"
