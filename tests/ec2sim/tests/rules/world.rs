//! A simulator, a clock, and short words for calls.

use ec2sim::{
    ACCOUNT, Config, Image, Instance, InstanceSeed, Millis, Reply, Request, SECOND, Sim, Snapshot, VolumeSeed,
};

pub(crate) const HOME: &str = "us-east-1";
pub(crate) const AWAY: &str = "us-west-2";

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) now: Millis,
}

impl World {
    /// stop 40 s, start 20 s, snapshots after 5 s, stored after 4 min, images after 5 min, copies after 8 min.
    pub(crate) fn new() -> Self {
        Self::of(Config::default())
    }

    pub(crate) fn of(config: Config) -> Self {
        Self { sim: Sim::new(config), now: 1_795_506_418_123 }
    }

    pub(crate) fn wait(&mut self, seconds: Millis) {
        self.now += seconds * SECOND;
        self.sim.advance(self.now);
    }

    pub(crate) fn call(&mut self, request: &Request) -> Reply {
        self.sim.call(self.now, ACCOUNT, HOME, request)
    }

    pub(crate) fn away(&mut self, request: &Request) -> Reply {
        self.sim.call(self.now, ACCOUNT, AWAY, request)
    }

    pub(crate) fn accepted(&mut self, request: &Request) -> Reply {
        let reply = self.call(request);
        assert_eq!(reply.code, None, "{}", reply.body);
        reply
    }

    /// The code and the message of a refusal.
    pub(crate) fn refused(&mut self, request: &Request) -> (String, String) {
        let reply = self.call(request);
        let message = reply.text("Message").unwrap_or_default().to_owned();
        (reply.code.unwrap_or_default(), message)
    }

    pub(crate) fn code(&mut self, request: &Request) -> String {
        self.refused(request).0
    }

    pub(crate) fn machine(&mut self) -> String {
        self.machine_of(InstanceSeed::default())
    }

    /// A machine with a root and a data volume.
    pub(crate) fn machine_of_two(&mut self) -> String {
        let volumes = vec![VolumeSeed::default(), VolumeSeed::new("/dev/sdf", 20)];
        self.machine_of(InstanceSeed { volumes, ..InstanceSeed::default() })
    }

    pub(crate) fn machine_of(&mut self, seed: InstanceSeed) -> String {
        self.sim.seed(self.now, seed)
    }

    pub(crate) fn stopped(&mut self) -> String {
        let id = self.machine_of_two();
        self.accepted(&stop(&id));
        self.wait(40);
        id
    }

    /// A machine and an image of it that is available.
    pub(crate) fn imaged(&mut self) -> (String, String) {
        let id = self.stopped();
        let image = self.image(&id, "golden");
        self.wait(300);
        (id, image)
    }

    pub(crate) fn image(&mut self, instance: &str, name: &str) -> String {
        self.accepted(&create(instance, name)).text("imageId").unwrap_or_default().to_owned()
    }

    pub(crate) fn instance(&self, id: &str) -> Instance {
        self.sim.place(ACCOUNT, HOME).and_then(|place| place.instances.get(id)).cloned().expect("an instance")
    }

    pub(crate) fn image_of(&self, region: &str, id: &str) -> Image {
        self.sim.place(ACCOUNT, region).and_then(|place| place.images.get(id)).cloned().expect("an image")
    }

    pub(crate) fn snapshots(&self, region: &str) -> Vec<Snapshot> {
        self.sim
            .place(ACCOUNT, region)
            .map(|place| place.snapshots.values().cloned().collect())
            .unwrap_or_default()
    }

    pub(crate) fn state(&mut self, id: &str) -> String {
        let reply = self.call(&Request::new("DescribeInstances").with("InstanceId.1", id));
        let inside = reply.text("instanceState").unwrap_or_default();
        inside.split("<name>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
    }

    pub(crate) fn image_state(&mut self, id: &str) -> String {
        let reply = self.accepted(&Request::new("DescribeImages").with("ImageId.1", id));
        reply.text("imageState").unwrap_or_default().to_owned()
    }
}

pub(crate) fn stop(id: &str) -> Request {
    Request::new("StopInstances").with("InstanceId.1", id)
}

pub(crate) fn start(id: &str) -> Request {
    Request::new("StartInstances").with("InstanceId.1", id)
}

pub(crate) fn create(instance: &str, name: &str) -> Request {
    Request::new("CreateImage").with("InstanceId", instance).with("Name", name).with("NoReboot", "true")
}

pub(crate) fn copy(image: &str, name: &str) -> Request {
    Request::new("CopyImage").with("SourceImageId", image).with("SourceRegion", HOME).with("Name", name)
}

pub(crate) fn filter(request: Request, name: &str, value: &str) -> Request {
    request.with("Filter.1.Name", name).with("Filter.1.Value.1", value)
}
