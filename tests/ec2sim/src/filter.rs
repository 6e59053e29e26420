//! Filters: all must match; of one filter's values any may, with `*` and `?` as wildcards.

use crate::{
    refusal::Refusal,
    request::{Request, list, numbered},
    tags::Tags,
};

/// Field-verified: "The maximum number of filter values specified on a single call is 200".
const VALUES: usize = 200;
/// "Filter strings can be up to 255 characters in length" (`Using_Filtering`).
const LENGTH: usize = 255;

#[derive(Debug)]
pub(crate) struct Filters(Vec<Filter>);

#[derive(Debug)]
struct Filter {
    name: String,
    values: Vec<String>,
}

impl Filters {
    /// The call's filters; `known` are the names besides `tag:<key>` and `tag-key`.
    pub(crate) fn parse(request: &Request, known: &[&str]) -> Result<Self, Refusal> {
        let mut filters = Vec::new();
        let mut count = 0;
        for group in numbered(&request.params, "Filter").into_values() {
            let name = group.get("Name").cloned().unwrap_or_default();
            if !known.contains(&name.as_str()) && !name.starts_with("tag:") && name != "tag-key" {
                return Err(Refusal::value(format!("The filter '{name}' is invalid")));
            }
            let values = list(&group, "Value");
            if values.is_empty() {
                return Err(Refusal::value(format!("The filter '{name}' has no values")));
            }
            if values.iter().any(|value| value.chars().count() > LENGTH) {
                return Err(Refusal::value(format!(
                    "A value of the filter '{name}' has more than {LENGTH} characters"
                )));
            }
            count += values.len();
            filters.push(Filter { name, values });
        }
        if count > VALUES {
            return Err(Refusal::new(
                "FilterLimitExceeded",
                format!("The maximum number of filter values specified on a single call is {VALUES}"),
            ));
        }
        Ok(Self(filters))
    }

    /// Whether something with these tags and fields passes; `field` gives all that a name stands for.
    pub(crate) fn pass(&self, tags: &Tags, field: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|filter| {
            let found: Vec<String> = if let Some(key) = filter.name.strip_prefix("tag:") {
                tags.get(key).cloned().into_iter().collect()
            } else if filter.name == "tag-key" {
                tags.keys().cloned().collect()
            } else {
                field(&filter.name)
            };
            filter.values.iter().any(|pattern| found.iter().any(|text| matches(pattern, text)))
        })
    }
}

/// Whether a pattern with `*`, `?` and `\` (which takes a wildcard literally) covers a text.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    if !pattern.contains(['*', '?', '\\']) {
        return pattern == text;
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    covers(&pattern, &text)
}

fn covers(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        (['*', rest @ ..], [_, tail @ ..]) => covers(rest, text) || covers(pattern, tail),
        (['*', rest @ ..], []) => covers(rest, text),
        (['\\', literal, rest @ ..], [found, tail @ ..]) => literal == found && covers(rest, tail),
        (['?', rest @ ..], [_, tail @ ..]) => covers(rest, tail),
        ([expected, rest @ ..], [found, tail @ ..]) => expected == found && covers(rest, tail),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_cover_what_they_should_and_no_more() {
        assert!(matches(
            "Created by CreateImage(i-1) for ami-2*",
            "Created by CreateImage(i-1) for ami-2 from vol-3"
        ));
        assert!(matches("*", "") && matches("a?c", "abc") && matches("a*c*", "abcd"));
        assert!(!matches("a?c", "ac") && !matches("abc", "abcd") && !matches("A", "a"));
        assert!(matches(r"a\*", "a*") && !matches(r"a\*", "ab"));
    }
}
