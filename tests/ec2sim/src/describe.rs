//! Calls that only look.

mod images;
mod instances;
mod regions;
mod snapshots;
mod status;
mod tags;
pub(crate) mod types;
mod volumes;

use crate::{
    filter::Filters,
    page::{self, Page},
    refusal::Refusal,
    sim::{Answer, Call, Sim},
    tags::Tags,
};

/// Something that a Describe call lists.
pub(crate) trait Listed {
    /// The filters that it knows.
    const FIELDS: &'static [&'static str];

    fn key(&self) -> String;

    fn labels(&self) -> &Tags;

    /// The values that a filter of that name looks at.
    fn field(&self, name: &str, call: &Call<'_>) -> Vec<String>;
}

impl<T: Listed> Listed for &T {
    const FIELDS: &'static [&'static str] = T::FIELDS;

    fn key(&self) -> String {
        (*self).key()
    }

    fn labels(&self) -> &Tags {
        (*self).labels()
    }

    fn field(&self, name: &str, call: &Call<'_>) -> Vec<String> {
        (*self).field(name, call)
    }
}

impl Sim {
    /// Filters and pages; `ids` names the parameter that excludes paging, and whether it was given.
    pub(crate) fn list<T: Listed>(
        &self,
        call: &Call<'_>,
        smallest: usize,
        ids: (&str, bool),
        candidates: Vec<T>,
    ) -> Result<Page<T>, Refusal> {
        let filters = Filters::parse(call.request, T::FIELDS)?;
        call.rehearse()?;
        let found = candidates
            .into_iter()
            .filter(|candidate| filters.pass(candidate.labels(), |name| candidate.field(name, call)))
            .map(|candidate| (candidate.key(), candidate))
            .collect();
        page::cut(call.request, self.config.page, smallest, ids, found)
    }
}

/// Whether a list of owners means this account.
pub(crate) fn owns(call: &Call<'_>) -> bool {
    let owners = call.request.list("Owner");
    owners.is_empty() || owners.iter().any(|owner| owner == "self" || *owner == call.key.account)
}

pub(crate) fn finish(mut answer: Answer, next: Option<String>) -> Answer {
    answer.xml.maybe("nextToken", next);
    answer
}
