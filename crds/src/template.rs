//! The `SavedTemplate`: one machine, saved as an image and copied to regions.

#[expect(unreachable_pub, reason = "KubeSchema derives from a copy of each struct inside a function")]
pub mod spec;
#[expect(unreachable_pub, reason = "KubeSchema derives from a copy of each struct inside a function")]
pub mod status;

pub use spec::{SavedTemplate, SavedTemplateSpec};
pub use status::SavedTemplateStatus;

use crate::names::{Owner, SAVED_TEMPLATE};

impl SavedTemplate {
    /// The name that images are called by: `spec.templateName`, else the object's own.
    pub fn template_name(&self) -> &str {
        self.spec.template_name.as_deref().or(self.metadata.name.as_deref()).unwrap_or_default()
    }

    /// Who owns the images of this object, in the cluster of that name.
    pub fn owner<'a>(&'a self, cluster: &'a str) -> Owner<'a> {
        Owner {
            cluster,
            kind: SAVED_TEMPLATE,
            namespace: self.metadata.namespace.as_deref().unwrap_or_default(),
            name: self.metadata.name.as_deref().unwrap_or_default(),
        }
    }
}
