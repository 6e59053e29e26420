#!/bin/sh
# Runs prove.py against the simulator: simulated.sh EC2SIM [PYTHON]
# EC2SIM is the binary (target/debug/ec2sim after `cargo build -p ec2sim`); PYTHON one that has boto3.
# The clocks run fast, a lent machine has two volumes, its first start falls back, another may be terminated.
set -eu
ec2sim=$1 python=${2:-.tools/venv/bin/python} here=$(dirname "$0")
work=$(mktemp -d)
"$ec2sim" --stop 2000 --start 1500 --snapshot-lag 1200 --snapshot-stagger 400 --snapshot 4000 --image 6000 \
    --copy 5000 --name-release 3000 --snapshot-release 500 >"$work/out" &
sim=$!
trap 'kill $sim 2>/dev/null; rm -rf "$work"' EXIT
until grep -q listening "$work/out"; do sleep 0.1; done
url=$(sed -n 's/^listening on //p;q' "$work/out")

seed() {
    "$python" - "$url" "$1" <<'END'
import json, sys, urllib.request
request = urllib.request.Request(f"{sys.argv[1]}/_ec2sim/instances", sys.argv[2].encode(), method="POST")
print(json.load(urllib.request.urlopen(request, timeout=10))["instanceID"])
END
}
lent=$(seed '{"region": "us-west-2", "tags": {"savedtemplate-proof": "lend"},
    "volumes": [{"device": "/dev/xvda", "gib": 8}, {"device": "/dev/sdf", "gib": 4}],
    "startFaults": [{"kind": "fallsBack", "times": 1}]}')
other=$(seed '{"region": "us-west-2", "tags": {"savedtemplate-proof": "sacrifice"}}')

status=0
AWS_ACCESS_KEY_ID=123456789012 AWS_SECRET_ACCESS_KEY=secret PYTHONDONTWRITEBYTECODE=1 \
    "$python" "$here/prove.py" --region us-west-2 --endpoint-url "$url" --instance "$lent" --sacrifice "$other" \
    --runs "${RUNS:-2}" --early-runs "${EARLY:-1}" --poll-seconds 0.05 --output "${OUTPUT:-$work/proof.json}" || status=$?
exit $status
