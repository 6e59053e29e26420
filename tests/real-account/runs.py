"""The proof: stop, CreateImage, start at the barrier (or at once), and then read what the image holds."""

import time

import guest
from account import Disorder, iso, now, seconds


class Machine:
    """The machine that is stopped and started: with our guest in it, or one that is lent and has none."""

    def __init__(self, account, instance, arguments, has_guest):
        self.account, self.id, self.arguments, self.has_guest = account, instance, arguments, has_guest
        self.boot = 1

    def lines(self, instance=None):
        return guest.said(self.account.console(instance or self.id), self.account.run)

    def last(self, kind, instance=None):
        return next((facts for said, facts in reversed(self.lines(instance)) if said == kind), None)

    def start(self):
        facts = self.account.start(self.id)
        self.boot += 1
        return facts

    def counts(self):
        """Waits until the guest counts in this boot: everything that it rewrites after a boot is then on disk."""
        if not self.has_guest:
            return
        limit = self.arguments.console_seconds

        def look():
            facts = self.last("counting")
            return facts and facts["boot"] >= self.boot
        self.account.until(look, limit, f"{self.id} counts in boot {self.boot}", pause=5)

    def found(self):
        """What it found on its volumes when this boot began, before it wrote: what they held when it was stopped."""
        def look():
            facts = self.last("found")
            return facts if facts and max(facts["boots"]) == self.boot - 1 else None
        return self.account.until(look, self.arguments.console_seconds, f"{self.id} tells what it found", pause=5)

    def read(self, image, number):
        """What a machine that is made from the image reads on its volumes. It writes nothing there."""
        account, arguments = self.account, self.arguments
        reader = account.launch(image, arguments.type, arguments.subnet, token=f"reader-{number}")
        try:
            return account.until(
                lambda: self.last("read", reader), arguments.console_seconds, f"{reader} reads", pause=5)
        finally:
            account.terminate(reader)


def run(machine, number, early, facts):
    """One run, written into `facts`; `early`: the machine is started as soon as CreateImage has answered."""
    account = machine.account
    facts.update(number=number, variant="immediately" if early else "barrier", verdict="interrupted")
    machine.counts()
    volumes = account.volumes(machine.id)
    facts["volumes"] = volumes
    facts["stop"] = account.stop(machine.id)

    asked = now()
    image = account.create_image(machine.id, f"{account.run}-{facts['variant']}-{number}")
    answered = now()
    facts["image"], facts["createImageSeconds"] = image, seconds(answered, asked)
    sightings = Sightings(account, image, volumes, answered)
    if early:
        facts["start"] = machine.start()
        facts["started"] = iso(now())
    # An image that fails may never have all its snapshots.
    account.until(lambda: sightings.look() or sightings.is_over(), 1800, f"snapshots of {image} begin")
    if not early:
        facts["start"] = machine.start()
        facts["started"] = iso(now())
    sightings.wait_for_tags(60 * account.poll)
    facts["snapshots"] = sightings.facts()
    facts["barrierSeconds"] = sightings.seconds()
    if not early:
        facts["downtimeSeconds"] = round(facts["stop"]["seconds"] + seconds(now(), asked), 3)

    found = account.settled(image)
    facts["imageState"] = found["State"] if found else "gone"
    facts["imageSeconds"] = seconds(now(), answered)
    facts["imageReason"] = found.get("StateReason") if found else None
    if found:
        of_image = {device["Ebs"].get("SnapshotId") for device in found["BlockDeviceMappings"] if "Ebs" in device}
        facts["snapshotsAreTheBarriers"] = of_image == {each["id"] for each in facts["snapshots"].values()}
    facts["verdict"] = "image " + facts["imageState"]
    if facts["imageState"] == "available":
        facts["verdict"] = "not read"
        if machine.has_guest:
            facts["found"] = machine.found()
            # From here on every block of the volumes is another than at the stop.
            machine.counts()
            facts["read"] = machine.read(image, number)
            facts["verdict"] = guest.verdict(facts["found"], facts["read"])
    return facts


class Sightings:
    """When each snapshot of an image was first seen, by its volume and by our tag, and with which tags."""

    def __init__(self, account, image, volumes, since):
        self.account, self.image, self.volumes, self.since = account, image, volumes, since
        self.by_volume, self.by_tag = {}, {}

    def look(self):
        """True once every volume has a snapshot that is pending or completed: the barrier."""
        at = now()
        for snapshot in self.account.of_image(self.image, self.volumes):
            if snapshot["State"] == "error":
                raise Disorder(f"{snapshot['SnapshotId']} is in error: {snapshot.get('StateMessage')}")
            self.by_volume.setdefault(snapshot["VolumeId"], (at, snapshot))
        for snapshot in self.account.snapshots(*self.account.mine()):
            if self.image in snapshot.get("Description", ""):
                self.by_tag.setdefault(snapshot["VolumeId"], at)
        return set(self.volumes) <= set(self.by_volume)

    def wait_for_tags(self, limit):
        """The tag filter may show them later, or never."""
        end = time.monotonic() + limit
        while not set(self.volumes) <= set(self.by_tag) and time.monotonic() < end:
            time.sleep(self.account.poll)
            self.look()

    def is_over(self):
        found = self.account.image(self.image)
        return bool(found) and found["State"] not in ("pending", "transient")

    def seconds(self):
        """From CreateImage's reply until the last volume's snapshot was first seen; none where one never was."""
        if not set(self.volumes) <= set(self.by_volume):
            return None
        return max(seconds(at, self.since) for at, _ in self.by_volume.values())

    def facts(self):
        return {
            volume: {
                "id": snapshot["SnapshotId"], "state": snapshot["State"], "startTime": iso(snapshot["StartTime"]),
                "description": snapshot.get("Description"), "seenAfterSeconds": seconds(at, self.since),
                "seenByTagAfterSeconds": seconds(self.by_tag.get(volume), self.since),
                "taggedAtFirstSight": self.account.is_ours(snapshot),
            }
            for volume, (at, snapshot) in self.by_volume.items()
        }


def tidy(account, image):
    """Deregisters an image of this run and deletes its snapshots: what is left, the last sweep takes."""
    found = account.image(image)
    account.deregister(image)
    if not found:
        return
    for device in found["BlockDeviceMappings"]:
        snapshot = device.get("Ebs", {}).get("SnapshotId")
        if snapshot:
            for _ in range(5):
                try:
                    account.ec2.delete_snapshot(SnapshotId=snapshot)
                    break
                except account.ec2.exceptions.ClientError:
                    time.sleep(2 * account.poll)
