//! A server as a child process that this process can kill, freeze and start again, and that never outlives it.
//!
//! On Linux each child asks for SIGKILL when the *thread* that started it ends (`PR_SET_PDEATHSIG` is per thread), so
//! all are started from one thread that lives as long as the process. Only pids of our own, unreaped children are
//! ever signalled.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Doing, Result, SandboxError};

type Request = (Command, Sender<std::io::Result<Child>>);

static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();

/// One server: how to start it, where it logs, and the child that runs now.
pub struct ServerProcess {
    name: &'static str,
    log: PathBuf,
    command: Box<dyn Fn() -> Command + Send + Sync>,
    child: Mutex<Option<Child>>,
}

impl ServerProcess {
    /// Describes a server without starting it; its stdout and stderr are appended to `log`.
    pub fn new(name: &'static str, log: PathBuf, command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        Self { name, log, command: Box::new(command), child: Mutex::new(None) }
    }

    /// Starts the child.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn start(&self) -> Result<()> {
        let mut child = self.lock();
        if child.is_some() {
            return Err(SandboxError::Unsupported(format!("{} runs already", self.name)));
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log).doing("opening the log", &self.log)?;
        let error_log = log.try_clone().doing("opening the log", &self.log)?;
        let mut command = (self.command)();
        command.stdin(Stdio::piped()).stdout(log).stderr(error_log);
        *child = Some(spawn_tied(command).while_doing(format!("starting {}", self.name))?);
        Ok(())
    }

    /// The process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Child::id)
    }

    /// How it ended, if it did so by itself.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.lock().as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// SIGKILL to the server and its own children, and waits until it is gone. Nothing happens when it does not run.
    pub fn kill(&self) {
        if let Some(mut child) = self.lock().take() {
            let group = -libc::pid_t::try_from(child.id()).unwrap_or(libc::pid_t::MAX);
            // SAFETY: kill(2) takes no pointers; the group's leader is our own child, not yet reaped.
            unsafe { libc::kill(group, libc::SIGKILL) };
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends a signal to the running child.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, signal: i32) -> Result<()> {
        let child = self.lock();
        let Some(running) = child.as_ref() else {
            return Err(SandboxError::Unsupported(format!("{} does not run", self.name)));
        };
        let pid = libc::pid_t::try_from(running.id()).unwrap_or(libc::pid_t::MAX);
        // SAFETY: kill(2) takes no pointers; the child is ours and not yet reaped, so the pid cannot be another's.
        match unsafe { libc::kill(pid, signal) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()).while_doing(format!("sending signal {signal} to {}", self.name)),
        }
    }

    /// SIGSTOP: its connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop_process(&self) -> Result<()> {
        self.signal(libc::SIGSTOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When it does not run.
    pub fn continue_process(&self) -> Result<()> {
        self.signal(libc::SIGCONT)
    }

    /// SIGTERM, then SIGKILL when it has not ended within `patience`. True if it ended by itself.
    pub async fn stop(&self, patience: Duration) -> bool {
        if self.pid().is_none() {
            return true;
        }
        let _ = self.signal(libc::SIGCONT);
        let _ = self.signal(libc::SIGTERM);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.exited().is_some() {
                self.lock().take();
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.kill();
        false
    }

    /// Asks `ready` every 50 ms until it is true.
    pub(crate) async fn wait_until<F>(&self, patience: Duration, mut ready: impl FnMut() -> F) -> Result<()>
    where
        F: Future<Output = bool>,
    {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if let Some(status) = self.exited() {
                let how = status.signal().map_or_else(|| format!("{status}"), |signal| format!("signal {signal}"));
                self.lock().take();
                return Err(self.not_ready(begun.elapsed(), &format!("(it ended: {how})\n")));
            }
            if ready().await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(self.not_ready(begun.elapsed(), ""))
    }

    fn not_ready(&self, waited: Duration, prefix: &str) -> SandboxError {
        let tail = format!("{prefix}{}", tail_of(&self.log));
        SandboxError::NotReady { server: self.name, waited, log: self.log.clone(), tail }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl std::fmt::Debug for ServerProcess {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServerProcess").field("name", &self.name).field("pid", &self.pid()).finish()
    }
}

/// Runs a short tool to its end and gives its stdout.
pub(crate) fn run_tool(mut command: Command, what: &str) -> Result<Vec<u8>> {
    let output = command.output().while_doing(format!("running {what}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(std::io::Error::other(said)).while_doing(what)
}

/// The last 4 kB of a log.
fn tail_of(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(4096)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(no log: {error})"))
}

/// Starts the command from the one thread that never ends before the process does.
fn spawn_tied(mut command: Command) -> std::io::Result<Child> {
    let parent = std::process::id();
    // A terminal's Ctrl-C goes to the whole process group: ours must reach the children in our order, not at once.
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: only async-signal-safe calls (prctl, getppid, _exit) between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            if libc::getppid().unsigned_abs() != parent {
                libc::_exit(1);
            }
            Ok(())
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = parent;
    let (answer_sender, answer) = channel();
    let gone = || std::io::Error::other("the spawner thread has ended");
    let requests = SPAWNER.get_or_init(|| Mutex::new(start_spawner()));
    requests.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer_sender)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn start_spawner() -> Sender<Request> {
    let (sender, requests) = channel::<Request>();
    std::thread::spawn(move || {
        for (mut command, answer) in requests {
            let _ = answer.send(command.spawn());
        }
    });
    sender
}
