//! Calls that only look.

pub(crate) mod attribute;
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

/// Something as an account sees it: the tags of another's are not shown.
pub(crate) struct Seen<'a, T> {
    pub(crate) what: &'a T,
    pub(crate) tags: &'a Tags,
}

static NONE: Tags = Tags::new();

impl<'a, T> Seen<'a, T> {
    pub(crate) fn by(call: &Call<'_>, what: &'a T, owner: &str, tags: &'a Tags) -> Self {
        Self { what, tags: if owner == call.key.account { tags } else { &NONE } }
    }
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
        page::cut(call, self.config.page, smallest, ids, found)
    }
}

/// Whether the call's list of owners means an account.
pub(crate) fn is_meant(call: &Call<'_>, account: &str) -> bool {
    let owners = call.request.list("Owner");
    let is_own = call.key.account == account;
    owners.is_empty() || owners.iter().any(|owner| owner == account || (owner == "self" && is_own))
}

pub(crate) fn finish(mut answer: Answer, next: Option<String>) -> Answer {
    answer.xml.maybe("nextToken", next);
    answer
}
