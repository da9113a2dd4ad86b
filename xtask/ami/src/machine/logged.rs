//! What an earlier process has logged of a job's output, so that the process that follows the job from its beginning does not
//! log it again.

use super::upload;

/// Bytes of a job's output that are in the log already. What differs from the log is logged.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// How many bytes are in the log by the line before them.
    before: usize,
    /// What comes after that line.
    then: Vec<u8>,
}

/// What the command that begins a job prints where the job has begun already.
pub(super) const BEGUN: &str = "it has begun already";

/// How the line ends after which only the output comes that the log does not have yet.
const AGAIN: &str = " again";

/// How the line ends after which the output comes from a byte on.
const FROM: &str = " from byte ";

impl Logged {
    /// What this log has of the job that does `what` on the machine that is logged in to, and is begun by this `command`.
    /// Where the command began it anew, as on the machine that replaced another, that is nothing of what was before.
    pub(super) fn of(log: &[u8], what: &str, command: &str) -> Logged {
        let (begin, command, begun) = (format!("+ follow {what}"), format!("+ {command}\n"), format!("{BEGUN}\n"));
        let mut logged: Option<Logged> = None;
        let mut is_begun_anew = false;
        let upload = format!("+ {}", upload::BEGIN);
        for line in log.split_inclusive(|&byte| byte == b'\n') {
            // A job may run beside it, whose line it is written into.
            if let Some(at) = line.windows(upload.len()).position(|bytes| bytes == upload.as_bytes()) {
                logged.iter_mut().for_each(|logged| logged.then.extend_from_slice(&line[..at]));
                continue;
            }
            if let Some(before) = line.strip_suffix(command.as_bytes()) {
                logged.iter_mut().for_each(|logged| logged.then.extend_from_slice(before));
                is_begun_anew = true;
                continue;
            }
            if std::mem::take(&mut is_begun_anew) {
                if line == begun.as_bytes() {
                    continue;
                }
                logged = None;
            }
            let rest = line.strip_prefix(begin.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n"));
            let rest = rest.map(String::from_utf8_lossy);
            let from = rest.as_deref().and_then(|rest| rest.strip_prefix(FROM)?.parse().ok());
            match (rest.as_deref(), from, &mut logged) {
                (Some(""), ..) => logged = Some(Logged::default()),
                (_, Some(before), _) => logged = Some(Logged { before, then: Vec::new() }),
                (Some(AGAIN), _, Some(_)) | (.., None) => {}
                (.., Some(logged)) => logged.then.extend_from_slice(line),
            }
        }
        logged.filter(|_| !is_begun_anew).unwrap_or_default()
    }

    /// The line of the log before the output of a job that is followed from this byte on.
    pub(super) fn line(&self, what: &str, from: usize) -> String {
        match (self.before == 0 && self.then.is_empty(), from) {
            (false, _) => format!("follow {what}{AGAIN}"),
            (true, 0) => format!("follow {what}"),
            (true, from) => format!("follow {what}{FROM}{from}"),
        }
    }

    /// The part of the next bytes of the output that is still to be logged.
    pub(super) fn rest<'a>(&mut self, mut data: &'a [u8]) -> &'a [u8] {
        let skipped = self.before.min(data.len());
        self.before -= skipped;
        data = &data[skipped..];
        let same = self.then.iter().zip(data).take_while(|(logged, byte)| logged == byte).count();
        self.then.drain(..same);
        data = &data[same..];
        if !data.is_empty() {
            self.then.clear();
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(log: &str, printed: &str) -> String {
        let whole = |size: usize| {
            let mut logged = Logged::of(log.as_bytes(), "installing", "bash -s");
            let parts = printed.as_bytes().chunks(size).map(|data| logged.rest(data).to_vec());
            String::from_utf8(parts.collect::<Vec<_>>().concat()).expect("UTF-8")
        };
        assert_eq!(whole(1), whole(4096), "{log}");
        whole(3)
    }

    #[test]
    fn what_the_log_has_is_left_out_and_what_differs_is_not() {
        let printed = "one\ntwo\nthree\n";
        for (log, rest) in [
            ("", printed),
            ("+ bash -s\none\n", printed),
            ("+ follow installing\n", printed),
            ("+ follow installing\none\ntw", "o\nthree\n"),
            ("+ follow installing\none\ntwo\nthree\n", ""),
            ("+ follow installing\none\n+ uptime\n", "two\nthree\n"),
            ("+ follow installing\nother\n", &printed[1..]),
            ("+ follow installing more\none\n", printed),
            ("+ follow installing\none\n+ follow installing from byte 4\ntwo\n", "three\n"),
            ("+ follow installing from byte 4\n", "two\nthree\n"),
            // Another process followed it on.
            (&format!("+ follow installing\none\nt+ bash -s\n{BEGUN}\n+ follow installing again\nwo\n"), "three\n"),
            (&format!("+ follow installing\none\n+ bash -s\n{BEGUN}\n"), "two\nthree\n"),
            // Beside it something was uploaded.
            ("+ follow installing\none\n+ sudo -n sh -c 'rm -rf /a /a-parts && …'\ntwo\n", "three\n"),
            ("+ follow installing\none\ntw+ sudo -n sh -c 'rm -rf /a /a-parts && …'\no\n", "three\n"),
            // It began anew, on another machine.
            ("+ follow installing\none\n+ bash -s\n", printed),
            ("+ follow installing\none\n+ bash -s\n+ uptime\n", printed),
            ("+ follow installing\none\n+ bash -s\n+ follow installing\none\n", "two\nthree\n"),
        ] {
            assert_eq!(logged(log, printed), rest, "{log}");
        }
    }
}
