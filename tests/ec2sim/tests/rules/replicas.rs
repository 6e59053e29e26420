//! Reads that lag, and flap between replicas.

use ec2sim::{Config, Request, SECOND};

use crate::world::{HOME, World, create, start, stop};

fn lagging(replicas: &[i64]) -> World {
    World::of(Config { replicas: replicas.to_vec(), ..Config::default() })
}

fn states(world: &mut World, id: &str, reads: usize) -> Vec<String> {
    let look = Request::new("DescribeInstances").with("InstanceId.1", id);
    let mut state = || world.accepted(&look).text("name").unwrap_or_default().to_owned();
    (0..reads).map(|_| state()).collect()
}

#[test]
fn a_replica_shows_what_was_so_long_ago() {
    let mut world = lagging(&[30 * SECOND]);
    let id = world.machine();
    world.wait(60);
    world.accepted(&stop(&id));
    for (wait, expected) in
        [(0, "running"), (29, "running"), (1, "stopping"), (39, "stopping"), (1, "stopped")]
    {
        world.wait(wait);
        assert_eq!(states(&mut world, &id, 1), [expected]);
    }
}

#[test]
fn reads_flap_between_replicas_of_different_ages() {
    let mut world = lagging(&[0, 30 * SECOND]);
    let id = world.machine();
    world.wait(60);
    world.accepted(&stop(&id));
    world.wait(10);
    let seen = states(&mut world, &id, 40);
    let turns = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns > 5 && seen.iter().all(|state| state == "running" || state == "stopping"), "{seen:?}");
    world.wait(25);
    assert!(states(&mut world, &id, 40).iter().all(|state| state == "stopping"));
}

#[test]
fn changes_and_dry_runs_go_by_what_is() {
    let mut world = lagging(&[60 * SECOND]);
    let id = world.machine();
    world.wait(120);
    world.accepted(&stop(&id));
    assert_eq!(world.code(&start(&id)), "IncorrectInstanceState");
    world.wait(40);
    assert_eq!(states(&mut world, &id, 1), ["running"]);
    assert_eq!(world.code(&start(&id).with("DryRun", "true")), "DryRunOperation");
    world.accepted(&create(&id, "golden"));
    assert_eq!(world.code(&create(&id, "golden")), "InvalidAMIName.Duplicate");
}

#[test]
fn a_new_id_is_not_found_and_a_deleted_one_is_still_there() {
    let mut world = lagging(&[20 * SECOND]);
    let id = world.stopped();
    world.wait(60);
    let image = world.image(&id, "golden");
    let by_id = Request::new("DescribeImages").with("ImageId.1", &image);
    assert_eq!(world.code(&by_id), "InvalidAMIID.NotFound");
    assert!(!world.accepted(&Request::new("DescribeImages")).body.contains(&image));
    world.wait(20);
    assert!(world.accepted(&by_id).body.contains(&image));
    world.wait(3_600);
    world.accepted(&Request::new("DeregisterImage").with("ImageId", &image));
    world.wait(19);
    assert!(world.accepted(&by_id).body.contains("<imageState>available"));
    assert_eq!(world.image_of(HOME, &image).deregistered_at, Some(world.now - 19 * SECOND));
    world.wait(1);
    assert!(!world.accepted(&by_id).body.contains(&image));
}

#[test]
fn a_lag_that_begins_later_shows_what_was_there_then_and_ends_when_it_is_lifted() {
    let mut world = World::new();
    let id = world.machine();
    world.wait(60);
    world.sim.config_mut().replicas = vec![30 * SECOND];
    world.accepted(&stop(&id));
    assert_eq!(states(&mut world, &id, 1), ["running"]);
    world.sim.config_mut().replicas.clear();
    assert_eq!(states(&mut world, &id, 1), ["stopping"]);
}

#[test]
fn a_machine_seeded_while_reads_lag_shows_late() {
    let mut world = lagging(&[10 * SECOND]);
    world.machine();
    world.wait(1);
    let late = world.machine();
    let is_shown =
        |world: &mut World| world.accepted(&Request::new("DescribeInstances")).body.contains(&late);
    world.wait(9);
    assert!(!is_shown(&mut world));
    world.wait(1);
    assert!(is_shown(&mut world));
}
