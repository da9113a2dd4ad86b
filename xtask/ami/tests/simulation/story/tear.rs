//! What a crash does to the journal.

use super::Story;

impl Story {
    /// Where the journal's last line was just being written, a part of it is lost; mostly none.
    pub(super) fn tear(&mut self) {
        if self.random.happens(500) {
            return;
        }
        let part = self.random.below(1000);
        let path = self.journal();
        let bytes = std::fs::read(&path).expect("a journal");
        let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let last = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        // What was written before the last call was carried out had reached the disk by then.
        if last == 0 || (last as u64) < self.cloud.settled() {
            return;
        }
        self.cloud.note(format_args!("-- {part} thousandths of the journal's last line are written"));
        let length = last as u64 + (bytes.len() - last) as u64 * part / 1000;
        let file = std::fs::File::options().write(true).open(&path).expect("the journal");
        file.set_len(length).expect("a shorter journal");
        self.read.take();
    }
}
