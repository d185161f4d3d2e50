//! Collects what goes to the caller for one chunk, in as few pieces as possible.

use std::ops::Range;

use bytes::Bytes;

/// Output for one chunk of input. Neighbouring events that pass untouched
/// become one slice of the chunk; rebuilt ones are written one behind the other.
#[derive(Debug)]
pub(super) struct Sink<'o> {
    chunk: Bytes,
    run: Range<usize>,
    written: Vec<u8>,
    out: &'o mut Vec<Bytes>,
}

impl<'o> Sink<'o> {
    /// For events that lie in `chunk`.
    pub(super) fn new(chunk: Bytes, out: &'o mut Vec<Bytes>) -> Self {
        Sink { chunk, run: 0..0, written: Vec::new(), out }
    }

    /// Passes bytes of the chunk on.
    pub(super) fn pass(&mut self, range: Range<usize>) {
        self.flush_written();
        if self.run.end == range.start {
            self.run.end = range.end;
        } else {
            self.flush_run();
            self.run = range;
        }
    }

    /// Passes bytes on that are not part of the chunk.
    pub(super) fn pass_bytes(&mut self, bytes: Bytes) {
        self.flush();
        self.out.push(bytes);
    }

    /// Writes an event whose data `write` appends.
    pub(super) fn event(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.flush_run();
        self.written.extend_from_slice(b"data: ");
        write(&mut self.written);
        self.written.extend_from_slice(b"\n\n");
    }

    /// Hands over what is collected.
    pub(super) fn flush(&mut self) {
        self.flush_run();
        self.flush_written();
    }

    fn flush_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        if !run.is_empty() {
            self.out.push(self.chunk.slice(run));
        }
    }

    fn flush_written(&mut self) {
        if !self.written.is_empty() {
            self.out.push(std::mem::take(&mut self.written).into());
        }
    }
}
