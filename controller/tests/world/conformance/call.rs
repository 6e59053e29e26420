//! A change of EC2 as both sides are held against each other: what is asked for, whoever writes it down.
use std::collections::{BTreeMap, BTreeSet};

use ec2sim::Request;
use saved_template_api::names::debt_key;
use saved_template_core::{
    receipt,
    step::{ImageRequest, Step},
};

use crate::small::{
    cloud::{CLUSTER, ID},
    state::{Payment, State, What},
};

/// What is asked of EC2.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Call {
    action: String,
    on: BTreeSet<String>,
    tags: BTreeMap<String, String>,
    /// All else, by name.
    rest: BTreeMap<String, String>,
}

/// Who sends it, and what is asked for in any case.
const UNTOLD: [&str; 3] = ["DryRun", "ClientToken", "DeleteAssociatedSnapshots"];

impl Call {
    fn new(action: &str, on: &[&str]) -> Self {
        let on = on.iter().map(|id| (*id).to_owned()).collect();
        Self { action: action.to_owned(), on, ..Self::default() }
    }

    fn tagged<'t>(mut self, kind: &str, tags: impl IntoIterator<Item = (&'t String, &'t String)>) -> Self {
        self.tags.extend(tags.into_iter().map(|(key, value)| (format!("{kind}{key}"), value.clone())));
        self
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.rest.insert(name.to_owned(), value.to_owned());
        self
    }

    /// What the shell sends.
    pub(crate) fn sent(request: &Request) -> Self {
        let mut call = Self::new(&request.action, &[]);
        for (name, value) in &request.params {
            let part = name.split('.').next().unwrap_or_default();
            match part {
                "InstanceId" | "ResourceId" | "ImageId" | "SnapshotId" => _ = call.on.insert(value.clone()),
                "Tag" | "TagSpecification" => {
                    let Some(stem) = name.strip_suffix(".Key") else { continue };
                    let kind = stem.split(".Tag.").next().unwrap_or_default();
                    let kind = request.params.get(&format!("{kind}.ResourceType"));
                    let kind = kind.map(|kind| format!("{kind}/")).unwrap_or_default();
                    let tag = request.params.get(&format!("{stem}.Value")).cloned().unwrap_or_default();
                    call.tags.insert(format!("{kind}{value}"), tag);
                }
                other if UNTOLD.contains(&other) => {}
                _ => call = call.with(name, value),
            }
        }
        call
    }

    /// What the model's step asks for; none where it asks for nothing in this state.
    pub(crate) fn of_step(step: &Step, state: &State) -> Option<Self> {
        let there = &state.machine.tags;
        Some(match step {
            Step::Tag { record, replaces, .. } if state.anothers(record, replaces.as_deref()).is_some() => {
                return None;
            }
            Step::Tag { record, receipt, .. } => {
                let receipt = receipt.as_ref().map(|receipt| receipt::tag(receipt, there));
                let record = (debt_key(CLUSTER), record.to_string());
                let tags: BTreeMap<String, String> = receipt.into_iter().chain([record]).collect();
                Self::new("CreateTags", &[ID]).tagged("", &tags)
            }
            Step::Untag { record } => Self::new("DeleteTags", &[ID])
                .tagged("", &BTreeMap::from([(debt_key(CLUSTER), record.to_string())])),
            Step::Stop { force, .. } => {
                let call = Self::new("StopInstances", &[ID]);
                if *force { call.with("Force", "true") } else { call }
            }
            Step::CreateImage(request) => Self::of_image(request),
            Step::TagImages { resources, tags, .. } => {
                let on: Vec<&str> = resources.iter().map(String::as_str).collect();
                Self::new("CreateTags", &on).tagged("", tags)
            }
            Step::Deregister { image, .. } => Self::new("DeregisterImage", &[image.as_str()]),
            Step::DeleteSnapshot { snapshot, .. } => Self::new("DeleteSnapshot", &[snapshot.as_str()]),
            Step::RemoveReceipt { key, value, .. } if there.get(key) != Some(value) => return None,
            Step::RemoveReceipt { key, left: Some(left), .. } => {
                Self::new("CreateTags", &[ID]).tagged("", &BTreeMap::from([(key.clone(), left.clone())]))
            }
            Step::RemoveReceipt { key, value, left: None, .. } => {
                Self::new("DeleteTags", &[ID]).tagged("", &BTreeMap::from([(key.clone(), value.clone())]))
            }
            Step::CopyImage { .. } | Step::UntagImages { .. } | Step::SetDescription { .. } => return None,
        })
    }

    fn of_image(request: &ImageRequest) -> Self {
        let call = Self::new("CreateImage", &[request.instance.as_str()])
            .with("Name", &request.name)
            .with("NoReboot", &(!request.reboot).to_string())
            .tagged("image/", &request.image_tags)
            .tagged("snapshot/", &request.snapshot_tags);
        if request.description.is_empty() { call } else { call.with("Description", &request.description) }
    }

    /// What the model's restart loop asks for.
    pub(crate) fn of_payment(payment: &Payment) -> Self {
        let record = BTreeMap::from([(debt_key(CLUSTER), payment.record.to_string())]);
        match payment.what {
            What::Start => Self::new("StartInstances", &[ID]),
            What::Remove => Self::new("DeleteTags", &[ID]).tagged("", &record),
            What::Rewrite | What::Abort => Self::new("CreateTags", &[ID]).tagged("", &record),
        }
    }

    /// The same with other ids.
    pub(crate) fn translated(mut self, translate: impl Fn(&str) -> String) -> Self {
        self.on = self.on.iter().map(|id| translate(id)).collect();
        self
    }
}
