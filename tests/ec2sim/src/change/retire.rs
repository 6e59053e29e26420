//! `DeregisterImage` and `DeleteSnapshot`.

use crate::{
    change::{
        create::snapshots,
        guard::{locked, protected},
    },
    image::ImageState,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

impl Sim {
    pub(crate) fn deregister_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("ImageId")?;
        let with_snapshots = call.request.flag("DeleteAssociatedSnapshots")?;
        let image = self.own_image(call, id)?;
        protected(image, call.now)?;
        let snapshots: Vec<(String, bool)> = snapshots(image)
            .map(|snapshot| (snapshot.clone(), self.may(call, "DeleteSnapshot", snapshot)))
            .collect();
        call.rehearse()?;
        let place = self.place_mut(&call.key);
        if let Some(image) = place.images.get_mut(id) {
            image.state = ImageState::Deregistered;
            image.deregistered_at = Some(call.now);
        }
        let mut answer = Answer::yes();
        answer.ids.push(id.to_owned());
        if !with_snapshots {
            return Ok(answer);
        }
        let mut results = Vec::new();
        for (snapshot, is_allowed) in snapshots {
            let is_shared = place.images.values().any(|other| {
                other.deregistered_at.is_none()
                    && other.mappings.iter().any(|mapping| mapping.snapshot.as_ref() == Some(&snapshot))
            });
            let found = place.snapshots.get(&snapshot);
            let is_locked = found.is_none_or(|found| found.lock_at(call.now).is_some());
            let result = match (is_allowed, is_shared, is_locked) {
                (false, ..) => "missing-permissions",
                (true, true, _) => "skipped",
                (true, false, true) => "client-error",
                (true, false, false) => {
                    place.snapshots.remove(&snapshot);
                    answer.ids.push(snapshot.clone());
                    "success"
                }
            };
            results.push((snapshot, result));
        }
        answer.xml.items("deleteSnapshotResultSet", results, |xml, (snapshot, result)| {
            xml.text("snapshotId", snapshot);
            xml.text("returnCode", result);
        });
        Ok(answer)
    }

    pub(crate) fn delete_snapshot(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("SnapshotId")?;
        let config = &self.config;
        let place = self.places.entry(call.key.clone()).or_default();
        let snapshot = place.snapshot(id, call.now, config)?;
        if snapshot.lock_at(call.now).is_some() {
            return Err(locked(id));
        }
        if let Some(image) = place.user_of_snapshot(id, call.now, config) {
            return Err(Refusal::new(
                "InvalidSnapshot.InUse",
                format!("The snapshot {id} is currently in use by {}", image.id),
            ));
        }
        call.rehearse()?;
        place.snapshots.remove(id);
        let mut answer = Answer::yes();
        answer.ids.push(id.to_owned());
        Ok(answer)
    }
}
