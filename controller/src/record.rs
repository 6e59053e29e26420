//! Writes down what was decided: a compare-and-swap on the version that was read. A stale cache or a second leader
//! loses here, before EC2 hears anything.
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use saved_template_api::{SavedTemplate, SavedTemplateStatus, names::FINALIZER};
use saved_template_core::decide::Finalizer;
use serde_json::json;

use crate::error::{Error, Result};

/// Writes `status`, unless it is what was read.
pub(crate) async fn status(
    api: &Api<SavedTemplate>,
    object: &SavedTemplate,
    status: &SavedTemplateStatus,
) -> Result<SavedTemplate> {
    if object.status.as_ref() == Some(status) {
        return Ok(object.clone());
    }
    let mut new = object.clone();
    new.meta_mut().managed_fields = None;
    new.status = Some(status.clone());
    Ok(api.replace_status(&object.name_any(), &PostParams::default(), &new).await?)
}

/// Adds or removes our finalizer, on the version that was read.
pub(crate) async fn finalizer(
    api: &Api<SavedTemplate>,
    object: &SavedTemplate,
    change: Finalizer,
) -> Result<SavedTemplate> {
    let mut finalizers = object.finalizers().to_vec();
    match change {
        Finalizer::Keep => return Ok(object.clone()),
        Finalizer::Add => finalizers.push(FINALIZER.to_owned()),
        Finalizer::Remove => finalizers.retain(|name| name != FINALIZER),
    }
    let version = object.resource_version().ok_or(Error::Malformed("resourceVersion"))?;
    let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
    Ok(api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await?)
}
