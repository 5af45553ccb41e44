//! A stream that reads no more than was asked for.
//!
//! RFC822.SIZE is asked before a body so that memory stays bounded; a server that then sends more, or announces a literal
//! that is larger, would fill it all the same. It also bounds lines that never end.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The end of a line that announces a literal: `{4294967295}` and its line end, with room to spare.
const TAIL_BYTES: usize = 24;

/// How many bytes the server may still send. Whoever asks for something sets it first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Arc<AtomicU64>);

impl Allowance {
    pub fn of(bytes: u64) -> Self {
        Self(Arc::new(AtomicU64::new(bytes)))
    }

    pub fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// The stream; an error of kind `FileTooLarge` when the allowance is used up, or would be by a literal that was announced.
#[derive(Debug)]
pub(crate) struct Metered<T> {
    inner: T,
    allowance: Allowance,
    /// The line so far, its last bytes.
    tail: Vec<u8>,
    /// What is still to come of a literal.
    literal: u64,
}

impl<T> Metered<T> {
    pub fn new(inner: T, allowance: Allowance) -> Self {
        Self { inner, allowance, tail: Vec::with_capacity(TAIL_BYTES), literal: 0 }
    }

    pub fn into_inner(self) -> T {
        self.inner
    }

    /// `false` when it is too much.
    fn note(&mut self, mut bytes: &[u8]) -> bool {
        let left = self.allowance.0.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(bytes.len() as u64) else {
            return false;
        };
        self.allowance.0.store(left, Ordering::Relaxed);
        while let Some(first) = bytes.first() {
            if self.literal > 0 {
                let skipped = usize::try_from(self.literal).map_or(bytes.len(), |literal| literal.min(bytes.len()));
                self.literal -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            if *first == b'\n' {
                self.literal = announced(&self.tail).unwrap_or(0);
                self.tail.clear();
                if self.literal > left {
                    return false;
                }
            } else {
                if self.tail.len() == TAIL_BYTES {
                    self.tail.remove(0);
                }
                self.tail.push(*first);
            }
            bytes = &bytes[1..];
        }
        true
    }
}

/// The length in `… {123}` and a carriage return.
fn announced(line: &[u8]) -> Option<u64> {
    let number = line.strip_suffix(b"\r")?.strip_suffix(b"}")?;
    let open = number.iter().rposition(|byte| *byte == b'{')?;
    std::str::from_utf8(&number[open + 1..]).ok()?.parse().ok()
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        if this.note(&buffer.filled()[before..]) {
            Poll::Ready(Ok(()))
        } else {
            // An error comes without bytes.
            buffer.set_filled(before);
            Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "the server sends more than was asked for")))
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    /// Reads all of it in pieces of `piece` bytes.
    async fn read(text: &[u8], allowed: u64, piece: usize) -> Result<usize, io::ErrorKind> {
        let mut stream = Metered::new(
            tokio_util::io::StreamReader::new(futures::stream::iter(
                text.chunks(piece).map(|chunk| Ok::<_, io::Error>(io::Cursor::new(chunk))),
            )),
            Allowance::of(allowed),
        );
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn no_more_is_read_than_was_asked_for_however_it_is_cut() {
        let answer = b"* 1 FETCH (UID 1 BODY[] {12}\r\n{99999999}\r\n)\r\na1 OK done\r\n";
        for piece in [1, 3, 7, 1000] {
            assert_eq!(read(answer, answer.len() as u64, piece).await, Ok(answer.len()), "a literal may hold anything");
            assert_eq!(read(answer, answer.len() as u64 - 1, piece).await, Err(io::ErrorKind::FileTooLarge));
            let endless = b"* 1 FETCH (UID 1 BODY[] {400000000}\r\n";
            assert_eq!(read(endless, 1_000_000, piece).await, Err(io::ErrorKind::FileTooLarge), "before room is made");
        }
    }

    #[test]
    fn a_literal_is_announced_at_the_end_of_a_line_only() {
        assert_eq!(announced(b"BODY[] {4294967295}\r"), Some(4_294_967_295));
        assert_eq!(announced(b"BODY[] {12} x\r"), None);
        assert_eq!(announced(b"BODY[] {12}"), None);
        assert_eq!(announced(b"{}\r"), None);
    }
}
