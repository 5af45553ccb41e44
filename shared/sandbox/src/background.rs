//! The runtime of the in-process servers. Each `#[tokio::test]` has a runtime that ends with the test; a server shared
//! by several tests must not end with the first.

use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::OnceLock;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Doing, Result};

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime all in-process servers live on, as long as the process does.
pub(crate) fn background() -> Result<Handle> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime.handle().clone());
    }
    let made = Builder::new_multi_thread().worker_threads(1).thread_name("sandbox").enable_all().build();
    let made = made.while_doing("starting the sandbox's runtime")?;
    match RUNTIME.set(made) {
        Ok(()) => {}
        // Another thread was first; ours is dropped where blocking is allowed.
        Err(second) => second.shutdown_background(),
    }
    RUNTIME
        .get()
        .map(|runtime| runtime.handle().clone())
        .ok_or_else(|| std::io::Error::other("no runtime"))
        .while_doing("starting the sandbox's runtime")
}

/// A listener on a free port of 127.0.0.1, registered with the background runtime.
pub(crate) fn listen(port: u16) -> Result<(TcpListener, u16)> {
    let handle = background()?;
    let _guard = handle.enter();
    let bind = || {
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok((TcpListener::from_std(listener)?, port))
    };
    bind().while_doing(format!("listening on 127.0.0.1:{port}"))
}
