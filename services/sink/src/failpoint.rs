//! Places where the fault harness ends the process, as SIGKILL would: nothing is flushed, no destructor runs.
//!
//! Without the feature `failpoints` every function here does nothing. With it, `FAILPOINTS=sink::sent=3*off->return(20)`
//! (the syntax of the crate `fail`) spares the place three times.

/// Ends the process here.
pub(crate) fn at(name: &'static str) {
    #[cfg(feature = "failpoints")]
    fail::eval(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}

/// Ends the process some milliseconds (the failpoint's argument) after the work was begun, or when it is done if that is
/// earlier: a request is on its way, or its answer is.
pub(crate) async fn during<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    #[cfg(feature = "failpoints")]
    {
        let chosen = fail::eval(name, |argument| argument.and_then(|text| text.parse().ok()).unwrap_or_default());
        if let Some(milliseconds) = chosen {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(milliseconds), work).await;
            std::process::abort();
        }
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
    work.await
}

/// Ends the process a while from now; what follows goes on meanwhile.
pub(crate) fn after(name: &'static str, delay: std::time::Duration) {
    #[cfg(feature = "failpoints")]
    fail::eval(name, |_| {
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            std::process::abort();
        });
    });
    #[cfg(not(feature = "failpoints"))]
    let _ = (name, delay);
}
