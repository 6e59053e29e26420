//! Lists whose pages are not as one would like.

use ec2sim::{Config, Effect, Fault, Request};

use crate::world::World;

fn many() -> World {
    let mut world = World::of(Config { page: 5, ..Config::default() });
    for _ in 0..12 {
        world.machine();
    }
    world
}

fn list(token: Option<&str>) -> Request {
    let list = Request::new("DescribeInstances").with("MaxResults", "1000");
    token.map_or_else(|| list.clone(), |token| list.clone().with("NextToken", token))
}

/// How many entries each page has, and how many different ones there are.
fn pages(world: &mut World) -> (Vec<usize>, usize) {
    let (mut sizes, mut ids, mut token) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let reply = world.accepted(&list(token.as_deref()));
        let page = reply.texts("instanceId");
        sizes.push(page.len());
        ids.extend(page.into_iter().map(str::to_owned));
        token = reply.text("nextToken").map(str::to_owned);
        if token.is_none() {
            ids.sort();
            ids.dedup();
            return (sizes, ids.len());
        }
    }
}

#[test]
fn a_page_may_be_empty_and_lead_on() {
    let mut world = many();
    world.sim.add_fault(Fault::new("DescribeInstances", Effect::EmptyPage).nth(1));
    world.sim.add_fault(Fault::new("DescribeInstances", Effect::EmptyPage).nth(3));
    assert_eq!(pages(&mut world), (vec![0, 5, 0, 5, 2], 12));
}

#[test]
fn a_page_may_repeat_the_last_entry_of_the_one_before() {
    let mut world = many();
    world.sim.add_fault(Fault::new("DescribeInstances", Effect::RepeatPage));
    assert_eq!(pages(&mut world), (vec![5, 6, 3], 12));
}

#[test]
fn a_token_may_expire_in_the_middle() {
    let mut world = many();
    let expired = Effect::Refuse {
        code: "InvalidParameterValue".to_owned(),
        message: "Unable to parse pagination token".to_owned(),
        status: None,
    };
    world.sim.add_fault(Fault::new("DescribeInstances", expired).param("NextToken", "").nth(1));
    let token = world.accepted(&list(None)).text("nextToken").map(str::to_owned);
    assert_eq!(world.code(&list(token.as_deref())), "InvalidParameterValue");
    assert_eq!(pages(&mut world), (vec![5, 5, 2], 12));
}
