//! The object goes: no new work, the debt paid, then the finalizer (§9). The images stay (`Retain`).
use saved_template_api::{Reason, spec::DeletionPolicy};

use crate::{
    decide::Finalizer,
    needs::{SOON, Unmet, record},
    scene::Scene,
};

pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    if !scene.subject.deleting {
        return None;
    }
    let owed = scene.open_capture().is_some_and(|capture| capture.debt.is_some());
    if owed && scene.subject.finalizer && !is_overdue(scene) {
        return Some(pay_first(scene));
    }
    if scene.subject.spec.deletion_policy != DeletionPolicy::Retain && scene.subject.finalizer {
        let message = format!(
            "spec.deletionPolicy Delete is not yet supported by this version: the images stay, and so does this object \
             until it says Retain: kubectl -n {} patch savedtemplate {} --type merge -p \
             '{{\"spec\":{{\"deletionPolicy\":\"Retain\"}}}}'",
            scene.subject.namespace, scene.subject.name
        );
        return Some(Unmet {
            invalid: Some(Reason::NotYetSupported),
            ..Unmet::stalled(Reason::Deleting, message)
        });
    }
    let going = Unmet::waiting(Reason::Deleting, "the images stay (deletionPolicy Retain)", SOON);
    Some(Unmet {
        finalizer: if scene.subject.finalizer { Finalizer::Remove } else { Finalizer::Keep },
        ..going
    })
}

/// A debt holds the object until the machine's limit has passed; then the tag and the restart loop remain.
fn is_overdue(scene: &Scene<'_>) -> bool {
    scene.record().is_some_and(|record| scene.now >= record.start_by)
}

fn pay_first(scene: &mut Scene<'_>) -> Unmet {
    let unmet = record::give_up(scene, "Deleted", "the object was deleted before the image was asked for");
    let step = unmet.and_then(|unmet| unmet.step);
    let message = "the machine is given back before the object goes";
    Unmet { step, ..Unmet::waiting(Reason::Deleting, message, SOON) }
}
