//! Which conditions the tests have seen, for `docs/conditions.md`: noted only if a file is named for it.
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs::OpenOptions,
    io::Write as _,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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

/// Who notes what the objects of one lab say, until the test writes statuses itself: what the controller makes of those
/// are not words for people.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    is_deaf: Arc<AtomicBool>,
}

impl Witness {
    /// Notes every condition that objects ever have, even for a moment, as long as the runtime of the test lives.
    pub(crate) fn follow(&self, api: Api<SavedTemplate>) {
        if file().is_some() {
            let witness = self.clone();
            let objects = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
            tokio::spawn(objects.for_each(move |object| {
                if let Ok(object) = &object {
                    witness.note(object);
                }
                std::future::ready(())
            }));
        }
    }

    /// Notes nothing from now on.
    pub(crate) fn leave(&self) {
        self.is_deaf.store(true, Ordering::Relaxed);
    }

    /// Notes the conditions of an object, each once per process.
    pub(crate) fn note(&self, object: &SavedTemplate) {
        if !self.is_deaf.load(Ordering::Relaxed) {
            note(object);
        }
    }
}

fn note(object: &SavedTemplate) {
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
