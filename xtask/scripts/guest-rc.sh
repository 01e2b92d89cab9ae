#!/bin/sh
# Start-up of the guest's root file system, run by init.
export PATH=/sbin:/bin
busybox mount -o remount,rw /
# The first start: one name for each of busybox's programs.
[ -e /bin/ls ] || busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
hostname debian
read -r up _ </proc/uptime
echo "guest: $(uname -sr) on $(uname -m), root on $(sed -n 's/^\([^ ]*\) \/ ext4.*/\1/p' /proc/mounts), up $up s"
