#!/bin/busybox sh
# First process of the guest's initial RAM disk: loads the drivers of the root disk, which Debian's
# kernel has as modules, and hands over to the root file system.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /etc/modules); do
    modprobe "$module" || echo "initrd: no module $module"
done
root=/dev/xvda
for word in $(cat /proc/cmdline); do
    case $word in
    root=*) root=${word#root=} ;;
    esac
done
tries=0
until [ -b "$root" ] || [ "$tries" -eq 100 ]; do
    usleep 100000
    tries=$((tries + 1))
done
if mount -t ext4 "$root" /newroot; then
    umount /sys /proc
    mount --move /dev /newroot/dev
    exec switch_root /newroot /sbin/init
fi
echo "initrd: $root cannot be mounted; a shell instead"
exec setsid cttyhack sh
