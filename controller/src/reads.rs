//! The reads that make up one sweep of a region. Each is complete or an error, never a part.
use std::collections::{BTreeMap, BTreeSet};

use saved_template_api::{InstanceId, names::tag};
use saved_template_core::{
    cloud::{Cloud, Images, Instances, Snapshots},
    own::Estate,
    refusal::{Class, Refusal},
    world::{Image, Instance, Snapshot},
};

/// All that anybody wants read of the region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) instances: BTreeSet<String>,
    pub(crate) names: BTreeSet<String>,
    pub(crate) image_ids: BTreeSet<String>,
    pub(crate) image_names: BTreeSet<String>,
    /// Objects of which nothing is expected to be left, by the key of their absence.
    pub(crate) emptied: BTreeMap<String, Estate>,
    pub(crate) volumes: BTreeSet<String>,
    pub(crate) images: bool,
    pub(crate) snapshots: bool,
}

/// The restart loop's own query; where it fails, the tags and then the ids one by one (an AZ disruption). Whatever could
/// be read is given back, and why the rest could not.
pub(crate) async fn owing<C: Cloud>(cloud: &C, debt_key: &str) -> (Vec<Instance>, Option<Refusal>) {
    let refusal = match cloud.instances(Instances::TagKey(debt_key.to_owned())).await {
        Ok(instances) => return (instances, None),
        Err(refusal) => refusal,
    };
    if matches!(refusal.class, Class::Throttle | Class::Denied) {
        return (Vec::new(), Some(refusal));
    }
    let Ok(tagged) = cloud.tagged(debt_key).await else {
        return (Vec::new(), Some(refusal));
    };
    let (mut found, mut failed) = (Vec::new(), None);
    for id in tagged {
        match cloud.instances(Instances::One(id.clone())).await {
            Ok(instances) => found.extend(instances),
            Err(error) => {
                tracing::warn!(%id, %error, "an instance that carries a restart record cannot be read");
                failed = Some(error);
            }
        }
    }
    (found, failed)
}

/// Names that EC2 would not look for, each with its refusal.
pub(crate) type Refused = BTreeMap<String, Refusal>;

/// The machines that somebody else asked for: by id where the restart loop's query did not show them, and by name.
pub(crate) async fn others<C: Cloud>(
    cloud: &C,
    asked: &Asked,
    owing: &[Instance],
) -> Result<(Vec<Instance>, Refused), Refusal> {
    let seen: BTreeSet<&str> = owing.iter().map(|instance| instance.id.as_str()).collect();
    let missing = asked.instances.iter().filter(|id| !seen.contains(id.as_str()));
    let ids: Vec<_> = missing.filter_map(|id| id.parse().ok()).collect();
    let by_id =
        async { if ids.is_empty() { Ok(Vec::new()) } else { cloud.instances(Instances::Ids(ids)).await } };
    let (mut found, (named, refused)) = tokio::try_join!(by_id, named(cloud, &asked.names))?;
    found.extend(named);
    Ok((found, refused))
}

/// The machines of these names. One name that EC2 refuses is no reason to look for none of them.
async fn named<C: Cloud>(cloud: &C, names: &BTreeSet<String>) -> Result<(Vec<Instance>, Refused), Refusal> {
    if names.is_empty() {
        return Ok((Vec::new(), Refused::new()));
    }
    match cloud.instances(Instances::Names(names.iter().cloned().collect())).await {
        Ok(found) => return Ok((found, Refused::new())),
        Err(refusal) if refusal.class != Class::Caller => return Err(refusal),
        Err(_) => {}
    }
    let (mut found, mut refused) = (Vec::new(), Refused::new());
    for name in names {
        match cloud.instances(Instances::Names(vec![name.clone()])).await {
            Ok(instances) => found.extend(instances),
            Err(refusal) if refusal.class != Class::Caller => return Err(refusal),
            Err(refusal) => {
                refused.insert(name.clone(), refusal);
            }
        }
    }
    Ok((found, refused))
}

/// The images of this installation, whoever has a name that somebody asked for, and known ones that lost their tags.
pub(crate) async fn images<C: Cloud>(
    cloud: &C,
    owners: &[String],
    asked: &Asked,
) -> Result<Vec<Image>, Refusal> {
    if !asked.images {
        return Err(Refusal::new("DescribeImages", "", "not read"));
    }
    let mut found = cloud.images(Images::Tag(tag::CLUSTER.to_owned(), owners.to_vec())).await?;
    let seen: BTreeSet<&str> = found.iter().map(|image| image.id.as_str()).collect();
    let unseen = asked.image_ids.iter().filter(|id| !seen.contains(id.as_str()));
    let ids: Vec<_> = unseen.filter_map(|id| id.parse().ok()).collect();
    if !ids.is_empty() {
        found.extend(cloud.images(Images::Ids(ids)).await?);
    }
    let seen: BTreeSet<String> = found.iter().map(|image| image.name.clone()).collect();
    let names: Vec<String> = asked.image_names.difference(&seen).cloned().collect();
    if !names.is_empty() {
        let others = cloud.images(Images::Names(names)).await?;
        let known: BTreeSet<_> = found.iter().map(|image| image.id.clone()).collect();
        found.extend(others.into_iter().filter(|image| !known.contains(&image.id)));
    }
    Ok(found)
}

/// The snapshots of this installation, and those of volumes whose barrier is late.
pub(crate) async fn snapshots<C: Cloud>(
    cloud: &C,
    owners: &[String],
    asked: &Asked,
) -> Result<Vec<Snapshot>, Refusal> {
    if !asked.snapshots {
        return Err(Refusal::new("DescribeSnapshots", "", "not read"));
    }
    let mut found = cloud.snapshots(Snapshots::Tag(tag::CLUSTER.to_owned(), owners.to_vec())).await?;
    let volumes: Vec<_> = asked.volumes.iter().filter_map(|volume| volume.parse().ok()).collect();
    if !volumes.is_empty() {
        let seen: BTreeSet<_> = found.iter().map(|snapshot| snapshot.id.clone()).collect();
        let others = cloud.snapshots(Snapshots::Volumes(volumes)).await?;
        found.extend(others.into_iter().filter(|snapshot| !seen.contains(&snapshot.id)));
    }
    Ok(found)
}

/// One list; the restart loop's own read wins.
pub(crate) fn merge(owing: &[Instance], others: Vec<Instance>) -> Vec<Instance> {
    let mut all: BTreeMap<InstanceId, Instance> =
        others.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
    all.extend(owing.iter().map(|instance| (instance.id.clone(), instance.clone())));
    all.into_values().collect()
}
