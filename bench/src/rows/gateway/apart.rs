//! Separate threads for parts that would be other processes.

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of one thread. Messages of the server, its callers and its provider then go from thread to thread, as they
/// would from process to process: also where the caller calls the provider itself.
pub struct Apart(Option<Runtime>);

impl Apart {
    /// Starts the thread.
    pub fn start(name: &str) -> anyhow::Result<Apart> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build()?;
        Ok(Apart(Some(runtime)))
    }

    /// Returns the handle that spawns tasks.
    pub fn handle(&self) -> anyhow::Result<&Handle> {
        Ok(self.0.as_ref().ok_or_else(|| anyhow::anyhow!("the thread has ended"))?.handle())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // A runtime may not be waited for inside of another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
