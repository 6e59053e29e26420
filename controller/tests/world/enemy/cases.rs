//! What an enemy is known to have tried, at every second and on everything that the account has. The laws on ground truth
//! judge each history; a test says only what they do not.
use ec2sim::InstanceState;

use super::{
    hunt::{SETTLES, ended},
    status::Lie,
    tags::{Claim, Forgery, Note},
};
use crate::{
    history::{History, Way},
    incident::Incident,
    lab::Lab,
    oracle::is_settled,
};

/// More things than the account has of a kind.
const ALL: u8 = 12;

/// A save in which enemies do something, to its end.
fn told(way: Way, incidents: &[(i64, Incident)]) -> Lab {
    let story =
        History { hunted: true, deletes: true, incidents: incidents.to_vec(), ..History::plain(way, 1) };
    ended(&story, SETTLES).0
}

fn forged(way: Way, second: i64, forgery: Forgery) -> Lab {
    told(way, &[(second, Incident::Forge(forgery))])
}

fn assert_saved(lab: &Lab, stops: usize) {
    assert!(lab.is_ready(), "{:?}\n{}", lab.condition("Ready"), lab.history());
    assert_eq!(our_stops(lab), stops, "{}", lab.history());
}

/// The machines beside ours were each stopped by their owners.
fn our_stops(lab: &Lab) -> usize {
    lab.count("StopInstances") - lab.others_machines().len()
}

#[test]
fn an_image_that_only_carries_the_tags_of_a_running_capture_is_never_served() {
    for second in (2..60).step_by(5) {
        for which in 0..ALL / 2 {
            for claim in [Claim::Running, Claim::RunningWithoutSource] {
                assert_saved(&forged(Way::Stop, second, Forgery::Image(claim, which)), 1);
            }
        }
    }
}

#[test]
fn a_record_that_no_plan_can_have_written_starts_nothing() {
    for note in [Note::Unbounded, Note::Future, Note::NoVolumes, Note::OtherCaptureFar] {
        for which in 0..4 {
            for (way, second) in [(Way::StoppedAlready, 60), (Way::NoReboot, 200), (Way::Stop, 20)] {
                forged(way, second, Forgery::Record(note, which));
            }
        }
    }
}

#[test]
fn a_record_whose_limit_is_three_days_past_and_that_nobody_remembers_starts_nothing() {
    let lab = forged(Way::NoReboot, 3 * 86_400, Forgery::Record(Note::Right, 2));
    let sleeper = &lab.place(crate::ec2::HOME).unwrap().instances[&lab.others_machines()[0]];
    assert_eq!(sleeper.state, InstanceState::Stopped, "{:?}\n{}", sleeper.history, lab.history());
}

#[test]
fn a_snapshot_that_only_carries_our_tags_is_neither_tagged_nor_deleted() {
    for which in 0..ALL {
        for claim in [Claim::Wanted, Claim::Running, Claim::RunningWithoutSource, Claim::AdoptedFrom] {
            let forgery = Incident::Forge(Forgery::Snapshot(claim, which));
            told(Way::Stop, &[(300, forgery), (400, Incident::Delete)]);
        }
    }
}

#[test]
fn a_name_that_moved_to_another_machine_moves_no_capture() {
    for (which, instead) in [(0, false), (0, true), (1, false), (1, true)] {
        let rename = Incident::Forge(Forgery::Rename(which, instead));
        let lab = told(Way::Stop, &[(300, rename), (310, Incident::NewRevision)]);
        // Where two machines have the name, the one that is known may be saved.
        assert!(!instead || our_stops(&lab) == 1, "{}", lab.history());
    }
}

#[test]
fn an_image_with_forged_owner_tags_is_not_adopted_and_takes_no_revision() {
    for which in 0..ALL / 2 {
        for claim in [Claim::Next, Claim::Largest, Claim::AdoptedFrom] {
            let forgery = Incident::Forge(Forgery::Image(claim, which));
            let lab = told(Way::Stop, &[(300, forgery), (310, Incident::NewRevision)]);
            let theirs = lab.chronicle().watch.is_of_somebody_else(&lab);
            // What is changed on an image of ours may be told, and be in the way.
            if theirs {
                assert_saved(&lab, 2);
            }
        }
    }
}

#[test]
fn a_forged_record_keeps_no_machine_down_beyond_the_limit_of_its_own() {
    let notes = [
        Note::OtherCapture,
        Note::OtherCaptureFar,
        Note::SameCaptureFar,
        Note::SameCaptureLate,
        Note::SameCaptureSoon,
        Note::ButAClaim,
        Note::ButHasty,
        Note::ButOfManyVolumes,
        Note::Illegible,
        Note::Future,
    ];
    for note in notes {
        for second in (8..60).step_by(7) {
            let lab = forged(Way::Stop, second, Forgery::Record(note, 0));
            assert_eq!(
                lab.instance().state,
                InstanceState::Running,
                "{note:?} at {second}\n{}",
                lab.history()
            );
        }
    }
}

#[test]
fn a_forged_record_keeps_no_machine_down_either_while_kubernetes_is_away() {
    for note in
        [Note::ButAClaim, Note::ButHasty, Note::ButOfManyVolumes, Note::OtherCapture, Note::SameCaptureLate]
    {
        for second in (20..60).step_by(5) {
            let forgery = Incident::Forge(Forgery::Record(note, 0));
            let incidents =
                [(second, Incident::ApiGoes), (second + 1, forgery), (4000, Incident::ApiReturns)];
            let lab = told(Way::Stop, &incidents);
            assert_eq!(
                lab.instance().state,
                InstanceState::Running,
                "{note:?} at {second}\n{}",
                lab.history()
            );
        }
    }
}

#[test]
fn a_record_on_another_machine_that_names_our_capture_makes_nobody_forget_what_ours_is_owed() {
    let forgery = Incident::Forge(Forgery::Record(Note::OursElsewhere, 0));
    for second in (12..60).step_by(4) {
        let stripped = (second + 10, Incident::StripRecord);
        let incidents =
            [(second, Incident::ApiGoes), (second + 1, forgery), stripped, (4000, Incident::ApiReturns)];
        let lab = told(Way::Stop, &incidents);
        assert_eq!(lab.instance().state, InstanceState::Running, "at {second}\n{}", lab.history());
    }
}

#[test]
fn snapshots_of_a_backup_tool_with_our_tags_prove_nothing_and_give_nothing_back_too_early() {
    for second in [12, 30, 36, 38] {
        for which in 0..ALL {
            let forgery = Incident::Forge(Forgery::Snapshot(Claim::Running, which));
            told(Way::Stop, &[(second, Incident::BackUp), (second + 3, forgery), (second + 4, forgery)]);
        }
    }
}

#[test]
fn a_record_that_cannot_be_read_or_is_of_nobody_here_blocks_a_running_machine_for_a_day_and_no_longer() {
    for note in [Note::Illegible, Note::AnotherKey, Note::Future, Note::OtherCaptureFar] {
        let incidents = vec![(1, Incident::Forge(Forgery::Record(note, 0)))];
        let story = History { hunted: true, incidents, ..History::plain(Way::Stop, 0) };
        let (lab, _) = ended(&story, 27 * 3600);
        assert!(lab.is_ready(), "{note:?}: {:?}\n{}", lab.condition("Ready"), lab.history());
    }
}

#[test]
fn a_status_that_names_another_machine_writes_no_record_and_starts_nothing() {
    for second in [5, 20, 45, 130, 300] {
        for which in [0, 1] {
            for lie in [Lie::DebtOfAnother(which), Lie::SourceIsAnother(which)] {
                told(Way::Stop, &[(second, Incident::Lie(lie))]);
            }
        }
    }
}

#[test]
fn an_image_of_somebody_else_that_a_status_serves_is_not_served_for_long() {
    for second in [20, 130, 300] {
        for which in 0..ALL / 2 {
            for lie in [Lie::Serves(which), Lie::RowIsAnothers(which)] {
                told(Way::Stop, &[(second, Incident::Lie(lie))]);
            }
        }
    }
}

#[test]
fn tags_that_are_changed_on_our_own_copies_keep_nobody_busy() {
    for claim in [Claim::Largest, Claim::Next, Claim::OfNobody, Claim::Holder, Claim::Failed, Claim::Retained]
    {
        forged(Way::NoReboot, 378, Forgery::Abroad(claim));
    }
}

#[test]
fn a_namesake_in_another_cluster_changes_nothing_of_what_is_ours() {
    for second in (1..300).step_by(13) {
        let lab = told(Way::Stop, &[(second, Incident::Twin)]);
        assert!(is_settled(&lab), "{:?}\n{}", lab.condition("Ready"), lab.history());
        let lab = told(Way::Stop, &[(second, Incident::Twin), (400, Incident::Delete)]);
        assert!(lab.object().is_none(), "{}", lab.history());
    }
}
