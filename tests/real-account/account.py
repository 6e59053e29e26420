"""One account in one region: what is asked of it, what was made in it, and how all of that is removed.

Nothing is changed that does not carry the tag `savedtemplate-proof`. Three values: `made` (by this program, with the
run's id beside it), `lend` (an instance that its owner lends: it is stopped, imaged and started), `sacrifice` (an
instance that its owner lets this program terminate).
"""

import datetime
import email.utils
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ROLE, RUN = "savedtemplate-proof", "savedtemplate-proof-run"
PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
# Refusals that pass by themselves: too many snapshots of a volume at once, or too soon after one another.
BUSY = {
    "SnapshotCreationPerVolumeRateExceeded", "ConcurrentSnapshotLimitExceeded", "PendingSnapshotLimitExceeded",
    "ConcurrentCreateImageNoRebootLimitExceeded", "RequestLimitExceeded", "IncorrectInstanceState", "IncorrectState",
}


class Disorder(Exception):
    """What was asked cannot go on; what was made is removed."""


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def iso(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def seconds(later, earlier):
    return round((later - earlier).total_seconds(), 3) if later and earlier else None


def code(error):
    return error.response["Error"]["Code"]


def reply_date(reply):
    """EC2's own clock when it answered, in whole seconds."""
    text = reply["ResponseMetadata"]["HTTPHeaders"].get("date")
    return email.utils.parsedate_to_datetime(text) if text else None


class Account:
    def __init__(self, region, run, endpoint=None, poll=1.0):
        self.region, self.run, self.endpoint, self.poll = region, run, endpoint, poll
        self.ec2 = self.client("ec2")
        # Retried by nobody: what is not idempotent, and what is timed.
        self.once = self.client("ec2", attempts=1)
        self.ours, self.lent, self.left = set(), {}, []

    def client(self, service, region=None, attempts=5, **more):
        # An endpoint stands in for every service: an emulator that has them all may be behind it.
        more = {"endpoint_url": self.endpoint, **more} if self.endpoint else more
        retries = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(retries=retries, user_agent_extra=f"savedtemplate-proof/{self.run}")
        return boto3.client(service, region_name=region or self.region, config=config, **more)

    # Tags and leave

    def tags(self, **more):
        pairs = {"Name": f"savedtemplate-proof {self.run}", ROLE: "made", RUN: self.run, **more}
        return [{"Key": key, "Value": value} for key, value in pairs.items()]

    def specification(self, *kinds, **more):
        return [{"ResourceType": kind, "Tags": self.tags(**more)} for kind in kinds]

    def mine(self):
        return [{"Name": f"tag:{ROLE}", "Values": ["made"]}, {"Name": f"tag:{RUN}", "Values": [self.run]}]

    def borrow(self, instance, role):
        """Takes an instance that carries the tag of this role."""
        found = self.instance(instance)
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
        if tags.get(ROLE) != role:
            raise Disorder(f"{instance} does not carry {ROLE}={role}: its owner must put that tag on it first")
        self.lent[instance] = {"role": role, "state": found["State"]["Name"]}

    def may(self, thing, *roles):
        if thing not in self.ours and self.lent.get(thing, {}).get("role") not in (roles or ("lend",)):
            raise Disorder(f"{thing} was neither made nor lent for this: not touched")
        return thing

    # Waiting

    def until(self, look, limit, what, pause=None):
        """The first true answer of `look`; Disorder after `limit` seconds."""
        end = time.monotonic() + limit
        while True:
            answer = look()
            if answer:
                return answer
            if time.monotonic() > end:
                raise Disorder(f"{what}: not within {limit} s")
            time.sleep(pause or self.poll)

    # Instances

    def instance(self, instance):
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def state(self, instance):
        try:
            return self.instance(instance)["State"]["Name"]
        except ClientError as error:
            if code(error) == "InvalidInstanceID.NotFound":
                return None
            raise

    def base_image(self, architecture):
        name = PARAMETER.format(architecture)
        return self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]

    def launch(self, image, kind, subnet=None, user_data=None, mappings=(), token="source"):
        interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": False}
        if subnet:
            interface["SubnetId"] = subnet
        more = {"UserData": user_data} if user_data else {}
        if mappings:
            more["BlockDeviceMappings"] = list(mappings)
        reply = self.ec2.run_instances(
            ImageId=image, InstanceType=kind, MinCount=1, MaxCount=1, NetworkInterfaces=[interface],
            ClientToken=f"{self.run}-{token}", MetadataOptions={"HttpTokens": "required"},
            InstanceInitiatedShutdownBehavior="stop", TagSpecifications=self.specification("instance", "volume"),
            **more)
        instance = reply["Instances"][0]["InstanceId"]
        self.ours.add(instance)
        self.until(lambda: self.state(instance) == "running", 600, f"{instance} runs")
        return instance

    def stop(self, instance):
        """Stops and waits. Everything that EC2 tells about when."""
        before = self.instance(self.may(instance))
        sent = now()
        reply = self.once.stop_instances(InstanceIds=[instance])
        date = reply_date(reply)
        self.until(lambda: self.state(instance) == "stopped", 1800, f"{instance} stops")
        stopped = now()
        after = self.instance(instance)
        return {
            "sent": iso(sent), "replyDate": iso(date), "seenStopped": iso(stopped), "seconds": seconds(stopped, sent),
            "previousState": reply["StoppingInstances"][0]["PreviousState"]["Name"],
            "stateReason": after.get("StateReason"), "stateTransitionReason": after.get("StateTransitionReason"),
            "launchTimeKept": before["LaunchTime"] == after["LaunchTime"],
        }

    def start(self, instance, tries=6):
        """Starts until it runs. A start that EC2 took back is kept: nobody can ask for one from outside."""
        failures = []
        for _ in range(tries):
            failed, took = self.start_once(instance)
            if failed is None:
                return {"seconds": took, "failed": failures}
            failures.append(failed)
            time.sleep(10 * self.poll)
        raise Disorder(f"{instance} does not start: {failures[-1]}")

    def start_once(self, instance):
        """(what is known of a failed start or None, seconds)"""
        before = self.instance(self.may(instance))
        sent = now()
        facts = {"sent": iso(sent), "launchTimeBefore": iso(before["LaunchTime"])}
        try:
            reply = self.ec2.start_instances(InstanceIds=[instance])
        except ClientError as error:
            after = self.instance(instance)
            return {**facts, "refused": code(error), "launchTimeAfter": iso(after["LaunchTime"]),
                    "launchTimeMoved": after["LaunchTime"] != before["LaunchTime"],
                    "stateReason": after.get("StateReason"),
                    "stateTransitionReason": after.get("StateTransitionReason")}, None
        facts["previousState"] = reply["StartingInstances"][0]["PreviousState"]["Name"]
        states = [reply["StartingInstances"][0]["CurrentState"]["Name"]]

        def over():
            # An eventually consistent read may still show `stopped`: only after a while is it a start taken back.
            state = self.state(instance)
            if state != states[-1]:
                states.append(state)
            late = seconds(now(), sent) > 30 * self.poll
            return state == "running" or (state == "stopped" and late)

        self.until(over, 900, f"{instance} starts")
        after = self.instance(instance)
        took = seconds(now(), sent)
        if after["State"]["Name"] == "running":
            return None, took
        return {**facts, "states": states, "launchTimeAfter": iso(after["LaunchTime"]),
                "launchTimeMoved": after["LaunchTime"] != before["LaunchTime"],
                "stateReason": after.get("StateReason"),
                "stateTransitionReason": after.get("StateTransitionReason")}, took

    def console(self, instance):
        for more in ({"Latest": True}, {}):
            try:
                reply = self.ec2.get_console_output(InstanceId=instance, **more)
            except ClientError as error:
                if code(error) in ("UnsupportedOperation", "InvalidInstanceID.NotFound"):
                    continue
                raise
            # botocore has decoded it.
            return reply.get("Output", "")
        return ""

    def terminate(self, *instances):
        if instances:
            self.ec2.terminate_instances(InstanceIds=[self.may(each, "sacrifice") for each in instances])

    # Images and snapshots

    def ask_image(self, instance, name, client=None, **more):
        """One CreateImage, without a second try."""
        reply = (client or self.once).create_image(
            InstanceId=self.may(instance, "lend", "sacrifice"), Name=name, NoReboot=True,
            Description=f"savedtemplate-proof {self.run}", TagSpecifications=self.specification("image", "snapshot"),
            **more)
        self.ours.add(reply["ImageId"])
        return reply["ImageId"]

    def create_image(self, instance, name):
        """CreateImage; what passes by itself is waited for."""
        def ask():
            try:
                return self.ask_image(instance, name)
            except ClientError as error:
                not_yet = code(error) == "InvalidParameterValue" and "not in state" in str(error)
                if code(error) in BUSY or not_yet:
                    return None
                raise
        return self.until(ask, 900, f"CreateImage of {instance}", pause=3 * self.poll)

    def image(self, image, region=None):
        try:
            found = (region or self.ec2).describe_images(ImageIds=[image])["Images"]
        except ClientError as error:
            if code(error).startswith("InvalidAMIID."):
                return None
            raise
        return found[0] if found else None

    def settled(self, image, region=None, limit=7200):
        """The image once it is no longer pending; None when it is gone. A new image may not be seen at first."""
        began = time.monotonic()

        def look():
            found = self.image(image, region)
            if found is None:
                return time.monotonic() - began > 60 * self.poll and "gone"
            return found["State"] not in ("pending", "transient") and found
        found = self.until(look, limit, f"{image} settles", pause=5 * self.poll)
        return None if found == "gone" else found

    def volumes(self, instance):
        return [device["Ebs"]["VolumeId"] for device in self.instance(instance)["BlockDeviceMappings"]]

    def snapshots(self, *filters, region=None):
        pages = (region or self.ec2).get_paginator("describe_snapshots")
        return list(pages.paginate(OwnerIds=["self"], Filters=list(filters)).search("Snapshots[]"))

    def of_image(self, image, volumes):
        """Snapshots of these volumes that an image names in their description, tagged or not."""
        found = self.snapshots({"Name": "volume-id", "Values": volumes})
        return [snapshot for snapshot in found if image in snapshot.get("Description", "")]

    def is_ours(self, thing):
        tags = {tag["Key"]: tag["Value"] for tag in thing.get("Tags", [])}
        return tags.get(ROLE) == "made" and tags.get(RUN) == self.run

    def deregister(self, image, region=None):
        try:
            (region or self.ec2).deregister_image(ImageId=self.may(image))
        except ClientError as error:
            if not code(error).startswith("InvalidAMIID."):
                raise

    # The end

    def give_back(self):
        """Lent instances run, or not, as they were found."""
        for instance, lent in self.lent.items():
            if lent["role"] == "lend" and lent["state"] == "running" and self.state(instance) != "running":
                self.until(lambda each=instance: self.state(each) in ("stopped", "running"), 1800, f"{instance} stops")
                self.start(instance)
            elif lent["role"] == "lend" and lent["state"] == "stopped" and self.state(instance) == "running":
                self.stop(instance)

    def sweep(self, region=None):
        """Removes what carries the tags of this run, as far as EC2 lets go of it; what is still there."""
        ec2, still = region or self.ec2, []

        def attempt(thing, call, **arguments):
            still.append(thing)
            try:
                call(**arguments)
            except ClientError as error:
                if "NotFound" not in code(error) and code(error) not in ("InvalidSnapshot.InUse", "VolumeInUse"):
                    print(f"  {thing}: {error}")

        live = {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}
        pages = ec2.get_paginator("describe_instances").paginate(Filters=self.mine() + [live])
        for instance in pages.search("Reservations[].Instances[]"):
            attempt(instance["InstanceId"], ec2.terminate_instances, InstanceIds=[instance["InstanceId"]])
        for image in ec2.describe_images(Owners=["self"], Filters=self.mine())["Images"]:
            # "Recently deregistered images appear for a short interval."
            if image["State"] != "deregistered":
                attempt(image["ImageId"], ec2.deregister_image, ImageId=image["ImageId"])
        for snapshot in self.snapshots(*self.mine(), region=ec2):
            attempt(snapshot["SnapshotId"], ec2.delete_snapshot, SnapshotId=snapshot["SnapshotId"])
        free = {"Name": "status", "Values": ["available"]}
        for volume in ec2.describe_volumes(Filters=self.mine() + [free])["Volumes"]:
            attempt(volume["VolumeId"], ec2.delete_volume, VolumeId=volume["VolumeId"])
        return still

    def clean(self, regions, limit=900):
        """Sweeps until two sweeps, a while apart, find nothing: snapshots of a deregistered image may come late."""
        clients = [self.ec2] + [self.client("ec2", region) for region in regions if region != self.region]
        quiet, still, end = 0, [], time.monotonic() + limit
        while quiet < 2 and time.monotonic() < end:
            still = [thing for client in clients for thing in self.sweep(client)]
            quiet = 0 if still else quiet + 1
            if quiet < 2:
                time.sleep(20 * self.poll)
        return still
