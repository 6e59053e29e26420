//! The reads that make up one sweep of a region. Each is complete or an error, never a part.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::StreamExt;
use saved_template_api::{InstanceId, names::tag};
use saved_template_core::{
    cloud::{Cloud, Images, Instances, Snapshots},
    ec2_error::{Ec2Error, ErrorClass},
    poll::Asked,
    world::{Image, Instance, Snapshot},
};
use tokio::time::{Instant, timeout, timeout_at};

/// No read of a sweep takes longer than this: what hangs keeps no loop from coming round.
pub(crate) const LONGEST: Duration = Duration::from_secs(90);
/// Instances that are read one by one at once.
const ABREAST: usize = 8;
/// A name that EC2 refused is not looked for again before this.
const REFUSED_FOR: Duration = Duration::from_hours(1);

/// What a read of a sweep gives, or that it did not end in time.
pub(crate) async fn bounded<T>(
    operation: &'static str,
    read: impl Future<Output = Result<T, Ec2Error>>,
) -> Result<T, Ec2Error> {
    let unended = || Err(Ec2Error::new(operation, "", "the list did not end within 90 s"));
    timeout(LONGEST, read).await.unwrap_or_else(|_| unended())
}

/// The restart loop's own query; where it fails, the tags and then the ids one by one (an AZ disruption). Whatever could
/// be read is given back, and why the rest could not.
pub(crate) async fn owing<C: Cloud>(cloud: &C, debt_key: &str) -> (Vec<Instance>, Option<Ec2Error>) {
    let all = bounded("DescribeInstances", cloud.instances(Instances::TagKey(debt_key.to_owned())));
    let refusal = match all.await {
        Ok(instances) => return (instances, None),
        Err(refusal) => refusal,
    };
    if matches!(refusal.class, ErrorClass::Throttle | ErrorClass::Denied) {
        return (Vec::new(), Some(refusal));
    }
    let Ok(tagged) = bounded("DescribeTags", cloud.tagged(debt_key)).await else {
        return (Vec::new(), Some(refusal));
    };
    let mut one_by_one = futures::stream::iter(tagged)
        .map(async |id: InstanceId| (cloud.instances(Instances::One(id.clone())).await, id))
        .buffer_unordered(ABREAST);
    let deadline = Instant::now().checked_add(LONGEST).unwrap_or_else(Instant::now);
    let (mut found, mut failed) = (Vec::new(), None);
    loop {
        match timeout_at(deadline, one_by_one.next()).await {
            Ok(Some((Ok(instances), _))) => found.extend(instances),
            Ok(Some((Err(error), id))) => {
                tracing::warn!(%id, %error, "an instance that carries a restart record cannot be read");
                failed = Some(error);
            }
            Ok(None) => return (found, failed),
            Err(_) => return (found, failed.or(Some(refusal))),
        }
    }
}

/// Names that EC2 would not look for, each with its refusal.
pub(crate) type Refused = BTreeMap<String, Ec2Error>;

/// The names that EC2 refused, and when: one of them costs a call once an hour, not in every sweep.
pub(crate) type Known = BTreeMap<String, (Ec2Error, Instant)>;

/// The machines that somebody else asked for: by id where the restart loop's query did not show them, and by name.
pub(crate) async fn others<C: Cloud>(
    cloud: &C,
    asked: &Asked,
    owing: &[Instance],
    known: &mut Known,
) -> Result<(Vec<Instance>, Refused), Ec2Error> {
    let seen: BTreeSet<&str> = owing.iter().map(|instance| instance.id.as_str()).collect();
    let missing = asked.instances.iter().filter(|id| !seen.contains(id.as_str()));
    let ids: Vec<_> = missing.filter_map(|id| id.parse().ok()).collect();
    let by_id =
        async { if ids.is_empty() { Ok(Vec::new()) } else { cloud.instances(Instances::Ids(ids)).await } };
    let (mut found, (named, refused)) = tokio::try_join!(by_id, named(cloud, &asked.names, known))?;
    found.extend(named);
    Ok((found, refused))
}

/// The machines of these names. One name that EC2 refuses is no reason to look for none of them.
async fn named<C: Cloud>(
    cloud: &C,
    names: &BTreeSet<String>,
    known: &mut Known,
) -> Result<(Vec<Instance>, Refused), Ec2Error> {
    known.retain(|name, (_, at)| names.contains(name) && at.elapsed() < REFUSED_FOR);
    let open: Vec<String> = names.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
    let refused = |known: &Known| known.iter().map(|(name, (why, _))| (name.clone(), why.clone())).collect();
    if open.is_empty() {
        return Ok((Vec::new(), refused(known)));
    }
    let (found, news) = halved(open, |names| cloud.instances(Instances::Names(names))).await?;
    known.extend(news.into_iter().map(|(name, why)| (name, (why, Instant::now()))));
    Ok((found, refused(known)))
}

/// What could be found, and the names that were refused: a request that is refused is halved until one name is left.
async fn halved<T, F>(
    names: Vec<String>,
    mut ask: impl FnMut(Vec<String>) -> F,
) -> Result<(Vec<T>, Refused), Ec2Error>
where
    F: Future<Output = Result<Vec<T>, Ec2Error>>,
{
    let (mut found, mut refused) = (Vec::new(), Refused::new());
    let mut open = vec![names];
    while let Some(mut names) = open.pop() {
        match ask(names.clone()).await {
            Ok(instances) => found.extend(instances),
            Err(refusal) if refusal.class != ErrorClass::Caller => return Err(refusal),
            Err(refusal) => {
                let rest = names.split_off(names.len() / 2);
                match (&*names, &*rest) {
                    ([], [name]) => _ = refused.insert(name.clone(), refusal),
                    _ => open.extend([names, rest]),
                }
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
) -> Result<Vec<Image>, Ec2Error> {
    if !asked.images {
        return Err(Ec2Error::new("DescribeImages", "", "not read"));
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
) -> Result<Vec<Snapshot>, Ec2Error> {
    if !asked.snapshots {
        return Err(Ec2Error::new("DescribeSnapshots", "", "not read"));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The calls that it took, what was found and what was refused, where EC2 refuses names that begin with `bad`.
    async fn looked_for(names: &[String]) -> (usize, Vec<String>, Vec<String>) {
        let mut calls = 0;
        let ask = |asked: Vec<String>| {
            calls += 1;
            let is_bad = asked.iter().any(|name| name.starts_with("bad"));
            let refusal =
                || Ec2Error::new("DescribeInstances", "InvalidParameterValue", "a value is not valid");
            std::future::ready(if is_bad {
                Err(Ec2Error { class: ErrorClass::Caller, ..refusal() })
            } else {
                Ok(asked)
            })
        };
        let (mut found, refused) = halved(names.to_vec(), ask).await.unwrap();
        found.sort();
        (calls, found, refused.into_keys().collect())
    }

    #[tokio::test]
    async fn one_name_that_ec2_refuses_costs_some_calls_and_not_one_for_each_other_name() {
        let good: Vec<String> = (0..300).map(|number| format!("good-{number:03}")).collect();
        assert_eq!(looked_for(&good).await, (1, good.clone(), vec![]));
        let mut names = good.clone();
        names.insert(77, "bad".to_owned());
        let (calls, found, refused) = looked_for(&names).await;
        assert_eq!((found, refused), (good, vec!["bad".to_owned()]));
        assert!(calls <= 19, "{calls} calls");
        let all_bad = ["bad-1", "bad-2", "bad-3"].map(str::to_owned);
        assert_eq!(looked_for(&all_bad).await, (5, vec![], all_bad.to_vec()));
    }

    #[tokio::test]
    async fn where_ec2_does_not_answer_no_name_is_taken_for_refused() {
        let refusal = || Ec2Error::new("DescribeInstances", "", "no answer");
        let ask = |_| std::future::ready(Err::<Vec<()>, _>(refusal()));
        halved(vec!["a".to_owned(), "b".to_owned()], ask).await.unwrap_err();
    }
}
