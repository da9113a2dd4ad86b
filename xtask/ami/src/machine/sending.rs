//! A file on its way to a machine, which tells how much of it was sent.
//!
//! As gzip it is sent in parts that can be decompressed one after another. While the connection takes parts more quickly than
//! they can be compressed, they are only wrapped.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read as _, Write as _},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncRead, ReadBuf},
    sync::mpsc::{self, Receiver, Sender},
    time::Instant,
};

use super::upload::Form;
use crate::{event::Event, events::Events};

/// How often it is told.
const EVERY: Duration = Duration::from_millis(500);

/// How much of the file is in a part. If a connection breaks, so much more is sent again.
const PART_BYTES: u64 = 256 << 10;

/// How many parts wait to be sent, at most.
const MAX_WAITING: usize = 4;

/// Any connection takes this much at once: what it and the system's buffers hold.
const TAKEN_AT_ONCE_BYTES: u64 = 4 << 20;

/// How many parts are only wrapped after one that compressing made hardly smaller.
const PASSED_OVER: u32 = 7;

/// A file that is read to be sent. What is read has been sent but for the connection's window, 2 MiB at most.
pub(super) struct Sending<'a> {
    parts: Receiver<io::Result<Part>>,
    part: Part,
    source: &'a str,
    /// With what the machine had before.
    sent_bytes: u64,
    total_bytes: u64,
    began: Instant,
    told: Instant,
    unreadable: &'a Cell<Option<io::Error>>,
    events: &'a Events,
}

/// A part of the file, as it is sent.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    /// How many bytes of the file it is.
    of_bytes: u64,
}

impl<'a> Sending<'a> {
    /// A file of this size, of which the machine has the first `kept_bytes`, to the machine with this log. Why it cannot be read
    /// any more is told to `unreadable`, because an error is that of the connection as well.
    pub fn new(
        file: File,
        form: Form,
        (kept_bytes, total_bytes): (u64, u64),
        unreadable: &'a Cell<Option<io::Error>>,
        source: &'a str,
        events: &'a Events,
    ) -> Sending<'a> {
        let (now, (sender, parts)) = (Instant::now(), mpsc::channel(MAX_WAITING));
        // It ends when all is read, or nobody waits for a part any more.
        tokio::task::spawn_blocking(move || read(file, form, &sender));
        let part = Part::default();
        let sent_bytes = kept_bytes;
        Sending { parts, part, source, sent_bytes, total_bytes, began: now, told: now, unreadable, events }
    }

    fn tell(&mut self) {
        self.told = Instant::now();
        self.events.say(Event::Sent {
            source: self.source.to_owned(),
            sent_bytes: self.sent_bytes.min(self.total_bytes),
            total_bytes: self.total_bytes,
            took_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}

impl AsyncRead for Sending<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.part.sent == self.part.bytes.len() {
            self.sent_bytes += self.part.of_bytes;
            self.part = match ready!(self.parts.poll_recv(context)).transpose() {
                Ok(part) => part.unwrap_or_default(),
                Err(error) => {
                    let kind = error.kind();
                    self.unreadable.set(Some(error));
                    return Poll::Ready(Err(kind.into()));
                }
            };
            // The last one tells that it was sent whole, so it is told once.
            let is_end = self.part.bytes.is_empty();
            if is_end || (self.told.elapsed() >= EVERY && self.sent_bytes < self.total_bytes) {
                self.tell();
            }
        }
        let part = &mut self.part;
        let size = buffer.remaining().min(part.bytes.len() - part.sent);
        buffer.put_slice(&part.bytes[part.sent..part.sent + size]);
        part.sent += size;
        Poll::Ready(Ok(()))
    }
}

/// Reads a file in parts, and compresses those for which there is time where it is to be sent as gzip.
fn read(mut file: File, form: Form, parts: &Sender<io::Result<Part>>) {
    let (mut read_bytes, mut passed_over) = (0, 0);
    loop {
        let is_waited_for = parts.capacity() == parts.max_capacity();
        let has_time = read_bytes < TAKEN_AT_ONCE_BYTES || !is_waited_for;
        let level = if has_time && passed_over == 0 { Compression::fast() } else { Compression::none() };
        let part = part(&mut file, (form == Form::Gzip).then_some(level));
        let (of_bytes, bytes) = part.as_ref().map_or((0, 0), |part| (part.of_bytes, part.bytes.len() as u64));
        read_bytes += of_bytes;
        passed_over = match passed_over {
            0 if level == Compression::fast() && bytes > of_bytes / 10 * 9 => PASSED_OVER,
            left => left.saturating_sub(1),
        };
        let is_end = of_bytes == 0;
        // What is decompressed may not be nothing at all.
        let is_wanted = !is_end || read_bytes == 0 && bytes > 0 || part.is_err();
        if is_wanted && parts.blocking_send(part).is_err() || is_end {
            return;
        }
    }
}

/// The next part of a file, as gzip of a level, or as it is. It is of no bytes at the end.
fn part(file: &mut File, level: Option<Compression>) -> io::Result<Part> {
    let mut content = Vec::new();
    file.take(PART_BYTES).read_to_end(&mut content)?;
    let of_bytes = content.len() as u64;
    let Some(level) = level else { return Ok(Part { bytes: content, sent: 0, of_bytes }) };
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len()), level);
    encoder.write_all(&content)?;
    Ok(Part { bytes: encoder.finish()?, sent: 0, of_bytes })
}
