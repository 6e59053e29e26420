//! Which of two copies goes, and what is never taken for a second one: tables.
use saved_template_api::{SavedTemplateStatus, names::tag, status::RegionImage};

use super::*;
use crate::{
    decide::decide,
    sample::{OWNER, abroad, at, copy, images, made, plain, replicated, subject},
};

/// The copy that was asked for after the first was not believed in any more.
fn second() -> Image {
    let name = format!("{}-c2", OWNER.image_name(OWNER.name, 1, 1));
    Image { id: "ami-00000000000000009".parse().unwrap(), name, ..copy() }
}

fn status() -> SavedTemplateStatus {
    let mut status = replicated();
    status.regions[1].attempts = 2;
    status
}

fn removed(status: &SavedTemplateStatus, copies: Vec<Image>) -> Option<String> {
    let world = images(at(900), vec![made()], copies);
    match decide(subject(&plain(), status), &world, at(900))
        .into_decision()
        .expect("nothing is asked")
        .steps
        .pop()
    {
        Some(Step::Deregister { region, image }) => {
            assert_eq!(region.as_str(), "us-east-2");
            Some(image.to_string())
        }
        Some(other) => panic!("{other:?}"),
        None => None,
    }
}

#[test]
fn of_two_copies_of_one_image_the_one_that_the_row_does_not_name_is_removed() {
    assert_eq!(removed(&status(), vec![copy(), second()]), Some(second().id.to_string()));
    let mut other = status();
    other.regions[1].image_id = Some(second().id);
    assert_eq!(removed(&other, vec![copy(), second()]), Some(copy().id.to_string()));
    assert_eq!(removed(&status(), vec![copy()]), None);
}

#[test]
fn what_is_no_second_copy_of_ours_or_not_whole_or_all_that_there_is_stays() {
    let tagged = |key: &str, value: &str| {
        let mut image = second();
        image.tags.insert(key.into(), value.into());
        image
    };
    let name = |name: String| Image { name, ..second() };
    let spec = plain();
    let of = OWNER.image_name(OWNER.name, 1, 1);
    for (image, what) in [
        (Image { state: ImageState::Pending, ..second() }, "EC2 still writes it"),
        (Image { source_image: Some(second().id), ..second() }, "a copy of another image"),
        (name(format!("{of}-c3")), "a name that was never asked for"),
        (name(format!("{of}-mine")), "a name of somebody's own"),
        (tagged(tag::CLUSTER, "other"), "of another cluster"),
        (tagged(tag::HOLDER, "twin"), "held by a twin"),
        (tagged(tag::REVISION, "2"), "of another revision"),
    ] {
        let world = images(at(900), vec![made()], vec![copy(), image]);
        let status = status();
        let facts = Facts::new(subject(&spec, &status), &world, at(900));
        assert_eq!(need(&facts).and_then(|mut unmet| unmet.steps.pop()), None, "{what}");
    }
    // The row's own is not there, or cannot be launched: nothing is taken away.
    for copies in [vec![second()], vec![Image { state: ImageState::Disabled, ..copy() }, second()]] {
        let world = images(at(900), vec![made()], copies);
        let status = status();
        let facts = Facts::new(subject(&spec, &status), &world, at(900));
        assert_eq!(need(&facts).and_then(|mut unmet| unmet.steps.pop()), None);
    }
    // Consumers may read it.
    let mut served = status();
    served.images.push(RegionImage {
        region: "us-east-2".parse().unwrap(),
        architecture: "x86_64".into(),
        revision: 1,
        image_id: second().id,
        created_time: None,
    });
    let world = images(at(900), vec![made()], vec![copy(), second()]);
    let facts = Facts::new(subject(&spec, &served), &world, at(900));
    assert_eq!(need(&facts).and_then(|mut unmet| unmet.steps.pop()), None);
}

#[test]
fn a_second_copy_is_asked_to_go_once_and_not_again_before_a_later_read() {
    let world = images(at(900), vec![made()], vec![copy(), second()]);
    let first = decide(subject(&plain(), &status()), &world, at(900)).into_decision().unwrap();
    let again = decide(subject(&plain(), &first.status), &world, at(901)).into_decision().unwrap();
    assert_eq!(again.step(), None);
    let mut gone = images(at(905), vec![made()], vec![copy()]);
    abroad(&mut gone).began = at(905);
    assert_eq!(
        decide(subject(&plain(), &first.status), &gone, at(905)).into_decision().unwrap().step(),
        None
    );
}
