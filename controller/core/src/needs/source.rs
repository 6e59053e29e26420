//! The machine is back. The restart loop brings it; here it is only waited for and told.
use saved_template_api::Reason;

use crate::{
    needs::{SOON, Unmet},
    scene::Scene,
};

pub(crate) fn need(scene: &mut Scene<'_>) -> Option<Unmet> {
    let capture = scene.open_capture().filter(|capture| capture.debt.is_some())?;
    let (reason, message) = crate::conditions::source_restored(scene, capture);
    let ready =
        if capture.stop_requested_time.is_some() { Reason::RestoringSource } else { Reason::Capturing };
    Some(Unmet::waiting(ready, format!("{}: {message}", reason.name()), SOON))
}
