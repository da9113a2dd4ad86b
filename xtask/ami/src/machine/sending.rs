//! A file on its way to a machine, which tells how much of it was sent.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    fs::File,
    io::{AsyncRead, ReadBuf},
    time::Instant,
};

use crate::{event::Event, events::Events};

/// How often it is told.
const EVERY: Duration = Duration::from_millis(500);

/// A file that is read to be sent. What is read has been sent but for the connection's window, 2 MiB at most.
pub(super) struct Sending<'a> {
    file: File,
    source: &'a str,
    sent_bytes: u64,
    total_bytes: u64,
    began: Instant,
    told: Instant,
    events: &'a Events,
}

impl<'a> Sending<'a> {
    /// A file of this size, to the machine with this log.
    pub fn new(file: File, total_bytes: u64, source: &'a str, events: &'a Events) -> Sending<'a> {
        let now = Instant::now();
        Sending { file, source, sent_bytes: 0, total_bytes, began: now, told: now, events }
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
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.file).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        self.sent_bytes += read as u64;
        // The last one tells that it was sent whole, so it is told once.
        if read == 0 || (self.told.elapsed() >= EVERY && self.sent_bytes < self.total_bytes) {
            self.tell();
        }
        Poll::Ready(Ok(()))
    }
}
