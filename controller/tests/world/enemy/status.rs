//! A writer of statuses: who may write `savedtemplates/status` of one object, and nothing in AWS.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::status::{CaptureStatus, RegionImage, RegionState};
use saved_template_core::restart::{Awaits, Record};

use crate::{ec2::HOME, lab::Lab};

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// A debt, with its Stop, for another machine.
    DebtOfAnother(u8),
    /// The source is another machine.
    SourceIsAnother(u8),
    /// An image that is somebody's is served.
    Serves(u8),
    /// An image that is somebody's is the row's.
    RowIsAnothers(u8),
    /// Nothing is owed.
    NoDebt,
    /// The machine of the open capture is stopped for us since now.
    StopAsked,
    /// The expected volumes are others.
    OtherVolumes,
}

pub(crate) const LIES: [Lie; 7] = [
    Lie::DebtOfAnother(0),
    Lie::SourceIsAnother(0),
    Lie::Serves(0),
    Lie::RowIsAnothers(0),
    Lie::NoDebt,
    Lie::StopAsked,
    Lie::OtherVolumes,
];

impl Lie {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DebtOfAnother(_) => "status: a debt of another machine",
            Self::SourceIsAnother(_) => "status: another source",
            Self::Serves(_) => "status: another's image is served",
            Self::RowIsAnothers(_) => "status: another's image in a row",
            Self::NoDebt => "status: no debt",
            Self::StopAsked => "status: a Stop that was none",
            Self::OtherVolumes => "status: other volumes",
        }
    }
}

impl Lab {
    pub(crate) fn lies(&mut self, lie: Lie) {
        let now = self.time();
        let place = self.home();
        let anothers = |which: u8| {
            let images: Vec<_> = place.images.values().filter(|one| one.deregistered_at.is_none()).collect();
            images[usize::from(which) % images.len()].id.parse().unwrap()
        };
        let machine =
            |which: u8| self.others_machines()[usize::from(which) % self.others_machines().len()].clone();
        let Some(object) = self.object() else { return };
        let (mut status, spec) = (object.status.clone(), &object.spec);
        match lie {
            Lie::DebtOfAnother(which) => {
                let id = machine(which);
                let stopped = place.instances[&id]
                    .history
                    .iter()
                    .rev()
                    .find(|one| one.state == ec2sim::InstanceState::Stopping);
                let planned =
                    stopped.map_or(now, |one| jiff::Timestamp::from_second(one.at.div_euclid(1000)).unwrap());
                let capture = "2222222222222222".to_owned();
                let owner = "0a1b2c3d".to_owned();
                let record = Record::plan(
                    id.parse().unwrap(),
                    capture.clone(),
                    owner,
                    planned,
                    (600, 1800),
                    Awaits::Snapshots,
                    1,
                );
                let revision = spec.revision;
                status.capture = Some(CaptureStatus {
                    id: capture,
                    revision,
                    attempts: 1,
                    restart_record: Some(record.to_string()),
                    start_time: Some(Time(planned)),
                    stop_requested_time: Some(Time(planned)),
                    ..CaptureStatus::default()
                });
            }
            Lie::SourceIsAnother(which) => {
                let id = machine(which).parse().unwrap();
                status.source.iter_mut().for_each(|source| source.instance_id = Some(Clone::clone(&id)));
            }
            Lie::Serves(which) => {
                let image: saved_template_api::ids::ImageId = anothers(which);
                status.image_id = Some(image.clone());
                status.images = vec![RegionImage {
                    region: HOME.parse().unwrap(),
                    architecture: "x86_64".into(),
                    revision: spec.revision,
                    image_id: image,
                    created_time: None,
                }];
            }
            Lie::RowIsAnothers(which) => {
                let image: saved_template_api::ids::ImageId = anothers(which);
                for row in status.regions.iter_mut().filter(|row| row.region.as_str() == HOME) {
                    (row.image_id, row.state) = (Some(image.clone()), RegionState::Available);
                }
            }
            Lie::NoDebt => status.capture.iter_mut().for_each(|capture| capture.restart_record = None),
            Lie::StopAsked => {
                status.capture.iter_mut().for_each(|capture| capture.stop_requested_time = Some(Time(now)));
            }
            Lie::OtherVolumes => {
                let volumes = vec!["vol-0123456789abcdef0".parse().unwrap()];
                status.capture.iter_mut().for_each(|capture| capture.expected_volumes.clone_from(&volumes));
            }
        }
        self.note(lie.name());
        self.chronicle().watch.lied = Some(self.now());
        self.poisoned = true;
        self.edit(|object| object.status = status);
    }
}
