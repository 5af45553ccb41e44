//! From a name to a session that is logged in: plain, STARTTLS or TLS from the first byte.

use crate::{
    authenticate::XOAuth2,
    config::{MailboxConfig, Tls},
    error::ImapError,
    folder::Mailbox,
    imap::Connection,
    metered::{Allowance, Metered},
};
use async_imap::{
    Client,
    imap_proto::{Response, Status},
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::{fmt::Debug, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// Whatever carries the bytes.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Transport for T {}

/// Connects, protects, logs in.
pub(crate) async fn connect(mailbox: &Mailbox) -> Result<Connection, ImapError> {
    let within = mailbox.config.timeout();
    let late = |_| ImapError::Timeout { command: "connecting and logging in", after: within };
    timeout(within, open(mailbox)).await.map_err(late)?
}

/// What may come before we ask for mail.
const ALLOWED_AT_FIRST: u64 = 1024 * 1024;

async fn open(account: &Mailbox) -> Result<Connection, ImapError> {
    let (mailbox, tls, tokens) = (&account.config, &account.tls, &account.tokens);
    let allowance = Allowance::of(ALLOWED_AT_FIRST);
    let metered =
        |stream: Box<dyn Transport>| -> Box<dyn Transport> { Box::new(Metered::new(stream, allowance.clone())) };
    let server = format!("{}:{}", mailbox.host, mailbox.port());
    let tcp = TcpStream::connect((mailbox.host.as_str(), mailbox.port()))
        .await
        .map_err(|source| ImapError::Connect { server: server.clone(), source })?;
    let _ = tcp.set_nodelay(true);
    let client = match mailbox.tls {
        Tls::None => greeted(metered(Box::new(tcp)), &server).await?,
        Tls::Implicit => greeted(metered(protect(tcp, mailbox, tls, &server).await?), &server).await?,
        Tls::Starttls => {
            let mut clear = greeted(Metered::new(tcp, allowance.clone()), &server).await?;
            let refused = |error: async_imap::error::Error| ImapError::NoStarttls {
                server: server.clone(),
                problem: plainly(&error),
            };
            clear.run_command_and_check_ok("STARTTLS", None).await.map_err(refused)?;
            // What the server sent after its OK came in clear, perhaps from someone else: it is dropped with the buffer.
            let protected = protect(clear.into_inner().into_inner(), mailbox, tls, &server).await?;
            Client::new(metered(protected))
        }
    };
    let session = match (&mailbox.oauth2, &mailbox.password) {
        (Some(oauth2), _) => {
            let token = tokens.get(account, oauth2).await?;
            let outcome = client.authenticate("XOAUTH2", XOAuth2::new(&mailbox.username, &token)).await;
            if outcome.is_err() {
                tokens.forget().await;
            }
            outcome
        }
        (None, password) => {
            let password = password.as_ref().map(|password| password.expose().to_owned()).unwrap_or_default();
            client.login(&mailbox.username, &password).await
        }
    };
    let session = session.map_err(|(error, _)| ImapError::Login { server, problem: plainly(&error) })?;
    Connection::new(session, allowance, mailbox.timeout()).await
}

async fn protect(
    stream: TcpStream,
    mailbox: &MailboxConfig,
    tls: &Arc<ClientConfig>,
    server: &str,
) -> Result<Box<dyn Transport>, ImapError> {
    let problem = |problem: String| ImapError::Tls { server: server.to_owned(), problem };
    let name = ServerName::try_from(mailbox.host.clone()).map_err(|error| problem(error.to_string()))?;
    let stream =
        TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(|error| problem(error.to_string()))?;
    Ok(Box::new(stream))
}

/// Reads the greeting. PREAUTH is refused: it would skip both TLS and login.
async fn greeted<T: Transport>(stream: T, server: &str) -> Result<Client<T>, ImapError> {
    let mut client = Client::new(stream);
    let lost =
        |problem: &str| ImapError::Lost { command: "reading the greeting", problem: format!("{problem} ({server})") };
    let greeting = client.read_response().await.map_err(|_| lost("the answer is not IMAP"))?;
    match greeting.as_ref().map(|greeting| greeting.parsed()) {
        Some(Response::Data { status: Status::Ok, .. }) => Ok(client),
        Some(Response::Data { outcome, .. }) => {
            Err(lost(outcome.information.as_deref().unwrap_or("the server does not want to talk")))
        }
        Some(_) => Err(lost("the answer is not a greeting")),
        None => Err(lost("the connection ended")),
    }
}

/// The library's error without what the server sent around it: that could be mail.
pub(crate) fn plainly(error: &async_imap::error::Error) -> String {
    use async_imap::error::Error;
    match error {
        Error::No(text) => format!("NO {text}"),
        Error::Bad(text) => format!("BAD {text}"),
        Error::Io(error) if error.kind() != std::io::ErrorKind::Other => error.to_string(),
        Error::ConnectionLost => "the connection ended".into(),
        Error::Validate(_) => "username or password holds a character that IMAP cannot carry".into(),
        _ => "the answer cannot be read".into(),
    }
}
