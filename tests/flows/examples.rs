//! Every manifest of `examples/`, applied with kubectl as it stands, and what it did to EC2.
use std::time::Duration;

use ec2sim::{ACCOUNT, Config, Effect, Fault, ImageState, InstanceSeed, InstanceState, VolumeSeed};
use saved_template_api::{SavedTemplate, names::tag};
use saved_template_tests::{Lab, control_plane, is, quick};

use crate::{ALL, HOME, assert_saved_once, images, state, user};

/// A manifest, in the namespace of the lab.
fn manifest(lab: &Lab<'_>, file: &str) -> String {
    let path = format!("{}/../examples/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().replace("geo-lab", &lab.namespace)
}

/// Applies a manifest, and waits until the object is Ready for it.
async fn applied(lab: &Lab<'_>, file: &str) -> SavedTemplate {
    let before = lab.get("seismic-ml").await.unwrap().and_then(|object| object.metadata.generation);
    lab.apply(&manifest(lab, file)).await.unwrap();
    let wanted = |object: &SavedTemplate| {
        let seen = object.status.as_ref().and_then(|status| status.observed_generation);
        is(object, "Ready", "True", None) && seen == object.metadata.generation
    };
    let object = lab.until("seismic-ml", Duration::from_secs(240), file, wanted).await.unwrap();
    assert_ne!(object.metadata.generation, before, "{file} changed nothing");
    object
}

fn lab_config() -> Config {
    Config { stop: 1000, start: 1000, image: 2000, copy: 2000, ..quick() }
}

async fn lab(namespace: &str) -> Lab<'static> {
    Lab::on(control_plane().await.unwrap(), namespace, lab_config()).await.unwrap()
}

fn live(lab: &Lab<'_>, region: &str) -> Vec<ec2sim::Image> {
    images(lab, region).into_iter().filter(|image| image.state == ImageState::Available).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_one_template_is_told_by_manifests_applied_one_over_another() {
    let lab = lab("examples-life").await;
    let id = lab.machine("earthquake-analysis");
    let _controller =
        lab.controller_with(&["--regions=eu-west-1,ap-southeast-2", "--drift-seconds=60"]).unwrap();
    lab.apply(&manifest(&lab, "suspended.yaml")).await.unwrap();
    let paused = |object: &_| is(object, "Ready", "False", Some("Suspended"));
    lab.until("seismic-ml", Duration::from_secs(40), "suspended", paused).await.unwrap();
    assert!(lab.changes().is_empty());

    applied(&lab, "quickstart.yaml").await;
    assert_saved_once(&lab, &id, &ALL);

    applied(&lab, "tags-and-description.yaml").await;
    for image in ALL.iter().flat_map(|region| live(&lab, region)) {
        assert_eq!(image.description, "Earthquake analysis with its trained models");
        assert_eq!((image.tags["team"].as_str(), image.tags["cost-center"].as_str()), ("seismology", "4711"));
    }

    applied(&lab, "more-regions.yaml").await;
    for region in ["eu-west-1", "ap-southeast-2"] {
        assert_eq!(live(&lab, region).len(), 1, "{region}");
    }
    assert!(live(&lab, HOME).iter().all(|image| !image.tags.contains_key("team")), "taken off again");

    let count = lab.count("StopInstances");
    applied(&lab, "next-revision.yaml").await;
    assert_eq!(lab.count("StopInstances"), count + 1);
    let second = live(&lab, HOME).into_iter().find(|image| image.tags[tag::REVISION] == "2").unwrap();

    let object = applied(&lab, "pin-a-revision.yaml").await;
    assert_eq!(lab.count("StopInstances"), count + 2, "revision 3 is captured");
    assert_eq!(object.status.unwrap().image_id.unwrap().as_str(), second.id, "revision 2 is served");

    let object = applied(&lab, "roll-back.yaml").await;
    assert_eq!(lab.count("StopInstances"), count + 2, "nothing is captured");
    let served = object.status.unwrap().image_id.unwrap().to_string();
    let first = live(&lab, HOME).into_iter().find(|image| image.id == served).unwrap();
    assert_eq!(first.tags[tag::REVISION], "1");
    assert_eq!(state(&lab, &id), InstanceState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_removed_and_then_everything_is_deleted() {
    let lab = lab("examples-end").await;
    let id = lab.machine("earthquake-analysis");
    let _controller = lab.controller().unwrap();
    applied(&lab, "quickstart.yaml").await;
    lab.apply(&manifest(&lab, "remove-region.yaml")).await.unwrap();
    let left = |region: &'static str| {
        move |sim: &ec2sim::Sim| {
            let place = sim.place(ACCOUNT, region).unwrap();
            place.images.values().all(|image| image.deregistered_at.is_some()) && place.snapshots.is_empty()
        }
    };
    lab.until_ec2(Duration::from_secs(120), "us-west-1 is empty", left("us-west-1")).await.unwrap();
    assert_eq!((live(&lab, "us-east-2").len(), live(&lab, HOME).len()), (1, 1));

    lab.apply(&manifest(&lab, "delete-everything.yaml")).await.unwrap();
    let args = ["delete", "stpl", "seismic-ml", "-n", "examples-end", "--timeout=1200s"];
    assert!(lab.cluster.kubectl(&args).await.unwrap().status.success());
    for region in ALL {
        assert!(lab.until_ec2(Duration::from_secs(1), region, left(region)).await.is_ok());
    }
    assert_eq!(state(&lab, &id), InstanceState::Running);
    assert_eq!(lab.count("StopInstances"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_save_a_machine_does_to_it_what_its_manifest_says() {
    let files = [
        ("by-instance-id.yaml", (1, 1, 0), 6),
        ("reboot.yaml", (0, 0, 1), 6),
        ("no-reboot.yaml", (0, 0, 0), 6),
        ("exclude-a-volume.yaml", (1, 1, 0), 3),
        ("force-stop.yaml", (1, 1, 0), 6),
        ("try-again.yaml", (1, 1, 0), 6),
    ];
    let one = |(file, (stops, starts, reboots), snapshots): (&'static str, (usize, usize, u64), usize)| async move {
        let namespace = format!("examples-{}", file.trim_end_matches(".yaml"));
        let lab = lab(&namespace).await;
        let id = lab.machine("earthquake-analysis");
        let _controller = lab.controller().unwrap();
        let text = manifest(&lab, file);
        // An id is the one thing that a user has to fill in.
        let text = match text.lines().find_map(|line| line.trim().strip_prefix("instanceID: ")) {
            Some(example) => text.replace(example, &id),
            None => text,
        };
        lab.apply(&text).await.unwrap();
        lab.ready("seismic-ml").await.unwrap();
        assert_eq!((lab.count("StopInstances"), lab.count("StartInstances")), (stops, starts), "{file}");
        let sim = lab.ec2.sim();
        let machine = &sim.place(ACCOUNT, HOME).unwrap().instances[&id];
        assert_eq!((machine.state, u64::from(machine.reboots)), (InstanceState::Running, reboots), "{file}");
        let all: usize = ALL.iter().map(|region| sim.place(ACCOUNT, region).unwrap().snapshots.len()).sum();
        assert_eq!(all, snapshots, "{file}");
    };
    futures::future::join_all(files.map(one)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_machine_one_that_waits_for_its_image_and_one_with_instance_store_are_saved_as_their_manifests_say()
 {
    let lab = lab("examples-kinds").await;
    let id = lab.machine("earthquake-analysis");
    user(&lab, "StopInstances", &[("InstanceId.1", &id)]);
    let patient = lab.machine("earthquake-analysis-2");
    let _controller = lab.controller().unwrap();
    lab.apply(&manifest(&lab, "restart-when-image-available.yaml")).await.unwrap();
    applied(&lab, "stopped-machine.yaml").await;
    assert_eq!(state(&lab, &id), InstanceState::Stopped);
    lab.ready("seismic-ml-patient").await.unwrap();
    {
        let sim = lab.ec2.sim();
        let place = sim.place(ACCOUNT, HOME).unwrap();
        let back = place.instances[&patient].downtimes()[0].1.unwrap();
        let image = place.images.values().find(|image| image.instance.as_ref() == Some(&patient)).unwrap();
        assert!(back > image.available_at.unwrap());
    }

    let lab = self::lab("examples-store").await;
    let seed = InstanceSeed {
        region: HOME.into(),
        name: Some("earthquake-analysis".into()),
        instance_type: "m5d.large".into(),
        volumes: vec![VolumeSeed::new("/dev/sda1", 8)],
        ..InstanceSeed::default()
    };
    let id = lab.ec2.seed(seed);
    let _controller = lab.controller().unwrap();
    applied(&lab, "instance-store.yaml").await;
    assert_saved_once(&lab, &id, &ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_capture_is_tried_again_where_the_manifest_allows_a_second_disruption() {
    let lab = lab("examples-again").await;
    let id = lab.machine("earthquake-analysis");
    let fail = Effect::FailImage { code: "Client.InternalError".into(), message: "x".into(), after_ms: None };
    lab.ec2.add_fault(Fault::new("CreateImage", fail).nth(1));
    let _controller = lab.controller().unwrap();
    lab.apply(&manifest(&lab, "try-again.yaml")).await.unwrap();
    // A failed attempt is followed by a pause of five minutes.
    let wanted = |object: &_| is(object, "Ready", "True", None);
    lab.until("seismic-ml", Duration::from_secs(480), "saved at the second attempt", wanted).await.unwrap();
    assert_eq!((lab.count("StopInstances"), lab.count("StartInstances")), (2, 2));
    assert_eq!(state(&lab, &id), InstanceState::Running);
}

#[test]
fn every_manifest_of_the_examples_is_applied_here() {
    let folder = format!("{}/../examples", env!("CARGO_MANIFEST_DIR"));
    let here = include_str!("examples.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_manifest = path.extension().is_some_and(|extension| extension == "yaml");
        assert!(!is_manifest || here.contains(name), "{name} is applied by no test");
    }
}
