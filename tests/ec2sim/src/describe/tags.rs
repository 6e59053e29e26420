//! `DescribeTags`.

use crate::{
    describe::{Listed, finish},
    place::is_shown,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
};

/// A tag and what it is on.
struct Label {
    id: String,
    kind: &'static str,
    key: String,
    value: String,
    tags: Tags,
}

impl Listed for Label {
    const FIELDS: &'static [&'static str] = &["key", "value", "resource-id", "resource-type"];

    fn key(&self) -> String {
        format!("{} {}", self.id, self.key)
    }

    fn labels(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str, _: &Call<'_>) -> Vec<String> {
        vec![match name {
            "key" => self.key.clone(),
            "value" => self.value.clone(),
            "resource-id" => self.id.clone(),
            "resource-type" => self.kind.to_owned(),
            _ => return Vec::new(),
        }]
    }
}

fn labels(kind: &'static str, id: &str, tags: &Tags) -> Vec<Label> {
    let label = |(key, value): (&String, &String)| Label {
        id: id.to_owned(),
        kind,
        key: key.clone(),
        value: value.clone(),
        tags: Tags::from([(key.clone(), value.clone())]),
    };
    tags.iter().map(label).collect()
}

impl Sim {
    pub(crate) fn describe_tags(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let place = self.here(call);
        let mut candidates = Vec::new();
        for (id, instance) in &place.instances {
            if is_shown(instance, call.now, &self.config) {
                candidates.extend(labels("instance", id, &instance.tags));
            }
        }
        for (id, image) in &place.images {
            if image.deregistered_at.is_none() {
                candidates.extend(labels("image", id, &image.tags));
            }
        }
        for (id, snapshot) in &place.snapshots {
            candidates.extend(labels("snapshot", id, &snapshot.tags));
        }
        for (id, volume) in &place.volumes {
            candidates.extend(labels("volume", id, &volume.tags));
        }
        candidates.sort_by_key(Label::key);
        let page = self.list(call, 5, ("", false), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("tagSet", &page.entries, |xml, label| {
            xml.text("resourceId", &label.id);
            xml.text("resourceType", label.kind);
            xml.text("key", &label.key);
            xml.text("value", &label.value);
        });
        Ok(finish(answer, page.next))
    }
}
