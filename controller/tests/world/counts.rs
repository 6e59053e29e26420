//! How many histories there were, what they met, and how often the premise of each invariant was reached.
use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::LABELS,
    mishap::{HARMS, Harm},
};

/// What many histories came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) histories: u64,
    pub(crate) met: BTreeMap<(&'static str, Harm), u64>,
    pub(crate) premises: BTreeMap<&'static str, u64>,
    pub(crate) seconds: i64,
}

impl Tally {
    pub(crate) fn count(&mut self, what: &'static str, times: u64) {
        *self.premises.entry(what).or_default() += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.histories += other.histories;
        self.seconds += other.seconds;
        other.met.iter().for_each(|(pair, times)| *self.met.entry(*pair).or_default() += times);
        other.premises.iter().for_each(|(what, times)| *self.premises.entry(what).or_default() += times);
    }
}

/// The table of effects and harms, and how often each was met; answers the smallest number.
pub(crate) fn print(tally: &Tally) -> u64 {
    let labels: BTreeSet<&str> = LABELS.into_iter().collect();
    println!("\n{:32}{}", "effect", HARMS.map(|harm| format!("{:>12}", format!("{harm:?}"))).concat());
    let times = |label: &str, harm| {
        tally
            .met
            .iter()
            .filter(|((one, what), _)| *one == label && *what == harm)
            .map(|(_, times)| times)
            .sum()
    };
    let mut least = u64::MAX;
    for label in labels {
        let row = HARMS.map(|harm| {
            let times: u64 = times(label, harm);
            least = least.min(times);
            format!("{times:>12}")
        });
        println!("{label:32}{}", row.concat());
    }
    println!("\n{:40}{:>12}", "premise", "times");
    tally.premises.iter().for_each(|(what, times)| println!("{what:40}{times:>12}"));
    println!("{:40}{:>12}", "virtual days", tally.seconds / 86_400);
    least
}
