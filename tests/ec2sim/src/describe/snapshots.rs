//! `DescribeSnapshots`.

use crate::{
    clock::iso,
    describe::{Listed, Seen, finish, is_meant},
    image::{Snapshot, SnapshotState},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
    xml::Xml,
};

impl Listed for Seen<'_, Snapshot> {
    const FIELDS: &'static [&'static str] = &[
        "snapshot-id",
        "volume-id",
        "volume-size",
        "description",
        "status",
        "progress",
        "start-time",
        "owner-id",
        "encrypted",
        "storage-tier",
    ];

    fn key(&self) -> String {
        self.what.id.clone()
    }

    fn labels(&self) -> &Tags {
        self.tags
    }

    fn field(&self, name: &str, call: &Call<'_>) -> Vec<String> {
        let snapshot = self.what;
        vec![match name {
            "snapshot-id" => snapshot.id.clone(),
            "volume-id" => snapshot.volume.clone(),
            "volume-size" => snapshot.gib.to_string(),
            "description" => snapshot.description.clone(),
            "status" => snapshot.state.as_str().to_owned(),
            "progress" => progress(snapshot, call),
            "start-time" => iso(snapshot.start_time),
            "owner-id" => snapshot.owner.clone(),
            "encrypted" => snapshot.kms_key.is_some().to_string(),
            "storage-tier" => "standard".to_owned(),
            _ => return Vec::new(),
        }]
    }
}

fn progress(snapshot: &Snapshot, call: &Call<'_>) -> String {
    match snapshot.state {
        SnapshotState::Completed => "100%".to_owned(),
        SnapshotState::Error => String::new(),
        SnapshotState::Pending => {
            let share = (call.now - snapshot.start_time) * 99 / snapshot.duration.max(1);
            format!("{}%", share.clamp(0, 99))
        }
    }
}

impl Sim {
    pub(crate) fn describe_snapshots(&self, call: &Call<'_>) -> Result<Answer, Refusal> {
        let ids = call.request.list("SnapshotId");
        let place = self.here(call);
        let mut candidates: Vec<&Snapshot> = if ids.is_empty() {
            place.snapshots.values().chain(self.shared_snapshots(&call.key)).collect()
        } else {
            let find = |id: &String| {
                let mut shared = self.shared_snapshots(&call.key);
                let shared = shared.find(|snapshot| snapshot.id == *id);
                shared.map_or_else(|| place.snapshot(id, call.now, &self.config), Ok)
            };
            ids.iter().map(find).collect::<Result<_, _>>()?
        };
        candidates.retain(|snapshot| {
            snapshot.start_time + self.config.visibility_lag <= call.now && is_meant(call, &snapshot.owner)
        });
        let mut candidates: Vec<_> = candidates
            .into_iter()
            .map(|snapshot| Seen::by(call, snapshot, &snapshot.owner, &snapshot.tags))
            .collect();
        candidates.sort_by_key(Listed::key);
        let page = self.list(call, 5, ("snapshotSet", !ids.is_empty()), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("snapshotSet", &page.entries, |xml, seen| {
            write(xml, seen, call);
        });
        Ok(finish(answer, page.next))
    }
}

fn write(xml: &mut Xml, seen: &Seen<'_, Snapshot>, call: &Call<'_>) {
    let snapshot = seen.what;
    xml.text("snapshotId", &snapshot.id);
    xml.text("volumeId", &snapshot.volume);
    xml.text("status", snapshot.state.as_str());
    xml.maybe("statusMessage", snapshot.message.as_ref());
    xml.text("startTime", iso(snapshot.start_time));
    xml.text("progress", progress(snapshot, call));
    xml.text("ownerId", &snapshot.owner);
    xml.text("volumeSize", snapshot.gib);
    xml.text("description", &snapshot.description);
    xml.text("encrypted", snapshot.kms_key.is_some());
    xml.maybe("kmsKeyId", snapshot.kms_key.as_ref());
    xml.text("storageTier", "standard");
    if let Some(at) = snapshot.completed_at {
        xml.text("completionTime", iso(at));
        xml.text("fullSnapshotSizeInBytes", u64::from(snapshot.gib) << 30);
    }
    xml.tags(seen.tags);
}
