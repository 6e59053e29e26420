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

#[cfg(test)]
mod tests {
    use std::fs;

    /// What writes a status, or lets EC2 say what it never says.
    const ENEMIES: [&str; 5] =
        ["patch_status(", "replace_status(", "Effect::Rewrite", "Effect::Omit", "Effect::Date"];

    /// The tests of a file whose lab hears an enemy and is a witness all the same. What stands before the first test
    /// belongs to each of them.
    fn deceived(source: &str) -> Vec<&str> {
        let has_enemy = |text: &str| ENEMIES.iter().any(|enemy| text.contains(enemy));
        let mut parts = source.split("#[tokio::test");
        let shared = parts.next().is_some_and(has_enemy);
        let is_deceived = |test: &&str| {
            test.contains("Lab::") && (shared || has_enemy(test)) && !test.contains(".hostile()")
        };
        let name = |test| str::lines(test).find_map(|line| line.strip_prefix("async fn "));
        parts.filter(is_deceived).map(|test| name(test).unwrap_or(test)).collect()
    }

    #[test]
    fn a_flow_in_which_an_enemy_writes_is_no_witness() {
        let mut read = 0;
        for entry in fs::read_dir(cluster::root().join("tests/flows")).unwrap() {
            let path = entry.unwrap().path();
            let source = fs::read_to_string(&path).unwrap();
            assert_eq!(deceived(&source), Vec::<&str>::new(), "{} lacks .hostile()", path.display());
            read += usize::from(source.contains(".hostile()"));
        }
        assert!(read >= 3, "hostile, random and ec2_faults");
    }

    #[test]
    fn an_enemy_is_found_in_a_test_and_in_what_its_file_shares() {
        let rows = [
            ("#[tokio::test]\nasync fn a() {\nLab::quick(); patch_status(\n", vec!["a() {"]),
            ("#[tokio::test]\nasync fn a() {\nLab::quick().hostile(); patch_status(\n", vec![]),
            ("#[tokio::test]\nasync fn a() {\npatch_status(\n", vec![]),
            ("Effect::Omit\n#[tokio::test]\nasync fn a() {\nLab::quick();\n", vec!["a() {"]),
            ("#[tokio::test]\nasync fn a() {\nLab::quick();\n", vec![]),
        ];
        for (source, wanted) in rows {
            assert_eq!(deceived(source), wanted, "{source}");
        }
    }
}
