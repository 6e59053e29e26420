"""The guest: its user data, and what it says on the serial console."""

import json
import re
import zlib
from pathlib import Path

LINE = re.compile(r"PROOF ((\S+) (\S+) (\{[^{}]*\})) ([0-9a-f]{8})")
LARGEST = 16 * 1024

USER_DATA = """#!/bin/bash
set -eux
mkdir -p /var/lib/proof /proof
# The data volume: the disk that has neither partitions nor a file system.
for try in $(seq 60); do
    for disk in $(lsblk -dnpo NAME,TYPE | awk '$2 == "disk" && $1 !~ /zram/ {print $1}'); do
        if [ "$(lsblk -nro NAME "$disk" | wc -l)" = 1 ] && [ -z "$(blkid -p -o value -s TYPE "$disk")" ]; then
            mkfs.xfs -L proof "$disk"
            break 2
        fi
    done
    sleep 2
done
udevadm settle
echo 'LABEL=proof /proof xfs defaults,nofail,x-systemd.device-timeout=120 0 2' >>/etc/fstab
systemctl daemon-reload
mount /proof
cat /sys/devices/virtual/dmi/id/board_asset_tag >/var/lib/proof/owner
cat >/usr/local/sbin/counter.py <<'END'
@PROGRAM@
END
cat >/etc/systemd/system/proof.service <<'END'
[Unit]
RequiresMountsFor=/proof
[Service]
ExecStart=/usr/bin/python3 /usr/local/sbin/counter.py @RUN@ /dev/console @MIB@ /var/lib/proof /proof
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --now proof
"""


def user_data(run, mib):
    program = Path(__file__).with_name("counter.py").read_text(encoding="ascii", errors="replace")
    text = USER_DATA.replace("@PROGRAM@", program).replace("@RUN@", run).replace("@MIB@", str(mib))
    assert len(text.encode()) < LARGEST, "EC2 takes at most 16 KiB of user data"
    return text


def said(console, run):
    """The lines of this run that are whole, in order: (kind, facts)."""
    lines = []
    for text, whose, kind, facts, checksum in LINE.findall(console):
        if whose == run and f"{zlib.crc32(text.encode()):08x}" == checksum:
            lines.append((kind, json.loads(facts)))
    return lines


def verdict(found, read):
    """What the image holds (`read`), against what the machine found on its own volumes when it ran again (`found`)."""
    if read is None or found is None:
        return "unread"
    if all(read[what] == found[what] for what in ("boots", "count", "bad")):
        return "equal"
    later = any(
        of_image > of_machine
        for what in ("boots", "count", "bad") for of_image, of_machine in zip(read[what], found[what]))
    return "LATER" if later else "other"
