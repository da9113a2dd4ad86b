//! [`Parameters`] in SSM's Parameter Store, with the data type of images: SSM checks that the image is there, after it has
//! answered (SSM API reference, `PutParameter`, `DataType`).

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_ssm::types::{ParameterType, ResourceTypeForTagging, Tag};
use xtask::region::Region;

use super::{Ec2, answer::Answer as _};
use crate::{
    cloud::{Parameters, tags::Tags},
    event::ids::ImageId,
    ground::api_error::ApiError,
};

/// The data type of parameters that name an image.
const IMAGE: &str = "aws:ec2:image";

impl Parameters for Ec2 {
    async fn parameters(&self, region: &Region, names: &[String]) -> Result<BTreeMap<String, String>> {
        self.explained(Box::pin(async { Ok(self.values_of(region, names).await?) })).await
    }

    async fn put_parameter(&self, region: &Region, name: &str, image: &ImageId, tags: &Tags) -> Result<()> {
        self.explained(Box::pin(async { Ok(self.create_or_overwrite(region, name, image, tags).await?) })).await
    }

    async fn delete_parameter(&self, region: &Region, name: &str) -> Result<()> {
        self.explained(Box::pin(async {
            let deleted = self.clients.ssm(region).delete_parameter().name(name).send().await;
            match deleted.answer("DeleteParameter", region.as_str()) {
                Err(error) if !error.has_code(&["ParameterNotFound"]) => Err(error.into()),
                _ => Ok(()),
            }
        }))
        .await
    }
}

impl Ec2 {
    async fn values_of(&self, region: &Region, names: &[String]) -> Result<BTreeMap<String, String>, ApiError> {
        let request = self.clients.ssm(region).get_parameters().set_names(Some(names.to_vec()));
        let answer = request.send().await.answer("GetParameters", region.as_str())?;
        let parameters = answer.parameters.unwrap_or_default().into_iter();
        Ok(parameters.filter_map(|parameter| Some((parameter.name?, parameter.value?))).collect())
    }

    /// Tags go with the request that creates a parameter, but not with one that overwrites it (SSM API reference,
    /// `PutParameter`, `Tags`).
    async fn create_or_overwrite(
        &self,
        region: &Region,
        name: &str,
        image: &ImageId,
        tags: &Tags,
    ) -> Result<(), ApiError> {
        let client = self.clients.ssm(region);
        let put = || client.put_parameter().name(name).value(&image.0).r#type(ParameterType::String).data_type(IMAGE);
        let tags: Vec<Tag> = tags.iter().filter_map(tag).collect();
        let created = put().set_tags(Some(tags.clone())).send().await;
        match created.answer("PutParameter", region.as_str()) {
            Err(error) if error.has_code(&["ParameterAlreadyExists"]) => {}
            created => return created.map(drop),
        }
        put().overwrite(true).send().await.answer("PutParameter", region.as_str())?;
        let tagging = client.add_tags_to_resource().resource_type(ResourceTypeForTagging::Parameter).resource_id(name);
        let tagged = tagging.set_tags(Some(tags)).send().await;
        tagged.answer("AddTagsToResource", region.as_str()).map(drop)
    }
}

/// The tag, unless SSM does not take it: it takes fewer characters than EC2 (SSM API reference, `Tag`).
fn tag((key, value): &(String, String)) -> Option<Tag> {
    let is_legal = |c: char| c.is_alphanumeric() || "_.:/=+-@ ".contains(c);
    let is_taken = key.chars().chain(value.chars()).all(is_legal);
    is_taken.then(|| Tag::builder().key(key).value(value).build().ok()).flatten()
}
