//! `DeregisterImage` and `DeleteSnapshot`.

use crate::{
    change::create::snapshots,
    image::ImageState,
    refusal::Refusal,
    sim::{Answer, Call, Sim},
};

impl Sim {
    pub(crate) fn deregister_image(&mut self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let id = call.request.required("ImageId")?;
        let with_snapshots = call.request.flag("DeleteAssociatedSnapshots")?;
        let config = &self.config;
        let place = self.places.entry(call.key.clone()).or_default();
        let image = place.usable_image(id, call.now, config)?;
        let snapshots: Vec<String> = snapshots(image).cloned().collect();
        call.rehearse()?;
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
        for snapshot in snapshots {
            let is_shared = place.images.values().any(|other| {
                other.deregistered_at.is_none()
                    && other.mappings.iter().any(|mapping| mapping.snapshot.as_ref() == Some(&snapshot))
            });
            let result = match (place.snapshots.contains_key(&snapshot), is_shared) {
                (true, true) => "skipped",
                (true, false) => {
                    place.snapshots.remove(&snapshot);
                    answer.ids.push(snapshot.clone());
                    "success"
                }
                (false, _) => "client-error",
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
        place.snapshot(id, call.now, config)?;
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
