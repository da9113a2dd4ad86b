//! The terminal's screen: the live block at its end, and what is written above it.
//!
//! A process has one, as it has one terminal, which stdout, stderr and questions share. The block is painted by hand: a
//! frame is one write, a terminal that takes nothing now (Ctrl-S) does not hold the build, and a resized one is painted anew
//! at once. The libraries for progress bars clear as many rows as they painted, so where a narrower window has wrapped these,
//! the rest stays.

use std::{
    io::{IsTerminal as _, Write},
    os::fd::AsFd as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::live::width_of;

static SCREEN: Mutex<Screen> = Mutex::new(Screen { painted: Vec::new(), columns: 0, held: 0, waiting: String::new() });

/// What is kept for a terminal that takes nothing now.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// The live block on a terminal.
#[derive(Debug, Default)]
struct Screen {
    /// The lines of the block that is painted now.
    painted: Vec<String>,
    /// How wide the terminal was then.
    columns: usize,
    /// How many questions or programs have the terminal now.
    held: usize,
    /// Lines for above the block that the terminal has not taken yet.
    waiting: String,
}

impl Screen {
    /// What removes the block, and leaves the cursor where it began.
    fn erase(&mut self, columns: usize) -> String {
        if self.painted.is_empty() {
            return String::new();
        }
        // A terminal that became narrower has wrapped the lines. The cursor is in the row after them.
        let columns = columns.max(1);
        let rows: usize = self.painted.iter().map(|line| width_of(line).div_ceil(columns).max(1)).sum();
        self.painted.clear();
        // Up, and then all that is below is erased (ECMA-48: CUU, ED).
        format!("\r\u{1b}[{rows}A\u{1b}[J")
    }

    /// What replaces the block by these lines, with the lines that wait above them; nothing if all is as it was.
    fn paint(&mut self, lines: Vec<String>, columns: usize) -> String {
        if self.held > 0 || (self.waiting.is_empty() && self.painted == lines && self.columns == columns) {
            return String::new();
        }
        let is_same_size = self.columns == columns && self.waiting.is_empty();
        let mut frame = String::new();
        if is_same_size && !self.painted.is_empty() && !lines.is_empty() {
            // Line by line over the old ones, which does not flicker (ECMA-48: EL).
            frame = format!("\r\u{1b}[{}A", self.painted.len());
            for line in &lines {
                frame.push_str(line);
                frame.push_str("\u{1b}[K\n");
            }
            frame.push_str("\u{1b}[J");
        } else {
            frame += &self.erase(columns);
            frame += &std::mem::take(&mut self.waiting);
            for line in &lines {
                frame.push_str(line);
                frame.push('\n');
            }
        }
        self.painted = lines;
        self.columns = columns;
        frame
    }
}

fn screen() -> MutexGuard<'static, Screen> {
    // After a panic the block is still to be removed.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The columns and the rows of the terminal; those of the smallest that are usual if it does not tell.
#[must_use]
pub fn size() -> (usize, usize) {
    let told = console::Term::stderr().size_checked().filter(|(rows, columns)| *rows > 0 && *columns > 0);
    told.map_or((80, 24), |(rows, columns)| (columns.into(), rows.into()))
}

/// Replaces the block by these lines. Does nothing while a question or a program has the terminal, or it takes nothing.
pub fn paint(lines: Vec<String>) {
    let mut screen = screen();
    if !takes() {
        return;
    }
    let frame = screen.paint(lines, size().0);
    write(&frame);
}

/// Prints lines above the block.
pub fn print(line: &str) {
    let mut screen = screen();
    screen.waiting.push_str(line);
    screen.waiting.push('\n');
    if screen.held > 0 || screen.waiting.len() > MAX_WAITING_BYTES {
        flush(&mut screen);
    } else if takes() {
        let columns = size().0;
        // In a narrower window, the lines of the block would wrap. The next frame has others.
        let block = if columns < screen.columns { Vec::new() } else { screen.painted.clone() };
        let frame = screen.paint(block, columns);
        write(&frame);
    }
}

/// Forgets the block: the process was stopped, and what is on the terminal now is not its own.
pub fn forget() {
    screen().painted.clear();
}

/// Removes the block, and prints what waits: at the end, and before the result, a question or a program has the terminal.
pub fn clear() {
    flush(&mut screen());
}

fn flush(screen: &mut Screen) {
    let frame = screen.erase(size().0) + &std::mem::take(&mut screen.waiting);
    write(&frame);
}

/// Keeps the terminal free of the block for as long as this lives.
#[must_use = "the terminal is free for as long as this lives"]
pub struct Held(());

/// Removes the block until the returned guard is dropped, for a question, or a program that has the terminal.
pub fn hold() -> Held {
    let mut screen = screen();
    flush(&mut screen);
    screen.held += 1;
    Held(())
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut screen = screen();
        screen.held = screen.held.saturating_sub(1);
    }
}

/// Whether a terminal takes output now.
fn takes() -> bool {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return true;
    }
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    // What cannot be asked is written to.
    !poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready == 0)
}

fn write(frame: &str) {
    if !frame.is_empty() {
        let mut stderr = std::io::stderr().lock();
        // A terminal that is gone must not end a build.
        let _ = stderr.write_all(frame.as_bytes()).and_then(|()| stderr.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_frame_is_painted_over_the_last_one_and_what_is_equal_is_not_painted() {
        let mut screen = Screen::default();
        assert_eq!(screen.paint(lines(&["one", "two"]), 80), "one\ntwo\n");
        assert_eq!(screen.paint(lines(&["one", "two"]), 80), "");
        assert_eq!(screen.paint(lines(&["three"]), 80), "\r\u{1b}[2Athree\u{1b}[K\n\u{1b}[J");
        assert_eq!(screen.paint(Vec::new(), 80), "\r\u{1b}[1A\u{1b}[J");
    }

    #[test]
    fn lines_that_a_narrower_window_has_wrapped_are_removed_whole() {
        let mut screen = Screen::default();
        let wide = format!("\u{1b}[1m{}\u{1b}[0m", "x".repeat(79));
        screen.paint(vec![wide, "short".to_owned(), String::new()], 80);
        assert_eq!(screen.paint(lines(&["x"]), 40), "\r\u{1b}[4A\u{1b}[Jx\n");
    }

    #[test]
    fn lines_come_above_the_block_and_none_is_painted_while_the_terminal_is_held() {
        let mut screen = Screen::default();
        screen.paint(lines(&["block"]), 80);
        screen.waiting = "done\n".to_owned();
        assert_eq!(screen.paint(lines(&["block"]), 80), "\r\u{1b}[1A\u{1b}[Jdone\nblock\n");
        assert_eq!(screen.erase(80), "\r\u{1b}[1A\u{1b}[J");
        screen.held = 1;
        assert_eq!(screen.paint(lines(&["block"]), 80), "");
        screen.held = 0;
        assert_eq!(screen.paint(lines(&["block"]), 80), "block\n");
    }
}
