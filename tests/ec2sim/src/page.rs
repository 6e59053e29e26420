//! Pages: a call that names ids has none.

use crate::{effect::Effect, refusal::Refusal, sim::Call};

const LARGEST: usize = 1_000;

/// In a token: the page before was empty. No token comes twice.
const AGAIN: char = '\0';

/// A page, and the token of the next.
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Cuts `entries`, sorted by their keys, to the page that the call asks for. `ids` names the parameter that excludes
/// paging, and whether it was given.
pub(crate) fn cut<T>(
    call: &Call<'_>,
    limit: usize,
    smallest: usize,
    ids: (&str, bool),
    entries: Vec<(String, T)>,
) -> Result<Page<T>, Refusal> {
    let request = call.request;
    let asked = match request.get("MaxResults") {
        None => None,
        Some(text) => Some(size(text, smallest)?),
    };
    let after = request.get("NextToken").filter(|token| !token.is_empty());
    let (set, is_given) = ids;
    if is_given {
        if asked.is_some() {
            return Err(Refusal::new(
                "InvalidParameterCombination",
                format!("The parameter {set} cannot be used with the parameter maxResults"),
            ));
        }
        return Ok(Page { entries: entries.into_iter().map(|(_, entry)| entry).collect(), next: None });
    }
    let after = after.map(|token| open(&request.action, token)).transpose()?;
    if call.effects.contains(&Effect::EmptyPage) {
        let again = format!("{}{AGAIN}", after.unwrap_or_default());
        return Ok(Page { entries: Vec::new(), next: Some(seal(&request.action, &again)) });
    }
    let after = after.map(|after| after.trim_end_matches(AGAIN).to_owned());
    let repeats = after.is_some() && call.effects.contains(&Effect::RepeatPage);
    let limit = limit.min(asked.unwrap_or(LARGEST)).max(1) + usize::from(repeats);
    let is_after = |key: &String, after: &String| key > after || (repeats && key == after);
    let mut rest =
        entries.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| is_after(key, after)));
    let page: Vec<_> = rest.by_ref().take(limit).collect();
    let last = page.last().map(|(key, _)| key.clone());
    let next = rest.next().and(last).map(|key| seal(&request.action, &key));
    Ok(Page { entries: page.into_iter().map(|(_, entry)| entry).collect(), next })
}

fn size(text: &str, smallest: usize) -> Result<usize, Refusal> {
    let asked: usize = text.parse().map_err(|_| {
        Refusal::value(format!("Value ( {text} ) for parameter maxResults is invalid. Expecting a number."))
    })?;
    if asked < smallest {
        return Err(Refusal::value(format!(
            "Value ( {asked} ) for parameter maxResults is invalid. Expecting a value greater than {smallest}."
        )));
    }
    Ok(asked.min(LARGEST))
}

fn seal(action: &str, key: &str) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
    let bytes = format!("{action}|{key}").into_bytes();
    bytes.into_iter().map(|byte| byte ^ 0x5a).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn open(action: &str, token: &str) -> Result<String, Refusal> {
    let digits: Vec<char> = token.chars().collect();
    let bytes: Option<Vec<u8>> = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok().map(|byte| byte ^ 0x5a))
        .collect();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix(&format!("{action}|")).map(str::to_owned))
        .ok_or_else(|| Refusal::value("Unable to parse pagination token"))
}
