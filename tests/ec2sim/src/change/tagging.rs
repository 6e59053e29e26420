//! `CreateTags` and `DeleteTags`.

use crate::{
    refusal::Refusal,
    request::numbered,
    sim::{Answer, Call, Sim},
    tags::{self, is_reserved},
};

const RESOURCES: usize = 1_000;

impl Sim {
    fn tagged_resources(&self, call: &Call<'_>) -> Result<Vec<String>, Refusal> {
        let ids = call.request.list("ResourceId");
        if ids.is_empty() {
            return Err(Refusal::missing("resourceIdSet"));
        }
        if ids.len() > RESOURCES {
            return Err(Refusal::value(format!("The maximum number of resources is {RESOURCES}")));
        }
        let place = self.here(call);
        for id in &ids {
            place.tagged(id, call.now, &self.config)?;
        }
        Ok(ids)
    }

    pub(crate) fn create_tags(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let ids = self.tagged_resources(call)?;
        let new = tags::parse(&call.request.params)?;
        if new.is_empty() {
            return Err(Refusal::missing("tagSet"));
        }
        for id in &ids {
            let mut after = self.here(call).tagged(id, call.now, &self.config)?.clone();
            after.extend(new.clone());
            tags::within_limit(&after)?;
        }
        call.rehearse()?;
        let is_remembered = self.config.iam_tag_latency > 0;
        let place = self.place_mut(&call.key);
        for id in &ids {
            if is_remembered {
                place.remember_tags(id, call.now);
            }
            if let Some(tags) = place.tags_mut(id) {
                tags.extend(new.clone());
            }
        }
        let mut answer = Answer::yes();
        answer.ids = ids;
        Ok(answer)
    }

    /// With a value, a tag goes only if it has that value; without tags, all of the user's go (EC2 API, `DeleteTags`).
    pub(crate) fn delete_tags(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let ids = self.tagged_resources(call)?;
        let wanted: Vec<(String, Option<String>)> = numbered(&call.request.params, "Tag")
            .into_values()
            .map(|mut tag| (tag.remove("Key").unwrap_or_default(), tag.remove("Value")))
            .collect();
        if wanted.iter().any(|(key, _)| is_reserved(key)) {
            return Err(Refusal::value("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        call.rehearse()?;
        let is_remembered = self.config.iam_tag_latency > 0;
        let place = self.place_mut(&call.key);
        for id in &ids {
            if is_remembered {
                place.remember_tags(id, call.now);
            }
            let Some(tags) = place.tags_mut(id) else { continue };
            if wanted.is_empty() {
                tags.retain(|key, _| is_reserved(key));
            }
            for (key, value) in &wanted {
                let is_meant = |found: &String| value.as_ref().is_none_or(|value| value == found);
                if tags.get(key).is_some_and(is_meant) {
                    tags.remove(key);
                }
            }
        }
        let mut answer = Answer::yes();
        answer.ids = ids;
        Ok(answer)
    }
}
