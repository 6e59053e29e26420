"""Drives every operation of ec2sim with boto3, judges every reply by botocore's model, and lives one whole life.

Usage: judge.py URL
"""

import datetime
import json
import sys
import time
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from model import judge

URL = sys.argv[1]
HOME, AWAY = "us-east-1", "us-west-2"
OPERATIONS = {
    "DescribeInstances", "DescribeInstanceStatus", "DescribeInstanceAttribute", "DescribeInstanceTypes",
    "DescribeImages", "DescribeSnapshots", "DescribeVolumes", "DescribeRegions", "DescribeTags",
    "DescribeSpotInstanceRequests", "StopInstances", "StartInstances", "RebootInstances", "TerminateInstances",
    "ModifyInstanceAttribute", "CreateImage", "CopyImage", "DeregisterImage", "DeleteSnapshot", "CreateTags",
    "DeleteTags", "DescribeImageAttribute", "ModifyImageAttribute", "DescribeSnapshotAttribute",
    "ModifySnapshotAttribute", "DisableImage", "EnableImage", "EnableImageDeregistrationProtection",
    "DisableImageDeregistrationProtection", "LockSnapshot", "UnlockSnapshot", "EnableImageDeprecation",
    "DisableImageDeprecation", "GetImageBlockPublicAccessState",
}

replies = []
ahead = 0


def keep(operation_model, response_dict, **_):
    replies.append((operation_model, response_dict["status_code"], response_dict["body"]))


def client(region, key="AKIDEXAMPLE"):
    made = boto3.client(
        "ec2", region_name=region, endpoint_url=URL, aws_access_key_id=key,
        aws_secret_access_key="secret", config=Config(retries={"total_max_attempts": 1}),
    )
    made.meta.events.register("before-parse.ec2", keep)
    return made


def control(path, body):
    request = urllib.request.Request(f"{URL}/_ec2sim/{path}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        assert found == code, f"{found} instead of {code}: {error}"
        return error.response
    raise AssertionError(f"{code} was expected")


def later(seconds):
    """Lets the simulator's clock run ahead."""
    global ahead
    ahead += seconds
    control("clock", {"offsetSeconds": ahead})


def becomes(what, seconds, before, after):
    """That something takes a while, and how long at most."""
    assert what() == before, f"{what()!r} instead of {before!r}"
    later(seconds)
    assert what() == after, f"{what()!r} instead of {after!r}"


def tags(kind, **pairs):
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in pairs.items()]}


def life(home, away):
    machine = control("instances", {
        "region": HOME, "name": "web", "asg": "group",
        "volumes": [{"device": "/dev/sda1", "gib": 8}, {"device": "/dev/sdf", "gib": 20, "kmsKey": "key"}],
    })["instanceID"]

    def state():
        found = home.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
        return found["State"]["Name"]

    def image_state(region, image):
        return region.describe_images(ImageIds=[image])["Images"][0]["State"]

    before = home.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    assert before["StateTransitionReason"] == "" and "StateReason" not in before
    assert [device["Ebs"]["Status"] for device in before["BlockDeviceMappings"]] == ["attached", "attached"]
    assert refused("DryRunOperation", home.stop_instances, InstanceIds=[machine], DryRun=True)[
        "ResponseMetadata"]["HTTPStatusCode"] == 412
    refused("DryRunOperation", home.start_instances, InstanceIds=[machine], DryRun=True)

    home.create_tags(Resources=[machine], Tags=[{"Key": "owed", "Value": "v1"}])
    owed = [{"Name": "tag-key", "Values": ["owed"]}]
    assert home.describe_instances(Filters=owed)["Reservations"][0]["Instances"][0]["InstanceId"] == machine

    change = home.stop_instances(InstanceIds=[machine])["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    refused("IncorrectInstanceState", home.start_instances, InstanceIds=[machine])
    becomes(state, 40, "stopping", "stopped")
    stopped = home.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert stopped["StateTransitionReason"].startswith("User initiated (20")
    assert stopped["LaunchTime"] == before["LaunchTime"]

    image = home.create_image(
        InstanceId=machine, Name="golden", NoReboot=True,
        TagSpecifications=[tags("image", save="1"), tags("snapshot", save="1")],
    )["ImageId"]
    assert image_state(home, image) == "pending"
    duplicate = refused("InvalidAMIName.Duplicate", home.create_image, InstanceId=machine, Name="golden")
    assert duplicate["Error"]["Message"] == f"AMI name golden is already in use by AMI {image}"
    saved = [{"Name": "tag:save", "Values": ["1"]}]
    found = home.get_paginator("describe_snapshots")
    becomes(lambda: len(list(found.paginate(OwnerIds=["self"], Filters=saved).search("Snapshots"))), 5, 0, 2)
    assert image_state(home, image) == "pending"
    change = home.start_instances(InstanceIds=[machine])["StartingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("stopped", "pending")
    refused("InvalidAMIID.Unavailable", away.copy_image, Name="golden", SourceImageId=image, SourceRegion=HOME)
    becomes(state, 20, "pending", "running")
    after = home.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    assert after["LaunchTime"] > before["LaunchTime"] and after["StateTransitionReason"] == ""
    becomes(lambda: image_state(home, image), 300, "pending", "available")
    found = home.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["gold*"]}])["Images"][0]
    assert found["SourceInstanceId"] == machine
    snapshots = [device["Ebs"]["SnapshotId"] for device in found["BlockDeviceMappings"]]
    for snapshot in home.describe_snapshots(SnapshotIds=snapshots)["Snapshots"]:
        assert snapshot["State"] == "completed" and snapshot["StartTime"] < after["LaunchTime"].replace(
            microsecond=999999)
        assert snapshot["Description"].startswith(f"Created by CreateImage({machine}) for {image}")

    home.delete_tags(Resources=[machine], Tags=[{"Key": "owed", "Value": "another"}])
    assert home.describe_tags(Filters=[{"Name": "key", "Values": ["owed"]}])["Tags"][0]["Value"] == "v1"
    home.delete_tags(Resources=[machine], Tags=[{"Key": "owed", "Value": "v1"}])
    assert home.describe_tags(Filters=[{"Name": "key", "Values": ["owed"]}])["Tags"] == []

    ask = {
        "Name": "golden", "SourceImageId": image, "SourceRegion": HOME, "ClientToken": "token",
        "TagSpecifications": [tags("image", save="1"), tags("snapshot", save="1")],
    }
    copy = away.copy_image(**ask)["ImageId"]
    assert away.copy_image(**ask)["ImageId"] == copy
    refused("IdempotentParameterMismatch", away.copy_image, **ask, Description="another")
    becomes(lambda: image_state(away, copy), 480, "pending", "available")
    found = away.describe_images(ImageIds=[copy])["Images"][0]
    assert (found["SourceImageId"], found["SourceImageRegion"]) == (image, HOME)

    results = away.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)["DeleteSnapshotResults"]
    assert [result["ReturnCode"] for result in results] == ["success", "success"]
    assert away.describe_images(ImageIds=[copy])["Images"] == []
    refused("InvalidSnapshot.InUse", home.delete_snapshot, SnapshotId=snapshots[0])
    home.deregister_image(ImageId=image)
    refused("InvalidAMIID.Unavailable", home.deregister_image, ImageId=image)
    later(5)
    for snapshot in snapshots:
        home.delete_snapshot(SnapshotId=snapshot)
    refused("InvalidSnapshot.NotFound", home.delete_snapshot, SnapshotId=snapshots[0])
    return machine


def rest(home, machine):
    """The operations, shapes and errors that the life did not meet."""
    spot = control("instances", {"region": HOME, "lifecycle": "spotOneTime", "operator": "eks"})["instanceID"]
    assert home.describe_spot_instance_requests()["SpotInstanceRequests"][0]["InstanceId"] == spot
    refused("UnsupportedOperation", home.stop_instances, InstanceIds=[spot])
    for attribute in ("disableApiStop", "disableApiTermination", "instanceInitiatedShutdownBehavior"):
        home.describe_instance_attribute(InstanceId=machine, Attribute=attribute)
    home.modify_instance_attribute(InstanceId=machine, DisableApiStop={"Value": True})
    refused("OperationNotPermitted", home.stop_instances, InstanceIds=[machine])
    home.modify_instance_attribute(InstanceId=machine, DisableApiStop={"Value": False})
    home.reboot_instances(InstanceIds=[machine])
    assert home.describe_instance_status(InstanceIds=[machine])["InstanceStatuses"][0]["SystemStatus"]["Status"] == "ok"
    home.describe_instance_status(IncludeAllInstances=True)
    types = home.describe_instance_types(InstanceTypes=["t3.micro", "m5d.large"])["InstanceTypes"]
    assert [kind["InstanceStorageSupported"] for kind in types] == [False, True]
    assert len(home.describe_volumes()["Volumes"]) == 3
    regions = {region["RegionName"]: region["OptInStatus"] for region in
               home.describe_regions(AllRegions=True)["Regions"]}
    assert (regions[AWAY], regions["af-south-1"]) == ("opt-in-not-required", "not-opted-in")
    for _ in range(4):
        control("instances", {"region": HOME})
    pages = list(home.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Reservations"]) for page in pages] == [5, 1]

    refused("InvalidInstanceID.NotFound", home.describe_instances, InstanceIds=["i-00000000000000001"])
    refused("InvalidInstanceID.Malformed", home.describe_instances, InstanceIds=["i-1"])
    refused("FilterLimitExceeded", home.describe_instances,
            Filters=[{"Name": "instance-id", "Values": ["i-00000000000000001"] * 201}])
    for code in ("RequestLimitExceeded", "UnauthorizedOperation", "InternalError", "InsufficientInstanceCapacity"):
        control("faults", {"operation": "StartInstances", "nth": 1, "effect": {"kind": "refuse", "code": code}})
        refused(code, home.start_instances, InstanceIds=[machine])

    reason = {"kind": "failImage", "code": "Client.InternalError", "message": "no", "afterMs": 0}
    control("faults", {"operation": "CreateImage", "nth": 1, "effect": reason})
    image = home.create_image(InstanceId=machine, Name="failing", NoReboot=True)["ImageId"]
    found = home.describe_images(ImageIds=[image])["Images"][0]
    assert (found["State"], found["StateReason"]["Code"]) == ("failed", "Client.InternalError")
    effect = {"kind": "failSnapshots", "message": "no"}
    control("faults", {"operation": "CreateImage", "nth": 1, "effect": effect})
    home.create_image(InstanceId=machine, Name="broken", Description="<&>", NoReboot=True)
    broken = [{"Name": "status", "Values": ["error"]}]
    becomes(lambda: len(home.describe_snapshots(Filters=broken)["Snapshots"]), 245, 0, 2)
    home.terminate_instances(InstanceIds=[machine])


def shares(home):
    """Permissions, protections and locks, on an image of a machine with everything that can be seeded."""
    machine = control("instances", {
        "region": HOME, "type": "m5d.large", "instanceStore": ["/dev/sdb"], "productCodes": ["code"],
        "publicAddress": "auto", "tenancy": "host", "host": "h-00000000000000001",
        "volumes": [{"gib": 8, "operator": "eks"}, {"device": "/dev/sdf", "gib": 500, "type": "st1"}],
        "events": [{"code": "instance-stop", "description": "planned", "notBefore": 1795506418123,
                    "notAfter": 1795606418123}],
    })["instanceID"]
    found = home.describe_instances(InstanceIds=[machine])["Reservations"][0]["Instances"][0]
    assert found["NetworkInterfaces"][0]["Association"]["IpOwnerId"] == "amazon"
    assert (found["Placement"]["Tenancy"], found["Placement"]["HostId"]) == ("host", "h-00000000000000001")
    assert found["ProductCodes"] == [{"ProductCodeId": "code", "ProductCodeType": "marketplace"}]
    assert found["BlockDeviceMappings"][0]["Ebs"]["Operator"] == {"Managed": True, "Principal": "eks"}
    status = home.describe_instance_status(InstanceIds=[machine])["InstanceStatuses"][0]
    assert status["Events"][0]["Code"] == "instance-stop"

    image = home.create_image(InstanceId=machine, Name="shared", NoReboot=True)["ImageId"]
    refused("InvalidAMIID.Unavailable", home.disable_image, ImageId=image)
    later(300)
    unit = "arn:aws:organizations::123456789012:ou/o-abcdefghij/ou-abcd-12345678"
    home.modify_image_attribute(ImageId=image, LaunchPermission={
        "Add": [{"UserId": "210987654321"}, {"OrganizationalUnitArn": unit}]})
    other = client(HOME, "210987654321")
    assert [found["ImageId"] for found in other.describe_images(ExecutableUsers=["self"])["Images"]] == [image]
    refused("AuthFailure", other.deregister_image, ImageId=image)
    home.modify_image_attribute(
        ImageId=image, Attribute="launchPermission", OperationType="remove", UserIds=["210987654321"])
    refused("OperationNotPermitted", home.modify_image_attribute, ImageId=image,
            LaunchPermission={"Add": [{"Group": "all"}]})
    refused("InvalidAMIAttributeItemValue", home.modify_image_attribute, ImageId=image,
            LaunchPermission={"Add": [{"UserId": "1"}]})
    home.modify_image_attribute(ImageId=image, Description={"Value": "new"})
    attribute = lambda name: home.describe_image_attribute(ImageId=image, Attribute=name)
    assert attribute("launchPermission")["LaunchPermissions"] == [{"OrganizationalUnitArn": unit}]
    assert attribute("description")["Description"] == {"Value": "new"}
    assert attribute("productCodes")["ProductCodes"] == found["ProductCodes"]
    refused("AuthFailure", home.describe_image_attribute, ImageId=image, Attribute="blockDeviceMapping")

    home.enable_image_deregistration_protection(ImageId=image, WithCooldown=True)
    assert attribute("deregistrationProtection")["DeregistrationProtection"]["Value"] == "enabled-with-cooldown"
    refused("OperationNotPermitted", home.deregister_image, ImageId=image)
    home.disable_image_deregistration_protection(ImageId=image)
    later(24 * 3600)
    soon = datetime.datetime.fromtimestamp(time.time() + ahead + 3600, datetime.timezone.utc)
    home.enable_image_deprecation(ImageId=image, DeprecateAt=soon)
    refused("InvalidParameterValue", home.enable_image_deprecation, ImageId=image,
            DeprecateAt=soon - datetime.timedelta(days=2))
    assert home.describe_images(ImageIds=[image])["Images"][0]["DeprecationTime"].endswith(":00.000Z")
    home.disable_image_deprecation(ImageId=image)
    assert "DeprecationTime" not in home.describe_images(ImageIds=[image])["Images"][0]
    assert home.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "unblocked"
    home.disable_image(ImageId=image)
    assert home.describe_images(ImageIds=[image])["Images"] == []
    shown = home.describe_images(ImageIds=[image], IncludeDisabled=True)["Images"][0]
    assert (shown["State"], shown["DeregistrationProtection"]) == ("disabled", "disabled")
    assert shown["BlockDeviceMappings"][-1] == {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}
    home.enable_image(ImageId=image)

    snapshot = shown["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    home.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={
        "Add": [{"UserId": "210987654321"}, {"Group": "all"}]})
    home.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="remove", GroupNames=["all"])
    assert other.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["OwnerId"] == "123456789012"
    found = home.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert found["CreateVolumePermissions"] == [{"UserId": "210987654321"}]
    lock = home.lock_snapshot(SnapshotId=snapshot, LockMode="governance", LockDuration=1)
    assert lock["LockState"] == "governance" and (lock["LockExpiresOn"] - lock["LockCreatedOn"]).days == 1
    results = home.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)["DeleteSnapshotResults"]
    assert [result["ReturnCode"] for result in results] == ["client-error", "success"]
    later(5)
    refused("OperationNotPermitted", home.delete_snapshot, SnapshotId=snapshot)
    home.unlock_snapshot(SnapshotId=snapshot)
    home.delete_snapshot(SnapshotId=snapshot)


def planted():
    """A reply with one wrong name, or one wrong value, must be found wrong."""
    def reply(name, status, part):
        return next(r for r in replies if r[0].name == name and r[1] == status and part in r[2])

    for name, status, right, wrong in [
        ("DescribeInstances", 200, b"instanceState>", b"instancesState>"),
        ("DescribeInstances", 200, b">stopped<", b">stoped<"),
        ("DescribeInstances", 200, b"<reservationSet><item>", b"<reservationSet><member>"),
        ("DescribeInstances", 200, b".000Z</launchTime>", b"</launchTime>"),
        ("DescribeSnapshots", 200, b">completed<", b">complete<"),
        ("DescribeImages", 200, b"imageState>", b"state>"),
        ("CreateImage", 200, b"imageId>", b"ImageId>"),
        ("DescribeInstances", 200, b"doc/2016-11-15", b"doc/2015-10-01"),
        ("StopInstances", 412, b"RequestID>", b"RequestId>"),
        ("StopInstances", 412, b"<Code>DryRunOperation", b"<Code>OtherCode"),
    ]:
        operation, status, body = reply(name, status, right)
        assert judge(operation, status, body) == [], body
        spoilt = body.replace(right, wrong)
        if b"<member>" in wrong:
            spoilt = spoilt.replace(b"</item></reservationSet>", b"</member></reservationSet>")
        assert judge(operation, status, spoilt), f"{wrong} in {name} was not noticed"


def main():
    home, away = client(HOME), client(AWAY)
    rest(home, life(home, away))
    shares(home)
    wrong = {
        f"{operation.name} ({status}): {complaint}"
        for operation, status, body in replies for complaint in judge(operation, status, body)
    }
    assert not wrong, "\n".join(sorted(wrong))
    missing = OPERATIONS - {operation.name for operation, status, _ in replies if status == 200}
    assert not missing, f"never answered: {sorted(missing)}"
    planted()
    print(f"{len(replies)} replies to {len(OPERATIONS)} operations are as EC2's model has them")


main()
