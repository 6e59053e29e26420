#!/usr/bin/env python3
"""Asks a real AWS account what the controller takes for granted about EC2.

It launches a small machine whose guest counts onto two volumes, stops it, asks for an image, starts it again as soon as
every snapshot has begun, and reads in a machine made from the image which count the volumes held. Then it asks, one by
one, what the documentation of EC2 leaves open. It ends with a table and a JSON file, and removes what it made.

It was run against the simulator of this repository only, never on a real account: read the plan first (--plan).
See README.md beside it.
"""

import argparse
import os
import secrets
import signal
import sys

import guest
import questions
import report
from account import Account, Disorder, iso, now
from runs import Machine, run, tidy

# US dollars, list prices of us-east-1 as of writing: a rough estimate, not a promise.
HOUR = {"t3.micro": 0.0104, "t4g.micro": 0.0084}
VOLUME_MONTH, SNAPSHOT_MONTH, MONTH = 0.08, 0.05, 730
DATA = "/dev/sdf"


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--region", required=True)
    add("--plan", "--dry-run", action="store_true", help="say what would be done and what it costs; no call is made")
    add("--cleanup", metavar="RUN", help="only remove what the run of this id left behind")
    add("--runs", type=int, default=20, help="runs that start the machine at the barrier (default 20)")
    add("--early-runs", type=int, default=3, help="runs that start it right after CreateImage (default 3)")
    add("--type", default="t3.micro", help="instance type, one on Nitro (default t3.micro)")
    add("--subnet", help="default: one of the default VPC; no network is needed in it")
    add("--image", help="default: the newest Amazon Linux 2023 for the type's architecture")
    add("--fill-mib", type=int, default=256, help="how much of each volume is rewritten after a boot (default 256)")
    add("--copy-region", help="where copies go (default: the same region, which costs no transfer)")
    add("--kms", action="store_true", help="make a KMS key and disable it, to see a start fail")
    add("--iam", action="store_true", help="make a role, to time the ResourceTag condition")
    add("--no-guest", action="store_true", help="only what the API tells: nothing is read from volumes")
    add("--instance", help="a machine tagged savedtemplate-proof=lend instead of one of our own; implies --no-guest")
    add("--sacrifice", help="a machine tagged savedtemplate-proof=sacrifice: it is imaged and terminated")
    add("--endpoint-url", help="another EC2 endpoint, such as the simulator's")
    add("--poll-seconds", type=float, default=1.0, help="how often to look; scales all pauses (default 1)")
    add("--console-seconds", type=float, default=1200, help="how long to wait for a line on a console (default 1200)")
    add("--output", help="the JSON file (default: proof-RUN.json)")
    found = parser.parse_args(arguments)
    found.no_guest = found.no_guest or bool(found.instance)
    found.copy_region = found.copy_region or found.region
    if found.no_guest and found.instance and found.kms:
        parser.error("--kms launches a machine: not together with --instance")
    return found


def plan(arguments):
    runs, own = arguments.runs + arguments.early_runs, not arguments.instance
    hours = 0.5 + runs * 0.2
    rate = HOUR.get(arguments.type)
    machines = (hours + runs * 0.08) * rate if rate and own else 0
    disks = hours * 16 * VOLUME_MONTH / MONTH + hours * 12 * SNAPSHOT_MONTH / MONTH
    cost = f"about ${max(0.01, machines + disks):.2f}"
    if own and not rate:
        cost += f" and {hours + runs * 0.08:.1f} hours of {arguments.type}"
    lines = [
        f"In {arguments.region}, tagged savedtemplate-proof=made and savedtemplate-proof-run=<id>:",
        f"- one {arguments.type} with a second volume of 4 GiB, without a public address" if own else
        f"- nothing launched: {arguments.instance} is stopped, imaged and started, and given back as it was found",
        f"- {arguments.runs} run(s): stop, CreateImage, start when every snapshot has begun"
        + ("" if arguments.no_guest else ", then a machine from the image, which is read and terminated"),
        f"- {arguments.early_runs} run(s): the same, started as soon as CreateImage has answered",
        f"- 3 copies of one image in {arguments.copy_region}, about 10 further images, all deregistered",
        "- a machine that is imaged and terminated at once" if own or arguments.sacrifice else
        "- no machine is terminated (no --sacrifice)",
        "- a KMS key, disabled and then scheduled for deletion in 7 days, and a machine with a volume under it"
        if arguments.kms else "- no KMS key (no --kms)",
        "- an IAM role that may do nothing but describe and (with DryRun) stop" if arguments.iam else
        "- no IAM role (no --iam)",
        "Everything is removed at the end, on an error and on Ctrl-C.",
        f"It takes about {hours:.1f} hours and costs {cost} at list prices of us-east-1"
        + (", plus transfer between regions" if arguments.copy_region != arguments.region else "") + ".",
    ]
    return "\n".join(lines)


class Proof:
    def __init__(self, arguments):
        self.arguments = arguments
        self.run = arguments.cleanup or f"proof-{now():%Y%m%d-%H%M}-{secrets.token_hex(3)}"
        self.account = Account(arguments.region, self.run, arguments.endpoint_url, arguments.poll_seconds)
        told = {key: value for key, value in vars(arguments).items() if key not in ("subnet", "output")}
        self.facts = {
            "run": self.run, "region": arguments.region, "simulated": bool(arguments.endpoint_url),
            "arguments": told, "began": iso(now()), "runs": [], "questions": [], "cleanup": {"left": []},
        }
        self.copyable = None

    def say(self, text):
        print(f"{now():%H:%M:%S} {text}", flush=True)

    def machine(self):
        """The machine, and the image that it was launched from; none if it is lent."""
        arguments, account = self.arguments, self.account
        if arguments.sacrifice:
            account.borrow(arguments.sacrifice, "sacrifice")
        if arguments.instance:
            account.borrow(arguments.instance, "lend")
            if account.state(arguments.instance) == "stopped":
                account.start(arguments.instance)
            return Machine(account, arguments.instance, arguments, False), None
        kind = account.ec2.describe_instance_types(InstanceTypes=[arguments.type])["InstanceTypes"][0]
        architecture = "arm64" if "arm64" in kind["ProcessorInfo"]["SupportedArchitectures"] else "x86_64"
        image = arguments.image or account.base_image(architecture)
        data = {"VolumeSize": 4, "VolumeType": "gp3", "DeleteOnTermination": True}
        self.say(f"launching a {arguments.type} from {image}")
        instance = account.launch(
            image, arguments.type, arguments.subnet, mappings=[{"DeviceName": DATA, "Ebs": data}],
            user_data=None if arguments.no_guest else guest.user_data(self.run, arguments.fill_mib))
        return Machine(account, instance, arguments, not arguments.no_guest), image

    def runs_of(self, machine):
        total = self.arguments.runs + self.arguments.early_runs
        for number in range(1, total + 1):
            facts = {}
            self.facts["runs"].append(facts)
            try:
                run(machine, number, number > self.arguments.runs, facts)
            except Disorder as error:
                facts["verdict"] = f"no answer: {error}"
                if self.account.state(machine.id) == "stopped":
                    machine.start()
            self.say(f"run {number} of {total} ({facts['variant']}): barrier after {facts.get('barrierSeconds')} s, "
                     f"{facts['verdict']}")
            if facts.get("imageState") == "available" and self.copyable is None:
                self.copyable = facts["image"]
            elif facts.get("image") and facts.get("imageState") != "failed":
                tidy(self.account, facts["image"])

    def ask(self, name, question, call):
        """One question; what goes wrong with it does not keep the others from being asked."""
        self.say(question)
        try:
            found = call()
        except (Disorder, questions.ClientError) as error:
            found = {"answer": "no answer", "text": str(error), "evidence": {}}
        self.facts["questions"].append({"id": name, "question": question, **found})

    def several(self, call):
        """For questions that leave images: they are removed at once."""
        found, images = call()
        for image in images:
            self.account.settled(image)
            tidy(self.account, image)
        return found

    def prove(self):
        arguments, account = self.arguments, self.account
        machine, base = self.machine()
        self.ask("tag-key-filter", "How long after CreateTags does the tag-key filter show the machine?",
                 lambda: questions.tag_latency(account, machine.id))
        self.runs_of(machine)
        runs = self.facts["runs"]
        self.ask("barrier", "May the machine be started once every snapshot has begun?",
                 lambda: report.barrier(runs))
        self.ask("started-at-once", "What if it is started as soon as CreateImage has answered?",
                 lambda: questions.started_at_once(runs))
        self.ask("transition-time", "Is the time in StateTransitionReason the request's?",
                 lambda: questions.transition_time(runs))
        self.ask("snapshot-tags", "Do snapshots carry their tags when they are first seen?",
                 lambda: questions.tags_at_first_sight(runs))
        self.ask("copies-of-one-name", "Does EC2 take two CopyImage with one name?", lambda: (
            questions.two_copies(account, self.copyable, arguments.region, arguments.copy_region)
            if self.copyable else questions.not_asked("no run made an image that is available")))
        self.ask("images-of-one-name", "Does EC2 take two concurrent CreateImage with one name?",
                 lambda: self.several(lambda: questions.two_images(account, machine.id)))
        self.ask("deregistered-while-pending", "What becomes of the snapshots of a pending image that is deregistered?",
                 lambda: questions.deregistered_while_pending(account, machine.id))

        def failed_name():
            failed = any(run.get("imageState") == "failed" for run in runs)
            spare = arguments.sacrifice
            if base and not failed and not spare:
                spare = account.launch(base, arguments.type, arguments.subnet, token="sacrifice")
            return questions.failed_name(account, machine.id, spare, runs)
        self.ask("failed-name", "Does an image that failed keep its name?", lambda: self.several(failed_name))

        def failed_start():
            with_key = questions.start_without_key(account, base, arguments) if arguments.kms and base else None
            return questions.failed_starts(runs, with_key)
        self.ask("failed-start", "What are LaunchTime and StateReason after a failed start?", failed_start)
        self.ask("iam-resource-tag", "How long after CreateTags does IAM's ResourceTag know the tag?", lambda: (
            questions.iam_latency(account, machine.id) if arguments.iam
            else questions.not_asked("needs --iam, which makes a role")))

    def clean(self):
        """Removes everything that carries the tags of this run."""
        self.say("cleaning up")
        account, arguments = self.account, self.arguments
        account.give_back()
        left = account.clean({arguments.region, arguments.copy_region})
        if arguments.iam:
            questions.remove_role(account)
        if arguments.kms:
            questions.remove_keys(account)
        self.facts["cleanup"]["left"] = sorted(set(left) | set(account.left))

    def close(self):
        """Cleans up, whatever happened, and writes down what is known. Further signals wait."""
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: print("cleaning up: please wait", flush=True))
        again = f"{sys.argv[0]} --region {self.arguments.region} --cleanup {self.run}"
        try:
            self.clean()
        except Exception as error:  # pylint: disable=broad-except
            self.facts["cleanup"]["error"] = str(error)
            print(f"not everything was removed ({error}); do it with:\n  {again}", flush=True)


def interrupt(_signal, _frame):
    raise KeyboardInterrupt


def main():
    arguments = parse()
    if arguments.plan:
        print(plan(arguments))
        return 0
    proof = Proof(arguments)
    if arguments.cleanup:
        # The flags of that run are not known here: with --iam and --kms its role and keys go too.
        proof.clean()
        print(f"left behind: {', '.join(proof.facts['cleanup']['left']) or 'nothing'}")
        return 0
    print(f"{plan(arguments)}\n\nrun {proof.run}; if this process is killed: "
          f"{sys.argv[0]} --region {arguments.region} --cleanup {proof.run}\n", flush=True)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        proof.prove()
    except KeyboardInterrupt:
        proof.facts["error"] = "interrupted"
    except Exception as error:  # pylint: disable=broad-except
        proof.facts["error"] = f"{type(error).__name__}: {error}"
        if os.environ.get("PROOF_TRACE"):
            raise
    finally:
        proof.close()
        proof.facts["ended"] = iso(now())
        path = arguments.output or f"{proof.run}.json"
        report.write(path, proof.facts)
        print(f"\n{report.table(proof.facts)}\n{path}", flush=True)
    if proof.facts.get("error"):
        return 2
    holds = next(row["answer"] for row in proof.facts["questions"] if row["id"] == "barrier")
    return 1 if holds == "DOES NOT HOLD" else 0


if __name__ == "__main__":
    sys.exit(main())
