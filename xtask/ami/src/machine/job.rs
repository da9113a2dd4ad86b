//! Scripts that run on a machine by themselves, so that they go on when the connection breaks.
//!
//! A job has a folder below `/run` on the machine, with the script, its output, the process id of its runner, and at its
//! end its exit status. The tool follows the output, and after a lost connection it follows on from the byte where it was.
//! `/run` is in memory, so nothing of this is in the image.

use std::time::Duration;

use anyhow::Result;

use super::Output;
use crate::ground::process;

/// Where jobs are on the machine.
const JOBS: &str = "/run/wallaroo-jobs";

/// The exit status of `timeout` when it ended the script, and when it had to kill it.
const TIMED_OUT: [u32; 2] = [124, 137];

/// Begins a job, unless it has begun. Its parameters are [`Job::words_of_start`]; the script is its standard input.
///
/// A transient unit outlives the login session even where logind ends what a session leaves behind. The runner takes care
/// that the job runs once, whatever the caller had to repeat.
const START: &str = r#"set -eu
umask 077
folder=$1 size=$2 limit=$3 outputs=$4 announce=$5
shift 5
[ ! -d "$folder" ] || { echo "it has begun already"; exit 0; }
part=$folder.part.$$
mkdir -p "$part"
cat > "$part/script"
if [ "$(stat -c %s "$part/script")" != "$size" ]; then
    rm -rf "$part"
    echo "the script did not arrive whole" >&2
    exit 1
fi
cat > "$part/run" << 'RUN'
cd "$1" && mkdir begun 2> /dev/null || exit 0
limit=$2 outputs=$3 announce=$4
shift 4
echo $$ > pid.part && mv pid.part pid
export HOME=/root
exec > out 2> err
[ "$outputs" = apart ] || exec 2>&1
timeout --kill-after=30 "$limit" bash ./script "$@" < /dev/null
status=$?
echo "$status" > status.part && mv status.part status
[ -z "$announce" ] || echo "<2>$announce: exit status $status" > /dev/kmsg
exit 0
RUN
: > "$part/out"
: > "$part/err"
mv -T "$part" "$folder" 2> /dev/null || { rm -rf "$part"; exit 0; }
if [ -d /run/systemd/system ] && systemd-run --unit="wallaroo-job-$(basename "$folder")" \
    --setenv=PATH="$PATH" --setenv=SUDO_USER="${SUDO_USER:-root}" \
    bash "$folder/run" "$folder" "$limit" "$outputs" "$announce" "$@" > /dev/null 2>&1; then
    exit 0
fi
setsid bash "$folder/run" "$folder" "$limit" "$outputs" "$announce" "$@" < /dev/null > /dev/null 2>&1 &"#;

/// Prints the output of a job from these bytes on until its end, and exits with its status.
const FOLLOW: &str = r#"cd "$1" || exit
tries=0
until [ -e pid ]; do
    tries=$((tries + 1))
    [ "$tries" -le 300 ] || { echo "the script has not begun within 30 s" >&2; exit 1; }
    sleep 0.1
done
if [ -e status ]; then
    tail -c "+$2" out
    tail -c "+$3" err >&2
else
    tail -c "+$2" -f -s 0.3 --pid="$(cat pid)" out 2> /dev/null &
    tail -c "+$3" -f -s 0.3 --pid="$(cat pid)" err >&2 2> /dev/null &
    wait
fi
[ -e status ] || { echo "the script was ended from outside, as when the machine shuts down" >&2; exit 1; }
exit "$(cat status)""#;

/// A script to run on a machine as root, and what it has printed so far.
#[derive(Debug)]
pub struct Job {
    /// What it does, for messages.
    pub what: String,
    /// Its name on the machine, which no other job has there.
    name: String,
    /// The folder of all jobs on the machine.
    folder: String,
    /// The script.
    pub text: String,
    arguments: Vec<String>,
    /// How long it may run, on the machine's clock.
    pub limit: Duration,
    has_result: bool,
    one_is_a_result: bool,
    announcement: Option<String>,
    /// Whether this process has tried to begin it.
    pub(super) is_tried: bool,
    pub(super) output: Output,
}

impl Job {
    /// A script for bash. What it prints on its two outputs comes as one, in the order in which it was printed.
    #[must_use]
    pub fn new(what: &str, name: &str, text: String, limit: Duration) -> Job {
        Job {
            what: what.to_owned(),
            name: name.to_owned(),
            folder: JOBS.to_owned(),
            text,
            arguments: Vec::new(),
            limit,
            has_result: false,
            one_is_a_result: false,
            announcement: None,
            is_tried: false,
            output: Output::default(),
        }
    }

    /// The same with these arguments.
    #[must_use]
    pub fn arguments(self, arguments: impl IntoIterator<Item = String>) -> Job {
        Job { arguments: arguments.into_iter().collect(), ..self }
    }

    /// The same, where the standard output is a result, which nothing on standard error is mixed into.
    #[must_use]
    pub fn has_result(self) -> Job {
        Job { has_result: true, ..self }
    }

    /// The same, where the exit status 1 is a result like 0.
    #[must_use]
    pub fn one_is_a_result(self) -> Job {
        Job { one_is_a_result: true, ..self.has_result() }
    }

    /// The same for a script that ends logins: its exit status is announced on the console, after these unique words.
    #[must_use]
    pub fn announced_as(self, words: String) -> Job {
        Job { announcement: Some(words), ..self }
    }

    /// The same with another folder for the jobs on the machine.
    #[must_use]
    pub fn in_folder(self, folder: &str) -> Job {
        Job { folder: folder.to_owned(), ..self }
    }

    /// The command that does the same within one connection, with the script on its standard input.
    ///
    /// # Errors
    /// When an argument contains a zero byte.
    pub fn command(&self) -> Result<String> {
        let mut command = "sudo -n bash -s".to_owned();
        if !self.arguments.is_empty() {
            let arguments = shlex::try_join(self.arguments.iter().map(String::as_str))?;
            command.push_str(&format!(" -- {arguments}"));
        }
        if self.one_is_a_result {
            command.push_str(" || test $? = 1");
        }
        Ok(command)
    }

    /// The command that begins it, with the script on its standard input.
    ///
    /// # Errors
    /// When an argument contains a zero byte.
    pub(super) fn start(&self) -> Result<String> {
        let limit = self.limit.as_secs().max(1).to_string();
        let (folder, size) = (self.own_folder(), self.text.len().to_string());
        let announcement = self.announcement.as_deref().unwrap_or_default();
        let outputs = if self.has_result { "apart" } else { "together" };
        let words = ["sudo", "-n", "bash", "-c", START, "start", &folder, &size, &limit, outputs, announcement];
        Ok(shlex::try_join(words.into_iter().chain(self.arguments.iter().map(String::as_str)))?)
    }

    /// The command that follows its output from where it was, and exits with its status.
    ///
    /// # Errors
    /// When an argument contains a zero byte.
    pub(super) fn follow(&self) -> Result<String> {
        // `tail -c +N` counts from 1.
        let (out, err) = (self.output.stdout.len() + 1, self.output.stderr_bytes + 1);
        let words =
            ["sudo", "-n", "bash", "-c", FOLLOW, "follow", &self.own_folder(), &out.to_string(), &err.to_string()];
        Ok(shlex::try_join(words)?)
    }

    pub(super) fn outputs_come_as_one(&self) -> bool {
        !self.has_result
    }

    fn own_folder(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    pub(super) fn counts_as_success(&self, status: u32) -> bool {
        status == 0 || status == 1 && self.one_is_a_result
    }

    pub(super) fn timed_out(&self, status: u32) -> bool {
        TIMED_OUT.contains(&status)
    }

    /// The exit status that the console announces, if the job has ended and announces it.
    #[must_use]
    pub fn announced(&self, console: &str) -> Option<u32> {
        let words = format!("{}: exit status ", self.announcement.as_ref()?);
        console.lines().rev().find_map(|line| line.split_once(&words)?.1.trim().parse().ok())
    }

    /// The words after which its exit status is announced on the console, if it is.
    #[must_use]
    pub fn announcement(&self) -> Option<&str> {
        self.announcement.as_deref()
    }

    /// What it printed, on standard output only if that is its result.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// The last lines that it printed.
    #[must_use]
    pub fn last_lines(&self) -> String {
        process::last_lines(&String::from_utf8_lossy(&self.output.tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_announcement_of_this_job_counts() {
        let job =
            Job::new("sealing", "seal", String::new(), Duration::from_secs(1)).announced_as("b-1-seal".to_owned());
        assert_eq!(job.announced("[   12.3] b-1-seal: exit status 0\r\nlogin: "), Some(0));
        assert_eq!(job.announced("b-1-seal: exit status 1\n[9.9] b-1-seal: exit status 7\n"), Some(7));
        assert_eq!(job.announced("b-2-seal: exit status 0\nb-1-seal: exit status \n"), None);
    }

    #[test]
    fn a_job_has_the_same_arguments_in_one_connection() {
        let job = Job::new("a", "a", String::new(), Duration::from_secs(1));
        assert_eq!(job.command().expect("a command"), "sudo -n bash -s");
        let job = job.arguments(["prepare", "a b"].map(str::to_owned)).one_is_a_result();
        assert_eq!(job.command().expect("a command"), "sudo -n bash -s -- prepare 'a b' || test $? = 1");
    }
}
