//! Make in a container: with podman or docker, whichever is there and has the image.

use std::{ffi::OsStr, process::Output, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::Signal;
use tokio::process::Command;
use xtask::region::nearest;

use crate::ground::{finding::Finding, process, programs};

/// The programs that run containers, in the order in which they are asked for an image.
const ENGINES: [&str; 2] = ["podman", "docker"];

/// The timeout of a question to an engine: one that hangs has lost its daemon. Podman may first have to set up its store.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Runs an engine, and removes its container if it is terminated: an engine passes signals on, but a make that is process
/// 1 of a container does not end by them.
const GUARD: &str = r#"engine=$1 name=$2
shift 2
stop() {
    trap '' HUP INT TERM
    "$engine" kill "$name"
    wait "$run"
    "$engine" rm --force "$name"
    exit 143
}
trap stop HUP INT TERM
"$engine" "$@" &
run=$!
wait "$run""#;

/// An engine with an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    program: &'static str,
    image: String,
    user: User,
}

/// Whose id a container has on this computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// That of its `--user`.
    Given,
    /// The id of `--user` inside means the caller outside, which takes `--userns keep-id`.
    Kept,
    /// Root inside is the caller outside.
    Root,
}

impl Engine {
    /// The first engine that has the image.
    ///
    /// # Errors
    /// A [`Finding`] when there is no engine, none has the image, or the one that has it does not run `make` in the
    /// checkout.
    pub async fn find(image: &str, root: &Utf8Path) -> Result<Engine, Finding> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Engine::find_in(&path, image, root).await
    }

    async fn find_in(path: &OsStr, image: &str, root: &Utf8Path) -> Result<Engine, Finding> {
        let there: Vec<_> = ENGINES.into_iter().filter(|engine| programs::find_in(path, engine).is_some()).collect();
        if there.is_empty() {
            return Err(Finding {
                problem: format!("neither podman nor docker, which run make in the container {image}, is installed"),
                remedy: format!("install one, such as with: sudo apt-get install podman; {WITHOUT}"),
            });
        }
        if root.as_str().contains(',') && root.as_str().contains(':') {
            return Err(Finding {
                problem: format!("podman and docker cannot mount {root}, whose path has both a comma and a colon"),
                remedy: "move the checkout".to_owned(),
            });
        }
        let (mut known, mut troubles) = (Vec::new(), Vec::new());
        for program in &there {
            match ask(program, &["image", "inspect", "--format", "{{.Id}}", image]).await {
                Ok(output) if output.status.success() => {
                    let engine = Engine { program, image: image.to_owned(), user: user_of(program).await };
                    return engine.tried(root).await;
                }
                Ok(output) => {
                    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    let listed = ask(program, &["images", "--format", "{{.Repository}}:{{.Tag}}"]).await;
                    match listed.ok().filter(|output| output.status.success()) {
                        Some(listed) => {
                            let names = String::from_utf8_lossy(&listed.stdout);
                            known.extend(names.lines().filter(|name| !name.contains('<')).map(str::to_owned));
                        }
                        None => troubles.push(format!("{program}: {stderr}")),
                    }
                }
                Err(error) => troubles.push(format!("{program}: {error:#}")),
            }
        }
        Err(not_there(image, &there, &known, &troubles))
    }

    /// This engine, if it runs make in the checkout.
    async fn tried(self, root: &Utf8Path) -> Result<Engine, Finding> {
        let name = container_name("try");
        let words: Vec<String> =
            self.line(&name, root).into_iter().chain(["make", "--version"].map(str::to_owned)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let told = match ask(words[0], &words[1..]).await {
            Ok(output) if output.status.success() => return Ok(self),
            Ok(output) => process::last_lines(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => format!("    {error:#}"),
        };
        let command = words.iter().map(|word| process::quote(word)).collect::<Vec<_>>().join(" ");
        Err(Finding {
            problem: format!("make does not run in the container {}: `{command}` says:\n{told}", self.image),
            remedy: format!("correct that, or choose an image with make and a compiler; {WITHOUT}"),
        })
    }

    /// The words that run a command in a container of this name: in the checkout at its own path, as the caller, and with
    /// nothing of the caller's environment.
    #[must_use]
    pub fn line(&self, name: &str, root: &Utf8Path) -> Vec<String> {
        let mut line: Vec<String> =
            [self.program, "run", "--rm", "--pull", "never", "--name", name].map(str::to_owned).into();
        // Labels of SELinux would have to be changed on all files of the checkout.
        line.extend(["--security-opt", "label=disable"].map(str::to_owned));
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        match self.user {
            User::Given => line.extend(["--user".to_owned(), format!("{uid}:{gid}")]),
            User::Kept => {
                line.extend(["--userns".to_owned(), "keep-id".to_owned(), "--user".to_owned(), format!("{uid}:{gid}")])
            }
            User::Root => line.extend(["--user", "0:0"].map(str::to_owned)),
        }
        if self.program == "podman" {
            line.push("--http-proxy=false".to_owned());
        }
        line.extend(mount(root, false));
        line.extend(git_folder(root).into_iter().flat_map(|folder| mount(&folder, true)));
        // A user without an entry in the image's /etc/passwd has none, or one that it cannot write.
        line.extend(
            ["--workdir", root.as_str(), "--env", "HOME=/tmp", "--entrypoint", "", &self.image].map(str::to_owned),
        );
        line
    }

    /// A command made of [`Engine::line`], whose container ends with it in any case.
    #[must_use]
    pub fn guarded(&self, name: &str, command: &Command) -> Command {
        let inner = command.as_std();
        let mut guarded = process::command("sh", Signal::SIGTERM);
        guarded.args(["-c", GUARD, "sh", self.program, name]).args(inner.get_args());
        if let Some(folder) = inner.get_current_dir() {
            guarded.current_dir(folder);
        }
        guarded
    }
}

/// What else can be done about a container.
const WITHOUT: &str = "or build without a container (build.container in ami.toml, --build-container)";

/// The name of a container, which no other process of this computer gives.
#[must_use]
pub fn container_name(what: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    format!("wallaroo-{}-{}", what.chars().map(legal).collect::<String>(), std::process::id())
}

fn not_there(image: &str, there: &[&str], known: &[String], troubles: &[String]) -> Finding {
    let engines = there.join(" and ");
    if known.is_empty() && !troubles.is_empty() {
        return Finding {
            problem: format!("cannot ask for the container image {image}: {}", troubles.join("; ")),
            remedy: format!("start what is missing, {WITHOUT}"),
        };
    }
    let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
    names.extend(known.iter().filter_map(|name| name.strip_prefix("localhost/")));
    names.extend(names.clone().iter().filter_map(|name| name.strip_suffix(":latest")));
    let meant = nearest(image, &names).map(|near| format!("did you mean `{near}`? Else "));
    Finding {
        problem: format!("{engines} {} no container image {image}", if there.len() > 1 { "have" } else { "has" }),
        remedy: format!("{}get it with `{} pull {image}`, {WITHOUT}", meant.unwrap_or_default(), there[0]),
    }
}

/// Whose id a container of this engine has.
async fn user_of(program: &str) -> User {
    let version = ask(program, &["--version"]).await.map(|output| output.stdout).unwrap_or_default();
    let is_podman = String::from_utf8_lossy(&version).to_ascii_lowercase().contains("podman");
    if is_podman {
        return if nix::unistd::getuid().is_root() { User::Given } else { User::Kept };
    }
    let options = ask(program, &["info", "--format", "{{.SecurityOptions}}"]).await.map(|output| output.stdout);
    let is_rootless = String::from_utf8_lossy(&options.unwrap_or_default()).contains("rootless");
    if is_rootless { User::Root } else { User::Given }
}

async fn ask(program: &str, words: &[&str]) -> anyhow::Result<Output> {
    let mut command = process::command(program, Signal::SIGKILL);
    command.args(words).kill_on_drop(true);
    match tokio::time::timeout(ANSWER_LIMIT, command.output()).await {
        Ok(output) => Ok(output?),
        Err(_) => anyhow::bail!("it does not answer within {}", humantime::format_duration(ANSWER_LIMIT)),
    }
}

/// The words that mount a folder at its own path. `--mount` ends a path at a comma, `--volume` at a colon.
fn mount(folder: &Utf8Path, read_only: bool) -> [String; 2] {
    if folder.as_str().contains(',') {
        let end = if read_only { ":ro" } else { "" };
        return ["--volume".to_owned(), format!("{folder}:{folder}{end}")];
    }
    let end = if read_only { ",readonly" } else { "" };
    ["--mount".to_owned(), format!("type=bind,source={folder},target={folder}{end}")]
}

/// The repository of a checkout that is a worktree or a submodule: it lies elsewhere, and make may ask git.
fn git_folder(root: &Utf8Path) -> Option<Utf8PathBuf> {
    let file = std::fs::read_to_string(root.join(".git")).ok()?;
    let folder = root.join(file.strip_prefix("gitdir:")?.trim());
    let common = std::fs::read_to_string(folder.join("commondir")).ok();
    let folder = common.map_or_else(|| folder.clone(), |common| folder.join(common.trim()));
    folder.canonicalize_utf8().ok().filter(|folder| !folder.starts_with(root))
}

#[cfg(test)]
mod tests;
