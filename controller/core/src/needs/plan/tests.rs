//! What a plan freezes, when a revision is captured at all, and when a failed one is tried again.
use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{
    ConditionType, SavedTemplateSpec, SavedTemplateStatus,
    condition::find,
    spec::{OnStopTimeout, RestartWhen},
    status::RevisionImage,
};

use super::*;
use crate::{
    decide::decide,
    decision::{Decision, Next},
    sample::{
        CAPTURE, CLUSTER_UID, OWNER, at, image, imaging, owned, plain, planned, running, snapshot, spec,
        stopped_at, subject, tagged, world,
    },
    subject::Subject,
    world::{ClaimRefused, Image, ImageState, Snapshot, SnapshotState, Tags, World},
};

fn decided(spec: &SavedTemplateSpec, status: &SavedTemplateStatus, world: &World, seconds: i64) -> Decision {
    decide(subject(spec, status), world, at(seconds)).into_decision().expect("every question is answered")
}

fn told(decision: &Decision, kind: ConditionType) -> (&str, &str) {
    let found = find(&decision.status.conditions, kind).expect("always written");
    (&found.reason, &found.message)
}

/// The record that a decision writes to the machine, if it begins a capture.
fn begun(decision: &Decision) -> Option<&Record> {
    match decision.step() {
        Some(Step::Tag { record, receipt: Some(_), .. }) => Some(record),
        _ => None,
    }
}

/// Revision `n` of the sample template.
fn revision(n: i32) -> SavedTemplateSpec {
    SavedTemplateSpec { revision: n, ..plain() }
}

fn seen(machine: Instance, seconds: i64) -> World {
    world(at(seconds), vec![machine], vec![], vec![])
}

/// A capture that ended at 200 without an image.
fn failed_with(reason: &str, change: impl FnOnce(&mut CaptureStatus)) -> SavedTemplateStatus {
    let mut status = planned();
    let capture = status.capture.as_mut().unwrap();
    (capture.restart_record, capture.completion_time) = (None, Some(Time(at(200))));
    (capture.reason, capture.message) = (Some(reason.parse().unwrap()), Some("no luck".into()));
    change(capture);
    status
}

#[test]
fn a_plan_freezes_what_was_declared_and_what_was_seen() {
    let spec = spec(
        r#"{"source": {"region": "us-west-2", "instanceName": "earthquake-analysis"}, "revision": 4,
            "tags": [{"key": "team", "value": "geo"}],
            "capture": {"mode": "Reboot", "restartWhen": "ImageAvailable", "maxDowntimeSeconds": 900, "maxDisruptions": 3,
                "stop": {"timeoutSeconds": 120, "onTimeout": "Force"}, "excludeDeviceNames": ["/dev/xvdb"]}}"#,
    );
    let mut before = failed_with("Failed", |capture| {
        (capture.revision, capture.attempts, capture.disruptions) = (4, 2, 1);
        capture.image_requested_time = Some(Time(at(41)));
    });
    before.latest_revision = Some(4);
    let decision = decided(&spec, &before, &seen(running(), 2000), 2000);
    let record = begun(&decision).unwrap_or_else(|| panic!("{:?}", decision.step()));
    let capture = decision.status.capture.clone().unwrap();
    assert_eq!((capture.revision, capture.attempts, capture.disruptions), (4, 3, 1));
    assert_eq!((capture.mode, capture.restart_when), (CaptureMode::Reboot, RestartWhen::ImageAvailable));
    assert_eq!((capture.max_downtime_seconds, capture.on_stop_timeout), (900, OnStopTimeout::Force));
    assert_eq!(capture.exclude_device_names, ["/dev/xvdb"]);
    let root = &running().attachments[0].volume;
    assert_eq!(capture.expected_volumes, std::slice::from_ref(root));
    assert_eq!(capture.launch_time, Some(Time(at(-9000))));
    assert_eq!(capture.start_time, Some(Time(at(2000))));
    assert!(capture.created_by.unwrap().starts_with("savedtemplate/"));
    assert_eq!(capture.consistency, Consistency::Unknown);
    assert_eq!((capture.reason, capture.completion_time), (None, None));
    assert_eq!(capture.restart_record, Some(record.to_string()));
    // The record tells the restart loop the same.
    assert_eq!((&record.instance, &record.capture), (&running().id, &capture.id));
    assert_eq!((record.planned, record.stop_by), (at(2000), at(2060)));
    assert_eq!((record.image_by, record.start_by), (at(2000 + 120 + 180), at(2900)));
    assert_eq!((record.owner.as_str(), record.volumes), (&CLUSTER_UID[..8], 1));
    // And what is written down beside the capture.
    let source = decision.status.source.unwrap();
    assert_eq!(source.original_state.as_deref(), Some("running"));
    let row = &decision.status.regions[0];
    assert_eq!((row.revision, row.attempts, row.state), (Some(4), 3, RegionState::Waiting));
    assert_eq!(decision.status.latest_revision, Some(4));
    assert_eq!(decision.status.applied_tag_keys, ["team"]);
}

#[test]
fn a_machine_is_owed_only_if_it_runs_and_is_to_be_stopped() {
    use InstanceState as S;
    for (mode, restart_when, state, awaits) in [
        ("Stop", "SnapshotsStarted", S::Running, Awaits::Snapshots),
        ("Stop", "ImageAvailable", S::Running, Awaits::Image),
        ("Stop", "SnapshotsStarted", S::Stopped, Awaits::Nothing),
        ("Reboot", "SnapshotsStarted", S::Running, Awaits::Nothing),
        ("Reboot", "ImageAvailable", S::Stopped, Awaits::Nothing),
        ("NoReboot", "SnapshotsStarted", S::Running, Awaits::Nothing),
    ] {
        let spec = spec(&format!(
            r#"{{"source": {{"region": "us-west-2", "instanceName": "earthquake-analysis"}},
                 "capture": {{"mode": "{mode}", "restartWhen": "{restart_when}"}}}}"#
        ));
        let machine = Instance { state, ..stopped_at(None) };
        let decision = decided(&spec, &SavedTemplateStatus::default(), &seen(machine, 0), 0);
        let record = begun(&decision).unwrap_or_else(|| panic!("{:?}", decision.step()));
        assert_eq!(record.awaits, awaits, "{mode} {restart_when} {state:?}");
    }
}

#[test]
fn each_capture_has_a_number_of_its_own() {
    let (plain, second, bare) = (plain(), revision(2), SavedTemplateStatus::default());
    let after_another =
        failed_with("Suspended", |capture| capture.id = crate::sample::EARLIER_CAPTURE.into());
    let after_one = failed_with("Suspended", |_| {});
    let rows = [
        (subject(&plain, &bare), 300),
        (subject(&plain, &bare), 301),
        (subject(&second, &bare), 300),
        (subject(&plain, &after_one), 300),
        (subject(&plain, &after_another), 300),
        (Subject { name: "tremor", ..subject(&plain, &bare) }, 300),
        (Subject { namespace: "lab", ..subject(&plain, &bare) }, 300),
        (Subject { cluster: "other", ..subject(&plain, &bare) }, 300),
        (Subject { cluster_uid: "77777777-1111-2222-3333-444455556666", ..subject(&plain, &bare) }, 300),
    ];
    let captures: BTreeSet<String> = rows
        .iter()
        .map(|(subject, seconds)| {
            let decision =
                decide(*subject, &seen(running(), *seconds), at(*seconds)).into_decision().unwrap();
            let record = begun(&decision).unwrap_or_else(|| panic!("{:?}", decision.step())).clone();
            assert_eq!(record.to_string().parse(), Ok(record.clone()), "the restart loop can read it");
            record.capture
        })
        .collect();
    assert_eq!(captures.len(), rows.len());
}

/// What EC2 shows of an attempt at a revision: the image of one that failed, or a snapshot alone.
fn left_by(revision: &str, attempt: &str) -> (Image, Snapshot) {
    let mut made = owned(image("aaaaaaaaaaaaaaaa", ImageState::Available));
    made.name = OWNER.image_name(OWNER.name, revision.parse().unwrap(), attempt.parse().unwrap_or(1));
    let tags: Tags = [
        (names::tag::REVISION, revision),
        (names::tag::ATTEMPT, attempt),
        (names::tag::FAILED, "DowntimeExceeded"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    made.tags.extend(tags);
    let shot = snapshot(1, "aaaaaaaaaaaaaaaa", at(-500), SnapshotState::Completed);
    let shot = Snapshot { tags: made.tags.clone(), ..shot };
    (made, shot)
}

#[test]
fn an_attempt_has_a_number_that_nothing_of_the_revision_has_had() {
    let foreign = |(mut image, mut shot): (Image, Snapshot)| {
        for tags in [&mut image.tags, &mut shot.tags] {
            tags.insert(names::tag::NAME.into(), "tremor".into());
        }
        (image, shot)
    };
    let last = |attempts, asked| {
        failed_with("Suspended", |capture| {
            capture.attempts = attempts;
            capture.image_requested_time = Some(Time(at(41))).filter(|_| asked);
        })
    };
    let none = SavedTemplateStatus::default;
    for (what, status, left, attempt) in vec![
        ("the first", none(), None, 1),
        ("after one that the status has lost", none(), Some(left_by("1", "1")), 2),
        ("after several", none(), Some(left_by("1", "3")), 4),
        ("beside another revision", none(), Some(left_by("2", "3")), 1),
        ("beside another object", none(), Some(foreign(left_by("1", "3"))), 1),
        ("beside a number that is none, which is that of the first", none(), Some(left_by("1", "x")), 2),
        ("beside a number that nobody reaches", none(), Some(left_by("1", "2147483647")), 1),
        ("after a plan under which nothing was asked for", last(1, false), None, 1),
        ("the same, later", last(3, false), None, 3),
        ("after a request", last(1, true), None, 2),
        ("after a request, by the status", last(3, true), Some(left_by("1", "1")), 4),
        ("after a request, by EC2", last(1, true), Some(left_by("1", "4")), 5),
    ] {
        let (images, shots): (Vec<_>, Vec<_>) = left.into_iter().unzip();
        for (images, shots) in [(images, vec![]), (vec![], shots)] {
            let seen = world(at(300), vec![running()], images, shots);
            let decision = decided(&plain(), &status, &seen, 300);
            assert!(begun(&decision).is_some(), "{what}: {:?}", decision.step());
            assert_eq!(decision.status.capture.unwrap().attempts, attempt, "{what}");
            assert_eq!(decision.status.regions[0].attempts, attempt, "{what}");
        }
    }
}

#[test]
fn only_a_revision_larger_than_all_before_is_captured_and_of_any_other_is_said_what_became_of_it() {
    use RevisionState as S;
    let entry = |revision, state| {
        let image_id = format!("ami-{revision:017x}").parse().unwrap();
        let home =
            RevisionImage { region: "us-west-2".parse().unwrap(), architecture: "x86_64".into(), image_id };
        RevisionStatus { images: vec![home], ..RevisionStatus::new(revision, state) }
    };
    let bare = RevisionStatus::new;
    let three =
        vec![entry(1, S::Available), bare(2, S::Failed), entry(3, S::Available), entry(4, S::Missing)];
    for (wanted, latest, entries, reason, text) in [
        (1, None, vec![], None, ""),
        (3, Some(2), vec![entry(2, S::Available)], None, ""),
        (1, Some(1), vec![], Some("ImageMissing"), "its image is gone"),
        (
            1,
            Some(2),
            vec![entry(1, S::Missing)],
            Some("ImageMissing"),
            "its image (ami-00000000000000001) is gone",
        ),
        (
            1,
            Some(2),
            vec![entry(2, S::Missing), bare(1, S::Missing)],
            Some("ImageMissing"),
            "its image is gone",
        ),
        (1, Some(1), vec![], Some("ImageMissing"), "set spec.revision to 2"),
        (1, Some(5), vec![], Some("RevisionNotFound"), "(these have: none)"),
        (1, Some(5), vec![], Some("RevisionNotFound"), "set spec.revision to 6"),
        (2, Some(4), three, Some("RevisionNotFound"), "(these have: 3, 1)"),
    ] {
        let status =
            SavedTemplateStatus { latest_revision: latest, revisions: entries.clone(), ..Default::default() };
        let decision = decided(&revision(wanted), &status, &seen(running(), 0), 0);
        let what = format!("{wanted} of {latest:?}: {entries:?}");
        assert_eq!(begun(&decision).is_some(), reason.is_none(), "{what}");
        if let Some(reason) = reason {
            let (ready, message) = told(&decision, ConditionType::Ready);
            assert_eq!(ready, reason, "{what}");
            assert!(message.contains(text), "{what}: {message}");
            assert_eq!(told(&decision, ConditionType::Validated).0, "NothingToCapture", "{what}");
        }
    }
}

#[test]
fn a_failed_capture_is_tried_again_only_while_it_may_disrupt_the_machine() {
    for (disruptions, most, again) in
        [(0, 1, true), (1, 1, false), (2, 1, false), (1, 2, true), (2, 2, false)]
    {
        let capture = saved_template_api::spec::CaptureSpec { max_disruptions: most, ..Default::default() };
        let spec = SavedTemplateSpec { capture, ..plain() };
        let status = failed_with("Failed", |capture| capture.disruptions = disruptions);
        let decision = decided(&spec, &status, &seen(running(), 9000), 9000);
        assert_eq!(begun(&decision).is_some(), again, "{disruptions} of {most}");
        if !again {
            let (reason, message) = told(&decision, ConditionType::Stalled);
            assert_eq!(reason, "Failed");
            assert!(message.contains("no luck") && message.contains("disrupted"), "{message}");
            let way_on =
                format!("set spec.revision to 2, or spec.capture.maxDisruptions to {}", disruptions + 1);
            assert!(message.contains(&way_on), "{message}");
        }
    }
}

#[test]
fn a_failed_capture_is_tried_again_at_once_if_it_was_suspended_soon_if_the_machine_was_busy_else_slower_each_time()
 {
    for (reason, attempts, pause) in [
        ("Suspended", 1, 0),
        ("Suspended", 9, 0),
        ("InstanceBusy", 1, 60),
        ("InstanceBusy", 9, 60),
        ("Throttled", 9, 60),
        ("NotTaken", 9, 60),
        ("Replanned", 1, 60),
        ("AccessDenied", 1, 300),
        ("ImageFailed", 0, 300),
        ("ImageFailed", 1, 300),
        ("ImageFailed", 3, 900),
        ("ImageFailed", 12, 3600),
        ("ImageFailed", 40, 3600),
        ("NameConflict", 1, 300),
        ("DowntimeExceeded", 2, 600),
    ] {
        let status = failed_with(reason, |capture| capture.attempts = attempts);
        let (soonest, what) = (200 + pause, format!("{reason} {attempts}"));
        let decision = decided(&plain(), &status, &seen(running(), soonest), soonest);
        assert!(begun(&decision).is_some(), "{what}: {:?}", decision.step());
        if pause == 0 {
            continue;
        }
        let early = decided(&plain(), &status, &seen(running(), soonest - 7), soonest - 7);
        assert_eq!(early.step(), None, "{what}");
        assert_eq!(early.look_again, Duration::from_secs(7), "{what}");
        let (validated, _) = told(&early, ConditionType::Validated);
        // The word is one of those that the condition is documented with; what is tried again by itself is not stuck.
        let told_by_name = ["NameConflict", "AccessDenied", "InstanceBusy"].contains(&reason);
        assert_eq!(validated, if told_by_name { reason } else { "PreflightPassed" });
        let is = |kind| find(&early.status.conditions, kind).is_some();
        let for_somebody = ["NameConflict", "AccessDenied"].contains(&reason);
        assert_eq!(
            (is(ConditionType::Stalled), is(ConditionType::Reconciling)),
            (for_somebody, !for_somebody),
            "{what}"
        );
        let (_, message) = told(&early, ConditionType::Ready);
        assert_eq!(message.contains("tried again at"), !for_somebody, "{message}");
        assert!(message.contains("no luck") && message.contains(&at(soonest).to_string()), "{message}");
    }
}

#[test]
fn a_capture_that_is_good_or_not_over_is_not_followed_by_another() {
    let mut good = failed_with("Failed", |capture| capture.reason = None);
    let capture = good.capture.as_mut().unwrap();
    (capture.image_requested_time, capture.snapshots_started_time) = (Some(Time(at(41))), Some(Time(at(45))));
    let home = good.regions.first_mut().unwrap();
    (home.image_id, home.state) = ("ami-0123456789abcdef0".parse().ok(), RegionState::Available);
    let mut owed = imaging();
    owed.capture.as_mut().unwrap().reason = Some("ImageFailed".parse().unwrap());
    let mut by_hand = owed.clone();
    by_hand.capture.as_mut().unwrap().completion_time = Some(Time(at(100)));
    let capture = saved_template_api::spec::CaptureSpec { max_disruptions: 9, ..Default::default() };
    let spec = SavedTemplateSpec { capture, ..plain() };
    let made = || owned(image(CAPTURE, ImageState::Available));
    let down = || tagged(stopped_at(Some(at(20))));
    for (what, status, machine, images) in [
        ("good", good, running(), vec![made()]),
        ("under way", imaging(), down(), vec![]),
        ("failed, and its machine is owed", owed, down(), vec![]),
        ("said to be over by hand", by_hand, down(), vec![]),
    ] {
        let decision = decided(&spec, &status, &world(at(600), vec![machine], images, vec![]), 600);
        assert!(begun(&decision).is_none(), "{what}: {:?}", decision.step());
        assert_eq!(decision.status.capture.unwrap().id, CAPTURE, "{what}");
    }
}

#[test]
fn a_machine_that_another_object_saves_is_waited_for() {
    let (spec, status) = (plain(), SavedTemplateStatus::default());
    let claimed = |claim| decide(subject(&spec, &status), &World { claim, ..seen(running(), 0) }, at(0));
    assert_eq!(claimed(None), Next::Acquire(running().id));
    let held = |holder: &str| ClaimRefused::Held(holder.to_owned());
    for (refused, reason, says) in [
        (held("geo/tremor"), "InstanceBusy", "geo/tremor: waiting"),
        (held("secret/tremor"), "InstanceBusy", "another template of this installation: waiting"),
        (ClaimRefused::Unknown("its Lease is gone".into()), "NotChecked", "is not known: its Lease is gone"),
    ] {
        let busy = claimed(Some(Err(refused))).into_decision().unwrap();
        assert_eq!(busy.step(), None);
        let (shown, message) = told(&busy, ConditionType::Validated);
        assert_eq!(shown, reason);
        assert!(message.contains(says) && !message.contains("secret"), "{message}");
        let status = find(&busy.status.conditions, ConditionType::Validated).unwrap().status.clone();
        assert_eq!(status, if reason == "NotChecked" { "Unknown" } else { "False" });
        assert!(find(&busy.status.conditions, ConditionType::Reconciling).is_some(), "it is over by itself");
        assert_eq!(busy.look_again, LATER);
    }
    assert!(begun(&claimed(Some(Ok(()))).into_decision().unwrap()).is_some());
}
