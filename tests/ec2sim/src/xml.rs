//! Replies as text.

use std::fmt::Display;

/// An XML text under construction.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn push(&mut self, value: impl Display) {
        let value = value.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.0.push_str(&value);
    }

    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        self.element(name, |xml| xml.push(value));
    }

    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(crate) fn element(&mut self, name: &str, inside: impl FnOnce(&mut Self)) {
        self.0.extend(["<", name, ">"]);
        inside(self);
        self.0.extend(["</", name, ">"]);
    }

    /// A list in EC2's manner: each entry is an `item`.
    pub(crate) fn items<T>(
        &mut self,
        name: &str,
        entries: impl IntoIterator<Item = T>,
        mut inside: impl FnMut(&mut Self, T),
    ) {
        self.element(name, |xml| {
            for entry in entries {
                xml.element("item", |xml| inside(xml, entry));
            }
        });
    }

    pub(crate) fn tags(&mut self, tags: &crate::tags::Tags) {
        if !tags.is_empty() {
            self.items("tagSet", tags, |xml, (key, value)| {
                xml.text("key", key);
                xml.text("value", value);
            });
        }
    }

    pub(crate) fn operator(&mut self, principal: Option<&String>) {
        self.element("operator", |xml| {
            xml.text("managed", principal.is_some());
            xml.maybe("principal", principal);
        });
    }

    pub(crate) fn reason(&mut self, reason: Option<&crate::instance::Reason>) {
        if let Some(reason) = reason {
            self.element("stateReason", |xml| {
                xml.text("code", &reason.code);
                xml.text("message", &reason.message);
            });
        }
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// A reply to a call that was accepted.
pub(crate) fn answer(action: &str, request_id: &str, inside: &str) -> String {
    format!(
        "{HEAD}\n<{action}Response xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{request_id}</requestId>{inside}</{action}Response>"
    )
}

/// A reply to a call that was refused.
pub(crate) fn refusal(request_id: &str, code: &str, message: &str) -> String {
    let mut xml = Xml::default();
    xml.element("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.text("Code", code);
                xml.text("Message", message);
            });
        });
        xml.text("RequestID", request_id);
    });
    format!("{HEAD}\n{}", xml.into_string())
}
