//! A walk over the schema: each field that is built is edited, broken and put back at arbitrary seconds, and the end is
//! the world of a fresh object with that spec.
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

use ec2sim::{ImageState, InstanceState};
use saved_template_api::{SavedTemplateSpec, names::tag};
use serde_json::{Value, json};

use crate::{history::draw, lab::Lab, random};

const WANTED: [&str; 2] = ["us-west-2", "us-west-1"];

fn base() -> Value {
    json!({
        "source": {"region": "us-west-2", "instanceName": "quake"},
        "regions": [{"name": "us-west-1"}],
        "tags": [{"key": "team", "value": "geo"}],
        "description": "first",
        "revision": 1,
    })
}

fn with(more: &Value) -> SavedTemplateSpec {
    let mut spec = base();
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn edit(lab: &mut Lab, more: &Value) {
    lab.edit(|object| object.spec = with(more));
}

/// The field, another value of it, and one that cannot be honoured. Of those without such a value, an unsupported
/// neighbour breaks the object.
fn fields() -> Vec<(&'static str, Value, Value)> {
    let unsupported = [
        json!({"sharing": {"visibility": "Public"}}),
        json!({"encryption": {"mode": "Encrypt"}}),
        json!({"publish": {"configMap": {"name": "ids"}}}),
        json!({"projectName": "quakes"}),
        json!({"lifecycle": {"deprecateAfterDays": 30}}),
        json!({"retention": {"keepLast": 3}}),
        json!({"revokedRevisions": [1]}),
        json!({"regions": [{"name": "us-west-1", "kmsKeyID": "alias/x"}]}),
    ];
    let capture = |field: &str, value: Value| json!({"capture": {field: value}});
    let none = json!([{"name": "us-west-1"}, {"name": "xx-nowhere-1"}]);
    let rows = [
        ("description", json!({"description": "~".repeat(255)}), unsupported[4].clone()),
        ("tags", json!({"tags": [{"key": "new", "value": "x"}]}), unsupported[0].clone()),
        ("suspend", json!({"suspend": true}), unsupported[1].clone()),
        ("regions", json!({"regions": []}), json!({"regions": none.clone()})),
        (
            "regions, more",
            json!({"regions": [{"name": "us-west-1"}, {"name": "us-east-2"}]}),
            json!({"regions": none}),
        ),
        ("regions, deleted", json!({"regions": [], "removedRegionPolicy": "Delete"}), unsupported[7].clone()),
        ("removedRegionPolicy", json!({"removedRegionPolicy": "Delete"}), unsupported[2].clone()),
        ("deletionPolicy", json!({"deletionPolicy": "Delete"}), unsupported[3].clone()),
        ("mode", capture("mode", json!("Reboot")), capture("excludeDeviceNames", json!(["/dev/none"]))),
        ("mode, none", capture("mode", json!("NoReboot")), unsupported[4].clone()),
        ("restartWhen", capture("restartWhen", json!("ImageAvailable")), unsupported[5].clone()),
        ("maxDowntimeSeconds", capture("maxDowntimeSeconds", json!(300)), unsupported[6].clone()),
        ("maxDisruptions", capture("maxDisruptions", json!(3)), unsupported[0].clone()),
        (
            "stop",
            capture("stop", json!({"timeoutSeconds": 60, "onTimeout": "Force"})),
            unsupported[1].clone(),
        ),
        ("instanceStore", capture("instanceStore", json!("Discard")), unsupported[2].clone()),
        (
            "excludeDeviceNames",
            capture("excludeDeviceNames", json!(["/dev/sdf"])),
            capture("excludeDeviceNames", json!(["/dev/sda1"])),
        ),
    ];
    rows.into_iter().collect()
}

/// These may only change once their revision has its image: a smaller revision is never captured.
fn later_fields() -> Vec<(&'static str, Value, Value)> {
    let nobody = json!({"region": "us-west-2", "instanceName": "nobody"});
    vec![
        ("revision", json!({"revision": 2}), json!({"revision": 5, "sharing": {"visibility": "Public"}})),
        (
            "activeRevision",
            json!({"revision": 2, "activeRevision": 1}),
            json!({"revision": 3, "activeRevision": 2}),
        ),
        (
            "source",
            json!({"revision": 2, "source": nobody.clone()}),
            json!({"revision": 3, "source": nobody}),
        ),
    ]
}

type Tags = BTreeMap<String, String>;

/// What somebody finds who looks for the wanted revision: machine, images and snapshots with their tags, what is served.
#[derive(Debug, PartialEq)]
struct Seen {
    machine: InstanceState,
    owes: bool,
    images: Vec<(String, String, String, Tags)>,
    snapshots: Vec<(String, Tags)>,
    served: Vec<(String, i32)>,
    applied: Vec<String>,
}

fn seen(lab: &Lab) -> Seen {
    let (mut images, mut snapshots) = (Vec::new(), Vec::new());
    let told = |tags: &ec2sim::Tags| -> Tags {
        let mut tags: Tags = tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        tags.remove(tag::CAPTURE);
        tags
    };
    for region in WANTED {
        let Some(place) = lab.place(region) else { continue };
        let of_revision = |tags: &Tags| tags.get(tag::REVISION).is_some_and(|revision| revision == "1");
        for image in place.images.values().filter(|image| image.state == ImageState::Available) {
            let tags = told(&image.tags);
            if of_revision(&tags) {
                // A second copy of the same image has a number in its name.
                let name = image.name.split_once("-c").map_or(image.name.as_str(), |(name, _)| name);
                images.push((region.to_owned(), name.to_owned(), image.description.clone(), tags));
            }
        }
        let mut tags: Vec<Tags> =
            place.snapshots.values().map(|shot| told(&shot.tags)).filter(of_revision).collect();
        // An excluded device has no snapshot: what was frozen stays.
        tags.dedup();
        snapshots.extend(tags.into_iter().map(|tags| (region.to_owned(), tags)));
    }
    let status = &lab.status();
    Seen {
        machine: lab.instance().state,
        owes: lab.owes(),
        images,
        snapshots,
        served: status.images.iter().map(|row| (row.region.to_string(), row.revision)).collect(),
        applied: status.applied_tag_keys.clone(),
    }
}

fn is_current(lab: &Lab) -> bool {
    let object = lab.object().unwrap();
    lab.is_ready() && object.status.observed_generation == Some(object.generation)
}

fn fresh() -> Seen {
    let mut lab = Lab::new(&base().to_string());
    lab.until(4000, "Ready", is_current);
    lab.run(120);
    seen(&lab)
}

fn walk(rows: &[(&'static str, Value, Value)], begun: bool, seeds: u64) {
    let (wanted, next) = (fresh(), AtomicUsize::new(0));
    let seeds = usize::try_from(seeds).unwrap();
    random::on_every_core(&|| {
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(row) = rows.get(at / seeds) else { break };
            stroll(row, begun, (at % seeds).try_into().unwrap(), &wanted);
        }
    });
}

/// One walk: a field is edited, broken and put back.
fn stroll((field, edited, broken): &(&str, Value, Value), begun: bool, seed: u64, wanted: &Seen) {
    let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(field.len().try_into().unwrap());
    let mut second = |most: u64| i64::try_from(draw(&mut dice) % most).unwrap();
    let mut lab = Lab::new(&base().to_string());
    if begun {
        lab.until(4000, "Ready", is_current);
    }
    let mut asked = 1;
    let times = [second(250), 1 + second(90), 1 + second(200)];
    for (wait, incident) in times.into_iter().zip([Some(edited), Some(broken), None]) {
        lab.run(wait);
        asked = asked.max(lab.object().unwrap().spec.revision);
        edit(&mut lab, incident.unwrap_or(&json!({})));
    }
    lab.until(9000, &format!("Ready: {field}, seed {seed}, at {times:?}"), is_current);
    lab.run(120);
    assert_eq!(seen(&lab), *wanted, "{field}, seed {seed}, at {times:?}\n{}", lab.history());
    let stops = lab.count("StopInstances");
    assert!(
        stops <= usize::try_from(asked).unwrap(),
        "{field}, seed {seed}, {stops} stops\n{}",
        lab.history()
    );
}

#[test]
fn a_field_edited_broken_and_put_back_at_any_second_ends_in_the_world_of_a_fresh_object() {
    walk(&fields(), false, 8);
    walk(&fields(), true, 2);
}

#[test]
fn a_revision_or_source_edited_broken_and_put_back_selects_the_images_that_were_there() {
    walk(&later_fields(), true, 8);
}

#[test]
fn a_revision_raised_at_any_second_of_a_save_leaves_every_image_and_copy_what_its_tags_say() {
    for second in (1..400).step_by(7) {
        let mut lab = Lab::new(&base().to_string());
        lab.run(second);
        edit(&mut lab, &json!({"revision": 2}));
        lab.until(6000, &format!("Ready, raised at {second}"), is_current);
        lab.run(120);
        let captures = |region: &str| -> BTreeMap<String, String> {
            let images = lab.place(region).unwrap().images.into_values();
            images
                .map(|image| (image.tags[tag::REVISION].clone(), image.tags[tag::CAPTURE].clone()))
                .collect()
        };
        let home = captures(WANTED[0]);
        for (revision, capture) in captures(WANTED[1]) {
            assert_eq!(home.get(&revision), Some(&capture), "raised at {second}\n{}", lab.history());
        }
        assert!(lab.count("StopInstances") <= 2);
    }
}

#[test]
#[ignore = "minutes: make model"]
fn many_more_walks() {
    let (began, seeds) = (Instant::now(), 120);
    walk(&fields(), false, seeds);
    walk(&later_fields(), true, seeds);
    let walks = (fields().len() + later_fields().len()) * usize::try_from(seeds).unwrap();
    println!("\n{walks} walks over the schema ({:.0} s), 0 violations", began.elapsed().as_secs_f64());
}
