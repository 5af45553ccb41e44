//! A TCP proxy that misbehaves on request: it stands between a service and its server, and is told at run time to
//! delay, cut, throttle, swallow answers, go silent or refuse.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::background::{background, listen};

/// What the proxy does to bytes. It holds for connections that are open as well as for new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Pass everything.
    #[default]
    None,
    /// Hold each piece back this long, in both directions.
    Delay(Duration),
    /// Cut a connection after this many bytes have gone from client to server on it, since it was opened.
    CutRequestAfter(u64),
    /// Cut a connection after this many bytes have gone from server to client on it, since it was opened.
    CutResponseAfter(u64),
    /// Deliver requests; as soon as the server answers, drop the answer and cut. The server has done its work.
    DropResponse,
    /// Pass at most this many bytes a second to the client.
    SlowResponse(u32),
    /// Keep connections open and pass nothing (a half-open peer); bytes resume when the fault is lifted.
    Blackhole,
    /// Cut open connections and refuse new ones (they are accepted and closed at once).
    Off,
}

/// The proxy. Dropping it closes port and connections.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    fault: watch::Sender<Fault>,
    cut: watch::Sender<u64>,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    dropped_responses: AtomicU64,
}

#[derive(Clone)]
struct Rules {
    fault: watch::Receiver<Fault>,
    cut: watch::Receiver<u64>,
    counts: Arc<Counts>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and passes to `target` (`host:port`).
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(target: &str) -> crate::Result<Self> {
        let (listener, port) = listen(0)?;
        let (fault, fault_seen) = watch::channel(Fault::None);
        let (cut, cut_seen) = watch::channel(0);
        let counts = Arc::new(Counts::default());
        let rules = Rules { fault: fault_seen, cut: cut_seen, counts: Arc::clone(&counts) };
        let target = target.to_owned();
        let task = background()?.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                rules.counts.connections.fetch_add(1, Ordering::Relaxed);
                let (rules, target) = (rules.clone(), target.clone());
                tokio::spawn(async move {
                    if *rules.fault.borrow() != Fault::Off {
                        carry(client, &target, rules).await;
                    }
                });
            }
        });
        Ok(Self { port, fault, cut, counts, task })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The port clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this happens.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Cuts every open connection once; new ones are not affected.
    pub fn cut_connections(&self) {
        self.cut.send_modify(|generation| *generation += 1);
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// How many answers [`Fault::DropResponse`] has swallowed so far.
    pub fn dropped_responses(&self) -> u64 {
        self.counts.dropped_responses.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.fault.send_replace(Fault::Off);
    }
}

/// Carries one connection until both ends close or a fault cuts it.
async fn carry(client: TcpStream, target: &str, rules: Rules) {
    let mut cut = rules.cut.clone();
    cut.mark_unchanged();
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut off = rules.fault.clone();
    let both = async {
        tokio::try_join!(
            pump(from_client, to_server, Direction::Request, rules.clone()),
            pump(from_server, to_client, Direction::Response, rules.clone()),
        )
    };
    // Whichever happens first, leaving this function closes both sockets.
    tokio::select! {
        _ = both => {}
        _ = off.wait_for(|fault| *fault == Fault::Off) => {}
        _ = cut.changed() => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Response,
}

/// The connection is to be cut now.
struct Cut;

/// Passes one direction; a closed end is passed on (half-close), an error or a fault cuts the whole connection.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut rules: Rules,
) -> Result<(), Cut> {
    let mut buffer = vec![0_u8; 16 * 1024];
    let mut passed = 0_u64;
    loop {
        let length = from.read(&mut buffer).await.map_err(|_| Cut)?;
        if length == 0 {
            let _ = to.shutdown().await;
            return Ok(());
        }
        rules.fault.wait_for(|fault| *fault != Fault::Blackhole).await.map_err(|_| Cut)?;
        let fault = *rules.fault.borrow();
        let piece = buffer.get(..length).unwrap_or_default();
        match (fault, direction) {
            (Fault::Delay(delay), _) => tokio::time::sleep(delay).await,
            (Fault::DropResponse, Direction::Response) => {
                rules.counts.dropped_responses.fetch_add(1, Ordering::Relaxed);
                return Err(Cut);
            }
            (Fault::CutRequestAfter(limit), Direction::Request)
            | (Fault::CutResponseAfter(limit), Direction::Response) => {
                let left = usize::try_from(limit.saturating_sub(passed)).unwrap_or(usize::MAX);
                if left < length {
                    let _ = to.write_all(piece.get(..left).unwrap_or_default()).await;
                    let _ = to.flush().await;
                    return Err(Cut);
                }
            }
            (Fault::SlowResponse(bytes_per_second), Direction::Response) => {
                let step = usize::try_from(bytes_per_second / 20).unwrap_or(1).max(1);
                for part in piece.chunks(step) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    to.write_all(part).await.map_err(|_| Cut)?;
                }
                passed += length as u64;
                continue;
            }
            _ => {}
        }
        to.write_all(piece).await.map_err(|_| Cut)?;
        passed += length as u64;
    }
}
