//! What comes after the first save: a region is added, revision 2 saved, revision 1 selected again, everything deleted.
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ec2sim::ImageState;
use saved_template_api::{SavedTemplate, names::tag};

use crate::{
    demo::{screen, stage::Stage, timeline::Timeline},
    is,
};

/// The longest step is the deletion: what was asked for a short while ago may show late, so it is waited for.
const LIMIT: Duration = Duration::from_mins(15);
const NAME: &str = "seismic-ml";

/// Whether the object is Ready for its spec as it is now.
fn is_current(object: &SavedTemplate) -> bool {
    let seen = object.status.as_ref().and_then(|status| status.observed_generation);
    is(object, "Ready", "True", None) && seen == object.metadata.generation
}

/// Goes on where both machines are saved; fails if anything is not as it should be.
pub(super) async fn go(stage: &mut Stage, timeline: &mut Timeline) -> anyhow::Result<()> {
    let before = stage.count("StopInstances");
    let object = format!("savedtemplate/{NAME}");
    let patch = |spec: &str| format!(r#"{{"spec":{spec}}}"#);
    let merge = |spec: &str| -> Vec<String> {
        let args = ["patch", &object, "--type=merge", "-p", &patch(spec)];
        args.map(str::to_owned).into()
    };
    let apply = ["apply", "-f", "examples/more-regions.yaml"].map(str::to_owned).to_vec();
    let chapters = [
        ("Two more regions: the image is copied, nothing is captured.", apply),
        ("Revision 2: the machine is saved again.", merge(r#"{"revision":2}"#)),
        ("Back to revision 1: it is served again, and nothing is captured.", merge(r#"{"revision":1}"#)),
    ];
    let mut served = Vec::new();
    for (what, args) in chapters {
        screen::say(&format!("\n{what}\n"))?;
        stage.kubectl(&args).await?;
        timeline.until(stage, LIMIT, |objects| objects.get(NAME).is_some_and(is_current)).await?;
        let status = timeline.object(NAME).and_then(|object| object.status.clone()).context("no status")?;
        served.push((status.active_revision, status.images.len(), stage.count("StopInstances") - before));
    }
    ensure!(
        served == [(Some(1), 5, 0), (Some(2), 5, 1), (Some(1), 5, 1)],
        "revision served, regions and further stops were {served:?}"
    );
    screen::say(&format!(
        "\n{} images and {} snapshots of {NAME} are in EC2. They are deleted with it; what was asked for\nless than five minutes ago may still show, so that takes until then.\n",
        stage.left(NAME).0,
        stage.left(NAME).1
    ))?;
    stage.kubectl(&merge(r#"{"deletionPolicy":"Delete"}"#)).await?;
    stage.kubectl(&["delete".to_owned(), object.clone(), "--wait=false".to_owned()]).await?;
    timeline.until(stage, LIMIT, |objects| !objects.contains_key(NAME)).await?;
    let (images, snapshots) = stage.left(NAME);
    screen::say(&format!(
        "\n{images} images and {snapshots} snapshots of {NAME} are left in EC2 (simulated)."
    ))?;
    ensure!((images, snapshots) == (0, 0), "something was left");
    ensure!(!stage.receipts(NAME), "the receipt is still on the machine");
    Ok(())
}

impl Stage {
    /// kubectl, in the namespace of the examples and the folder of the repository.
    async fn kubectl(&self, args: &[String]) -> anyhow::Result<()> {
        screen::say(&format!("     kubectl {}", args.join(" ")))?;
        let root = cluster::root();
        let paths: Vec<String> = args
            .iter()
            .map(|arg| {
                if arg.starts_with("examples/") { root.join(arg).display().to_string() } else { arg.clone() }
            })
            .collect();
        let namespace = ["-n", self.namespace()].map(str::to_owned);
        let all: Vec<&str> = namespace.iter().chain(&paths).map(String::as_str).collect();
        let output = self.cluster.kubectl(&all).await?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    fn count(&self, action: &str) -> usize {
        let sim = self.ec2.sim();
        sim.log().iter().filter(|entry| entry.action == action && entry.is_effective()).count()
    }

    /// Images and snapshots of one template, in every region.
    fn left(&self, name: &str) -> (usize, usize) {
        let sim = self.ec2.sim();
        let of = |tags: &ec2sim::Tags| tags.get(tag::NAME).is_some_and(|value| value == name);
        let places = sim.places().values();
        let live = |image: &&ec2sim::Image| of(&image.tags) && image.state != ImageState::Deregistered;
        let images = places.clone().flat_map(|place| place.images.values()).filter(live).count();
        let snapshots =
            places.flat_map(|place| place.snapshots.values()).filter(|shot| of(&shot.tags)).count();
        (images, snapshots)
    }

    /// Whether the machine of a template carries any tag of ours.
    fn receipts(&self, name: &str) -> bool {
        let sim = self.ec2.sim();
        let play = self.plays.iter().find(|play| play.name() == name);
        let machine =
            play.and_then(|play| sim.place(ec2sim::ACCOUNT, play.home())?.instances.get(&play.instance));
        machine.is_some_and(|machine| machine.tags.keys().any(|key| key.starts_with(tag::PREFIX)))
    }
}
