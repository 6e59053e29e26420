//! Which conditions the tests have seen, for `docs/conditions.md`: noted only if a file is named for it.
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::OpenOptions,
    io::Write as _,
    sync::{Mutex, OnceLock, PoisonError},
};

use futures::StreamExt as _;
use kube::{
    Api,
    runtime::{WatchStreamExt as _, watcher},
};
use saved_template_api::SavedTemplate;
use serde::{Deserialize, Serialize};

/// The environment variable that names the file.
pub const FILE: &str = "SAVEDTEMPLATE_CONDITIONS";

/// A condition as an object had it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why.
    pub reason: String,
    /// In words.
    pub message: String,
}

fn file() -> Option<&'static OsString> {
    static NAMED: OnceLock<Option<OsString>> = OnceLock::new();
    NAMED.get_or_init(|| std::env::var_os(FILE)).as_ref()
}

/// Notes every condition that objects ever have, even for a moment, as long as the runtime of the test lives.
pub(crate) fn follow(api: Api<SavedTemplate>) {
    if file().is_some() {
        let objects = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
        tokio::spawn(objects.for_each(async |object| object.iter().for_each(note)));
    }
}

/// Notes the conditions of an object, each once per process.
pub(crate) fn note(object: &SavedTemplate) {
    static NOTED: Mutex<BTreeSet<Seen>> = Mutex::new(BTreeSet::new());
    let Some(file) = file() else { return };
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    for condition in conditions {
        let seen = Seen {
            kind: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
        };
        if noted.insert(seen.clone())
            && let Err(error) = append(file, &seen)
        {
            eprintln!("{FILE}: {error:#}");
        }
    }
}

fn append(file: &OsString, seen: &Seen) -> anyhow::Result<()> {
    let line = serde_json::to_string(seen)? + "\n";
    Ok(OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())?)
}
