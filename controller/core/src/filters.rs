//! The filters of EC2's lists. One list of filters or one filter is one call: no values, no call.
use saved_template_api::ids::VolumeId;

use crate::cloud::{Images, Instances, Snapshots};

/// The name of a filter, and its values.
pub type Filter = (String, Vec<String>);

/// `FilterLimitExceeded` above it.
const VALUES: usize = 200;

/// Those of machines; one machine is asked for by its id, without a filter.
pub fn instances(which: &Instances) -> Vec<Filter> {
    match which {
        Instances::One(_) => Vec::new(),
        Instances::TagKey(key) => filters("tag-key", [literal(key)]),
        Instances::Ids(ids) => filters("instance-id", ids.iter().map(ToString::to_string)),
        Instances::Names(names) => filters("tag:Name", names.iter().map(|name| literal(name))),
    }
}

/// Those of each call; an image has to meet all filters of one.
pub fn images(which: Images) -> Vec<Vec<Filter>> {
    let one_each = |filters: Vec<Filter>| filters.into_iter().map(|filter| vec![filter]).collect();
    match which {
        Images::Tag(key, values) => one_each(tags(&key, &values)),
        Images::Names(names) => one_each(filters("name", names.iter().map(|name| literal(name)))),
        Images::Ids(ids) => one_each(filters("image-id", ids.iter().map(ToString::to_string))),
        // Without a filter EC2 would answer all images.
        Images::Tags(pairs) if pairs.is_empty() => Vec::new(),
        Images::Tags(pairs) => {
            vec![pairs.into_iter().flat_map(|(key, value)| tags(&key, &[value])).collect()]
        }
        Images::PendingOf(instance) => {
            let source = filters("source-instance-id", [instance.to_string()]);
            let state = filters("state", ["pending".to_owned()]);
            vec![source.into_iter().chain(state).collect()]
        }
    }
}

/// Those of snapshots.
pub fn snapshots(which: &Snapshots) -> Vec<Filter> {
    match which {
        Snapshots::Tag(key, values) => tags(key, values),
        Snapshots::Volumes(ids) => volumes(ids),
    }
}

/// Those of volumes, and of their snapshots.
pub fn volumes(ids: &[VolumeId]) -> Vec<Filter> {
    filters("volume-id", ids.iter().map(ToString::to_string))
}

/// The two filters of the machines that carry a tag.
pub fn tagged_instances(key: &str) -> [Filter; 2] {
    [("key".to_owned(), vec![literal(key)]), ("resource-type".to_owned(), vec!["instance".to_owned()])]
}

fn tags(key: &str, values: &[String]) -> Vec<Filter> {
    filters(&format!("tag:{key}"), values.iter().map(|value| literal(value)))
}

fn filters(name: &str, values: impl IntoIterator<Item = String>) -> Vec<Filter> {
    let values: Vec<String> = values.into_iter().collect();
    values.chunks(VALUES).map(|values| (name.to_owned(), values.to_vec())).collect()
}

/// The text as a filter value: EC2 takes `*` and `?` for wildcards.
fn literal(text: &str) -> String {
    text.replace('\\', r"\\").replace('*', r"\*").replace('?', r"\?")
}
