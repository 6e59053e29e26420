//! What a decision is about: the object as Kubernetes has it, and whose it is.
use saved_template_api::{SavedTemplateSpec, SavedTemplateStatus};

/// The object as Kubernetes has it, and whose it is.
#[derive(Debug)]
pub struct Subject<'a, Spec = SavedTemplateSpec, Status = SavedTemplateStatus> {
    /// `--cluster-name`: the owner of the images.
    pub cluster: &'a str,
    /// Namespace of the object; empty where its kind has none.
    pub namespace: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// uid of the `kube-system` namespace: tells twins of a cluster apart.
    pub cluster_uid: &'a str,
    /// What of others' this installation was told to take over.
    pub takeover: &'a Takeover,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it carries our finalizer.
    pub finalizer: bool,
    /// What is wanted.
    pub spec: &'a Spec,
    /// What was written last.
    pub status: &'a Status,
}

impl<Spec, Status> Clone for Subject<'_, Spec, Status> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Spec, Status> Copy for Subject<'_, Spec, Status> {}

/// What of others' this installation was told to take over, by somebody who knows that they are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Takeover {
    /// `--take-over`: the uid of the `kube-system` namespace whose images become ours.
    pub cluster_uid: Option<String>,
    /// `--adopt-from`: the cluster names whose images become ours.
    pub clusters: Vec<String>,
}

impl Takeover {
    /// Nothing was handed over.
    pub const NONE: &'static Self = &Self { cluster_uid: None, clusters: Vec::new() };
}
