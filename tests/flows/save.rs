//! Saving a machine, end to end.
use ec2sim::{ImageState, InstanceState};
use saved_template_tests::Lab;

/// The quickstart of `examples/`.
const QUICKSTART: &str = include_str!("../../examples/quickstart.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_saved_given_back_and_copied_to_two_regions() {
    let lab = Lab::quick("save-quickstart").await.unwrap();
    let id = lab.machine("earthquake-analysis");
    let _controller = lab.controller().unwrap();
    lab.apply(&QUICKSTART.replace("geo-lab", &lab.namespace)).await.unwrap();
    let object = lab.ready("seismic-ml").await.unwrap();
    let sim = lab.ec2.sim();
    println!("{}", lab_calls(&sim));
    let home = sim.place(ec2sim::ACCOUNT, "us-west-2").unwrap();
    assert_eq!(home.instances[&id].state, InstanceState::Running);
    for region in ["us-west-2", "us-east-2", "us-west-1"] {
        let images: Vec<_> = sim.place(ec2sim::ACCOUNT, region).unwrap().images.values().collect();
        assert_eq!(images.len(), 1, "{region}");
        assert_eq!(images[0].state, ImageState::Available);
        let row =
            object.status.as_ref().unwrap().images.iter().find(|row| row.region.as_str() == region).unwrap();
        assert_eq!(row.image_id.as_str(), images[0].id);
    }
}

fn lab_calls(sim: &ec2sim::Sim) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for entry in sim.log() {
        *counts.entry((entry.region.clone(), entry.action.clone(), entry.dry_run)).or_insert(0) += 1;
    }
    format!("{counts:#?}")
}
