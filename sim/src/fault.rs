//! What went wrong in a simulated world, counted by kind where it happens, not where it was planned: a report that
//! says how many faults there were means faults that the core had to live with.

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident $name:literal),* $(,)?) => {
        /// A kind of fault.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Fault { $($(#[$doc])* $fault),* }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$fault),*];

            /// Its name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$fault => $name),* }
            }
        }
    };
}

faults! {
    /// A socket died and nobody told the server.
    SocketSilent "socket_silent",
    /// A socket was reset; what was under way may be lost.
    SocketReset "socket_reset",
    /// The server heard of the end of a socket much later, or after it had closed it itself.
    LateClosed "late_closed",
    /// A page was reloaded or closed with messages under way.
    PageGone "page_gone",
    /// A page read nothing for a while.
    SlowReader "slow_reader",
    /// A send buffer overflowed.
    SlowConsumer "slow_consumer",
    /// A handler of a page never came to its end.
    HandlerHangs "handler_hangs",
    /// Somebody came with a URL that is none.
    Intruder "intruder",
    /// A CometQL session died with its statements in flight.
    SessionDied "session_died",
    /// A commit failed.
    CommitFailed "commit_failed",
    /// The server died between two actions.
    Crash "crash",
    /// The server was stopped and started.
    Restart "restart",
    /// The wall clock jumped, forward or back.
    ClockJump "clock_jump",
    /// The server stood still while the world went on.
    Stall "stall",
    /// The machine was suspended: the monotonic clock stood still, the wall clock did not.
    Suspend "suspend",
}

/// How many faults of each kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Default for Faults {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Faults {
    /// One more.
    pub const fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// The faults of both.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each kind and its number.
    pub fn by_kind(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::ALL
            .iter()
            .map(|fault| (fault.name(), self.0[*fault as usize]))
    }
}
