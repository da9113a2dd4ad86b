use super::*;
use crate::fixture::{folder, write};

fn engine(program: &'static str, user: User) -> Engine {
    Engine { program, image: "localhost/base:1".to_owned(), user }
}

#[test]
fn make_is_the_caller_in_the_checkout_at_its_own_path() {
    let (_guard, root) = folder();
    let ids = format!("--user {}:{} ", nix::unistd::getuid(), nix::unistd::getgid());
    let mounts = format!("--mount type=bind,source={root},target={root} --workdir {root} --env HOME=/tmp");
    for (program, user, words) in [
        ("podman", User::Kept, format!("--userns keep-id {ids}--http-proxy=false {mounts}")),
        ("podman", User::Given, format!("label=disable {ids}--http-proxy=false {mounts}")),
        ("docker", User::Given, format!("label=disable {ids}{mounts}")),
        ("docker", User::Root, format!("label=disable --user 0:0 {mounts}")),
    ] {
        let line = engine(program, user).line("name", &root).join(" ");
        assert!(line.starts_with(&format!("{program} run --rm --pull never --name name ")), "{line}");
        assert!(line.contains(&words) && line.ends_with(" localhost/base:1"), "{line}\n{words}");
        // Nothing of the caller's environment, and no standard input.
        assert_eq!(line.matches("--env").count(), 1, "{line}");
        assert!(!line.contains("--interactive") && !line.contains("--tty"), "{line}");
    }
}

#[test]
fn a_path_with_a_comma_or_a_blank_is_mounted_too() {
    let mounted = |path: &str| mount(Utf8Path::new(path), false).join(" ");
    assert_eq!(mounted("/a b:c"), "--mount type=bind,source=/a b:c,target=/a b:c");
    assert_eq!(mounted("/a,b"), "--volume /a,b:/a,b");
    assert_eq!(mount(Utf8Path::new("/a,b"), true).join(" "), "--volume /a,b:/a,b:ro");
}

#[test]
fn the_repository_of_a_worktree_is_mounted_to_be_read() {
    let (_guard, outer) = folder();
    let outer = outer.canonicalize_utf8().expect("a path");
    write(&outer.join("main/.git/worktrees/other/commondir"), "../..\n");
    write(&outer.join("other/.git"), format!("gitdir: {outer}/main/.git/worktrees/other\n"));
    write(&outer.join("main/.git/modules/part/HEAD"), "");
    write(&outer.join("main/part/.git"), "gitdir: ../.git/modules/part\n");
    let line = |root: &str| engine("docker", User::Given).line("name", &outer.join(root)).join(" ");
    let mounted = |folder: &str| format!("type=bind,source={outer}/{folder},target={outer}/{folder},readonly");
    assert!(line("other").contains(&mounted("main/.git")), "{}", line("other"));
    assert!(line("main/part").contains(&mounted("main/.git/modules/part")), "{}", line("main/part"));
    assert!(!line("main").contains("readonly"), "{}", line("main"));
}

#[test]
fn the_name_of_a_container_is_one_that_engines_take() {
    assert_eq!(container_name("0.6 (x)/é-machida"), format!("wallaroo-0.6--x----machida-{}", std::process::id()));
}

#[test]
fn a_missing_image_is_told_with_the_nearest() {
    let known = ["localhost/wallaroo-build:16.04".to_owned(), "docker.io/library/debian:latest".to_owned()];
    let finding = not_there("wallaroo-biuld:16.04", &["podman", "docker"], &known, &[]);
    assert_eq!(finding.problem, "podman and docker have no container image wallaroo-biuld:16.04");
    for words in ["did you mean `wallaroo-build:16.04`?", "`podman pull wallaroo-biuld:16.04`", "--build-container"] {
        assert!(finding.remedy.contains(words), "{finding}");
    }
    let finding = not_there("x", &["docker"], &[], &["docker: cannot connect to the daemon".to_owned()]);
    assert!(finding.problem.contains("cannot connect to the daemon"), "{finding}");
}

#[tokio::test]
async fn without_an_engine_that_is_the_finding() {
    let (_guard, folder) = folder();
    let finding = Engine::find_in(folder.as_os_str(), "base", &folder).await.expect_err("no engine");
    assert!(finding.problem.contains("neither podman nor docker"), "{finding}");
    assert!(finding.remedy.contains("sudo apt-get install podman"), "{finding}");
}
