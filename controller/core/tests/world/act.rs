//! The announced step as one call, as the controller makes it.
use std::collections::BTreeMap;

use saved_template_api::names::debt_key;
use saved_template_core::{
    debt::Record,
    refusal::Refusal,
    step::{Outcome, Step},
};

use crate::{
    ec2::{self, HOME},
    lab::{CLUSTER, Dead, Lab, Memory},
};

impl Lab {
    pub(crate) fn act(&mut self, step: &Step, memory: &mut Memory) -> Result<Outcome, Dead> {
        let key = debt_key(CLUSTER);
        let refused =
            |result: Result<ec2sim::Reply, Refusal>| result.map_or_else(Outcome::Refused, |_| Outcome::Done);
        Ok(match step {
            Step::Tag { record, receipt, replaces } => {
                let there = self.instance().tags.get(&key).cloned();
                let anothers = |value: &String| {
                    let capture = value.parse::<Record>().ok().map(|there| there.capture);
                    capture.is_none_or(|capture| {
                        capture != record.capture && Some(&capture) != replaces.as_ref()
                    })
                };
                if let Some(value) = there.filter(anothers) {
                    return Ok(Outcome::Busy { value });
                }
                let mut tags = BTreeMap::from([(key, record.to_string())]);
                tags.extend(receipt.clone());
                refused(self.send(HOME, &ec2::tag(record.instance.as_str(), &tags))?)
            }
            Step::Untag { record } => {
                memory.records.remove(&record.capture);
                refused(self.send(HOME, &ec2::untag(record.instance.as_str(), &key, &record.to_string()))?)
            }
            Step::Stop { record } => {
                memory.records.insert(record.capture.clone(), record.clone());
                memory.custody.insert(record.capture.clone(), (self.now, false));
                match self.send(HOME, &ec2::on_instance("StopInstances", record.instance.as_str()))? {
                    Ok(reply) => Outcome::Stopped { previous: ec2::previous(&reply) },
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
            Step::CreateImage(request) => match self.send(HOME, &ec2::create_image(request))? {
                Ok(reply) => Outcome::Image(ec2::image_id(&reply)),
                Err(refusal) => Outcome::Refused(refusal),
            },
            Step::CopyImage { region, request } => {
                match self.send(region.as_str(), &ec2::copy_image(request))? {
                    Ok(reply) => Outcome::Image(ec2::image_id(&reply)),
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
        })
    }
}
