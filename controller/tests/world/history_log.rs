//! Where `SAVEDTEMPLATE_HISTORIES` names a file, each history leaves a line there: how long the machine was down by us,
//! and which of our calls changed something.
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    sync::OnceLock,
};

use serde_json::json;

use crate::{ec2::AGENT, lab::Lab};

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says where histories are written down")]
fn file() -> Option<&'static File> {
    static FILE: OnceLock<Option<File>> = OnceLock::new();
    let open = || {
        let path = std::env::var("SAVEDTEMPLATE_HISTORIES").ok()?;
        Some(OpenOptions::new().create(true).append(true).open(path).unwrap())
    };
    FILE.get_or_init(open).as_ref()
}

impl Lab {
    /// How long the machine was down each time that we stopped it, in milliseconds of EC2's.
    fn downtimes(&self) -> Vec<i64> {
        let ours = self.instance().downtimes().into_iter();
        let ours = ours.filter(|(from, _)| self.truth().downs.contains(from));
        ours.filter_map(|(from, to)| Some(to? - from)).collect()
    }

    fn calls(&self) -> BTreeMap<String, u32> {
        let mut calls = BTreeMap::new();
        for call in self.log().into_iter().filter(|call| call.agent == AGENT && call.is_effective()) {
            *calls.entry(call.action).or_default() += 1;
        }
        calls
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let Some(mut file) = file().filter(|_| !std::thread::panicking()) else { return };
        let thread = std::thread::current();
        let (test, downtimes, calls) = (thread.name(), self.downtimes(), self.calls());
        let line = json!({"tier": "world", "test": test, "downtimes": downtimes, "calls": calls});
        // One write for each line: those of other threads do not come between.
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
