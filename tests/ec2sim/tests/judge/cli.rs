//! The AWS CLI against the simulator: what it prints, and what is in the store afterwards.

use std::{cell::Cell, ffi::OsString, path::Path, process::Command};

use ec2sim::{
    ACCOUNT, Config, Effect, Fault, ImageState, InstanceSeed, InstanceState, MINUTE, Permission, Request,
    SECOND, Server, SnapshotState, VolumeSeed,
};
use serde_json::{Value, json};

use crate::python;

const HOME: &str = "us-east-1";
const AWAY: &str = "us-west-2";

/// A simulator, and an `aws` that knows no other EC2.
struct Shell {
    server: Server,
    aws: OsString,
    ahead: Cell<i64>,
}

/// What a command printed.
struct Printed {
    is_ok: bool,
    out: String,
    error: String,
}

impl Shell {
    fn open() -> Self {
        let beside =
            Path::new(&python()).parent().map(|folder| folder.join("aws")).filter(|aws| aws.exists());
        let aws = beside.map_or_else(|| "aws".into(), Into::into);
        // Long enough for several commands, each of which takes a second.
        let config = Config { snapshot_lag: MINUTE, ..Config::default() };
        let server = Server::start(config).expect("a server");
        let shell = Self { server, aws, ahead: Cell::new(0) };
        let printed = shell.run(HOME, "describe-regions");
        assert!(
            printed.is_ok,
            "{} does not work, which drives the simulator: run `make tools`\n{}",
            shell.aws.display(),
            printed.error
        );
        shell
    }

    fn run(&self, region: &str, line: &str) -> Printed {
        let nowhere = "/dev/null";
        let output = Command::new(&self.aws)
            .args(["ec2", "--region", region, "--output", "json"])
            .args(line.split(' '))
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_ENDPOINT_URL_EC2", self.server.url())
            .env("AWS_CONFIG_FILE", nowhere)
            .env("AWS_SHARED_CREDENTIALS_FILE", nowhere)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}: run `make tools`", self.aws.display()));
        Printed {
            is_ok: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What an accepted command printed, as JSON; nothing is null.
    fn json_in(&self, region: &str, line: &str) -> Value {
        let printed = self.run(region, line);
        assert!(printed.is_ok, "{line}\n{}", printed.error);
        if printed.out.trim().is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&printed.out).expect("JSON")
    }

    fn json(&self, line: &str) -> Value {
        self.json_in(HOME, line)
    }

    /// That a command is refused with a code; the rest of the error.
    fn refused(&self, region: &str, code: &str, line: &str) -> String {
        let printed = self.run(region, line);
        let head = format!("An error occurred ({code}) when calling the ");
        assert!(!printed.is_ok && printed.error.contains(&head), "{line}\n{}{}", printed.out, printed.error);
        printed.error
    }

    fn later(&self, seconds: i64) {
        self.ahead.set(self.ahead.get() + seconds);
        self.server.set_offset(self.ahead.get() * SECOND);
    }

    fn machine(&self) -> String {
        let volumes = vec![VolumeSeed::default(), VolumeSeed::new("/dev/sdf", 20)];
        self.server.seed(InstanceSeed { volumes, ..InstanceSeed::default() })
    }

    /// An image that is available, and its snapshots.
    fn imaged(&self) -> (String, Vec<String>) {
        let request = Request::new("CreateImage").with("InstanceId", self.machine()).with("Name", "golden");
        let reply = self.server.call(ACCOUNT, HOME, &request.with("NoReboot", "true"));
        self.later(300);
        let mut sim = self.server.sim();
        sim.advance(self.server.now());
        let snapshots = sim.place(ACCOUNT, HOME).expect("a place").snapshots.keys().cloned().collect();
        (reply.text("imageId").expect("an image").to_owned(), snapshots)
    }
}

/// The effective calls, as far as they came from the CLI.
fn deeds(shell: &Shell) -> Vec<String> {
    let sim = shell.server.sim();
    let mut deeds = Vec::new();
    for entry in sim.log().iter().filter(|entry| entry.is_effective()) {
        if entry.agent.starts_with("aws-cli/") {
            deeds.push(entry.action.clone());
        }
    }
    deeds
}

#[test]
fn a_whole_save_by_hand() {
    let shell = Shell::open();
    let machine = shell.machine();
    let look = format!("describe-instances --instance-ids {machine} --query Reservations[0].Instances[0]");
    let before = shell.json(&look);
    assert_eq!((&before["State"]["Name"], &before["StateTransitionReason"]), (&json!("running"), &json!("")));
    let devices = before["BlockDeviceMappings"].as_array().expect("devices");
    assert!(devices.len() == 2 && devices.iter().all(|device| device["Ebs"]["Status"] == "attached"));

    let tag = format!("--resources {machine} --tags Key=owed,Value=v1");
    assert_eq!(shell.json(&format!("create-tags {tag}")), Value::Null);
    shell.refused(HOME, "DryRunOperation", &format!("stop-instances --instance-ids {machine} --dry-run"));
    let change = &shell.json(&format!("stop-instances --instance-ids {machine}"))["StoppingInstances"][0];
    assert_eq!(
        (&change["PreviousState"]["Code"], &change["CurrentState"]["Name"]),
        (&json!(16), &json!("stopping"))
    );
    shell.later(40);
    assert_eq!(shell.json(&look)["State"], json!({"Code": 80, "Name": "stopped"}));

    let create = format!(
        "create-image --instance-id {machine} --name golden --no-reboot --tag-specifications \
         ResourceType=image,Tags=[{{Key=save,Value=1}}] ResourceType=snapshot,Tags=[{{Key=save,Value=1}}]"
    );
    let image = shell.json(&create)["ImageId"].as_str().expect("an image").to_owned();
    let error = shell.refused(HOME, "InvalidAMIName.Duplicate", &create);
    assert!(error.contains(&format!("AMI name golden is already in use by AMI {image}")));

    let snapshots = "describe-snapshots --owner-ids self --filters Name=tag:save,Values=1 \
                     --query Snapshots[].[State,VolumeSize]";
    assert_eq!(shell.json(snapshots), json!([]));
    shell.later(60);
    let mut found = shell.json(snapshots).as_array().expect("snapshots").clone();
    found.sort_by_key(ToString::to_string);
    assert_eq!(found, [json!(["pending", 20]), json!(["pending", 8])]);

    let change = &shell.json(&format!("start-instances --instance-ids {machine}"))["StartingInstances"][0];
    assert_eq!(
        (&change["PreviousState"]["Name"], &change["CurrentState"]["Name"]),
        (&json!("stopped"), &json!("pending"))
    );
    shell.later(20);
    let after = shell.json(&look);
    assert_eq!((&after["State"]["Name"], &after["StateReason"]), (&json!("running"), &Value::Null));
    assert!(after["LaunchTime"].as_str() > before["LaunchTime"].as_str());
    assert_eq!(shell.json(&format!("delete-tags {tag}")), Value::Null);
    assert_eq!(shell.json("describe-tags --filters Name=key,Values=owed"), json!({"Tags": []}));
    shell.later(300);
    let found = shell.json(&format!(
        "describe-images --owners self --filters Name=source-instance-id,Values={machine} Name=tag:save,Values=1 \
         --query Images[].[ImageId,State,Name]"
    ));
    assert_eq!(found, json!([[image, "available", "golden"]]));

    assert_eq!(deeds(&shell), ["CreateTags", "StopInstances", "CreateImage", "StartInstances", "DeleteTags"]);
    let sim = shell.server.sim();
    let place = sim.place(ACCOUNT, HOME).expect("a place");
    let instance = &place.instances[&machine];
    assert_eq!(instance.state, InstanceState::Running);
    assert!(instance.tags.is_empty());
    assert!(matches!(instance.downtimes()[..], [(from, Some(to))] if to - from < 5 * MINUTE));
    assert_eq!(place.images[&image].state, ImageState::Available);
    assert_eq!(place.snapshots.len(), 2);
    assert!(place.snapshots.values().all(|snapshot| {
        snapshot.is_at_rest && snapshot.state == SnapshotState::Completed && snapshot.tags["save"] == "1"
    }));
}

#[test]
fn a_copy_to_another_region_by_hand() {
    let shell = Shell::open();
    let (image, _) = shell.imaged();
    let line = format!(
        "copy-image --source-image-id {image} --source-region {HOME} --name golden --client-token once"
    );
    let copy = shell.json_in(AWAY, &line)["ImageId"].as_str().expect("an image").to_owned();
    assert_eq!(shell.json_in(AWAY, &line)["ImageId"], copy.as_str());
    shell.refused(AWAY, "IdempotentParameterMismatch", &format!("{line} --description other"));
    let look = format!(
        "describe-images --image-ids {copy} --query Images[0].[State,SourceImageId,SourceImageRegion]"
    );
    assert_eq!(shell.json_in(AWAY, &look), json!(["pending", image, HOME]));
    shell.later(480);
    assert_eq!(shell.json_in(AWAY, &look), json!(["available", image, HOME]));
    shell.refused(HOME, "InvalidAMIID.NotFound", &look);

    let sim = shell.server.sim();
    let place = sim.place(ACCOUNT, AWAY).expect("a place");
    assert_eq!((place.images.len(), place.snapshots.len()), (1, 2));
    assert!(place.snapshots.values().all(|snapshot| snapshot.state == SnapshotState::Completed));
}

#[test]
fn a_share_by_hand() {
    let shell = Shell::open();
    let (image, snapshots) = shell.imaged();
    let organization = "arn:aws:organizations::123456789012:organization/o-abcdefghij";
    let modify = format!("modify-image-attribute --image-id {image}");
    let look = format!("describe-image-attribute --image-id {image} --attribute");
    let add = format!(
        "{modify} --launch-permission Add=[{{UserId=210987654321}},{{OrganizationArn={organization}}}]"
    );
    assert_eq!(shell.json(&add), Value::Null);
    assert_eq!(
        shell.json(&format!("{look} launchPermission")),
        json!({"ImageId": image, "LaunchPermissions": [
            {"UserId": "210987654321"}, {"OrganizationArn": organization},
        ]})
    );
    assert_eq!(shell.json(&format!("{modify} --description Value=new")), Value::Null);
    assert_eq!(shell.json(&format!("{look} description"))["Description"]["Value"], "new");
    let error = shell.refused(
        HOME,
        "InvalidAMIAttributeItemValue",
        &format!("{modify} --launch-permission Add=[{{UserId=me}}]"),
    );
    assert!(error.contains("Invalid attribute item value \"me\" for userId item type."));
    let remove = "--attribute launchPermission --operation-type remove --user-ids 210987654321";
    assert_eq!(shell.json(&format!("{modify} {remove}")), Value::Null);

    let snapshot = &snapshots[0];
    let share = "--attribute createVolumePermission --operation-type add --user-ids 210987654321";
    assert_eq!(
        shell.json(&format!("modify-snapshot-attribute --snapshot-id {snapshot} {share}")),
        Value::Null
    );
    let look =
        format!("describe-snapshot-attribute --snapshot-id {snapshot} --attribute createVolumePermission");
    assert_eq!(shell.json(&look)["CreateVolumePermissions"], json!([{"UserId": "210987654321"}]));

    let sim = shell.server.sim();
    let place = sim.place(ACCOUNT, HOME).expect("a place");
    let image = &place.images[&image];
    assert_eq!(image.description, "new");
    let shared: Vec<_> = image.permissions.iter().collect();
    assert_eq!(shared, [&Permission::Organization(organization.to_owned())]);
    assert!(place.snapshots[snapshot].permissions.contains(&Permission::User("210987654321".to_owned())));
}

#[test]
fn a_deletion_by_hand() {
    let shell = Shell::open();
    let (image, snapshots) = shell.imaged();
    let on = |command: &str| format!("{command} --image-id {image}");
    let protected = shell.json(&on("enable-image-deregistration-protection"));
    assert_eq!(protected, json!({"Return": "enabled-without-cooldown"}));
    shell.refused(HOME, "OperationNotPermitted", &on("deregister-image"));
    assert_eq!(shell.json(&on("disable-image-deregistration-protection")), json!({"Return": "disabled"}));
    shell.refused(HOME, "InvalidSnapshot.InUse", &format!("delete-snapshot --snapshot-id {}", snapshots[0]));
    let lock =
        format!("lock-snapshot --snapshot-id {} --lock-mode governance --lock-duration 1", snapshots[0]);
    assert_eq!(shell.json(&lock)["LockState"], "governance");

    let results = &shell.json(&format!("{} --delete-associated-snapshots", on("deregister-image")))["DeleteSnapshotResults"];
    let code = |snapshot: &String| {
        let results = results.as_array().expect("results");
        results.iter().find(|result| result["SnapshotId"] == snapshot.as_str()).expect("one")["ReturnCode"]
            .clone()
    };
    assert_eq!((code(&snapshots[0]), code(&snapshots[1])), (json!("client-error"), json!("success")));
    assert_eq!(shell.json(&format!("describe-images --image-ids {image}")), json!({"Images": []}));
    shell.later(5);
    let delete = format!("delete-snapshot --snapshot-id {}", snapshots[0]);
    shell.refused(HOME, "OperationNotPermitted", &delete);
    shell.json(&format!("unlock-snapshot --snapshot-id {}", snapshots[0]));
    assert_eq!(shell.json(&delete), Value::Null);
    shell.refused(HOME, "InvalidSnapshot.NotFound", &delete);

    let sim = shell.server.sim();
    let place = sim.place(ACCOUNT, HOME).expect("a place");
    assert_eq!(place.images[&image].state, ImageState::Deregistered);
    assert!(place.snapshots.is_empty());
}

#[test]
fn what_is_strange_is_read_all_the_same() {
    let shell = Shell::open();
    let machine = shell.machine();
    let other = shell.machine();
    shell
        .json(&format!("create-tags --resources {machine} --tags Key=a,Value=1 Key=b,Value=2 Key=c,Value=3"));
    shell.server.sim().config_mut().page = 1;
    let rewrite = |element: &str| Effect::Rewrite {
        element: element.to_owned(),
        from: None,
        to: "dreaming".to_owned(),
    };
    for effect in [
        rewrite("name"),
        rewrite("platformDetails"),
        Effect::Omit { element: "hibernationOptions".to_owned() },
        Effect::ShuffleTags,
        Effect::RepeatPage,
        Effect::ApplyAndDrip { ms: 300 },
    ] {
        shell.server.add_fault(Fault::new("DescribeInstances", effect));
    }
    let rows = shell.json("describe-instances --query Reservations[].Instances[]");
    let rows = rows.as_array().expect("rows");
    let mut ids: Vec<&str> = rows.iter().filter_map(|row| row["InstanceId"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), [machine, other].len());
    for row in rows {
        assert_eq!(
            (&row["State"]["Name"], &row["PlatformDetails"]),
            (&json!("dreaming"), &json!("dreaming"))
        );
        assert_eq!(row["HibernationOptions"], Value::Null);
    }
    let tags = |row: &Value| row["Tags"].as_array().map_or(0, Vec::len);
    assert!(rows.iter().map(tags).all(|count| count == 3 || count == 0));
}
