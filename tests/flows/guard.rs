//! The service control policy that `iam-policy --guard` prints, and the bounds of the policy, call by call.
use ec2sim::{ACCOUNT, Config, Grant, Image, InstanceSeed, Policy, Request, Sim};
use saved_template_api::{
    ids::Region,
    names::{debt_key, tag},
};
use saved_template_ec2::iam::{self, Bounds, Guard};
use serde_json::{Value, json};

use crate::HOME;

const ROLE: &str = "arn:aws:iam::123456789012:role/savedtemplate";
/// The access key of somebody who may tag, image and rename whatever there is, and of the controller.
const SOMEBODY: &str = "AKIDSOMEBODY";
const CONTROLLER: &str = ACCOUNT;
const DENIED: &str = "UnauthorizedOperation";

/// One account under service control policies.
struct Account {
    sim: Sim,
    now: i64,
}

impl Account {
    /// The controller has its own policy, somebody may do everything; both are under `guards`.
    fn new(bounds: &Bounds, guards: &[Value]) -> Self {
        let all = json!({ "Statement": { "Effect": "Allow", "Action": "ec2:*", "Resource": "*" } });
        let grant = |key: &str, own: &Value| {
            let policies = std::iter::once(own).chain(guards);
            Grant::to(key, policies.map(|policy| Policy::parse(&policy.to_string()).unwrap()).collect())
        };
        let grants = vec![grant(CONTROLLER, &iam::policy("lab", bounds)).of(ROLE), grant(SOMEBODY, &all)];
        Self { sim: Sim::new(Config { grants, ..Config::default() }), now: 1_795_506_418_123 }
    }

    fn machine(&mut self, tags: &[(&str, &str)]) -> String {
        let seed = InstanceSeed { region: HOME.to_owned(), ..InstanceSeed::default() };
        let id = self.sim.seed(self.now, seed);
        for (key, value) in tags {
            // Nobody's key: no policy.
            assert_eq!(self.call_by("ROOT", HOME, &tagging("CreateTags", &id, key, value)), "");
        }
        id
    }

    fn call_by(&mut self, key: &str, region: &str, request: &Request) -> String {
        self.now += 1000;
        self.sim.advance(self.now);
        let reply = self.sim.call(self.now, ACCOUNT, region, &request.clone().signed_by(key));
        reply.code.unwrap_or_default()
    }

    fn by(&mut self, key: &str, request: &Request) -> String {
        self.call_by(key, HOME, request)
    }

    fn image(&self) -> Image {
        self.sim.place(ACCOUNT, HOME).unwrap().images.values().next().unwrap().clone()
    }
}

fn guard(names: bool) -> Value {
    iam::guard("lab", &Guard { roles: vec![ROLE.into()], names })
}

fn bounds() -> Bounds {
    Bounds { account: Some(ACCOUNT.into()), ..Bounds::default() }
}

fn tagging(action: &str, id: &str, key: &str, value: &str) -> Request {
    Request::new(action).with("ResourceId.1", id).with("Tag.1.Key", key).with("Tag.1.Value", value)
}

fn stripping(id: &str) -> Request {
    Request::new("DeleteTags").with("ResourceId.1", id)
}

fn imaging(id: &str, name: &str, key: &str, value: &str) -> Request {
    let request =
        Request::new("CreateImage").with("InstanceId", id).with("Name", name).with("NoReboot", "true");
    ["image", "snapshot"].iter().zip(1..).fold(request, |request, (kind, n)| {
        request
            .with(&format!("TagSpecification.{n}.ResourceType"), *kind)
            .with(&format!("TagSpecification.{n}.Tag.1.Key"), key)
            .with(&format!("TagSpecification.{n}.Tag.1.Value"), value)
    })
}

fn in_other_case(key: &str) -> [String; 2] {
    [key.to_uppercase(), key.replacen('s', "S", 1)]
}

#[test]
fn under_the_guard_who_may_tag_everything_writes_and_removes_no_key_of_ours_in_any_case() {
    let mut account = Account::new(&bounds(), &[guard(false)]);
    let lent = account.machine(&[(tag::ALLOW, "true")]);
    assert_eq!(account.by(CONTROLLER, &imaging(&lent, "ours", tag::CLUSTER, "lab")), "");
    let image = account.image();

    let debt = debt_key("lab");
    let fixed =
        [tag::CLUSTER, tag::NAMESPACE, tag::CAPTURE, tag::HOLDER, tag::ADOPTED_FROM, tag::RETAINED, &debt];
    let others = [tag::DEBT_PREFIX, tag::RECEIPT_PREFIX].map(|prefix| format!("{prefix}0badc0de"));
    let keys = fixed.iter().flat_map(|key| in_other_case(key)).chain(fixed.map(str::to_owned)).chain(others);
    for key in keys {
        for id in [&lent, &image.id] {
            for action in ["CreateTags", "DeleteTags"] {
                let request =
                    tagging(action, id, &key, "lab").with("Tag.2.Key", "mine").with("Tag.2.Value", "1");
                assert_eq!(account.by(SOMEBODY, &request), DENIED, "{action} {key}");
            }
        }
        assert_eq!(account.by(SOMEBODY, &imaging(&lent, "theirs", &key, "lab")), DENIED, "{key}");
    }
}

#[test]
fn under_the_guard_nobody_strips_all_tags_of_a_machine_that_is_owed_a_start_or_of_an_image_of_ours() {
    let mut account = Account::new(&bounds(), &[guard(false)]);
    let receipt = debt_key("lab").replacen(tag::DEBT_PREFIX, tag::RECEIPT_PREFIX, 1);
    let owed = account.machine(&[(&debt_key("lab"), "v1")]);
    let saved = account.machine(&[(&receipt, "r1")]);
    let free = account.machine(&[(tag::ALLOW, "true"), ("team", "a")]);
    assert_eq!(account.by(CONTROLLER, &imaging(&free, "ours", tag::CLUSTER, "lab")), "");
    let image = account.image().id;
    for id in [&owed, &saved, &image] {
        assert_eq!(account.by(SOMEBODY, &stripping(id)), DENIED, "{id}");
    }
    assert_eq!(account.by(SOMEBODY, &stripping(&free)), "");
    // Without the guard each of them is stripped.
    let mut open = Account::new(&bounds(), &[]);
    let owed = open.machine(&[(&debt_key("lab"), "v1")]);
    assert_eq!(open.by(SOMEBODY, &stripping(&owed)), "");
}

#[test]
fn under_the_guard_a_lender_lends_and_takes_back_and_the_controller_writes_what_it_needs() {
    let mut account = Account::new(&bounds(), &[guard(false)]);
    let id = account.machine(&[]);
    assert_eq!(account.by(SOMEBODY, &tagging("CreateTags", &id, tag::ALLOW, "true")), "");
    assert_eq!(account.by(SOMEBODY, &tagging("CreateTags", &id, "Name", "renamed")), "");
    for key in [debt_key("lab"), format!("{}0badc0de", tag::RECEIPT_PREFIX)] {
        for action in ["CreateTags", "DeleteTags"] {
            assert_eq!(account.by(CONTROLLER, &tagging(action, &id, &key, "v1")), "", "{action} {key}");
        }
    }
    assert_eq!(account.by(CONTROLLER, &imaging(&id, "ours", tag::CLUSTER, "lab")), "");
    let image = account.image().id;
    for action in ["CreateTags", "DeleteTags"] {
        assert_eq!(account.by(CONTROLLER, &tagging(action, &image, tag::REVISION, "1")), "", "{action}");
    }
    assert_eq!(account.by(SOMEBODY, &tagging("DeleteTags", &id, tag::ALLOW, "true")), "");
}

#[test]
fn where_names_are_guarded_nobody_renames_a_machine_that_exists_and_images_may_still_be_named() {
    let mut account = Account::new(&bounds(), &[guard(true)]);
    let id = account.machine(&[(tag::ALLOW, "true")]);
    assert_eq!(account.by(CONTROLLER, &imaging(&id, "ours", tag::CLUSTER, "lab")), "");
    let image = account.image().id;
    for action in ["CreateTags", "DeleteTags"] {
        for key in ["Name", "name"] {
            assert_eq!(account.by(SOMEBODY, &tagging(action, &id, key, "other")), DENIED, "{action} {key}");
        }
        assert_eq!(account.by(SOMEBODY, &tagging(action, &image, "Name", "other")), "", "{action}");
    }
    assert_eq!(account.by(SOMEBODY, &imaging(&id, "theirs", "Name", "named at birth")), "");
}

#[test]
fn the_policy_ends_at_its_regions_and_says_nothing_of_who_may_launch_an_image() {
    let home = Region::parse(HOME).unwrap();
    let mut account = Account::new(&Bounds { regions: vec![home], ..bounds() }, &[]);
    let id = account.machine(&[(tag::ALLOW, "true")]);
    assert_eq!(account.by(CONTROLLER, &imaging(&id, "ours", tag::CLUSTER, "lab")), "");
    let image = account.image().id;
    let read = Request::new("DescribeInstances");
    assert_eq!(account.by(CONTROLLER, &read), "");
    assert_eq!(account.call_by(CONTROLLER, "us-east-2", &read), DENIED);

    account.now += 600_000;
    let change = |name: &str, value: &str| {
        Request::new("ModifyImageAttribute").with("ImageId", &image).with(name, value)
    };
    assert_eq!(account.by(CONTROLLER, &change("Description.Value", "two")), "");
    assert_eq!(account.by(CONTROLLER, &change("LaunchPermission.Add.1.Group", "all")), DENIED);

    let attribute = |id: &str| {
        let request = Request::new("DescribeInstanceAttribute").with("InstanceId", id);
        request.with("Attribute", "disableApiStop")
    };
    let other = account.machine(&[]);
    assert_eq!(account.by(CONTROLLER, &attribute(&id)), "");
    assert_eq!(account.by(CONTROLLER, &attribute(&other)), DENIED);
}
