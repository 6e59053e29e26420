//! What the version before wrote is taken over.
use crate::{COPIES, chronicle::Kill, saved, saved_from};

#[test]
fn a_save_that_the_version_before_began_is_finished_by_this_one() {
    let effects = saved(COPIES, None).effects().len();
    for effect in 0..effects {
        let lab = saved_from(COPIES, Some(Kill { effect, after: true }), crate::lab::Lab::writes_as_before);
        crate::assert_saved(&lab, COPIES);
    }
}

#[test]
fn an_object_that_the_version_before_saved_is_taken_over_without_a_change() {
    let mut lab = saved(COPIES, None);
    lab.stops_all();
    lab.writes_as_before();
    let changes = lab.changes();
    lab.reboot();
    lab.run(1800);
    assert_eq!(lab.changes(), changes);
    assert!(lab.is_ready());
}
