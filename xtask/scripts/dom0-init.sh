#!/bin/busybox sh
# First process of Debian's dom0: mounts, kernel modules, Xen's daemons, then a shell on the console.
/bin/busybox --install -s /bin
export PATH=/usr/lib/xen-4.17/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=linux
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm /run/lock /run/xen /run/xenstored
mount -t devpts devpts /dev/pts
# The hotplug scripts read their own file descriptors.
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
hostname dom0

for module in $(cat /etc/modules); do
    modprobe "$module" || echo "init: no module $module"
done
if mount -t vfat -o noatime /dev/vda /data 2>/dev/null; then
    mount --bind /data/root /root
fi
mount -t xenfs xenfs /proc/xen
if grep -q control_d /proc/xen/capabilities 2>/dev/null; then
    xenstored --pid-file=/run/xenstored/xenstored.pid
    xenstore-write /local/domain/0/domid 0
    xen-init-dom0
    xenconsoled --pid-file=/run/xen/xenconsoled.pid
    echo "init: dom0 is ready: try xl list"
else
    echo "init: this is not the control domain"
fi
cd /root
# The kernel makes a variable of what its command line says of `run=`.
[ -z "$run" ] || sh "$run"
while :; do
    PS1='dom0# ' setsid cttyhack sh
done
