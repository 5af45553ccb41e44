//! Free TCP ports, below the range the kernel gives to outgoing connections: a server that was killed finds its own
//! port free again, because no client can have been given it meanwhile.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Doing, Result};

const LOWEST: u16 = 15_000;
const SPAN: u16 = 17_000;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of 127.0.0.1 on which nothing listens and which this process has not given away before.
///
/// # Errors
/// When no port of the range is free.
pub fn free_port() -> Result<u16> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let start = now.wrapping_mul(2_654_435_761).wrapping_add(std::process::id());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for step in 0..u32::from(SPAN) {
        let offset = start.wrapping_add(step.wrapping_mul(7)) % u32::from(SPAN);
        let port = LOWEST + u16::try_from(offset).unwrap_or(0);
        if !given.contains(&port) && is_free(port) {
            given.insert(port);
            return Ok(port);
        }
    }
    let none = std::io::Error::new(std::io::ErrorKind::AddrInUse, "every port of the range is taken");
    Err(none).while_doing("looking for a free TCP port")
}

/// The wished port if it is free, otherwise another one: a stack that is started again keeps its addresses.
///
/// # Errors
/// When no port is free.
pub fn free_port_like(wished: Option<u16>) -> Result<u16> {
    match wished {
        Some(port) if port != 0 && is_free(port) => {
            GIVEN.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
            Ok(port)
        }
        _ => free_port(),
    }
}

/// Waits until something accepts connections on the port.
pub(crate) async fn accepts(port: u16) -> bool {
    tokio::net::TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.is_ok()
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Reads `name=port` lines, as [`remember`] wrote them.
pub(crate) fn remembered(folder: &std::path::Path, name: &str) -> Option<u16> {
    let text = std::fs::read_to_string(folder.join("ports")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// Writes the ports of a server beside its data.
pub(crate) fn remember(folder: &std::path::Path, ports: &[(&str, u16)]) -> Result<()> {
    let text: String = ports.iter().map(|(name, port)| format!("{name}={port}\n")).collect();
    let path = folder.join("ports");
    std::fs::write(&path, text).doing("writing", &path)
}
