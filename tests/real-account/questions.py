"""What is not known of EC2 and what the controller must not rest on: one function for each question.

Each returns {"answer": a word, "text": a sentence, "evidence": what was seen}. `not asked` says what is missing.
"""

import json
import re
import statistics
import threading
import time
from datetime import datetime, timezone

from botocore.exceptions import ClientError

from account import BUSY, ROLE, RUN, code, now, seconds
from runs import Sightings

PROBE = "savedtemplate-proof-probe"
TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) GMT\)")


def answer(word, text, **evidence):
    return {"answer": word, "text": text, "evidence": evidence}


def not_asked(text):
    return answer("not asked", text)


def spread(values):
    values = sorted(value for value in values if value is not None)
    if not values:
        return None
    return {"n": len(values), "least": values[0], "median": round(statistics.median(values), 3),
            "p90": values[min(len(values) - 1, int(0.9 * len(values)))], "most": values[-1]}


def outcome(call):
    """What one call came to: {"image": id} or {"refused": code, "message": text}."""
    try:
        return {"image": call()}
    except ClientError as error:
        return {"refused": code(error), "message": error.response["Error"]["Message"]}


# From the runs


def transition_time(runs):
    """Is the time in StateTransitionReason that of the request, or that at which the machine was stopped?"""
    rows = []
    for stop in (run["stop"] for run in runs if "stop" in run):
        found = TIME.search(stop["stateTransitionReason"] or "")
        said = found and datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc)
        sent, date, stopped = (
            stop[name] and datetime.fromisoformat(stop[name].replace("Z", "+00:00"))
            for name in ("sent", "replyDate", "seenStopped"))
        rows.append({
            "stateTransitionReason": stop["stateTransitionReason"], "stateReason": stop["stateReason"],
            "afterReplyDate": seconds(said, date), "afterSent": seconds(said, sent),
            "beforeSeenStopped": seconds(stopped, said)})
    offsets = [row["afterReplyDate"] for row in rows if row["afterReplyDate"] is not None]
    if not offsets:
        return answer("no time", "StateTransitionReason held no time", stops=rows)
    is_request = all(abs(offset) <= 2 for offset in offsets)
    text = f"it lies {min(offsets):g} to {max(offsets):g} s after EC2's own clock in the reply to StopInstances"
    return answer("the request's" if is_request else "not the request's", text, stops=rows)


def tags_at_first_sight(runs):
    """Do snapshots carry the tags of CreateImage when they are first seen?"""
    rows = [each for run in runs for each in run.get("snapshots", {}).values()]
    if not rows:
        return not_asked("no run came so far")
    bare = [row["id"] for row in rows if not row["taggedAtFirstSight"]]
    late = spread(row["seenByTagAfterSeconds"] - row["seenAfterSeconds"] for row in rows
                  if row["seenByTagAfterSeconds"] is not None)
    text = f"{len(rows) - len(bare)} of {len(rows)} had them; the tag filter showed " + (
        f"them up to {late['most']} s later" if late else "none of them")
    return answer("no" if bare else "yes", text, bare=bare, tagFilterLateBy=late)


def started_at_once(runs):
    """E4: what becomes of an image whose machine is started as soon as CreateImage has answered?"""
    early = [run for run in runs if run["variant"] == "immediately"]
    if not early:
        return not_asked("needs --early-runs")
    rows = [{key: run.get(key) for key in ("image", "imageState", "imageReason", "barrierSeconds", "verdict")}
            for run in early]
    words = sorted({row["verdict"] for row in rows})
    reasons = sorted({(row["imageReason"] or {}).get("Code", "") for row in rows} - {""})
    text = f"{len(rows)} run(s): {', '.join(words)}" + (f" ({', '.join(reasons)})" if reasons else "")
    harm = any(word in ("LATER", "other") or word.startswith("image ") for word in words)
    fine = set(words) <= {"equal", "not read"}
    return answer("harmful" if harm else "harmless here" if fine else "no answer", text, runs=rows)


def failed_starts(runs, kms):
    """LaunchTime and StateReason after a failed start; `kms` is None where no key was disabled for it."""
    rows = [failed for run in runs for failed in run.get("start", {}).get("failed", [])] + (kms or [])
    if not rows and kms is not None:
        return answer("no answer", "the machine started although the key of a volume was disabled")
    if not rows:
        return not_asked("no start failed by itself; --kms makes one fail by disabling a key")
    reasons = sorted({(row["stateReason"] or {}).get("Code") or "no StateReason" for row in rows})
    moved = sorted({"moved" if row["launchTimeMoved"] else "kept" for row in rows})
    return answer("seen", f"StateReason {', '.join(reasons)}; LaunchTime {', '.join(moved)}", starts=rows)


# Asked one by one


def tag_latency(account, machine, times=10):
    """How long after CreateTags does the tag-key filter of DescribeInstances show the machine?"""
    rows, keys = [], []
    account.may(machine)
    try:
        for number in range(times):
            key = f"{PROBE}-{number}"
            keys.append(key)
            account.once.create_tags(Resources=[machine], Tags=[{"Key": key, "Value": account.run}])
            done, flickers, seen = now(), 0, None
            while seconds(now(), done) < (3 if seen is not None else 120) * account.poll:
                pages = account.ec2.describe_instances(Filters=[{"Name": "tag-key", "Values": [key]}])
                if pages["Reservations"] and seen is None:
                    seen = seconds(now(), done)
                elif not pages["Reservations"] and seen is not None:
                    flickers += 1
                time.sleep(0.25 * account.poll)
            rows.append({"seenAfterSeconds": seen, "goneAgain": flickers})
    finally:
        # Never without tags: DeleteTags would then take all of them.
        for key in keys:
            account.ec2.delete_tags(Resources=[machine], Tags=[{"Key": key, "Value": account.run}])
    times_seen = spread(row["seenAfterSeconds"] for row in rows)
    if not times_seen:
        return answer("never", "the filter never showed it", tries=rows)
    flickers = sum(row["goneAgain"] for row in rows)
    text = f"{times_seen['median']} s (median), {times_seen['most']} s at most; gone again in {flickers} reads"
    return answer("measured", text, seconds=times_seen, tries=rows)


def two_copies(account, image, home, copy_region):
    """Two CopyImage with one name: does EC2 take the second while the first is pending, and once it is available?"""
    away = account.client("ec2", copy_region, attempts=1)
    name, rows = f"{account.run}-copy", []

    def copy(token):
        reply = away.copy_image(
            Name=name, SourceImageId=account.may(image), SourceRegion=home, ClientToken=f"{account.run}-{token}",
            TagSpecifications=account.specification("image", "snapshot"))
        account.ours.add(reply["ImageId"])
        return reply["ImageId"]

    rows.append({"when": "first", **outcome(lambda: copy(1))})
    rows.append({"when": "the first is pending", **outcome(lambda: copy(2))})
    if "image" in rows[0]:
        account.settled(rows[0]["image"], away)
        rows.append({"when": "the first is available", **outcome(lambda: copy(3))})
    for row in rows:
        if "image" in row:
            found = account.settled(row["image"], away)
            row.update(state=found["State"] if found else "gone",
                       reason=found.get("StateReason") if found else None, name=found and found["Name"])
    later = rows[1:]
    word = "accepted" if all("image" in row for row in later) else "refused"
    if len({"image" in row for row in later}) > 1:
        word = "both"
    text = "; ".join(f"{row['when']}: {row.get('refused') or 'accepted, ' + str(row.get('state'))}" for row in rows)
    return answer(word, text, copies=rows)


def two_images(account, machine, times=3):
    """Two concurrent CreateImage with one name: is the name unique under concurrency?"""
    clients = [account.client("ec2", attempts=1) for _ in range(2)]
    rows, made = [], []
    for number in range(times):
        name, gate, outcomes = f"{account.run}-twin-{number}", threading.Barrier(2), [None, None]

        def ask(index):
            gate.wait()
            outcomes[index] = outcome(lambda: account.ask_image(machine, name, client=clients[index]))

        threads = [threading.Thread(target=ask, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = [each["image"] for each in outcomes if each and "image" in each]
        rows.append({"name": name, "outcomes": outcomes})
        made.extend(taken)
        for image in taken:
            account.settled(image)
        time.sleep(16 * account.poll)
    both = [row for row in rows if all(each and "image" in each for each in row["outcomes"])]
    told = [row for row in rows if any((each or {}).get("refused") == "InvalidAMIName.Duplicate"
                                       for each in row["outcomes"])]
    codes = sorted({each["refused"] for row in rows for each in row["outcomes"] if each and "refused" in each})
    text = f"{len(both)} of {len(rows)} times both were accepted; refusals: {', '.join(codes) or 'none'}"
    word = "not unique" if both else "unique" if told else "no answer"
    return answer(word, text, tries=rows), made


def deregistered_while_pending(account, machine):
    """A pending image is deregistered: what becomes of its snapshots?"""
    rows, volumes = [], account.volumes(machine)
    for when in ("at once", "when its snapshots are seen"):
        image = account.create_image(machine, f"{account.run}-dropped-{len(rows)}")
        since, sightings = now(), Sightings(account, image, volumes, now())
        if when != "at once":
            account.until(sightings.look, 1800, f"snapshots of {image} begin")
        account.ec2.deregister_image(ImageId=account.may(image))
        states, end = [], time.monotonic() + 300 * account.poll
        while time.monotonic() < end:
            found = account.of_image(image, volumes)
            told = {each["SnapshotId"]: (each["State"], account.is_ours(each)) for each in found}
            if not states or states[-1]["snapshots"] != told:
                states.append({"seconds": seconds(now(), since), "snapshots": told})
            time.sleep(2 * account.poll)
        left = [each for each in found if not account.is_ours(each)]
        account.left.extend(each["SnapshotId"] for each in left)
        rows.append({"deregistered": when, "image": image, "history": states})
        time.sleep(16 * account.poll)
    texts = []
    for row in rows:
        last = row["history"][-1]["snapshots"]
        words = sorted({state for state, _ in last.values()})
        texts.append(f"deregistered {row['deregistered']}: {len(last)} snapshots after {300 * account.poll:g} s"
                     + (f" ({', '.join(words)})" if words else ""))
    stays = any(row["history"][-1]["snapshots"] for row in rows)
    return answer("they stay" if stays else "they go", "; ".join(texts), tries=rows)


def failed_name(account, machine, sacrifice, runs):
    """Does an image that failed keep its name?"""
    failed = next((run["image"] for run in runs if run.get("imageState") == "failed"), None)
    name = failed and account.image(failed)["Name"]
    evidence = {"failed by": "a start right after CreateImage", "image": failed}
    if not failed and not sacrifice:
        return not_asked("no image failed by itself, and there was no machine to terminate: needs --sacrifice"), []
    if not failed:
        name = f"{account.run}-failing"
        failed = account.create_image(sacrifice, name)
        account.terminate(sacrifice)
        found = account.settled(failed)
        evidence = {"failed by": "terminating the machine right after CreateImage", "image": failed,
                    "state": found["State"] if found else "gone", "reason": found.get("StateReason") if found else None}
        if evidence["state"] != "failed":
            text = f"could not be made to fail: the image became {evidence['state']}"
            return answer("no answer", text, **evidence), [failed]
    first = outcome(lambda: account.ask_image(machine, name))
    evidence["same name while it is failed"] = first
    if "image" in first:
        return answer("free", "CreateImage with the same name was accepted", **evidence), [failed, first["image"]]
    if first["refused"] != "InvalidAMIName.Duplicate":
        return answer("no answer", f"CreateImage was refused by {first['refused']}", **evidence), [failed]
    account.deregister(failed)
    since, end, tries = now(), time.monotonic() + 600, []
    while time.monotonic() < end:
        tries.append({"seconds": seconds(now(), since), **outcome(lambda: account.ask_image(machine, name))})
        if tries[-1].get("refused") not in BUSY | {"InvalidAMIName.Duplicate"}:
            break
        time.sleep(10 * account.poll)
    evidence["after it was deregistered"] = tries
    freed = "image" in tries[-1]
    text = "CreateImage with the same name was refused" + (
        f"; accepted {tries[-1]['seconds']} s after the failed image was deregistered" if freed else
        "; still refused 600 s after the failed image was deregistered")
    return answer("kept", text, **evidence), [tries[-1]["image"]] if freed else []


def start_without_key(account, image, arguments):
    """Behind --kms: a start that is accepted and then fails, because the key of a volume is disabled."""
    kms, rows = account.client("kms"), []
    key = kms.create_key(
        Description=f"savedtemplate-proof {account.run}",
        Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in account.tags()])["KeyMetadata"]["KeyId"]
    try:
        volume = {"VolumeSize": 1, "VolumeType": "gp3", "Encrypted": True, "KmsKeyId": key}
        instance = account.launch(
            image, arguments.type, arguments.subnet, token="locked",
            mappings=[{"DeviceName": "/dev/sdg", "Ebs": {**volume, "DeleteOnTermination": True}}])
        for wait in (60, 180):
            account.stop(instance)
            kms.disable_key(KeyId=key)
            # The key's state reaches EC2 late: a start that succeeds all the same proves nothing.
            time.sleep(wait * account.poll)
            failed, _ = account.start_once(instance)
            kms.enable_key(KeyId=key)
            if failed:
                rows.append({"key": "disabled", **failed})
                break
        account.terminate(instance)
    finally:
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    return rows


def iam_latency(account, machine, times=5):
    """Behind --iam: how long after CreateTags does a policy's ec2:ResourceTag condition let a call pass?"""
    iam, sts, name = account.client("iam"), account.client("sts"), account.run
    caller = sts.get_caller_identity()
    partition = caller["Arn"].split(":")[1]
    root = f"arn:{partition}:iam::{caller['Account']}:root"
    trust = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}]}
    allow = {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*",
         "Condition": {"StringLike": {f"ec2:ResourceTag/{PROBE}-iam": "*"}}}]}
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=account.tags())["Role"]["Arn"]
    rows, tag = [], {"Key": f"{PROBE}-iam", "Value": account.run}
    try:
        iam.put_role_policy(RoleName=name, PolicyName="proof", PolicyDocument=json.dumps(allow))

        def assume():
            try:
                return sts.assume_role(RoleArn=role, RoleSessionName="proof")["Credentials"]
            except ClientError:
                return None

        keys = account.until(assume, 120, "the new role can be assumed", pause=5)
        other = account.client(
            "ec2", attempts=1, aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"])

        def may_stop():
            try:
                other.stop_instances(InstanceIds=[account.may(machine)], DryRun=True)
            except ClientError as error:
                return code(error) == "DryRunOperation"
            return True

        def becomes(wanted, limit=300 * account.poll):
            since = now()
            while may_stop() != wanted:
                if seconds(now(), since) > limit:
                    return None
                time.sleep(0.5 * account.poll)
            return seconds(now(), since)

        for number in range(times + 1):
            account.once.create_tags(Resources=[machine], Tags=[tag])
            allowed = becomes(True)
            account.once.delete_tags(Resources=[machine], Tags=[tag])
            # The first time also waits for the new policy itself.
            rows.append({"counts": number > 0, "allowedAfterSeconds": allowed, "deniedAfterSeconds": becomes(False)})
    finally:
        account.ec2.delete_tags(Resources=[machine], Tags=[tag])
        remove_role(account)
    allowed = spread(row["allowedAfterSeconds"] for row in rows if row["counts"])
    if not allowed:
        return answer("no answer", "the policy never let the call pass", tries=rows)
    text = f"{allowed['median']} s (median), {allowed['most']} s at most"
    return answer("measured", text, seconds=allowed, tries=rows)


def remove_role(account):
    """The role of this run, if there is one and it carries our tags."""
    iam = account.client("iam")
    try:
        tags = {tag["Key"]: tag["Value"] for tag in iam.list_role_tags(RoleName=account.run)["Tags"]}
        if tags.get(ROLE) == "made" and tags.get(RUN) == account.run:
            for policy in iam.list_role_policies(RoleName=account.run)["PolicyNames"]:
                iam.delete_role_policy(RoleName=account.run, PolicyName=policy)
            iam.delete_role(RoleName=account.run)
    except ClientError as error:
        if code(error) not in ("NoSuchEntity", "NoSuchEntityException"):
            raise


def remove_keys(account):
    """Keys of this run that are not yet on their way out."""
    kms = account.client("kms")
    for page in kms.get_paginator("list_keys").paginate():
        for key in page["Keys"]:
            try:
                tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=key["KeyId"])["Tags"]}
            except ClientError:
                continue
            if tags.get(ROLE) == "made" and tags.get(RUN) == account.run:
                state = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
                if state != "PendingDeletion":
                    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
