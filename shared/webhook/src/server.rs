//! The accept loop: HTTP/1.1 with deadlines, caps and an orderly end.

use crate::{
    Limits, Reply,
    connection::{Admission, Connections},
    metrics,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use outcry_domain::Timestamp;
use outcry_runtime::{Clock, Context};
use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Instant};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::task::TaskTracker;

/// A request whose head is accepted and whose body is all there.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its method.
    pub method: Method,
    /// Its path, as sent.
    pub path: String,
    /// Its query, as sent: percent-encoding is part of what some providers sign.
    pub query: Option<String>,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body: the bytes as they came, because those are what is signed.
    pub body: Bytes,
    /// When its head was read.
    pub received_at: Timestamp,
}

/// What stands behind the front door.
pub trait Door: Send + Sync + 'static {
    /// Decides by method and path alone whether anybody is here; no body is read for a request that is refused.
    fn admit(&self, method: &Method, path: &str) -> Result<(), Reply>;

    /// Authenticates, understands and stores. Accepts only what is durable.
    fn receive(&self, webhook: Webhook) -> impl Future<Output = Reply> + Send;
}

/// The door cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("listening on {listen}: {source}. Is the address right, and is no other process using the port?")]
pub struct ServeError {
    listen: String,
    source: std::io::Error,
}

/// A bound listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

struct Shared<D> {
    door: Arc<D>,
    limits: Limits,
    clock: Arc<dyn Clock>,
    /// Permits are bytes of large bodies.
    large_bodies: Semaphore,
}

impl Server {
    /// Binds; nothing is accepted before [`Server::run`].
    pub async fn bind(listen: &str, limits: Limits) -> Result<Self, ServeError> {
        let failed = |source| ServeError { listen: listen.to_owned(), source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, limits })
    }

    /// The address bound: with port 0, the one that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the context's shutdown, then lets every request that has begun finish.
    pub async fn run<D: Door>(self, door: Arc<D>, context: &Context) {
        let connections = Connections::new(&self.limits);
        let tasks = TaskTracker::new();
        let drain = self.limits.drain;
        let shared = Arc::new(Shared {
            door,
            clock: context.clock.clone(),
            large_bodies: Semaphore::new(self.limits.large_body_budget_bytes),
            limits: self.limits,
        });
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = context.shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // Dropping the stream closes it: cheaper for everybody than letting it wait.
                    let Some(admission) = connections.admit(peer.ip()) else { continue };
                    tasks.spawn(serve_connection(stream, admission, shared.clone(), context.shutdown.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, most likely: what is open will close.
                    tracing::warn!(%error, "webhook.accept: a connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        tasks.close();
        if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
            tracing::warn!(open = tasks.len(), "webhook.drain: connections were cut at the end of the drain time");
        }
    }
}

async fn serve_connection<D: Door>(
    stream: TcpStream,
    admission: Admission,
    shared: Arc<Shared<D>>,
    shutdown: outcry_runtime::CancellationToken,
) {
    // Small answers must not wait for more to send. A failure costs latency only.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(respond(request, &shared).await) }
    });
    // A peer that asks and never reads would keep its place for ever.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(shared.limits.write_deadline));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header_deadline)
        .max_buf_size(shared.limits.head_bytes)
        .max_headers(shared.limits.headers)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        // Senders hang up, time out and send rubbish all day long.
        tracing::debug!(%error, "webhook.connection: ended early");
    }
    drop(admission);
}

async fn respond<D: Door>(request: Request<Incoming>, shared: &Shared<D>) -> Response<Full<Bytes>> {
    let begun = Instant::now();
    let reply = match read(request, shared).await {
        Ok(webhook) => shared.door.receive(webhook).await,
        Err(refusal) => refusal,
    };
    ::metrics::counter!(metrics::REPLIES, "status" => reply.status().as_str().to_owned()).increment(1);
    ::metrics::histogram!(metrics::SECONDS).record(begun.elapsed().as_secs_f64());
    reply.into_response()
}

async fn read<D: Door>(request: Request<Incoming>, shared: &Shared<D>) -> Result<Webhook, Reply> {
    let received_at = shared.clock.now();
    let (head, body) = request.into_parts();
    shared.door.admit(&head.method, head.uri.path())?;
    if head.headers.get_all(header::CONTENT_ENCODING).iter().any(|encoding| encoding != "identity") {
        return Err(Reply::UnsupportedEncoding);
    }
    let limit = shared.limits.body_bytes;
    let announced =
        hyper::body::Body::size_hint(&body).upper().map_or(limit, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    if announced > limit {
        return Err(Reply::TooLarge);
    }
    let body = tokio::time::timeout(shared.limits.body_deadline, async {
        // All at once and in order of arrival, so that two half-read bodies never wait for each other.
        let _memory = match announced > Limits::SMALL_BODY {
            true => shared.large_bodies.acquire_many(u32::try_from(announced).unwrap_or(u32::MAX)).await.ok(),
            false => None,
        };
        Limited::new(body, limit).collect().await.map(|collected| collected.to_bytes())
    });
    let body = match body.await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(Reply::TooLarge),
        // The sender is gone or broke the protocol; whatever is answered, nobody may be there to read it.
        Ok(Err(_)) => return Err(Reply::Invalid("the body broke off".into())),
        Err(_) => return Err(Reply::Timeout),
    };
    let (path, query) = (head.uri.path().to_owned(), head.uri.query().map(str::to_owned));
    Ok(Webhook { method: head.method, path, query, headers: head.headers, body, received_at })
}
