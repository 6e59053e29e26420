//! What EC2 could answer, and what somebody with its tools could make it answer.
use std::sync::Arc;

use jiff::Timestamp;
use saved_template_api::{Region, SavedTemplateSpec, SavedTemplateStatus, names, names::tag};
use saved_template_core::{
    ec2_error::Ec2Error,
    world::{
        Absence, Attachment, ClaimRefused, ClassSeen, Image, ImageState, Instance, InstanceState, OptIn,
        Permits, Probe, Reservation, Sighting, Snapshot, SnapshotState, Started, Tags, View, Volume, World,
    },
};

use super::{
    dice::Dice,
    laws::{CLUSTER_UID, OWNER},
    objects::{REGIONS, capture, debt, image_id, instance_id, region, volume_id},
};

const STATES: [InstanceState; 7] = [
    InstanceState::Running,
    InstanceState::Stopped,
    InstanceState::Stopping,
    InstanceState::Pending,
    InstanceState::ShuttingDown,
    InstanceState::Terminated,
    InstanceState::Unknown,
];

fn refusal(dice: &mut Dice<'_>) -> Ec2Error {
    let code = dice.pick(&[
        "",
        "RequestLimitExceeded",
        "UnauthorizedOperation",
        "RegionNotEnabled",
        "InvalidParameter",
        "\u{1b}[2J",
    ]);
    Ec2Error::new("DescribeInstances", code, dice.text(10_000))
}

fn read<T>(dice: &mut Dice<'_>, make: impl FnOnce(&mut Dice<'_>) -> T) -> Result<T, Ec2Error> {
    if dice.once_in(10) { Err(refusal(dice)) } else { Ok(make(dice)) }
}

/// Everything that a decision about this object can be shown.
pub(crate) fn world(
    dice: &mut Dice<'_>,
    spec: &SavedTemplateSpec,
    status: &SavedTemplateStatus,
    now: Timestamp,
) -> World {
    let home = &spec.source.region;
    let mut known: Vec<Region> = spec.regions.iter().map(|region| region.name.clone()).collect();
    known.extend(status.regions.iter().map(|row| row.region.clone()));
    known.extend(REGIONS[1..].iter().map(|name| name.parse().unwrap()));
    let mut abroad = std::collections::BTreeMap::new();
    for region in known.into_iter().filter(|region| region != home) {
        if !abroad.contains_key(&region) && !dice.once_in(8) {
            let view = read(dice, |dice| Arc::new(view(dice, &region, spec, status, now)));
            abroad.insert(region, view);
        }
    }
    World {
        home: read(dice, |dice| Arc::new(view(dice, home, spec, status, now))),
        abroad,
        probe: Some(probe(dice, spec)),
        permits: Some(Permits { stop: read(dice, |_| ()), start: read(dice, |_| ()) }),
        claim: Some(if dice.once_in(8) { Err(ClaimRefused::Held(dice.text(300))) } else { Ok(()) }),
        class: Some(class(dice)),
        users: None,
        started: dice.maybe(|dice| Started {
            previous: dice.pick(&STATES),
            launch_time_before: dice.maybe(Dice::time),
        }),
        start_refused: if dice.once_in(6) { Some(refusal(dice)) } else { None },
        covered: !dice.once_in(8),
        unsent: dice.once_in(2),
        sent: dice.once_in(4),
    }
}

fn class(dice: &mut Dice<'_>) -> ClassSeen {
    match dice.below(16) {
        0 => ClassSeen::Missing,
        1 => ClassSeen::Going,
        2 => ClassSeen::Unheld,
        3 => ClassSeen::Unread(dice.text(300)),
        4 => ClassSeen::Held { not_enforced: vec![dice.text(60)] },
        _ => ClassSeen::Held { not_enforced: Vec::new() },
    }
}

fn view(
    dice: &mut Dice<'_>,
    region: &Region,
    spec: &SavedTemplateSpec,
    status: &SavedTemplateStatus,
    now: Timestamp,
) -> View {
    let began = now - jiff::SignedDuration::from_secs(i64::try_from(dice.below(60)).unwrap());
    let instances = read(dice, |dice| {
        let mut all = dice.few(3, |dice| instance(dice, spec, status));
        all.sort_by_key(|one| one.id.clone());
        all.dedup_by_key(|one| one.id.clone());
        all
    });
    let seen = instances
        .iter()
        .flatten()
        .flat_map(|one| one.tags.values().map(|value| (one.id.clone(), value.clone())));
    let first = began - jiff::SignedDuration::from_secs(i64::try_from(dice.below(12)).unwrap());
    let sightings = seen.map(|seen| (seen, Sighting { first, last: began })).collect();
    let images = read(dice, |dice| {
        let mut all = dice.few(4, |dice| image(dice, region, spec));
        all.sort_by_key(|one| one.id.clone());
        all.dedup_by_key(|one| one.id.clone());
        all
    });
    let snapshots = read(dice, |dice| {
        let shots = if dice.once_in(30) { 300 } else { 5 };
        let mut all = dice.few(shots, |dice| snapshot(dice, region, spec));
        for (number, shot) in all.iter_mut().enumerate() {
            shot.id = format!("snap-{number:017x}").parse().unwrap();
        }
        all
    });
    let ids = (0..6).map(|number| format!("ami-0123456789abcdef{number}"));
    let ids = ids.chain((0..3).map(|number| format!("i-0123456789abcdef{number}")));
    let shown: Vec<String> = images.iter().flatten().map(|one| one.id.to_string()).collect();
    let everything = saved_template_core::key::Key::template(OWNER.namespace, OWNER.name).to_string();
    let name = OWNER.image_name(OWNER.name, spec.revision, 1);
    let absent = ids.chain([everything, name]).filter(|what| !shown.contains(what));
    let absences = absent
        .filter_map(|what| {
            dice.maybe(|dice| (what, Absence { since: dice.time(), reads: u32::from(dice.byte()) }))
        })
        .collect();
    View { began, instances, images, snapshots, sightings, absences }
}

fn instance(dice: &mut Dice<'_>, spec: &SavedTemplateSpec, status: &SavedTemplateStatus) -> Instance {
    let volumes = dice.pick(&[2, 2, 0, 1, 3, 128]);
    let attachments = (0..volumes).map(|number| Attachment {
        device: if number == 0 { "/dev/sda1".into() } else { format!("/dev/sd{number}") },
        volume: format!("vol-{:017x}", number + 1).parse().unwrap(),
        attached: true,
        since: None,
    });
    let attachments: Vec<_> = attachments.collect();
    let codes = [
        "Client.UserInitiatedShutdown",
        "Server.InternalError",
        "Client.InstanceInitiatedShutdown",
        "New.Code\n",
    ];
    let mut tags: Tags = dice.few(3, |dice| (dice.text(127), dice.text(255))).into_iter().collect();
    tags.insert("Name".into(), spec.source.instance_name.clone().unwrap_or_else(|| "quake".into()));
    let held = status.capture.as_ref().and_then(|capture| capture.restart_record.clone());
    match dice.below(4) {
        0 => {}
        1 => _ = tags.insert(names::debt_key(OWNER.cluster), debt(dice)),
        _ => tags.extend(held.map(|value| (names::debt_key(OWNER.cluster), value))),
    }
    if dice.once_in(8) {
        tags.insert(names::debt_key("other"), debt(dice));
    }
    if dice.once_in(6) {
        let value = if dice.flip() { format!("r{} 0123456789abcdef", dice.number()) } else { dice.text(255) };
        tags.insert(OWNER.old_receipt_key(), value);
    }
    if dice.once_in(4) {
        let entries = dice.few(11, |dice| {
            let known = [OWNER.receipt_object(), "0123456789abcdef".into(), dice.text(20)];
            format!("{}=r{}", dice.pick(&known), dice.number())
        });
        tags.insert(names::receipts_key(OWNER.cluster), entries.join(" "));
    }
    Instance {
        id: instance_id(dice),
        account: "123456789012".parse().unwrap(),
        state: dice.pick(&[&STATES[..], &STATES[..2]].concat()),
        state_reason: dice.maybe(|dice| dice.pick(&codes).to_owned()),
        transition_time: dice.maybe(Dice::time),
        launch_time: match dice.below(4) {
            0 => None,
            1 => Some(dice.time()),
            _ => status.capture.as_ref().and_then(|capture| Some(capture.launch_time.as_ref()?.0)),
        },
        attachments,
        root_device: Some("/dev/sda1".into()),
        ebs_root: !dice.once_in(10),
        lifecycle: if dice.once_in(10) { Some("spot".into()) } else { None },
        managed: dice.once_in(20),
        outpost: dice.once_in(20),
        zone: Some("us-west-2a".into()),
        architecture: if dice.once_in(6) { dice.maybe(|dice| dice.text(40)) } else { Some("x86_64".into()) },
        platform: dice.maybe(|dice| dice.text(300)),
        instance_type: dice.maybe(|dice| dice.text(100)),
        image: dice.maybe(image_id),
        hibernation: dice.once_in(10),
        lent_address: dice.once_in(10),
        product_codes: dice.once_in(10),
        dedicated_host: dice.once_in(10),
        reservation: dice.maybe(|dice| dice.pick(&[Reservation::Targeted, Reservation::Open])),
        placement_group: dice.maybe(|dice| dice.pick(&["hpc", ""]).to_owned()),
        tags,
    }
}

/// Tags of something of ours, perhaps with one that is forged, lacking or new.
fn tags(dice: &mut Dice<'_>, region: &Region, spec: &SavedTemplateSpec, role: &str) -> Tags {
    let ours = [
        (tag::CLUSTER, OWNER.cluster.to_owned()),
        (tag::NAMESPACE, OWNER.namespace.to_owned()),
        (tag::NAME, OWNER.name.to_owned()),
        (tag::REVISION, dice.revision().to_string()),
        (tag::ATTEMPT, "1".to_owned()),
        (tag::CAPTURE, capture(dice)),
        (tag::SOURCE, names::source_digest(&spec.source)),
        (tag::SOURCE_INSTANCE, "i-0123456789abcdef0".to_owned()),
        (tag::ROLE, role.to_owned()),
        (tag::REGION, region.to_string()),
        (tag::HOLDER, CLUSTER_UID.to_owned()),
    ];
    let mut tags: Tags = ours.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for wish in spec.tags.iter().filter(|_| dice.flip()) {
        tags.insert(wish.key.clone(), wish.value.clone());
    }
    if dice.once_in(3) {
        let keys: Vec<String> = tags.keys().cloned().collect();
        let key = dice.pick(&keys);
        let forged = dice.pick(&["true", "other", "99999999999", "-1", "copy", "home"]).to_owned();
        match dice.below(3) {
            0 => _ = tags.remove(&key),
            1 => _ = tags.insert(key, dice.text(255)),
            _ => _ = tags.insert(key, forged),
        }
    }
    if dice.once_in(6) {
        tags.insert(tag::RETAINED.to_owned(), dice.pick(&["true", "", "TRUE"]).to_owned());
    }
    if dice.once_in(10) {
        tags.insert(tag::ADOPTED_FROM.to_owned(), dice.text(60));
    }
    tags
}

fn image(dice: &mut Dice<'_>, here: &Region, spec: &SavedTemplateSpec) -> Image {
    let home = *here == spec.source.region;
    let mut tags = tags(dice, here, spec, if home { "home" } else { "copy" });
    let revision = tags.get(tag::REVISION).and_then(|text| text.parse().ok()).unwrap_or(1);
    let template = spec.template_name.as_deref().unwrap_or(OWNER.name);
    let name = if dice.once_in(5) { dice.text(128) } else { OWNER.image_name(template, revision, 1) };
    if dice.once_in(8) {
        tags.clear();
    }
    Image {
        id: image_id(dice),
        owner: Some(dice.pick(&["123456789012", "123456789012", "210987654321"]).parse().unwrap()),
        name,
        description: dice.text(255),
        state: dice.pick(&[
            ImageState::Available,
            ImageState::Available,
            ImageState::Pending,
            ImageState::Failed,
            ImageState::Deregistered,
            ImageState::Disabled,
            ImageState::Unknown,
        ]),
        state_reason: dice.maybe(|dice| dice.text(10_000)),
        created: dice.maybe(Dice::time),
        architecture: if dice.once_in(6) { dice.maybe(|dice| dice.text(40)) } else { Some("x86_64".into()) },
        source_instance: if home { Some(instance_id(dice)) } else { None },
        source_image: Some(image_id(dice)),
        source_region: if home {
            None
        } else {
            Some(if dice.once_in(6) { region(dice) } else { spec.source.region.clone() })
        },
        snapshots: (0..dice.below(4)).map(|number| format!("snap-{number:017x}").parse().unwrap()).collect(),
        tags,
    }
}

fn snapshot(dice: &mut Dice<'_>, here: &Region, spec: &SavedTemplateSpec) -> Snapshot {
    let home = *here == spec.source.region;
    let description = match dice.below(6) {
        0 => dice.text(255),
        1..4 if home => "Created by CreateImage(i-0123456789abcdef0) for ami-0123456789abcdef0".into(),
        _ => "Copied for DestinationAmi ami-0123456789abcdef0 from SourceAmi ami-1".into(),
    };
    Snapshot {
        id: "snap-00000000".parse().unwrap(),
        volume: volume_id(dice),
        state: dice.pick(&[
            SnapshotState::Completed,
            SnapshotState::Pending,
            SnapshotState::Error,
            SnapshotState::Unknown,
        ]),
        started: dice.maybe(Dice::time),
        progress: dice.byte(),
        volume_gib: dice.number(),
        description,
        tags: tags(dice, here, spec, if home { "home" } else { "copy" }),
    }
}

fn probe(dice: &mut Dice<'_>, spec: &SavedTemplateSpec) -> Probe {
    let home = spec.source.region.clone();
    let abroad = spec.regions.iter().map(|region| region.name.clone());
    let regions: Vec<Region> = abroad.chain([home.clone()]).collect();
    Probe {
        stop_protected: read(dice, |dice| dice.once_in(10)),
        shutdown_terminates: read(dice, |dice| dice.once_in(2)),
        events: read(dice, |dice| dice.few(1, |dice| dice.text(200))),
        instance_store: read(dice, |dice| dice.once_in(10)),
        regions: read(dice, |dice| {
            let off = dice.once_in(10);
            regions
                .into_iter()
                .map(|region| (region, if off { OptIn::NotOptedIn } else { OptIn::Enabled }))
                .collect()
        }),
        create_image: read(dice, |_| ()),
        volumes: read(dice, |dice| {
            dice.few(2, |dice| Volume {
                id: volume_id(dice),
                multi_attach: dice.once_in(6),
                kind: dice.text(20),
                key: dice.maybe(|dice| dice.text(320)),
                managed: dice.once_in(10),
            })
        }),
        snapshots: read(dice, |dice| dice.few(1, |dice| snapshot(dice, &home, spec))),
        pending_images: read(dice, |dice| dice.few(1, |dice| image(dice, &home, spec))),
        namesakes: read(dice, |dice| dice.few(1, |dice| image(dice, &home, spec))),
    }
}
