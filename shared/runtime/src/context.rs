//! What a running service is handed.

use crate::{CancellationToken, Clock, Health, SystemClock};
use std::sync::Arc;

/// Shutdown, health and time, shared by all parts of a service.
#[derive(Clone)]
pub struct Context {
    /// Cancelled when the service must stop taking in work and drain.
    pub shutdown: CancellationToken,
    /// Where components report whether they are ready.
    pub health: Health,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Context {
    /// A context on the machine's clock.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, health: Health::default(), clock: Arc::new(SystemClock) }
    }

    /// A context for a test: nobody cancels it but the test.
    pub fn for_tests() -> Self {
        Self::new(CancellationToken::new())
    }

    /// The same context with another clock.
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}
