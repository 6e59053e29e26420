//! `DescribeSnapshots`.

use crate::{
    clock::iso,
    describe::{Listed, finish, owns},
    image::{Snapshot, SnapshotState},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
    xml::Xml,
};

impl Listed for Snapshot {
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
        self.id.clone()
    }

    fn labels(&self) -> &Tags {
        &self.tags
    }

    fn field(&self, name: &str, call: &Call<'_>) -> Vec<String> {
        vec![match name {
            "snapshot-id" => self.id.clone(),
            "volume-id" => self.volume.clone(),
            "volume-size" => self.gib.to_string(),
            "description" => self.description.clone(),
            "status" => self.state.as_str().to_owned(),
            "progress" => progress(self, call),
            "start-time" => iso(self.start_time),
            "owner-id" => call.key.account.clone(),
            "encrypted" => self.kms_key.is_some().to_string(),
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
            place.snapshots.values().collect()
        } else {
            ids.iter().map(|id| place.snapshot(id, call.now, &self.config)).collect::<Result<_, _>>()?
        };
        candidates
            .retain(|snapshot| snapshot.start_time + self.config.visibility_lag <= call.now && owns(call));
        let page = self.list(call, 5, ("snapshotSet", !ids.is_empty()), candidates)?;
        let mut answer = Answer::default();
        answer.xml.items("snapshotSet", &page.entries, |xml, snapshot| {
            write(xml, snapshot, call);
        });
        Ok(finish(answer, page.next))
    }
}

fn write(xml: &mut Xml, snapshot: &Snapshot, call: &Call<'_>) {
    xml.text("snapshotId", &snapshot.id);
    xml.text("volumeId", &snapshot.volume);
    xml.text("status", snapshot.state.as_str());
    xml.maybe("statusMessage", snapshot.message.as_ref());
    xml.text("startTime", iso(snapshot.start_time));
    xml.text("progress", progress(snapshot, call));
    xml.text("ownerId", &call.key.account);
    xml.text("volumeSize", snapshot.gib);
    xml.text("description", &snapshot.description);
    xml.text("encrypted", snapshot.kms_key.is_some());
    xml.maybe("kmsKeyId", snapshot.kms_key.as_ref());
    xml.text("storageTier", "standard");
    if let Some(at) = snapshot.completed_at {
        xml.text("completionTime", iso(at));
        xml.text("fullSnapshotSizeInBytes", u64::from(snapshot.gib) << 30);
    }
    xml.tags(&snapshot.tags);
}
