//! The ClickHouse engine of `libchdb.so`, served from this very process until stdin closes.
//!
//! `outcry clickhouse-server` and `outcry-sandbox clickhouse-server` both end here; the stack runs it as a child
//! process, so that it can be killed like any server.
//!
//! One difference to a stand-alone server was found by cutting connections: a client that hangs up *inside the HTTP
//! header* while the engine answers 400 makes it abort (`I/O error: Broken pipe` ends in `std::terminate`, because the
//! library has no error handler for its listener threads). Hanging up in the body or in the answer is harmless. A test
//! that cuts requests cuts after the header.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;

use crate::error::{Doing, Result, SandboxError};

/// What to serve, as command line arguments: `--library P --path P --config-file P --http-port N --tcp-port N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeArguments {
    /// `libchdb.so`.
    pub library: PathBuf,
    /// The data folder.
    pub path: PathBuf,
    /// The XML configuration that names the users file.
    pub config_file: PathBuf,
    /// Port of the HTTP protocol.
    pub http_port: u16,
    /// Port of the native protocol.
    pub tcp_port: u16,
}

/// The head of chdb's `local_result_v2`; only the error is read.
#[repr(C)]
struct QueryResult {
    buffer: *mut c_char,
    length: usize,
    vector: *mut c_void,
    elapsed: f64,
    rows_read: u64,
    bytes_read: u64,
    error_message: *mut c_char,
}

type QueryStableV2 = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut QueryResult;

/// Serves until stdin closes. It never returns while the server runs, and the library can be loaded once per process.
///
/// # Errors
/// When arguments are missing, the library cannot be loaded, or the engine refuses its configuration.
pub fn serve(arguments: impl IntoIterator<Item = String>) -> Result<()> {
    let arguments = ServeArguments::parse(arguments)?;
    block_sigpipe();
    // SAFETY: the pinned library runs its initialisers once, in a process that does nothing else.
    let library = unsafe { libloading::Library::new(&arguments.library) };
    let library = library.map_err(std::io::Error::other).doing("loading", &arguments.library)?;
    // SAFETY: this is the signature of chdb.h for this version.
    let query = unsafe { library.get::<QueryStableV2>(b"query_stable_v2\0") };
    let query = query.map_err(std::io::Error::other).doing("finding query_stable_v2 in", &arguments.library)?;

    let owned: Vec<CString> =
        arguments.engine_arguments().into_iter().filter_map(|text| CString::new(text).ok()).collect();
    let mut pointers: Vec<*mut c_char> = owned.iter().map(|text| text.as_ptr().cast_mut()).collect();
    let count = c_int::try_from(pointers.len()).unwrap_or(0);
    // SAFETY: `count` pointers to NUL-terminated strings, alive until the call returns; the engine does not write to them.
    let result = unsafe { query(count, pointers.as_mut_ptr()) };
    // SAFETY: a non-null result is a valid `local_result_v2`; its message, if any, is NUL-terminated. It is left to the process's end.
    let message = unsafe {
        result
            .as_ref()
            .filter(|result| !result.error_message.is_null())
            .map(|result| CStr::from_ptr(result.error_message))
    };
    match message {
        Some(message) => {
            Err(SandboxError::Refused { server: "ClickHouse", answer: message.to_string_lossy().into_owned() })
        }
        None => Ok(()),
    }
}

/// The engine restores SIGPIPE's default action, as a command line tool does, and would die with the first client that
/// hangs up while an answer is being written. All its threads inherit this mask, so the write fails with EPIPE instead.
fn block_sigpipe() {
    // SAFETY: the set is initialised before use; called before any other thread exists.
    unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut signals);
        libc::sigaddset(&raw mut signals, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
    }
}

impl ServeArguments {
    /// Reads them from the command line (without program and subcommand names).
    ///
    /// # Errors
    /// When one is missing or no number.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let arguments: Vec<String> = arguments.into_iter().collect();
        let value = |name: &str| {
            let found = arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1));
            found.cloned().ok_or_else(|| SandboxError::Unsupported(format!("clickhouse-server needs {name}")))
        };
        let port = |name: &str| {
            let text = value(name)?;
            text.parse().map_err(|_| SandboxError::Unsupported(format!("clickhouse-server: {name} {text} is no port")))
        };
        Ok(Self {
            library: value("--library")?.into(),
            path: value("--path")?.into(),
            config_file: value("--config-file")?.into(),
            http_port: port("--http-port")?,
            tcp_port: port("--tcp-port")?,
        })
    }

    /// The same as command line arguments.
    pub fn to_arguments(&self) -> Vec<String> {
        let pairs = [
            ("--library", self.library.display().to_string()),
            ("--path", self.path.display().to_string()),
            ("--config-file", self.config_file.display().to_string()),
            ("--http-port", self.http_port.to_string()),
            ("--tcp-port", self.tcp_port.to_string()),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// What the engine is called with. The last query reads stdin, so it ends when the parent closes it or dies.
    fn engine_arguments(&self) -> Vec<String> {
        vec![
            "--multiquery".to_owned(),
            format!("--path={}", self.path.display()),
            format!("--config-file={}", self.config_file.display()),
            format!("--http_port={}", self.http_port),
            format!("--tcp_port={}", self.tcp_port),
            "--listen_host=127.0.0.1".to_owned(),
            "--query=SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; \
             SELECT * FROM file('/dev/stdin', 'LineAsString') FORMAT Null"
                .to_owned(),
        ]
    }
}
