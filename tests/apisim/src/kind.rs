//! Kinds of objects, and what the API server does with each.

/// A kind of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) origin: Origin,
    pub(crate) status: bool,
    pub(crate) unconditional: bool,
    pub(crate) upsert: bool,
    pub(crate) selectable: Vec<String>,
}

/// Where objects of a kind are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Namespaced,
    Cluster,
}

/// Who serves a kind. Only custom resources have a generation here, and their lists name the kind of each item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Custom,
    Builtin,
}

impl Kind {
    /// A custom resource in namespaces, without a status subresource.
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            name: kind.to_owned(),
            scope: Scope::Namespaced,
            origin: Origin::Custom,
            status: false,
            unconditional: false,
            upsert: false,
            selectable: Vec::new(),
        }
    }

    /// A kind in namespaces that kube-apiserver itself serves. Its objects have no generation.
    pub fn builtin(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self { origin: Origin::Builtin, ..Self::custom(group, version, plural, kind) }
    }

    /// Leases of `coordination.k8s.io`: a PUT creates what is not there.
    pub fn leases() -> Self {
        Self::builtin("coordination.k8s.io", "v1", "leases", "Lease").upserted()
    }

    /// Events of `events.k8s.io`.
    pub fn events() -> Self {
        Self::builtin("events.k8s.io", "v1", "events", "Event").upserted().unconditional()
    }

    /// Namespaces. Where they are registered, objects are created in those that are there.
    pub fn namespaces() -> Self {
        Self::builtin("", "v1", "namespaces", "Namespace").in_cluster().with_status().unconditional()
    }

    /// ConfigMaps.
    pub fn config_maps() -> Self {
        Self::builtin("", "v1", "configmaps", "ConfigMap").unconditional()
    }

    /// The same kind, outside of namespaces.
    #[must_use]
    pub fn in_cluster(self) -> Self {
        Self { scope: Scope::Cluster, ..self }
    }

    /// The same kind, with a status that is written apart from the rest.
    #[must_use]
    pub fn with_status(self) -> Self {
        Self { status: true, ..self }
    }

    /// The same kind, of which an object may be replaced without naming its version.
    #[must_use]
    pub fn unconditional(self) -> Self {
        Self { unconditional: true, ..self }
    }

    /// The same kind, of which a PUT creates what is not there.
    #[must_use]
    pub fn upserted(self) -> Self {
        Self { upsert: true, ..self }
    }

    /// The same kind, of which objects are selected by a field too, such as `spec.color`.
    #[must_use]
    pub fn selectable_by(mut self, field: &str) -> Self {
        self.selectable.push(field.to_owned());
        self
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The resource as errors name it.
    pub(crate) fn resource(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    pub(crate) fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.origin == Origin::Custom
    }

    pub(crate) fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.plural == "namespaces"
    }
}

/// A name with its group, as errors write it.
pub(crate) fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}
