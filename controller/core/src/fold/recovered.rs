//! What the machine tells that the status does not know: an abort without Kubernetes, and all that a status which went back
//! has forgotten.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use saved_template_api::{spec::OnStopTimeout, status::CaptureReason};

use crate::{
    capture::fail,
    draft::Draft,
    restart::{self, Record},
    world::{Instance, InstanceState},
};

/// What a status that is older than the world has forgotten (a restored etcd, a lost member): the machine was stopped under
/// the record, its image asked for. What EC2 shows wins (R3), unless this process knows that no Stop was sent; and what this
/// process knows, where the machine ran again and its record was taken off.
pub(super) fn remember(draft: &mut Draft<'_>, instance: &Instance) {
    let Some(record) = draft.record() else { return };
    let tagged = draft.tagged_value().and_then(|value| value.parse::<Record>().ok());
    let covered = draft.world.sent || tagged.is_some_and(|tagged| tagged.capture == record.capture);
    let stopped = match instance.state {
        InstanceState::Stopping | InstanceState::Stopped => {
            !draft.world.unsent && !restart::stopped_by_somebody(&record, instance)
        }
        InstanceState::Running | InstanceState::Pending => {
            draft.now > record.stop_by && instance.launch_time.is_some_and(|launch| launch > record.planned)
        }
        InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Unknown => false,
    };
    let images = draft.images().unwrap_or_default();
    let made = images.iter().find(|image| draft.is_of_capture(image, &record));
    let asked = made.map(|image| image.created.unwrap_or(draft.now));
    let claims = draft.is_claim();
    let was_stopped = !claims && (asked.is_some() || (covered && stopped));
    let Some(capture) = draft.status.capture.as_mut() else { return };
    if capture.completion_time.is_some() || capture.reason.is_some() {
        return;
    }
    if was_stopped && capture.stop_requested_time.is_none() {
        capture.stop_requested_time = Some(Time(record.planned));
        capture.disruptions = capture.disruptions.saturating_add(1);
    }
    if capture.image_requested_time.is_none() {
        capture.image_requested_time = asked.map(Time);
    }
}

/// An abort that was written to the machine while Kubernetes was silent is the truth of the record: its `m`. So is the
/// hard stop that a status which went back has forgotten: `s` and `m`. Nothing else of it, for the rest is ours and anybody
/// may have written the tag. Before a Stop there is nothing to give up, and nothing to stop the hard way.
pub(super) fn follow(draft: &mut Draft<'_>) {
    let on_machine = draft.tagged_value().and_then(|value| value.parse::<Record>().ok());
    let (Some(tagged), Some(record)) = (on_machine, draft.record()) else {
        return;
    };
    let is_down = draft.instance().is_some_and(|instance| instance.state != InstanceState::Running);
    let now = draft.now;
    let Some(capture) = draft.status.capture.as_mut().filter(|capture| capture.restart_record.is_some())
    else {
        return;
    };
    let is_aborted = capture.stop_requested_time.is_some()
        && tagged.capture == record.capture
        && tagged.stop_by == record.stop_by
        && tagged.image_by < record.image_by;
    let is_forced = is_down
        && capture.on_stop_timeout == OnStopTimeout::Force
        && capture.reason.is_none()
        && tagged.stop_by > record.stop_by
        && record.followed_by(&tagged, now);
    if is_aborted || is_forced {
        let Record { stop_by, image_by, .. } = tagged;
        capture.restart_record = Some(Record { stop_by, image_by, ..record }.to_string());
    }
    // Nothing more is waited for, and nothing stopped the hard way.
    if is_aborted && capture.reason.is_none() && capture.image_requested_time.is_none() {
        let why = "the restart record on the machine says that the save was given up, as it is while Kubernetes is silent";
        fail(capture, CaptureReason::Failed, why);
    }
}
