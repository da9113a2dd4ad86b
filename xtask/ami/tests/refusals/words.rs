//! A word that is none: what was given, what is wrong with it, and the right one that is nearest, or an example.

use serde_json::json;

use crate::{builds::put_build, *};

#[test]
fn a_value_that_a_flag_does_not_take_is_told_with_an_example_of_one_that_it_takes() {
    let home = Home::new();
    for (words, given, wrong, example) in [
        ("--tag team", "team", "there is no `=` in it", "team=data"),
        ("--share everyone", "everyone", "not an account ID", "123456789012 or arn:aws:organizations::"),
        ("--share o-a1b2c3d4e5", "o-a1b2c3d4e5", "an id alone", "such as arn:aws:organizations::"),
        ("--share 1234-5678-9012", "1234-5678-9012", "not an account ID", "did you mean `123456789012`?"),
        ("--private --expires soon", "soon", "expected number", "90s, 12h or 7d"),
        ("--private --expires 7", "7", "time unit needed", "90s, 12h or 7d"),
        ("--private --expires 20y", "20y", "too long", "at most 10years"),
        ("--ssh-from 10.0.0.300", "10.0.0.300", "not an IP address or CIDR block", "203.0.113.0/24"),
        ("--ssh-from 10.0.0.0/40", "10.0.0.0/40", "not an IP address or CIDR block", "203.0.113.0/24"),
        ("--ssm-prefix wallaroo/ami", "wallaroo/ami", "begins with `/`", "/wallaroo/ami"),
        ("--ssm-prefix /aws/images", "/aws/images", "AWS reserves", "/wallaroo/ami"),
        ("--kms-key images", "images", "not a KMS key", "alias/images"),
        ("--ssh-user a@b", "a@b", "not the name of a user", "such as admin"),
        ("--build-container a;b", "a;b", "not the name of a container image", "such as localhost/"),
        ("--regions us_west_2", "us_west_2", "not a region", "did you mean `us-west-2`?"),
        ("--regions mars", "mars", "not a region", "us-west-2"),
    ] {
        let words = ["plan", "--version", "0.6.1"].into_iter().chain(words.split(' '));
        refused(&home, &mut home.ami(words), &[&format!("invalid value '{given}'"), wrong, example]);
    }
    for (words, given, wrong, example) in [
        ("clean --older-than later", "later", "expected number", "90s, 12h or 7d"),
        ("retire --version 0.6.1 --deprecate tomorrow", "tomorrow", "expected number", "a date such as 2027-01-31"),
        ("retire --version 0.6.1 --deprecate 2027-02-31", "2027-02-31", "no such date", "2027-01-31"),
        ("retire --version 0.6.1 --deprecate 2020-01-31", "2020-01-31", "in the past", "such as 30d"),
        ("retire --version 0.6.1 --deprecate 2099-01-31", "2099-01-31", "more than ten years", "such as 30d"),
        ("check --version 0.6.1+dev", "0.6.1+dev", "'+' is not allowed", "a version such as 0.6.1"),
        ("promote --version 0.6.1-rc1 --as v0:6:1", "v0:6:1", "':' is not allowed", "a version such as 0.6.1"),
        ("promote --version 0.6.1-rc1 --as 0.6.1 --ssm-prefix ami", "ami", "begins with `/`", "/wallaroo/ami"),
    ] {
        refused(&home, &mut home.ami(words.split(' ')), &[&format!("invalid value '{given}'"), wrong, example]);
    }
}

#[test]
fn a_word_that_is_none_of_a_list_is_told_with_the_nearest_of_it() {
    let home = Home::new();
    for (words, near) in [
        ("lsit", "'list'"),
        ("plan --verison 0.6.1", "'--version'"),
        ("list --format jsno", "'json'"),
        ("diff 0.6.0 0.6.1 --format markdwon", "'markdown'"),
        ("schema reprot", "'report'"),
        ("completions bsah", "'bash'"),
        ("list --log-format jsno", "'json'"),
        ("plan --version 0.6.1 --public-address subent", "'subnet'"),
        ("plan --version 0.6.1 --reach privat", "'private'"),
        ("plan --version 0.6.1 --key-type ed2551", "'ed25519'"),
    ] {
        refused(&home, &mut home.ami(words.split(' ')), &["a similar", near]);
    }
}

#[test]
fn a_word_of_the_recipe_is_told_with_the_nearest() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    for (from, to, near) in [
        ("upgrade = \"security\"", "upgrade = \"securty\"", "did you mean `security`?"),
        ("[ssh]", "[ssh]\nkey_type = \"ecsda\"", "did you mean `ecdsa`?"),
        ("[instance]", "[instance]\nreach = \"pirvate\"", "did you mean `private`?"),
        ("[ssh]\nthrough = []", "[ssh]\nthrough = [\"nc\", \"{hots}\"]", "did you mean `host`?"),
        ("[local_base]\nsystem = \"debian-13\"", "[local_base]\nsystem = \"debain-13\"", "did you mean `debian-13`?"),
        ("[base]\nsystem = \"ubuntu-16.04\"", "[base]\nsystem = \"ubunut-16.04\"", "did you mean `ubuntu-16.04`?"),
        ("machine_lifetime =", "machine_lifetme =", "did you mean `machine_lifetime`?"),
        ("make = \"2h\"", "make = \"soon\"", "give a duration such as 90s, 12h or 7d"),
        ("[publish]", "[publish]\nssm_prefix = \"wallaroo\"", "give one such as /wallaroo/ami"),
        ("[publish]", "[publish]\nssm_perfix = \"/wallaroo\"", "did you mean `ssm_prefix`?"),
    ] {
        write(&root.join(".release/ami/ami.toml"), recipe(&[(from, to)]));
        refused(&home, &mut home.ami(release(&root, &["--yes"])), &[near]);
    }
    write(&root.join(".release/ami/ami.toml"), recipe(&[]));
    let words = ["does not describe the system debain-12", "did you mean `debian-12`?"];
    refused(&home, &mut home.ami(release(&root, &["--yes", "--system", "debain-12"])), &words);
}

#[test]
fn a_build_or_an_image_that_there_is_not_is_told_with_the_nearest() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let journal = put_build(&home, &root, true, &json!({}));
    let id = journal.parent().and_then(Utf8Path::file_name).expect("an id");
    let slip = &id[..id.len() - 1];
    let near = format!("did you mean `{id}`?");
    refused(&home, &mut home.ami(["resume", slip, "--local"]), &["no unfinished build", slip, &near]);
    // `resume` without an id would not list it, but resume it.
    let ended = run(&mut home.ami(["resume", slip, "--local"]));
    assert!(!ended.stderr.contains("cargo xtask ami resume"), "{ended}");
    refused(&home, &mut home.ami(["report", slip]), &["there is no build", slip, id]);
    refused(
        &home,
        &mut home.ami(["check", "--deep", "none.qcow2", "--local"]),
        &["there is no local image `none.qcow2`, and no such file"],
    );
    let near = ["no system of the recipe has the suite trixi", "did you mean `trixie`?"];
    refused(&home, &mut home.ami(["system-facts", "--suite", "trixi", "--root", root.as_str()]), &near);
}
