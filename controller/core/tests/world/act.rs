//! An announced step as one call, as the controller makes it.
use std::collections::BTreeMap;

use ec2sim::Request;
use saved_template_api::names::debt_key;
use saved_template_core::{
    ec2_error::Ec2Error,
    receipt,
    restart::Record,
    step::{Outcome, Step},
};

use crate::{
    ec2::{self, HOME},
    lab::{CLUSTER, Halt, Lab, Memory},
};

impl Lab {
    pub(crate) fn act(&mut self, step: &Step, memory: &mut Memory) -> Result<Outcome, Halt> {
        let unsent = memory.of_stops.sends(step, self.instant());
        let outcome = self.send_step(step)?;
        memory.of_stops.hears(step, unsent, &outcome);
        Ok(outcome)
    }

    fn send_step(&mut self, step: &Step) -> Result<Outcome, Halt> {
        let key = debt_key(CLUSTER);
        let label = step.name();
        let refused =
            |result: Result<ec2sim::Reply, Ec2Error>| result.map_or_else(Outcome::Refused, |_| Outcome::Done);
        Ok(match step {
            Step::Tag { record, receipt, replaces } => {
                let instances = &self.sim.place(ec2sim::ACCOUNT, HOME).unwrap().instances;
                let tagged = instances[record.instance.as_str()].tags.clone();
                let there = tagged.get(&key).cloned();
                let anothers = |value: &String| {
                    let capture = value.parse::<Record>().ok().map(|there| there.capture);
                    capture.is_none_or(|capture| {
                        capture != record.capture && Some(&capture) != replaces.as_ref()
                    }) && replaces.as_ref() != Some(value)
                };
                if let Some(value) = there.filter(anothers) {
                    return Ok(Outcome::Busy { value });
                }
                let mut tags = BTreeMap::from([(key, record.to_string())]);
                tags.extend(receipt.as_ref().map(|receipt| receipt::tag(receipt, &tagged)));
                refused(self.send(HOME, label, &ec2::tag(record.instance.as_str(), &tags))?)
            }
            Step::Untag { record } => refused(self.send(
                HOME,
                label,
                &ec2::untag(record.instance.as_str(), &key, &record.to_string()),
            )?),
            Step::Stop { record, force } => {
                self.truth.under = Some(record.clone());
                let call = ec2::on_instance("StopInstances", record.instance.as_str());
                let call = if *force { call.with("Force", "true") } else { call };
                match self.send(HOME, label, &call)? {
                    Ok(reply) => Outcome::Stopped { previous: ec2::previous(&reply) },
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
            Step::CreateImage(request) => match self.send(HOME, label, &ec2::create_image(request))? {
                Ok(reply) => Outcome::Image(ec2::image_id(&reply)),
                Err(refusal) => Outcome::Refused(refusal),
            },
            Step::CopyImage { region, request } => {
                match self.send(region.as_str(), label, &ec2::copy_image(request))? {
                    Ok(reply) => Outcome::Image(ec2::image_id(&reply)),
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
            Step::TagImages { region, resources, tags } => {
                refused(self.send(region.as_str(), label, &ec2::tag_all(resources, tags))?)
            }
            Step::UntagImages { region, resources, keys } => {
                refused(self.send(region.as_str(), label, &ec2::untag_all(resources, keys))?)
            }
            Step::SetDescription { region, image, description } => {
                let call = Request::new("ModifyImageAttribute").with("ImageId", image.as_str());
                refused(self.send(region.as_str(), label, &call.with("Description.Value", description))?)
            }
            Step::Deregister { region, image } => {
                let call = Request::new("DeregisterImage").with("ImageId", image.as_str());
                refused(self.send(region.as_str(), label, &call.with("DeleteAssociatedSnapshots", "true"))?)
            }
            Step::DeleteSnapshot { region, snapshot } => {
                let call = Request::new("DeleteSnapshot").with("SnapshotId", snapshot.as_str());
                refused(self.send(region.as_str(), label, &call)?)
            }
            Step::RemoveReceipt { instance, key, value, left } => {
                if self.instance().tags.get(key) != Some(value) {
                    return Ok(Outcome::Done);
                }
                let call = match left {
                    Some(left) => ec2::tag(instance.as_str(), &BTreeMap::from([(key.clone(), left.clone())])),
                    None => ec2::untag(instance.as_str(), key, value),
                };
                refused(self.send(HOME, label, &call)?)
            }
        })
    }
}
