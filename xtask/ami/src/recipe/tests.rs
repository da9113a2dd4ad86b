use xtask::{cli::ReleaseFlags, instance::KeyType};

use super::*;

const SHIPPED: &str = include_str!("../../../../.release/ami/ami.toml");

fn parse(text: &str) -> Result<Recipe> {
    Recipe::parse(Utf8Path::new("ami.toml"), text)
}

fn complaint(from: &str, to: &str) -> String {
    assert!(SHIPPED.contains(from), "the shipped recipe does not have {from:?}");
    parse(&SHIPPED.replacen(from, to, 1)).expect_err(to).to_string()
}

#[test]
fn the_shipped_recipe_is_valid() {
    let recipe = parse(SHIPPED).expect("the recipe");
    let names: Vec<&str> = recipe.binaries.iter().map(|binary| binary.name.as_str()).collect();
    assert_eq!(names, ["machida", "cluster_shutdown", "data_receiver", "sender"]);
    assert_eq!(recipe.build.target_cpu, "sandybridge");
    assert_eq!(recipe.image_name(&"0.6.1".parse().expect("a version")).expect("a name"), "Wallaroo 0.6.1");
}

#[test]
fn a_system_without_a_version_is_known_by_its_suite() {
    let recipe = parse(SHIPPED).expect("the recipe");
    for (itself, name) in [
        ("debian-forky", "debian-14"),
        ("debian-14", "debian-14"),
        ("debian-sid", "debian-sid"),
        ("ubuntu-forky", "ubuntu-forky"),
    ] {
        assert_eq!(recipe.system_called(itself.to_owned()), name);
    }
}

#[test]
fn a_wrong_type_is_shown_with_its_line() {
    let error = complaint("root_volume_gib = 8", "root_volume_gib = \"8\"");
    assert!(
        error.contains("failed to parse the recipe ami.toml") && error.contains("root_volume_gib = \"8\""),
        "{error}"
    );
    let line = SHIPPED.lines().position(|line| line.starts_with("root_volume_gib")).expect("it is there") + 1;
    assert!(error.contains(&format!("at line {line},")), "{error}");
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest_known_one() {
    let error = complaint("target_cpu =", "target_cpus =");
    assert!(error.contains("unknown field `target_cpus`") && error.contains("did you mean `target_cpu`?"), "{error}");
}

#[test]
fn security_updates_are_the_default_of_what_is_upgraded() {
    let setting = "[packages]\nupgrade = \"security\"\n";
    assert!(SHIPPED.contains(setting));
    let upgrade = |text: &str| parse(&SHIPPED.replacen(setting, text, 1)).expect("a recipe").packages.upgrade;
    assert_eq!([upgrade(""), upgrade("[packages]\n"), upgrade(setting)], [Upgrade::Security; 3]);
    assert_eq!(upgrade("[packages]\nupgrade = \"none\"\n"), Upgrade::None);
    assert_eq!(upgrade("[packages]\nupgrade = \"all\"\n"), Upgrade::All);
}

#[test]
fn a_wrong_setting_of_the_packages_is_shown_with_what_is_right() {
    for (setting, words) in [
        ("[packages]\nupgrade = \"secure\"\n", "`none`, `security`, `all`"),
        ("[packages]\nupgrade = true\n", "none, security or all"),
        ("[packages]\nupgrades = \"all\"\n", "did you mean `upgrade`?"),
        ("[packges]\nupgrade = \"all\"\n", "did you mean `packages`?"),
        ("[package]\nupgrade = \"all\"\n", "did you mean `[packages]`?"),
        ("[[packages]]\nname = \"numactl\"\nwhy = \"x\"\n", "did you mean `[[package]]`?"),
    ] {
        let error = complaint("[packages]\nupgrade = \"security\"\n", setting);
        assert!(error.contains(words), "{setting}: {error}");
    }
}

#[test]
fn all_faults_are_reported_together() {
    let text = SHIPPED
        .replacen("Wallaroo {version}\"", "Wallaroo\"", 1)
        .replacen("machida/build/machida", "../machida", 1)
        .replacen("name = \"numactl\"", "name = \"numactl; reboot\"", 1)
        .replacen("resilience=off", "resilience", 1);
    let error = parse(&text).expect_err("four faults").to_string();
    for fault in ["must contain {version}", "`../machida` must be", "`numactl; reboot`", "`resilience` is not name"] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
}

#[test]
fn the_owner_of_the_base_is_one_account_or_one_for_each_partition() {
    let owner = |value: &str| {
        let line = SHIPPED.lines().find(|line| line.starts_with("owner = ")).expect("an owner");
        parse(&SHIPPED.replacen(line, &format!("owner = {value}"), 1)).map(|recipe| recipe.base.owner)
    };
    let one = owner("\"099720109477\"").expect("an account");
    assert_eq!(one.in_partition("aws-cn"), Some("099720109477"));
    let several = owner("{ aws = \"099720109477\", aws-cn = \"837727238323\" }").expect("accounts");
    assert_eq!(several.in_partition("aws-cn"), Some("837727238323"));
    assert_eq!(several.in_partition("aws-us-gov"), None);
    for (wrong, fault) in [
        ("\"09972010947\"", "base.owner: `09972010947` is not an account ID of twelve digits"),
        ("{ aws-cn = \"Canonical\" }", "base.owner: `Canonical` is not"),
        ("\"canonical\"", "base.owner: `canonical` is not"),
        ("\"sefl\"", "did you mean `self`?"),
        ("{ aws-ch = \"099720109477\" }", "base.owner: `aws-ch` is not a partition"),
        ("{ china = \"099720109477\", aws = \"1\" }", "base.owner: `china` is not a partition"),
        ("{ }", "base.owner: the table names no account"),
        ("12", "expected an account, or a table of accounts by partition"),
    ] {
        let error = owner(wrong).expect_err(wrong).to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn the_former_name_of_the_machine_lifetime_is_accepted() {
    let recipe = parse(&SHIPPED.replacen("machine_lifetime = \"5h\"", "machine = \"4h\"", 1)).expect("the recipe");
    assert_eq!(recipe.limits.machine_lifetime, Duration::from_secs(4 * 3600));
}

#[test]
fn a_name_tells_its_version() {
    let recipe = |name: &str| parse(&SHIPPED.replacen("Wallaroo {version}", name, 1)).expect("the recipe");
    let shipped = recipe("Wallaroo {version}");
    assert_eq!(shipped.version_in("Wallaroo 0.6.1"), Some("0.6.1"));
    for other in ["Wallaroo ", "Wallaroo", "Wallaroo  0.6.1", "wallaroo 0.6.1", "golden", ""] {
        assert_eq!(shipped.version_in(other), None, "{other}");
    }
    let around = recipe("Wallaroo ({version}) beta");
    assert_eq!(around.version_in("Wallaroo (0.6.1) beta"), Some("0.6.1"));
    assert_eq!(around.version_in("Wallaroo (0.6.1)"), None);
}

#[test]
fn a_too_long_name_is_refused() {
    let recipe = parse(SHIPPED).expect("the recipe");
    let error = recipe.image_name(&"1".repeat(125).parse().expect("a version")).expect_err("a long name");
    assert!(error.to_string().contains("has 134 characters; EC2 permits 3 to 128"), "{error}");
}

#[test]
fn an_overflowing_duration_is_refused_with_its_line() {
    let error = complaint("deprecate_after = \"", "deprecate_after = \"18446744073709551615s 500ms 500ms ");
    assert!(error.contains("give at most 730days") && error.contains(" at line "), "{error}");
}

#[test]
fn a_duration_out_of_range_is_refused_with_its_line() {
    for (from, to, expected) in [
        ("deprecate_after = \"730days\"", "deprecate_after = \"731days\"", "give at most 730days"),
        ("deprecate_after = \"730days\"", "deprecate_after = \"1h\"", "give at least 1day"),
        ("login = \"10min\"", "login = \"0s\"", "give at least 1s"),
        ("machine_lifetime = \"5h\"", "machine_lifetime = \"31days\"", "give at most 30days"),
        ("image = \"60min\"", "image = \"9999999999y 9999999999y\"", "give at most 30days"),
    ] {
        let error = complaint(from, to);
        let line = SHIPPED.lines().position(|line| line.starts_with(from)).expect("it is there") + 1;
        assert!(error.contains(expected) && error.contains(&format!("at line {line},")), "{to}: {error}");
    }
}

#[test]
fn several_users_may_be_tried_and_names_of_users_are_checked() {
    let users = |value: &str| parse(&SHIPPED.replacen("ssh_user = \"debian\"", &format!("ssh_user = {value}"), 1));
    let system = |recipe: Recipe| recipe.system("debian-11").expect("it").ssh_users.clone();
    assert_eq!(users("[\"admin\", \"debian\"]").map(system).expect("a list"), ["admin", "debian"]);
    assert_eq!(users("\"admin\"").map(system).expect("a name"), ["admin"]);
    for (value, fault) in [
        ("[]", "ssh_user: there must be at least one"),
        ("\"-oProxyCommand=x\"", "is not the name of a user"),
        ("7", "expected a string or a list of strings"),
    ] {
        let error = users(value).expect_err(value).to_string();
        assert!(error.contains(fault), "{value}: {error}");
    }
}

#[test]
fn what_ssh_and_apt_need_is_checked_with_all_else() {
    let (ssh, apt) = ("through = [\"nc\", \"{adress}\"]", "[apt]\nproxy = \"proxy:3128\"");
    let error =
        parse(&SHIPPED.replacen("through = []", ssh, 1).replacen("[apt]", apt, 1)).expect_err("faults").to_string();
    for fault in ["{adress} is unknown; known are {host}", "must name the machine", "apt.proxy: it must be a URL"] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
    let error = complaint("through = []", "key_type = \"rsa\"");
    assert!(error.contains("unknown variant `rsa`, expected `ed25519` or `ecdsa`"), "{error}");
}

#[test]
fn a_mirror_that_is_not_one_word_is_refused() {
    for mirror in ["http://mirror.example/debian [trusted=yes]", "http://mirror.example/$(reboot)", "-o", "http://a'b"]
    {
        let error = complaint("[local_base]", &format!("[local_base]\nmirror = {mirror:?}"));
        assert!(error.contains("is not a URL"), "{mirror}: {error}");
    }
    let error = complaint("[local_base]", "[local_base]\nmirror = \"http://me:s3cret@mirror.example/debian\"");
    assert!(error.contains("the password for mirror.example/debian would be in the image"), "{error}");
    assert!(!error.contains("faults:\n  local_base.mirror: `"), "{error}");
    let error = complaint("suite = \"bookworm\"", "suite = \"--hook-dir=/tmp\"");
    assert!(error.contains("system debian-12: suite: `--hook-dir=/tmp` is not one plain word"), "{error}");
    let error = complaint("[local_base]", "[local_base]\nsecurity_mirror = \"http://s.example/x\"");
    assert!(error.contains("local_base.security_mirror: it counts only beside a mirror"), "{error}");
}

fn flags(words: &str) -> xtask::cli::ReleaseFlags {
    use clap::Parser as _;
    let words = "xtask ami --version 0.6.1".split(' ').chain(words.split_whitespace());
    let xtask::cli::Task::Ami(ami) = xtask::cli::Cli::parse_from(words).task else { unreachable!("it is a release") };
    ami.release.expect("the flags of a release")
}

#[test]
fn flags_override_the_settings_of_the_recipe_one_by_one() {
    let text = SHIPPED.replacen(
        "[instance]",
        "[tags]\nteam = \"data\"\nstage = \"test\"\n\n[instance]\nkms_key = \"alias/a\"",
        1,
    );
    let recipe = parse(&text).expect("the recipe");
    assert!(recipe.instance.is_encrypted(), "a key is there to encrypt with");
    let with = |words: &str| recipe.with(&flags(words)).expect(words);
    let tags: Vec<_> = with("--tag stage=live --tag cost=1").tags.into_iter().collect();
    let expected = [("cost", "1"), ("stage", "live"), ("team", "data")];
    assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert!(!with("--encrypted=false").instance.is_encrypted());
    assert_eq!(
        with("--kms-key alias/b").instance.kms_key.as_ref().map(xtask::instance::KmsKey::as_str),
        Some("alias/b")
    );
    assert_eq!(with("--instance-type c5.large --volume-type gp2").instance.volume_type, "gp2");
    assert_eq!(with("--volume-type io2 --volume-iops 400").instance.volume_iops, Some(400));
    let proxy = "http://proxy.example.com:3128";
    assert_eq!(with(&format!("--apt-proxy {proxy}")).apt.proxy.as_deref(), Some(proxy));
    assert_eq!(with("--instance-profile other").instance.instance_profile.as_deref(), Some("other"));
    let set = SHIPPED.replacen("[apt]", &format!("[apt]\nproxy = \"{proxy}\""), 1);
    let set = set.replacen("[instance]", "[instance]\ninstance_profile = \"builder\"", 1);
    let none = || Some(String::new());
    let off = ReleaseFlags { apt_proxy: none(), instance_profile: none(), ..flags("") };
    let off = parse(&set).expect("a recipe").with(&off).expect("nothing wrong");
    assert_eq!((off.apt.proxy, off.instance.instance_profile), (None, None));
    let (no_iops, loopback) =
        (recipe.with(&flags("--volume-type io2")), recipe.with(&flags("--apt-proxy http://localhost:1")));
    assert!(no_iops.expect_err("a fault").to_string().contains("--volume-iops"));
    assert!(loopback.expect_err("a fault").to_string().contains("the machine itself"));
}

#[test]
fn the_way_to_the_machines_is_given_for_one_build_as_a_line_of_shell() {
    let given = "[ssh]\nkey_type = \"ecdsa\"\nthrough = [\"nc\", \"{host}\", \"{port}\"]";
    let text = SHIPPED.replacen("[ssh]\nthrough = []", given, 1);
    let recipe = parse(&text).expect("the recipe");
    let with =
        |line: &str, words: &str| recipe.with(&ReleaseFlags { ssh_through: Some(line.to_owned()), ..flags(words) });
    let same = recipe.with(&flags("")).expect("no flags");
    assert_eq!((same.ssh.through.len(), same.ssh.key_type), (3, Some(KeyType::EcdsaP256)));
    let given =
        with(r#"ssh -W '{host}:{port}' "bastion host" a\ b # the way"#, "--key-type ed25519").expect("a command").ssh;
    assert_eq!(given.through, ["ssh", "-W", "{host}:{port}", "bastion host", "a b"]);
    assert_eq!(given.key_type, Some(KeyType::Ed25519));
    assert_eq!(with("", "").expect("a direct connection").ssh.through, [""; 0]);
    for (line, fault) in [
        ("ssh 'bastion {host}", "--ssh-through: `ssh 'bastion {host}` is not a command"),
        ("ssh {host} \\", "is not a command"),
        ("ssh {hots}", "{hots} is unknown"),
        ("ssh bastion", "it must name the machine"),
        ("'' {host}", "not the name of a program"),
    ] {
        let error = with(line, "--tag aws:x=1").expect_err(line).to_string();
        assert!(error.contains(fault) && error.contains("aws:x"), "{line}: {error}");
    }
}

/// The keys that a table of the recipe may have, as serde lists them for one that it does not know.
fn keys_of(header: &str) -> Vec<String> {
    let text = match SHIPPED.split_once(&format!("\n{header}\n")) {
        _ if header.is_empty() => format!("nonsense = 1\n{SHIPPED}"),
        Some((before, after)) => format!("{before}\n{header}\nnonsense = 1\n{after}"),
        None => format!("{SHIPPED}\n{header}\nnonsense = 1\n"),
    };
    let error = parse(&text).expect_err(header).to_string();
    let line = error.lines().find(|line| line.contains("unknown field `nonsense`"));
    let line = line.unwrap_or_else(|| panic!("{header}: {error}"));
    line.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_shipped_recipe_shows_each_key_that_there_is() {
    let (system, package) = ("[system.\"debian-14\"]", "[[system.\"ubuntu-16.04\".package]]");
    for (header, known) in [
        ("", "build_region"),
        ("[instance]", "kms_key"),
        ("[limits]", "login"),
        ("[ssh]", "through"),
        ("[apt]", "proxy"),
        ("[publish]", "ssm_prefix"),
        ("[build]", "container"),
        ("[[binary]]", "variables"),
        ("[base]", "owner"),
        ("[local_base]", "uefi_firmware"),
        (system, "glibc"),
        (package, "libraries"),
        ("[[file]]", "except"),
    ] {
        let keys = keys_of(header);
        assert!(keys.iter().any(|key| key == known), "{header}: {keys:?}");
        // An older name of `machine_lifetime`.
        for key in keys.iter().filter(|key| *key != "machine") {
            let forms = [format!("{key} ="), format!("`{key}`"), format!("[{key}]"), format!("[{key}.")];
            assert!(forms.iter().any(|form| SHIPPED.contains(form)), "the recipe shows no `{key}` of {header}");
        }
    }
}

#[test]
fn faults_of_settings_are_reported_together_wherever_they_were_given() {
    let text = SHIPPED.replacen(
        "[instance]",
        "[tags]\n\"aws:x\" = \"1\"\nName = \"mine\"\n\n[instance]\nvolume_type = \"GP 3\"\nencrypted = false\n\
         kms_key = \"alias/a\"\npublic_address = \"no\"\nreach = \"public\"\ninstance_profile = \"a/b\"",
        1,
    );
    let error = parse(&text).expect_err("six faults").to_string();
    for fault in [
        "\"aws:x\": keys",
        "\"Name\": this tool",
        "`GP 3` is not",
        "kms_key: a key has no use",
        "reach: a machine",
        "`a/b` is neither",
    ] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
    let recipe = parse(SHIPPED).expect("the recipe");
    let error = recipe.with(&flags("--tag aws:x=1 --public-address no --reach public --volume-type x_y"));
    let error = error.expect_err("three faults").to_string();
    for fault in ["\"aws:x\": keys", "reach: a machine", "`x_y` is not a volume type"] {
        assert!(error.contains(fault), "{fault}: {error}");
    }
}

#[test]
fn a_setting_that_is_no_choice_is_shown_with_its_line() {
    for (setting, expected) in [
        ("public_address = \"maybe\"", "unknown variant `maybe`"),
        ("reach = \"elastic\"", "unknown variant `elastic`"),
        ("kms_key = \"images\"", "`images` is not a KMS key"),
        ("encrypted = \"yes\"", "invalid type"),
        ("volume_iops = -1", "invalid value"),
    ] {
        let error = complaint("[instance]", &format!("[instance]\n{setting}"));
        assert!(error.contains(expected) && error.contains(setting), "{setting}: {error}");
    }
    let error = complaint("[instance]", "[tags]\nteam = 7\n\n[instance]");
    assert!(error.contains("team = 7") && error.contains("invalid type"), "{error}");
}

#[test]
fn an_instance_profile_is_a_name_or_an_arn() {
    let arn = "arn:aws-cn:iam::123456789012:instance-profile";
    for (profile, good) in [
        ("image-builder", true),
        ("a+b=c,d.e@f_g", true),
        (&format!("{arn}/ssm/builder"), true),
        (&format!("{arn}/"), false),
        ("arn:aws:iam::123456789012:role/builder", false),
        ("arn:aws:iam::1234:instance-profile/builder", false),
        ("", false),
        (&"x".repeat(129), false),
    ] {
        let text = SHIPPED.replacen("[instance]", &format!("[instance]\ninstance_profile = {profile:?}"), 1);
        assert_eq!(parse(&text).is_ok(), good, "{profile}");
    }
}

#[test]
fn a_description_that_ec2_does_not_take_is_a_fault() {
    for wrong in ["Wallaroo \u{e9}dition", "two\\nlines", "\u{1f600}"] {
        let message = complaint("\ndescription = \"", &format!("\ndescription = \"{wrong} "));
        assert!(message.contains("description: EC2 permits only printable ASCII"), "{message}");
    }
}
