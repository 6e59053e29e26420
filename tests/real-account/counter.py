#!/usr/bin/python3
"""Runs in the guest. On its own machine it counts onto every volume; on a machine made from the image it only tells
what the volumes hold.

Usage: counter.py RUN CONSOLE MIB FOLDER…   (one folder on each volume; the first also holds the file `owner`)

Each folder has three files: `boots`, `count` (both rewritten in place and fsynced) and `blocks`, MIB mebibytes in
which every block of 4096 bytes is stamped with the number of the boot. All of it is rewritten right after a boot, so
that a snapshot that shows anything later than its instant is found out. Lines on the console end in a checksum:
what the kernel wrote into the middle of one is not believed, and each is said again.
"""

import json
import os
import signal
import sys
import time
import zlib

BLOCK = 4096
EVERY, AGAIN = 0.1, 10.0
stopping = False


def instance():
    """Nitro tells the instance id in the DMI table: no network is needed for it."""
    given = os.environ.get("PROOF_INSTANCE")
    if given:
        return given
    with open("/sys/devices/virtual/dmi/id/board_asset_tag", encoding="ascii") as file:
        return file.read().strip()


def number(path):
    try:
        with open(path, "rb") as file:
            return int(file.read() or b"0")
    except FileNotFoundError:
        return 0


def put(path, value):
    """In place and to the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(file, b"%020d" % value, 0)
        os.fsync(file)
    finally:
        os.close(file)


def stamp(boots):
    return (b"%08d" % boots) * (BLOCK // 8)


def strangers(path, boots):
    """How many blocks are not stamped with this boot."""
    found, expected = 0, stamp(boots)
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                found += block != expected
    except FileNotFoundError:
        pass
    return found


def fill(path, boots, mib):
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        piece = stamp(boots) * (2**20 // BLOCK)
        for index in range(mib):
            os.pwrite(file, piece, index * 2**20)
        os.fsync(file)
    finally:
        os.close(file)


def main(run, console, mib, *folders):
    def all_of(name):
        return [number(os.path.join(folder, name)) for folder in folders]

    def say(kind, **facts):
        text = f"{run} {kind} {json.dumps({'instance': me, **facts}, separators=(',', ':'))}"
        with open(console, "a", encoding="ascii") as file:
            file.write(f"\nPROOF {text} {zlib.crc32(text.encode()):08x}\n")

    me = instance()
    with open(os.path.join(folders[0], "owner"), encoding="ascii") as file:
        owner = file.read().strip()
    boots, count = all_of("boots"), all_of("count")
    bad = [strangers(os.path.join(folder, "blocks"), boot) for folder, boot in zip(folders, boots)]
    found = {"boots": boots, "count": count, "bad": bad}
    if me != owner:
        while not stopping:
            say("read", **found)
            time.sleep(AGAIN)
        return

    say("found", **found)
    boot, value = max(boots) + 1, max(count)
    for folder in folders:
        put(os.path.join(folder, "boots"), boot)
    for folder in folders:
        fill(os.path.join(folder, "blocks"), boot, int(mib))
    said = 0.0
    while not stopping:
        value += 1
        for folder in folders:
            put(os.path.join(folder, "count"), value)
        if time.monotonic() - said >= AGAIN:
            said = time.monotonic()
            say("found", **found)
            say("counting", boot=boot, count=value)
        time.sleep(EVERY)
    say("stopped", boot=boot, count=value)


def stop(_signal, _frame):
    global stopping
    stopping = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    main(*sys.argv[1:])
