//! Names, and the rules that names in metadata must keep.

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn starts_and_ends(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_edge(text.as_bytes().first()) && is_edge(text.as_bytes().last())
}

fn is_lower(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    starts_and_ends(text) && text.bytes().all(allowed)
}

fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    starts_and_ends(text) && text.bytes().all(allowed)
}

fn too_long(most: usize) -> String {
    format!("must be no more than {most} bytes")
}

/// What is wrong with the name of an object.
pub(crate) fn subdomain(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if name.len() > 253 {
        wrong.push("must be no more than 253 characters".to_owned());
    }
    if !name.split('.').all(is_lower) {
        wrong.push(SUBDOMAIN.to_owned());
    }
    wrong
}

/// What is wrong with the name of a namespace.
pub(crate) fn label(name: &str) -> Vec<String> {
    if name.contains('.') {
        return vec!["must not contain dots".to_owned()];
    }
    let mut wrong = Vec::new();
    if name.len() > 63 {
        wrong.push(too_long(63));
    }
    if !is_lower(name) {
        wrong.push(LABEL.to_owned());
    }
    wrong
}

/// What is wrong with a key of labels.
pub(crate) fn label_key(key: &str) -> Vec<String> {
    qualified(key).into_iter().map(|why| why.replacen("a qualified name", "a valid label key", 1)).collect()
}

/// What is wrong with a key of annotations, or with a finalizer.
pub(crate) fn qualified(name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let parts: Vec<&str> = name.split('/').collect();
    let part = match parts.as_slice() {
        [part] => part,
        [prefix, part] => {
            if prefix.is_empty() {
                wrong.push("prefix part must be non-empty".to_owned());
            } else {
                wrong.extend(subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")));
            }
            part
        }
        _ => {
            let form = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            let rest = NAME_PART.strip_prefix("name part ").unwrap_or(NAME_PART);
            return vec![format!("a qualified name {rest} {form}")];
        }
    };
    if part.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if part.len() > 63 {
        wrong.push(format!("name part {}", too_long(63)));
    }
    if !is_word(part) {
        wrong.push(NAME_PART.to_owned());
    }
    wrong
}

/// What is wrong with the value of a label.
pub(crate) fn value(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.len() > 63 {
        wrong.push(too_long(63));
    }
    if !text.is_empty() && !is_word(text) {
        wrong.push(VALUE.to_owned());
    }
    wrong
}
