//! A server's process: ended with its test, killed and signalled by it.

use std::process::{Child, Command};

/// A process, or one that was killed.
#[derive(Debug, Default)]
pub(crate) struct Process {
    child: Option<Child>,
}

impl Process {
    /// Starts it in place of one that was killed. The command's program is `setpriv`, from [`dying_with_the_test`].
    ///
    /// # Panics
    /// When it cannot be started.
    pub(crate) fn start(&mut self, command: &mut Command) {
        self.child = Some(command.spawn().expect("the server can be started"));
    }

    /// kill -9.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the server can be killed");
            child.wait().expect("the server ended");
        }
    }

    /// Sends it a signal by name.
    ///
    /// # Panics
    /// When it does not run.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("the server runs").id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "{name} cannot be sent");
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Whether it was started and has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The beginning of a command whose process the kernel ends when the test is killed.
pub(crate) fn dying_with_the_test() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    command
}
