use ec2sim::{InstanceState, Lifecycle, PublicAddress, ScheduledEvent};
use saved_template_core::cloud::{DryRun, Images, Instances, Snapshots};

use super::*;

pub(crate) fn special() -> InstanceSeed {
    let event = |description: &str| ScheduledEvent {
        code: "instance-retirement".into(),
        description: description.into(),
        not_before: START,
        not_after: None,
    };
    InstanceSeed {
        region: HOME.into(),
        name: Some("sp*cial <&>".into()),
        tags: tags(&[("bell", "\u{7}quake\0"), ("empty", "")]),
        lifecycle: Lifecycle::SpotPersistent,
        root_device_type: "instance-store".into(),
        product_codes: vec!["p".into()],
        public_address: Some(PublicAddress::Auto),
        tenancy: "host".into(),
        host: Some("h-00000001".into()),
        placement_group: Some("near".into()),
        reservation: Some("cr-00000001".into()),
        reservation_target: Some("cr-00000001".into()),
        operator: Some("service".into()),
        disable_api_stop: true,
        shutdown_behavior: "terminate".into(),
        hibernation: true,
        instance_type: "i3.large".into(),
        state: InstanceState::Stopped,
        volumes: vec![VolumeSeed {
            multi_attach: true,
            kms_key: Some("arn:aws:kms:us-west-2:123456789012:key/1".into()),
            operator: Some("service".into()),
            ..VolumeSeed::default()
        }],
        events: vec![event("[Completed] over"), event("to come")],
        ..InstanceSeed::default()
    }
}

impl<S: Stage> Play<S> {
    /// Every read, of what is there and of what is not.
    pub(crate) async fn reads(&mut self) {
        let (home, machine) = (self.home.clone(), self.machine.clone());
        let now = home.now().map(tens);
        self.note("no time before the first reply", Ok(now));
        for which in [
            Instances::One(machine.clone()),
            Instances::One(self.special.clone()),
            Instances::One(self.gone.clone()),
            Instances::Ids(vec![machine.clone(), self.special.clone(), self.gone.clone()]),
            Instances::Ids(Vec::new()),
            Instances::TagKey("Name".into()),
            Instances::TagKey("N?me".into()),
            Instances::Names(vec!["sp*cial <&>".into(), "quake".into()]),
            Instances::Names(vec!["herd".into()]),
            Instances::Names(vec!["h*".into(), "\\".into()]),
        ] {
            self.next().await;
            let result = home.instances(which.clone()).await;
            self.note(&format!("{which:?}"), machines(result));
        }
        let now = home.now().map(tens);
        self.note("the time of the last reply", Ok(now));
        let volumes = {
            let sim = self.stage.sim();
            let place = sim.place(ACCOUNT, HOME).unwrap();
            place.volumes.keys().map(|id| id.parse().unwrap()).collect::<Vec<_>>()
        };
        for volumes in [&volumes[..], &["vol-00000009".parse().unwrap()], &[]] {
            self.next().await;
            let result = home.volumes(volumes).await;
            self.note("volumes", result);
        }
        for key in ["Name", "bell", "N*"] {
            self.next().await;
            let result = home.tagged(key).await;
            self.note(key, result);
        }
        for instance in [machine, self.special.clone(), self.gone.clone()] {
            self.next().await;
            let result = home.stop_protected(&instance).await;
            self.note("stop protection", result);
            self.next().await;
            let result = home.shutdown_terminates(&instance).await;
            self.note("shutdown", result);
            self.next().await;
            let result = home.scheduled_events(&instance).await;
            self.note("events", result);
        }
        for kind in ["t3.micro", "i3.large", "x9.tiny"] {
            self.next().await;
            let result = home.instance_store(kind).await;
            self.note(kind, result);
        }
        self.next().await;
        let result = home.regions().await;
        self.note("regions", result);
        self.next().await;
        let result = self.shut.regions().await;
        self.note("a region that is not enabled", result);
    }

    /// What permission the two callers have.
    pub(crate) async fn dry_runs(&mut self, instance: &InstanceId) {
        let image = ImageRequest { instance: instance.clone(), ..self.image() };
        for cloud in [self.home.clone(), self.weak.clone()] {
            for call in [
                DryRun::Stop(instance.clone()),
                DryRun::Start(instance.clone()),
                DryRun::CreateImage(Box::new(image.clone())),
            ] {
                self.next().await;
                let result = cloud.dry_run(call.clone()).await;
                self.note(&format!("{call:?}"), result);
            }
        }
    }

    /// All images and snapshots, each in its state.
    pub(crate) async fn stock(&mut self, what: &str) {
        let (machine, special) = (self.machine.clone(), self.special.clone());
        let ids: Vec<ImageId> = {
            let sim = self.stage.sim();
            let images = sim.place(ACCOUNT, HOME).unwrap().images.keys();
            images.map(|id| id.parse().unwrap()).collect()
        };
        let volumes = {
            let sim = self.stage.sim();
            let devices = &sim.place(ACCOUNT, HOME).unwrap().instances[machine.as_str()].devices;
            devices.iter().map(|device| device.volume.parse().unwrap()).collect::<Vec<_>>()
        };
        for (region, cloud) in [("home", self.home.clone()), ("away", self.away.clone())] {
            for which in [
                Images::Ids(ids.clone()),
                Images::Tag("a".into(), vec!["0".into(), "1".into()]),
                Images::Tags(vec![("a".into(), "1".into()), ("b".into(), "<2>".into())]),
                Images::Tags(Vec::new()),
                Images::Names(vec!["quake-r1".into()]),
                Images::PendingOf(machine.clone()),
                Images::PendingOf(special.clone()),
            ] {
                self.next().await;
                let result = cloud.images(which.clone()).await;
                self.note(&format!("{what}, {region}: {which:?}"), images(result));
            }
            for which in [
                Snapshots::Tag("c".into(), vec!["3".into()]),
                Snapshots::Volumes(volumes.clone()),
                Snapshots::Volumes(Vec::new()),
            ] {
                self.next().await;
                let result = cloud.snapshots(which.clone()).await;
                self.note(&format!("{what}, {region}: {which:?}"), snapshots(result));
            }
        }
    }
}
