//! The writes to images and snapshots that exist: tags, descriptions, removal. Each goes through its fence.
use aws_sdk_ec2::types::{AttributeValue, Tag};
use saved_template_api::ids::{ImageId, SnapshotId};
use saved_template_core::{cloud::Announced, ec2_error::Ec2Error, world::Tags};

use crate::{
    change::{one_attempt, sdk_tags},
    convert,
    port::RegionClient,
};

impl RegionClient {
    pub(crate) async fn tag_resources(
        &self,
        resources: &[String],
        tags: &Tags,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        let fence = self.fence(announced);
        let call = self
            .client
            .create_tags()
            .set_resources(Some(resources.to_vec()))
            .set_tags(Some(sdk_tags(tags)))
            .customize()
            .interceptor(fence.clone())
            .send();
        self.write("CreateTags", &fence, call).await?;
        Ok(())
    }

    pub(crate) async fn untag_resources(
        &self,
        resources: &[String],
        keys: &[String],
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        if keys.is_empty() {
            // Without tags EC2 deletes all of them.
            return Err(Ec2Error::new("DeleteTags", "MissingParameter", "no tag keys are named"));
        }
        let fence = self.fence(announced);
        let call = self
            .client
            .delete_tags()
            .set_resources(Some(resources.to_vec()))
            .set_tags(Some(keys.iter().map(|key| Tag::builder().key(key).build()).collect()))
            .customize()
            .interceptor(fence.clone())
            .send();
        self.write("DeleteTags", &fence, call).await?;
        Ok(())
    }

    pub(crate) async fn set_description(
        &self,
        image: &ImageId,
        description: &str,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        let fence = self.fence(announced);
        let call = self
            .client
            .modify_image_attribute()
            .image_id(image.as_str())
            .description(AttributeValue::builder().value(description).build())
            .customize()
            .interceptor(fence.clone())
            .send();
        self.write("ModifyImageAttribute", &fence, call).await?;
        Ok(())
    }

    pub(crate) async fn deregister(
        &self,
        image: &ImageId,
        announced: Announced,
    ) -> Result<Vec<(SnapshotId, String)>, Ec2Error> {
        let fence = self.fence(announced);
        let call = self
            .client
            .deregister_image()
            .image_id(image.as_str())
            .delete_associated_snapshots(true)
            .customize()
            .config_override(one_attempt())
            .interceptor(fence.clone())
            .send();
        let reply = self.write("DeregisterImage", &fence, call).await?;
        Ok(reply.delete_snapshot_results().iter().filter_map(convert::kept).collect())
    }

    pub(crate) async fn delete_snapshot(
        &self,
        snapshot: &SnapshotId,
        announced: Announced,
    ) -> Result<(), Ec2Error> {
        let fence = self.fence(announced);
        let call = self
            .client
            .delete_snapshot()
            .snapshot_id(snapshot.as_str())
            .customize()
            .config_override(one_attempt())
            .interceptor(fence.clone())
            .send();
        self.write("DeleteSnapshot", &fence, call).await?;
        Ok(())
    }
}
