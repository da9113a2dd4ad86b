//! The account's setting "Allowed AMIs", which makes images of others invisible.

use aws_sdk_ec2::{
    Client,
    types::{ImageCriterion, ManagedBy},
};

use crate::{
    cloud::ec2::{Ec2, answer::Answer as _},
    ground::finding::Finding,
};

/// The state in which the setting hides images; in `audit-mode` and `disabled` it does not (EC2 API reference,
/// `GetAllowedImagesSettings`).
const ENABLED: &str = "enabled";

impl Ec2 {
    /// What to tell of a base that is not found, if the setting hides images of its owner; `owner` is `None` where only the
    /// image's id is known. Nothing where the setting cannot be read.
    pub(super) async fn hidden_base(&self, client: &Client, problem: &str, owner: Option<&str>) -> Option<Finding> {
        let answer = client.get_allowed_images_settings().send().await;
        let settings = answer.answer("GetAllowedImagesSettings", self.build_region.as_str()).ok()?;
        let criteria = settings.image_criteria();
        let is_shown = |owner: &str| criteria.iter().any(|criterion| admits_all_of(criterion, owner));
        if settings.state() != Some(ENABLED) || owner.is_some_and(is_shown) {
            return None;
        }
        let providers: Vec<&str> = criteria.iter().flat_map(|it| it.image_providers()).map(String::as_str).collect();
        let shown = match providers.as_slice() {
            [] => "only images that meet its criteria".to_owned(),
            providers => format!("only images of {}", providers.join(", ")),
        };
        let owner = owner.map_or("the base's owner".to_owned(), |owner| format!("the account {owner}"));
        let remedy = match settings.managed_by() {
            Some(ManagedBy::DeclarativePolicy) => {
                format!("ask the administrators of the organization's declarative policies to allow {owner}")
            }
            _ => format!(
                "have {owner} allowed (aws ec2 replace-image-criteria-in-allowed-images-settings --region {}{})",
                self.build_region,
                crate::cloud::Account::flags(self)
            ),
        };
        Some(Finding {
            problem: format!("{problem}: the setting Allowed AMIs shows this account {shown}, and its own"),
            remedy: format!("{remedy}, or give an image that is allowed with --base-image"),
        })
    }
}

/// Whether a criterion admits the images of an owner whatever else they are.
fn admits_all_of(criterion: &ImageCriterion, owner: &str) -> bool {
    let has_conditions = !criterion.image_names().is_empty()
        || !criterion.marketplace_product_codes().is_empty()
        || !criterion.image_watermarks().is_empty()
        || criterion.deprecation_time_condition().is_some()
        || criterion.creation_date_condition().is_some()
        || criterion.scan_result_condition().is_some();
    criterion.image_providers().iter().any(|provider| provider == owner) && !has_conditions
}
