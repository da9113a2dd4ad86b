//! The mark on an image that it is verified: with it, another computer may promote the image.

use std::time::SystemTime;

use super::run::Run;
use crate::{
    cloud::{Imaging, tags::TAG_VERIFIED},
    event::{facts::Verified, ids::ImageId, step::Step},
};

/// Writes on the image in the build region that it is verified. What is not marked can be published all the same, so a
/// failure is only a warning.
pub async fn verified<C: Imaging>(cloud: &C, run: &Run, image: &ImageId, verified: &Verified) {
    let region = run.build_region();
    let value = async {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let value = format!("{now}, {} checks", verified.seen.passed());
        cloud.tag_image(region, image, &vec![(TAG_VERIFIED.to_owned(), value.clone())]).await?;
        Ok(value)
    };
    if let Err(error) = run.events.once::<String>(Step::Mark(image.clone()), image, value).await {
        run.events.warn(format_args!(
            "{image} in {region} is verified, but could not be marked as such, so `promote` would refuse it: {error:#}; \
             if that is a denial, attach the policy that this prints: cargo xtask ami iam-policy"
        ));
    }
}
