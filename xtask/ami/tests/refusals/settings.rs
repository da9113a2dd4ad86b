//! What the recipe and the flags set, as a plan for this computer shows it, and what cannot be.

use crate::*;

/// The lines of a plan for a checkout whose recipe has these changes.
fn plan(changes: &[(&str, &str)], words: &[&str]) -> Ended {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    write(&root.join(".release/ami/ami.toml"), recipe(changes));
    run(&mut home.ami([&["plan"], &release(&root, words)[..]].concat()))
}

#[test]
fn a_plan_for_this_computer_shows_what_is_set_and_what_the_image_will_be_called() {
    if skipped(missing(&support::QEMU).or_else(|| missing(&["mmdebstrap", "mke2fs", "make"]))) {
        return;
    }
    let mirror = "[local_base]\nmirror = \"http://mirror.example/debian\"\nsecurity_mirror = \"none\"";
    let set = [
        ("[apt]", "[apt]\nproxy = \"http://me:secret@proxy.example:3128\""),
        ("[instance]\n", "[tags]\nteam = \"data\"\n[instance]\n"),
        ("[local_base]", mirror),
    ];
    let ended = plan(&set, &["--tag", "stage=test", "--ssh-user", "admin"]);
    for line in [
        "Apt proxy  http://proxy.example:3128\n",
        "Tags  stage=test, team=data\n",
        "Mirror  http://mirror.example/debian, without security updates\n",
        "Log in as  admin\n",
        "Described  Wallaroo 0.6.1 for Python applications, commit ",
        ", on debian-13",
    ] {
        assert!(ended.stdout.contains(line), "no {line:?} in {ended}");
    }
    assert_eq!(ended.code, Some(0), "{ended}");
    // A flag switches off what the recipe sets, and counts here, too.
    let without = plan(&set, &["--apt-proxy", ""]);
    assert!(without.code == Some(0) && !without.stdout.contains("Apt proxy"), "{without}");
    let other = plan(&[], &["--apt-proxy", "http://10.0.0.9:3142"]);
    assert!(other.stdout.contains("Apt proxy  http://10.0.0.9:3142\n"), "{other}");
}

#[test]
fn a_proxy_that_only_this_computer_has_is_told_in_a_plan_until_machines_get_it() {
    let (home, (_guard, folder)) = (Home::new(), folder());
    let root = sample(&folder);
    let plan = |words: &[&str], variable: &str, proxy: &str| {
        run(home.ami([&["plan"], &release(&root, words)[..]].concat()).env(variable, proxy))
    };
    let told = plan(&[], "http_proxy", "http://127.0.0.1:3142");
    let warning = "warning: this computer reaches package sources by the proxy http://127.0.0.1:3142 (http_proxy), which \
                   is at 10.0.2.2 to a machine, and a machine does not by itself: where it needs one, set apt.proxy in \
                   ami.toml, or give --apt-proxy http://10.0.2.2:3142\n";
    assert!(told.stdout.contains(warning), "{told}");
    // apt's own setting, in a file that no variable names is that of this computer.
    let config = folder.join("apt.conf");
    write(&config, "Acquire::http::Proxy \"http://p.example:3128\";\n");
    if !skipped(missing(&["apt-config"])) {
        let told = plan(&[], "APT_CONFIG", config.as_str());
        assert!(told.stdout.contains("by the proxy http://p.example:3128 (apt's Acquire::http::Proxy), and"), "{told}");
    }
    let given = plan(&["--apt-proxy", "http://10.0.2.2:3142"], "http_proxy", "http://127.0.0.1:3142");
    assert!(!given.stdout.contains("by the proxy"), "{given}");
}

#[test]
fn a_description_that_is_too_long_without_the_base_is_refused_with_its_length() {
    let long = format!("description = \"{} {{base}}, ", "x".repeat(220));
    let ended = plan(&[("description = \"", &long)], &[]);
    let words = "the description of the image has 300 characters without the name of its base, and EC2 takes 255";
    assert!(ended.stdout.contains("Wallaroo") && ended.code == Some(2), "{ended}");
    let told = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let number = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    assert!(number(&told).contains(&number(words)), "{ended}");
    assert!(told.contains("shorten `description` in .release/ami/ami.toml"), "{ended}");
}
