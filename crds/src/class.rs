//! The `SavedTemplateClass`: what an administrator allows the templates that name it.

pub mod reason;
#[expect(unreachable_pub, reason = "KubeSchema derives from a copy of each struct inside a function")]
pub mod spec;
#[expect(unreachable_pub, reason = "KubeSchema derives from a copy of each struct inside a function")]
pub mod status;

pub use reason::ClassReason;
pub use spec::{SavedTemplateClass, SavedTemplateClassSpec};
pub use status::SavedTemplateClassStatus;
