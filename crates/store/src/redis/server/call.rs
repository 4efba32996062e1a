//! One call of a library function, or one plain command.

use crate::redis::codes::millis;
use argiope_protocol::{Claim, Timestamp};

/// What is asked of the server that holds the key `base`.
#[derive(Debug, Clone)]
pub(in crate::redis) struct Call {
    pub(super) what: What,
    /// Names the slot; the first key of a function.
    pub(super) base: String,
    pub(super) args: Vec<Vec<u8>>,
    /// Where the run of the server belongs among the arguments: known only to the connection that is used.
    pub(super) run_at: Option<usize>,
    /// May be repeated after an unknown outcome.
    pub(super) is_read: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A function of the library.
    Function(&'static str),
    /// A plain command that reads; all its keys are below the base.
    Command(&'static str),
}

impl Call {
    /// A function that writes.
    pub(in crate::redis) fn new(function: &'static str, base: &str) -> Self {
        Self { what: What::Function(function), base: base.to_owned(), args: Vec::new(), run_at: None, is_read: false }
    }

    /// A function that only reads.
    pub(in crate::redis) fn read(function: &'static str, base: &str) -> Self {
        Self { is_read: true, ..Self::new(function, base) }
    }

    /// A plain command that only reads.
    pub(in crate::redis) fn command(command: &'static str, base: &str) -> Self {
        Self { what: What::Command(command), ..Self::read(command, base) }
    }

    /// A function that names a claim: epoch, node and run come first.
    pub(in crate::redis) fn of(mut self, claim: &Claim) -> Self {
        self = self.arg(claim.epoch.0.to_string()).arg(claim.node.as_str());
        self.run()
    }

    /// The run of the server that will answer.
    pub(in crate::redis) fn run(mut self) -> Self {
        self.run_at = Some(self.args.len());
        self.arg("")
    }

    /// One more argument.
    pub(in crate::redis) fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// A number as an argument.
    pub(in crate::redis) fn num(self, number: impl Into<u64>) -> Self {
        let number: u64 = number.into();
        self.arg(number.to_string())
    }

    /// A time as an argument.
    pub(in crate::redis) fn time(self, time: Timestamp) -> Self {
        self.num(millis(time))
    }

    /// The command's or function's name, for messages.
    pub(super) const fn name(&self) -> &'static str {
        match self.what {
            What::Function(name) | What::Command(name) => name,
        }
    }
}
