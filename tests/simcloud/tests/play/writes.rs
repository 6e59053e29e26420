use ec2sim::{Effect, Fault, StartFault};
use saved_template_api::{ids::SnapshotId, names::debt_key};
use saved_template_core::cloud::Instances;

use super::*;

impl<S: Stage> Play<S> {
    async fn shown(&mut self, what: &str) {
        self.next().await;
        let result = self.home.instances(Instances::One(self.machine.clone())).await;
        self.note(what, machines(result));
    }

    async fn stop(&mut self, force: bool) {
        self.next().await;
        let result = self.home.stop(&self.machine, force, fresh(&self.home)).await;
        self.note("stop", result);
    }

    async fn start(&mut self) {
        self.next().await;
        let result = self.home.start(&self.machine, fresh(&self.home)).await;
        self.note("start", result);
    }

    /// A machine is tagged, stopped, imaged and started; the image is copied, changed and taken away.
    pub(crate) async fn save(&mut self) {
        let (home, away, machine) = (self.home.clone(), self.away.clone(), self.machine.clone());
        let key = debt_key(CLUSTER);
        // A signature, though this installation has no key: it is shown without, and removed with it.
        let record = format!(
            "v1 i={machine} c=0123456789abcdef o=0a1b2c3d t=1764000000 s=1764000060 m=1764000780 d=1764001800 w=snapshots n=1"
        );
        let signed = format!("{record} h=0123456789abcdef0123456789abcdef");
        for (value, written) in [("v1", "v1"), (&record, &record), (&record, &signed)] {
            self.next().await;
            let result = home.tag(&machine, tags(&[(&key, written), ("k", "v")]), fresh(&home)).await;
            self.note("tag", result);
            self.shown("with a record").await;
            self.next().await;
            let result = home.untag(&machine, &key, "another", fresh(&home)).await;
            self.note("untag another value", result);
            self.next().await;
            let result = home.untag(&machine, &key, value, fresh(&home)).await;
            self.note("untag", result);
            self.shown("without a record").await;
        }
        self.dry_runs(&machine).await;
        self.stop(false).await;
        self.shown("stopping").await;
        self.stop(true).await;
        self.start().await;
        self.pass(60).await;
        self.stop(false).await;
        self.shown("stopped").await;
        self.next().await;
        let excluded = ImageRequest { excluded_devices: vec!["/dev/sdf".into()], ..self.image() };
        let result = home.create_image(&excluded, fresh(&home)).await;
        let image = self.note("create", result).unwrap();
        self.next().await;
        let result = home.create_image(&excluded, fresh(&home)).await;
        self.note("create again", result);
        self.next().await;
        let result = away.copy_image(&self.copy(&image), fresh(&away)).await;
        self.note("copy of what is pending", result);
        self.start().await;
        self.shown("pending").await;
        self.stop(false).await;
        self.pass(30).await;
        self.start().await;
        self.shown("running").await;
        self.stock("pending").await;
        self.pass(600).await;
        self.stock("available").await;
        self.copies(&image).await;
        self.removal(&image).await;
    }

    async fn copies(&mut self, image: &ImageId) {
        let away = self.away.clone();
        let copy = self.copy(image);
        for request in [
            copy.clone(),
            copy.clone(),
            CopyRequest { description: "other".into(), ..copy.clone() },
            CopyRequest { token: "other".into(), ..copy.clone() },
            CopyRequest { token: "third".into(), source: "ami-00000009".parse().unwrap(), ..copy },
        ] {
            self.next().await;
            let result = away.copy_image(&request, fresh(&away)).await;
            self.note(&format!("{request:?}"), result);
        }
        self.stock("being copied").await;
        self.pass(600).await;
        self.stock("copied").await;
    }

    async fn removal(&mut self, image: &ImageId) {
        let home = self.home.clone();
        let snapshot: SnapshotId = {
            let sim = self.stage.sim();
            sim.place(ACCOUNT, HOME).unwrap().snapshots.keys().next().unwrap().parse().unwrap()
        };
        let both = [image.to_string(), snapshot.to_string()];
        self.next().await;
        let result = home.tag_resources(&both, tags(&[("d", "4"), ("é", "")]), fresh(&home)).await;
        self.note("tag both", result);
        for keys in [vec!["d".to_owned(), "unknown".to_owned()], Vec::new()] {
            self.next().await;
            let result = home.untag_resources(&both, &keys, fresh(&home)).await;
            self.note("untag both", result);
        }
        for text in ["", "new", "no ASCII: é"] {
            self.next().await;
            let result = home.set_description(image, text, fresh(&home)).await;
            self.note("describe", result);
        }
        self.next().await;
        let result = home.delete_snapshot(&snapshot, fresh(&home)).await;
        self.note("delete what is in use", result);
        for action in ["DisableImage", "EnableImage", "EnableImageDeregistrationProtection"] {
            self.next().await;
            self.user(HOME, &Request::new(action).with("ImageId", image.as_str()));
            self.stock(action).await;
        }
        self.next().await;
        let result = home.deregister(image, fresh(&home)).await;
        self.note("deregister what is protected", result);
        let lock = Request::new("LockSnapshot").with("SnapshotId", snapshot.as_str());
        self.user(HOME, &lock.with("LockMode", "governance").with("LockDuration", "1"));
        let unprotect = Request::new("DisableImageDeregistrationProtection");
        self.user(HOME, &unprotect.with("ImageId", image.as_str()));
        self.next().await;
        let result = home.deregister(image, fresh(&home)).await;
        self.note("deregister", result);
        self.next().await;
        let result = home.deregister(image, fresh(&home)).await;
        self.note("deregister again", result);
        self.stock("deregistered").await;
        self.next().await;
        let result = home.delete_snapshot(&snapshot, fresh(&home)).await;
        self.note("delete what is locked", result);
        self.user(HOME, &Request::new("UnlockSnapshot").with("SnapshotId", snapshot.as_str()));
        for what in ["delete", "delete again"] {
            self.next().await;
            let result = home.delete_snapshot(&snapshot, fresh(&home)).await;
            self.note(what, result);
        }
        self.next().await;
        let effect = Effect::FailSnapshots { device: None, message: "no key".into(), after_ms: None };
        self.stage.sim().add_fault(Fault::new("CreateImage", effect));
        let request = ImageRequest { name: "quake-r2".into(), ..self.image() };
        let result = home.create_image(&request, fresh(&home)).await;
        self.note("create what fails", result);
        self.stage.sim().clear_faults();
        self.pass(600).await;
        self.stock("failed").await;
    }

    /// Every write by a caller who may only look, and about what is not there.
    pub(crate) async fn refusals(&mut self) {
        let image: ImageId = "ami-00000009".parse().unwrap();
        let snapshot: SnapshotId = "snap-00000009".parse().unwrap();
        let these = [image.to_string(), snapshot.to_string()];
        let keys = ["k".to_owned()];
        let (machine, gone) = (self.machine.clone(), self.gone.clone());
        for (cloud, one) in [(self.weak.clone(), machine), (self.home.clone(), gone)] {
            let request = ImageRequest { instance: one.clone(), name: "quake-r3".into(), ..self.image() };
            macro_rules! note {
                ($what:literal, $call:expr) => {
                    self.next().await;
                    let result = ($call)(fresh(&cloud)).await;
                    self.note($what, result);
                };
            }
            note!("tag", |fresh| cloud.tag(&one, tags(&[("k", "v")]), fresh));
            note!("untag", |fresh| cloud.untag(&one, "k", "v", fresh));
            note!("stop", |fresh| cloud.stop(&one, false, fresh));
            note!("start", |fresh| cloud.start(&one, fresh));
            note!("create", |fresh| cloud.create_image(&request, fresh));
            let copy = self.copy(&image);
            note!("copy", |fresh| cloud.copy_image(&copy, fresh));
            note!("tag both", |fresh| cloud.tag_resources(&these, tags(&[("k", "v")]), fresh));
            note!("untag both", |fresh| cloud.untag_resources(&these, &keys, fresh));
            note!("describe", |fresh| cloud.set_description(&image, "x", fresh));
            note!("deregister", |fresh| cloud.deregister(&image, fresh));
            note!("delete", |fresh| cloud.delete_snapshot(&snapshot, fresh));
        }
        let special = self.special.clone();
        self.dry_runs(&special).await;
        self.next().await;
        let result = self.home.stop(&special, false, fresh(&self.home)).await;
        self.note("stop what is managed and protected", result);
        let protect = Request::new("ModifyInstanceAttribute").with("InstanceId", self.machine.as_str());
        self.user(HOME, &protect.clone().with("DisableApiStop.Value", "true"));
        self.stop(false).await;
        self.user(HOME, &protect.with("DisableApiStop.Value", "false"));
        self.stop(false).await;
        self.pass(60).await;
        let fault = StartFault::NoCapacity { times: 2 };
        self.stage.sim().fault_starts(ACCOUNT, HOME, self.machine.as_str(), fault);
        self.start().await;
        self.start().await;
        self.pass(60).await;
    }

    /// Replies that are lost, cut, garbled or not EC2's; what may be tried twice is.
    pub(crate) async fn harm(&mut self) {
        let refuse = |code: &str, status: Option<u16>| Effect::Refuse {
            code: code.into(),
            message: String::new(),
            status,
        };
        let rewrite =
            |element: &str, to: &str| Effect::Rewrite { element: element.into(), from: None, to: to.into() };
        for effect in [
            Effect::Drop,
            Effect::ApplyAndDrop,
            Effect::ApplyAndTruncate,
            Effect::ApplyAndReset,
            Effect::ApplyAndDrip { ms: 50 },
            Effect::ApplyAndRefuse { code: "GatewayTimeout".into(), status: Some(504) },
            refuse("InternalError", None),
            refuse("RequestLimitExceeded", None),
            refuse("EC2ThrottledException", Some(400)),
            refuse("Client.UnauthorizedOperation", Some(403)),
            refuse("SomethingNew", None),
            refuse("SomethingNew", Some(503)),
            rewrite("instanceId", "what"),
            rewrite("name", "dreaming"),
            rewrite("launchTime", "yesterday"),
            rewrite("managed", "perhaps"),
            rewrite("volumeId", "what"),
            rewrite("reservationSet", "<item"),
            Effect::Omit { element: "launchTime".into() },
            Effect::Omit { element: "previousState".into() },
            Effect::ShuffleTags,
        ] {
            for times in [1, 2] {
                self.stage.sim().add_fault(Fault::new("*Instances", effect.clone()).times(times));
                self.shown(&format!("{times} × {effect:?}")).await;
                self.stage.sim().clear_faults();
            }
            self.stage.sim().add_fault(Fault::new("StopInstances", effect.clone()));
            self.stop(false).await;
            self.stage.sim().clear_faults();
            self.pass(60).await;
            self.start().await;
            self.pass(30).await;
            for times in [1, 2] {
                self.stage.sim().add_fault(Fault::new("CreateTags", effect.clone()).times(times));
                self.next().await;
                let result = self.home.tag(&self.machine, tags(&[("k", "v")]), fresh(&self.home)).await;
                self.note("tag", result);
                self.stage.sim().clear_faults();
            }
        }
        // A refusal after a lost reply.
        self.stage.sim().add_fault(Fault::new("CreateTags", Effect::ApplyAndDrop).nth(1));
        self.stage.sim().add_fault(Fault::new("CreateTags", refuse("SomethingNew", None)).nth(2));
        self.next().await;
        let result = self.home.tag(&self.machine, tags(&[("k", "v")]), fresh(&self.home)).await;
        self.note("tag", result);
        self.stage.sim().clear_faults();
    }

    /// Announcements that are too old by either clock, and ones that are not.
    pub(crate) async fn late(&mut self) {
        for (by_ec2, by_us) in [(22, 0), (0, 21), (22, 21), (15, 15)] {
            self.next().await;
            let then = ago(&self.home, by_ec2, by_us);
            let result = self.home.tag(&self.machine, tags(&[("k", "v")]), then).await;
            self.note("tag", result);
            self.next().await;
            let result = self.home.stop(&self.machine, false, ago(&self.home, by_ec2, by_us)).await;
            self.note("stop", result);
        }
    }
}
