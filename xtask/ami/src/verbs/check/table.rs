//! The table of `check` on the terminal: one line for each region.

use crate::{
    ground::date,
    show::{
        columns,
        documents::{
            Visibility,
            check::{Check, Image, Region},
            list::State,
        },
    },
};

/// What a column shows of an image.
type Show = fn(&Image) -> String;

/// The columns: the heading of each, and what it shows.
const COLUMNS: [(&str, Show); 8] = [
    ("state", |image| state(image).to_owned()),
    ("image", |image| public(Some(image.visibility == Visibility::Public)).to_owned()),
    ("snapshots", |image| public(image.snapshots_public).to_owned()),
    ("architecture", |image| attribute(image, "architecture")),
    ("ENA", |image| attribute(image, "ENA support")),
    ("boot mode", |image| attribute(image, "boot mode")),
    ("root device", |image| attribute(image, "root device")),
    ("deprecated", |image| image.deprecate_at.as_deref().map_or("never", date::day).to_owned()),
];

/// The table, with a heading; `!` marks the regions with faults.
pub(super) fn text(checked: &Check) -> String {
    let heading = ["", "region", "id"].into_iter().chain(COLUMNS.iter().map(|(heading, _)| *heading));
    let heading: Vec<String> = heading.map(str::to_owned).collect();
    let rows: Vec<Vec<String>> = [heading].into_iter().chain(checked.regions.iter().map(row)).collect();
    columns::lines(&rows)
}

fn row(region: &Region) -> Vec<String> {
    let mark = if region.faults.is_empty() { "" } else { "!" };
    let ids = if region.images.is_empty() { "none".to_owned() } else { region.images.join(" ") };
    let cells = COLUMNS.iter().filter_map(|(_, show)| region.image.as_ref().map(show));
    [mark.to_owned(), region.region.clone(), ids].into_iter().chain(cells).collect()
}

fn state(image: &Image) -> &'static str {
    match image.state {
        State::Pending => "pending",
        State::Available => "available",
        State::Failed => "failed",
        State::Disabled => "disabled",
    }
}

fn public(public: Option<bool>) -> &'static str {
    match public {
        Some(true) => "public",
        Some(false) => "private",
        None => "unknown",
    }
}

/// What the cloud tells of an attribute.
fn attribute(image: &Image, name: &str) -> String {
    image.hardware.get(name).cloned().unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::documents::check::{FORMAT, Fault, FaultKind};

    #[test]
    fn each_region_has_a_line_with_what_a_stranger_sees_and_a_mark_where_something_is_wrong() {
        let hardware = [("architecture", "x86_64"), ("ENA support", "true"), ("root device", "/dev/sda1")];
        let image = Image {
            state: State::Available,
            visibility: Visibility::Public,
            snapshots_public: Some(true),
            deprecate_at: Some("2028-11-28T06:00:00.000Z".to_owned()),
            hardware: hardware.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            content: [].into(),
        };
        let region = |region: &str, ids: &[&str], image: Option<Image>, faults: Vec<Fault>| Region {
            region: region.to_owned(),
            images: ids.iter().map(|id| (*id).to_owned()).collect(),
            image,
            faults,
        };
        let fault = || vec![Fault { kind: FaultKind::Missing, message: "no".to_owned() }];
        let private = Image { snapshots_public: Some(false), deprecate_at: None, ..image.clone() };
        let checked = Check {
            format: FORMAT,
            version: "0.6.1".to_owned(),
            name: "Wallaroo 0.6.1".to_owned(),
            ok: false,
            description: None,
            regions: vec![
                region("eu-west-1", &["ami-1"], Some(private), fault()),
                region("sa-east-1", &[], None, fault()),
                region("us-west-2", &["ami-0123"], Some(image), Vec::new()),
            ],
        };
        let expected = "   region     id        state      image   snapshots  architecture  ENA   boot mode  root device  deprecated
!  eu-west-1  ami-1     available  public  private    x86_64        true  -          /dev/sda1    never
!  sa-east-1  none
   us-west-2  ami-0123  available  public  public     x86_64        true  -          /dev/sda1    2028-11-28
";
        assert_eq!(text(&checked), expected);
    }
}
