//! The controller's writes to Kubernetes, from the audit log of the API server.
use std::collections::BTreeMap;

use serde_json::Value;

/// What was written: the resource and the verb.
pub(super) type Write = (String, String);

/// How often each was accepted, and how often refused.
pub(super) fn count(log: &str) -> BTreeMap<Write, (usize, usize)> {
    let mut counts: BTreeMap<Write, (usize, usize)> = BTreeMap::new();
    // The server's other lines are no JSON.
    for entry in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str);
        if text("/stage") != Some("ResponseComplete") {
            continue;
        }
        let mut resource = text("/objectRef/resource").unwrap_or("?").to_owned();
        if let Some(part) = text("/objectRef/subresource") {
            resource.extend(["/", part]);
        }
        let verb = text("/verb").unwrap_or("?").to_owned();
        let (accepted, refused) = counts.entry((resource, verb)).or_default();
        match entry.pointer("/responseStatus/code").and_then(Value::as_u64) {
            Some(200..=299) => *accepted += 1,
            _ => *refused += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_resource_and_verb_and_refused_ones_apart() {
        let line = |stage: &str, code: u16| {
            format!(
                r#"{{"kind":"Event","stage":"{stage}","verb":"update","objectRef":{{"resource":"savedtemplates","subresource":"status"}},"responseStatus":{{"code":{code}}}}}"#
            )
        };
        let log = [
            "I1124 09:00:00 a line of the server".to_owned(),
            line("ResponseStarted", 200),
            line("ResponseComplete", 200),
            line("ResponseComplete", 200),
            line("ResponseComplete", 409),
        ]
        .join("\n");
        let counts = count(&log);
        assert_eq!(counts.len(), 1);
        assert_eq!(counts[&("savedtemplates/status".to_owned(), "update".to_owned())], (2, 1));
    }
}
