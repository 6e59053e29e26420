//! A call as the SDK's client writes it: the operation, and its parameters under the names of the Query protocol.
use ec2sim::{Params, Request};
use saved_template_api::ids::InstanceId;
use saved_template_core::{
    filters::Filter,
    step::{CopyRequest, ImageRequest},
    world::Tags,
};

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    params: Params,
    /// Whether it is sent once, whatever becomes of it.
    pub(crate) is_once: bool,
}

impl Call {
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, params: Params::new(), is_once: false }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn once(self) -> Self {
        Self { is_once: true, ..self }
    }

    fn list<V: AsRef<str>>(self, name: &str, values: impl IntoIterator<Item = V>) -> Self {
        let numbered = (1..).zip(values);
        numbered.fold(self, |call, (at, value): (u32, V)| call.with(&format!("{name}.{at}"), value.as_ref()))
    }

    fn text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.with(name, text) }
    }

    pub(crate) fn filters(self, filters: &[Filter]) -> Self {
        let numbered = (1_u32..).zip(filters);
        numbered.fold(self, |call, (at, (name, values))| {
            call.with(&format!("Filter.{at}.Name"), name).list(&format!("Filter.{at}.Value"), values)
        })
    }

    pub(crate) fn tags(self, prefix: &str, tags: &Tags) -> Self {
        let numbered = (1_u32..).zip(tags);
        numbered.fold(self, |call, (at, (key, value))| {
            call.with(&format!("{prefix}.{at}.Key"), key).with(&format!("{prefix}.{at}.Value"), value)
        })
    }

    pub(crate) fn keys(self, keys: &[String]) -> Self {
        let numbered = (1_u32..).zip(keys);
        numbered.fold(self, |call, (at, key)| call.with(&format!("Tag.{at}.Key"), key))
    }

    fn specified(self, image: &Tags, snapshots: &Tags) -> Self {
        let both = [("image", image), ("snapshot", snapshots)];
        let given = both.into_iter().filter(|(_, tags)| !tags.is_empty());
        (1_u32..).zip(given).fold(self, |call, (at, (kind, tags))| {
            let prefix = format!("TagSpecification.{at}");
            call.with(&format!("{prefix}.ResourceType"), kind).tags(&format!("{prefix}.Tag"), tags)
        })
    }

    pub(crate) fn on_instance(operation: &'static str, instance: &InstanceId) -> Self {
        Self::new(operation).list("InstanceId", [instance])
    }

    pub(crate) fn on_resources(operation: &'static str, resources: &[String]) -> Self {
        Self::new(operation).list("ResourceId", resources)
    }

    pub(crate) fn create_image(request: &ImageRequest) -> Self {
        let call = Self::new("CreateImage")
            .with("InstanceId", request.instance.as_str())
            .with("Name", &request.name)
            .text("Description", &request.description)
            .with("NoReboot", (!request.reboot).to_string());
        let excluded = (1_u32..).zip(&request.excluded_devices);
        let call = excluded.fold(call, |call, (at, device)| {
            let prefix = format!("BlockDeviceMapping.{at}");
            call.with(&format!("{prefix}.DeviceName"), device).with(&format!("{prefix}.NoDevice"), "")
        });
        call.specified(&request.image_tags, &request.snapshot_tags)
    }

    pub(crate) fn copy_image(request: &CopyRequest) -> Self {
        Self::new("CopyImage")
            .with("SourceImageId", request.source.as_str())
            .with("SourceRegion", request.source_region.as_str())
            .with("Name", &request.name)
            .text("Description", &request.description)
            .with("ClientToken", &request.token)
            .specified(&request.image_tags, &request.snapshot_tags)
    }

    /// As the simulator takes it.
    pub(crate) fn request(&self, access_key: &str, agent: &str) -> Request {
        let request = Request { params: self.params.clone(), ..Request::new(self.operation) };
        request.signed_by(access_key).by(agent)
    }
}
