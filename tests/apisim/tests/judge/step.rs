//! Steps: what is asked of both sides, and what is written down of the answer.

use serde_json::Value;

/// What `list_metadata` of kube accepts.
pub(crate) const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// What `get_metadata` and `watch_metadata` of kube accept.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// A row of the table. In texts, `{a.rv}`, `{a.uid}` and `{a.continue}` stand for what the answer kept as `a` had.
pub(crate) struct Step {
    pub(crate) what: &'static str,
    pub(crate) ask: Ask,
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) keep: Option<&'static str>,
    /// The only fields that are compared; all if there are none.
    pub(crate) only: &'static [&'static str],
    pub(crate) message: bool,
    pub(crate) version: bool,
}

/// What is done.
pub(crate) enum Ask {
    Call {
        method: &'static str,
        path: String,
        body: String,
        content: &'static str,
        accept: &'static str,
    },
    /// Opens a watch.
    Open {
        watch: &'static str,
        path: String,
        accept: &'static str,
    },
    /// Reads so many events of a watch.
    Read {
        watch: &'static str,
        count: usize,
    },
    /// Sees that nothing more comes for now, and lets go.
    Quiet {
        watch: &'static str,
    },
    /// Sees that it ends by itself.
    Ended {
        watch: &'static str,
    },
}

fn step(what: &'static str, ask: Ask) -> Step {
    Step { what, ask, code: 200, reason: "", keep: None, only: &[], message: true, version: true }
}

fn call(method: &'static str, what: &'static str, path: &str, body: String, content: &'static str) -> Step {
    let accept = "application/json";
    step(what, Ask::Call { method, path: path.to_owned(), body, content, accept })
}

pub(crate) fn get(what: &'static str, path: &str) -> Step {
    call("GET", what, path, String::new(), "")
}

pub(crate) fn post(what: &'static str, path: &str, body: &Value) -> Step {
    Step { code: 201, ..call("POST", what, path, body.to_string(), "application/json") }
}

pub(crate) fn put(what: &'static str, path: &str, body: &Value) -> Step {
    call("PUT", what, path, body.to_string(), "application/json")
}

pub(crate) fn patch(content: &'static str, what: &'static str, path: &str, body: &Value) -> Step {
    call("PATCH", what, path, body.to_string(), content)
}

pub(crate) fn merge(what: &'static str, path: &str, body: &Value) -> Step {
    patch(MERGE, what, path, body)
}

pub(crate) fn delete(what: &'static str, path: &str, options: &Value) -> Step {
    call("DELETE", what, path, options.to_string(), "application/json")
}

pub(crate) fn open(what: &'static str, watch: &'static str, path: &str) -> Step {
    step(what, Ask::Open { watch, path: path.to_owned(), accept: "application/json" })
}

pub(crate) fn read(what: &'static str, watch: &'static str, count: usize) -> Step {
    step(what, Ask::Read { watch, count })
}

pub(crate) fn quiet(what: &'static str, watch: &'static str) -> Step {
    step(what, Ask::Quiet { watch })
}

pub(crate) fn ended(what: &'static str, watch: &'static str) -> Step {
    step(what, Ask::Ended { watch })
}

impl Step {
    /// The code and the reason that both sides must answer.
    pub(crate) fn refused(self, code: u16, reason: &'static str) -> Self {
        Self { code, reason, ..self }
    }

    pub(crate) fn code(self, code: u16) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn keep(self, name: &'static str) -> Self {
        Self { keep: Some(name), ..self }
    }

    pub(crate) fn only(self, only: &'static [&'static str]) -> Self {
        Self { only, ..self }
    }

    /// The words of a refusal are not compared.
    pub(crate) fn in_other_words(self) -> Self {
        Self { message: false, ..self }
    }

    /// Versions are not compared: others have written too.
    pub(crate) fn at_any_version(self) -> Self {
        Self { version: false, ..self }
    }

    pub(crate) fn accepting(mut self, media: &'static str) -> Self {
        if let Ask::Call { accept, .. } | Ask::Open { accept, .. } = &mut self.ask {
            *accept = media;
        }
        self
    }

    /// Sends this text instead.
    pub(crate) fn sending(mut self, text: &str) -> Self {
        if let Ask::Call { body, .. } = &mut self.ask {
            text.clone_into(body);
        }
        self
    }
}
