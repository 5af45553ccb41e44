//! How much of everything a sender may take.

use std::time::Duration;

/// Bounds of the front door. A provider's own deadline is 5 to 15 s, so ours lie below or at it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first byte expected to the end of the headers. Also how long a kept connection may be idle.
    pub header_deadline: Duration,
    /// From the end of the headers to the end of the body.
    pub body_deadline: Duration,
    /// How long a peer may leave us waiting to write without taking a byte of its answer.
    pub write_deadline: Duration,
    /// Largest body; more is answered with 413.
    pub body_bytes: usize,
    /// Largest request line and headers together.
    pub head_bytes: usize,
    /// Most headers.
    pub headers: usize,
    /// Connections at once. One more is closed at once.
    pub connections: usize,
    /// Connections at once from one address. Behind a reverse proxy all senders have the proxy's address, so this is
    /// generous, and the proxy should have limits of its own.
    pub connections_per_address: usize,
    /// Memory for bodies larger than [`Limits::SMALL_BODY`] that are being read, all together.
    pub large_body_budget_bytes: usize,
    /// How long connections may finish what they began after shutdown was asked for.
    pub drain: Duration,
}

impl Limits {
    /// A body up to this size does not count against the budget for large ones: nearly all webhooks are smaller.
    pub const SMALL_BODY: usize = 16 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_deadline: Duration::from_secs(5),
            body_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            body_bytes: 256 * 1024,
            head_bytes: 32 * 1024,
            headers: 100,
            connections: 4096,
            connections_per_address: 1024,
            large_body_budget_bytes: 16 * 1024 * 1024,
            drain: Duration::from_secs(15),
        }
    }
}
