use super::*;
use crate::show::documents::list::FORMAT;

fn image(name: &str, region: &str, id: &str) -> Image {
    Image {
        region: region.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        version: name.strip_prefix("Wallaroo ").map(str::to_owned),
        build: Some("20261122T200000Z-0-1".to_owned()),
        description: String::new(),
        state: State::Available,
        state_reason: None,
        visibility: Visibility::Public,
        expires: None,
        created: "2026-11-22T20:00:00Z".to_owned(),
        deprecate_at: None,
        tags: BTreeMap::new(),
    }
}

fn listed(images: Vec<Image>, format: ListFormat) -> Result<String> {
    let now = date::moment("2026-11-25T20:00:00Z").expect("a date");
    text(&List { format: FORMAT, images, unanswered: Vec::new() }, None, format, now)
}

/// Two regions, and in the second one more image, which failed.
fn two_names() -> Vec<Image> {
    vec![
        image("Wallaroo 0.6.0", "eu-west-1", "ami-1"),
        image("Wallaroo 0.6.1", "eu-west-1", "ami-2"),
        Image {
            state: State::Failed,
            state_reason: Some("InternalError".to_owned()),
            visibility: Visibility::Private,
            ..image("Wallaroo 0.6.1", "us-west-2", "ami-3")
        },
    ]
}

#[test]
fn markdown_has_a_table_for_each_name() {
    assert_eq!(
        listed(two_names(), ListFormat::Markdown).expect("tables"),
        "### Wallaroo 0.6.0\n\n| Region | AMI | |\n|---|---|---|\n| eu-west-1 | `ami-1` | |\n\n\
         ### Wallaroo 0.6.1\n\n| Region | AMI | |\n|---|---|---|\n| eu-west-1 | `ami-2` | |\n\
         | us-west-2 | `ami-3` | failed: InternalError, private |\n"
    );
}

#[test]
fn no_name_ends_a_table_of_markdown() {
    let text = listed(vec![image("a|b `c` *d*", "eu-west-1", "ami-1")], ListFormat::Markdown).expect("a table");
    assert!(text.starts_with("### a\\|b \\`c\\` \\*d\\*\n"), "{text}");
}

#[test]
fn terraform_gets_a_map_of_what_can_be_launched() {
    let images: Vec<Image> = two_names().into_iter().skip(1).collect();
    let text = listed(images, ListFormat::Terraform).expect("a map");
    assert_eq!(text, "locals {\n  ami_ids = {\n    \"eu-west-1\" = \"ami-2\"\n  }\n}\n");
    assert_eq!(hcl("${a} %{b} \"c\""), "\"$${a} %%{b} \\\"c\\\"\"");
    // JSON's `\b` and `\f` are none of HCL's.
    assert_eq!(hcl("\u{8}\u{c}\n\\é"), "\"\\u0008\\u000c\\u000a\\\\é\"");
    assert_eq!(left_out(&two_names()), ["the map leaves out ami-3 in us-west-2: it is failed: InternalError"]);
    let nothing = listed(Vec::new(), ListFormat::Terraform).expect("a map");
    assert_eq!(nothing, "locals {\n  ami_ids = {\n  }\n}\n");
}

#[test]
fn what_is_no_map_is_refused() {
    let error = listed(two_names(), ListFormat::Terraform).expect_err("two names").to_string();
    assert_eq!(
        error,
        "a map from region to id can have images of one name only, not of `Wallaroo 0.6.0`, `Wallaroo 0.6.1`: pass --version"
    );
    let (version, now) = ("0.6.1".parse().expect("a version"), SystemTime::UNIX_EPOCH);
    let list = List { format: FORMAT, images: two_names(), unanswered: Vec::new() };
    let error = text(&list, Some(&version), ListFormat::Terraform, now).expect_err("two names").to_string();
    assert!(!error.contains("pass --version") && error.contains("the version 0.6.1 has several; "), "{error}");
    let line = "build 20261122T200000Z-0-1: `Wallaroo 0.6.1`, created 2026-11-22T20:00:00Z of an unknown commit, 1 image in \
                eu-west-1";
    assert!(error.contains("or pass --format csv for all:\n  ") && error.ends_with(line), "{error}");
    let twice = ["ami-1", "ami-2"].map(|id| image("Wallaroo 0.6.1", "eu-west-1", id)).to_vec();
    let error = listed(twice, ListFormat::Terraform).expect_err("two images").to_string();
    assert!(error.starts_with("eu-west-1 has two images `Wallaroo 0.6.1`, ami-1 and ami-2,"), "{error}");
}

#[test]
fn csv_quotes_what_has_a_comma() {
    let images = vec![image("Wallaroo 0.6.1, \"rc\"", "eu-west-1", "ami-1")];
    assert_eq!(
        listed(images, ListFormat::Csv).expect("values"),
        "name,version,region,id,state,visibility,created,deprecate_at,expires,build\n\
         \"Wallaroo 0.6.1, \"\"rc\"\"\",\"0.6.1, \"\"rc\"\"\",eu-west-1,ami-1,available,public,2026-11-22T20:00:00Z,,,\
         20261122T200000Z-0-1\n"
    );
}

#[test]
fn a_line_for_people_says_how_old_an_image_is_and_when_it_expires() {
    let foreign = Image { build: None, ..image("Wallaroo 0.6.1", "eu-west-1", "ami-1") };
    let private = Image {
        visibility: Visibility::Private,
        expires: Some("2026-11-29T20:00:00Z".to_owned()),
        ..image("Wallaroo 0.6.1 (private me 89abcd1d 768ae622)", "us-west-2", "ami-2")
    };
    assert_eq!(
        listed(vec![foreign, private], ListFormat::Table).expect("lines"),
        "Wallaroo 0.6.1                                 eu-west-1  ami-1  available  public   3 d old, not made by this tool\n\
         Wallaroo 0.6.1 (private me 89abcd1d 768ae622)  us-west-2  ami-2  available  private  3 d old, expires 2026-11-29\n"
    );
}
