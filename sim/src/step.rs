//! A run as data: what happens next, in a form that can be printed, parsed, cut and kept.
//!
//! A step names things by index modulo what exists at that moment ("the 2nd open tab"), so a script from which
//! steps were removed is still a script. That is what lets failures shrink.

use crate::profile::Profile;

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident $name:literal),* $(,)?) => {
        /// What a step does with its three numbers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Verb { $($(#[$doc])* $verb),* }

        impl Verb {
            /// Every verb.
            pub const ALL: &[Self] = &[$(Self::$verb),*];

            /// Its word in scripts.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$verb => $name),* }
            }
        }
    };
}

verbs! {
    /// Browser a opens a tab, which subscribes to the channels of bit mask b.
    Open "open",
    /// Tab a is closed; b: 0 orderly, 1 reset, 2 without a trace.
    Shut "shut",
    /// Tab a is reloaded with a pause of b ms; c as in `shut`, 3: the old socket ends after the new one opens.
    Reload "reload",
    /// The socket of tab a dies silently; the browser notices after b ms, 0 = never.
    Cut "cut",
    /// The socket of tab a is reset.
    Reset "reset",
    /// Tab a reads nothing for b ms.
    Pause "pause",
    /// The computer of tab a sleeps for b ms.
    Sleep "sleep",
    /// All sockets die; a: 0 reset, 1 silently, noticed within b ms.
    Storm "storm",
    /// Tab a reconnects with other credentials of kind b.
    Rekey "rekey",
    /// Tab a subscribes to the channels of bit mask b, and to malformed names of kind c.
    Sub "sub",
    /// Tab a sends into channel b; c is the kind of body, event and anonymity.
    Send "send",
    /// Tab a sends its newest message once more, with the same send key.
    Again "again",
    /// Tab a asks for b (history, count, users, data, status, nonsense) about c.
    Ask "ask",
    /// A connection with a malformed URL of kind a.
    Intruder "intruder",
    /// Session a inserts private messages for user b; c is the kind and number of rows.
    Private "private",
    /// Session a publishes into channel b; c is the kind and number of rows.
    Publish "publish",
    /// Session a sets the key of user b to version c.
    SetKey "set_key",
    /// Session a deletes the key of user b.
    DelKey "del_key",
    /// Session a revokes the token of user b in version c.
    Revoke "revoke",
    /// Session a restores the token of user b in version c.
    Restore "restore",
    /// Session a sets the history length of channel b to c.
    SetLength "set_length",
    /// Session a deletes the history setting of channel b.
    DelLength "del_length",
    /// Session a deletes the history of channel b.
    DelHistory "del_history",
    /// Session a empties the queue of user b.
    DelQueue "del_queue",
    /// Session a sets the public text of user b.
    SetData "set_data",
    /// Session a deletes the public text of user b.
    DelData "del_data",
    /// Session a selects b (queue, history, times, counts, members, key, data, settings, what became of messages) about c.
    Select "select",
    /// Session a sends a statement that is refused, of kind b.
    Wrong "wrong",
    /// Session a asks a console's question of kind b about c.
    Console "console",
    /// Session a moves to tenant b.
    Use "use",
    /// Session a deletes the b-th message of all histories by its id.
    DelMessage "del_message",
    /// A load balancer logs in and asks something.
    Health "health",
    /// Session a begins (b = 0) or ends a transaction.
    Transaction "transaction",
    /// Session a dies with its statements in flight and reconnects as tenant b.
    Die "die",
    /// The disk fails for a ms.
    DiskFail "disk_fail",
    /// The server dies within the next actions, after a of them, and is back after b ms; c: the commit in progress
    /// was finished.
    Crash "crash",
    /// The server is stopped orderly and is back after a ms.
    Stop "stop",
    /// The wall clock jumps by a ms; b: 0 forward, 1 backward.
    Jump "jump",
    /// The server stands still for a ms; b: 0 the process, 1 the whole machine, whose monotonic clock stands still too.
    Stall "stall",
    /// a superfluous Ticks.
    Ticks "ticks",
}

/// One thing that is done to the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its number in the script it was generated in; keys its luck.
    pub serial: u64,
    /// Milliseconds since the step before.
    pub gap_ms: u64,
    /// What is done.
    pub verb: Verb,
    /// First number.
    pub a: u64,
    /// Second number.
    pub b: u64,
    /// Third number.
    pub c: u64,
}

/// A whole run: the world and what is done to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The world.
    pub profile: Profile,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Script {
    /// The text form.
    pub fn print(&self) -> String {
        let mut text = format!("world {}\n", self.profile.print());
        for step in &self.steps {
            let Step {
                serial,
                gap_ms,
                verb,
                a,
                b,
                c,
            } = step;
            text.push_str(&format!("{serial} +{gap_ms} {} {a} {b} {c}\n", verb.name()));
        }
        text
    }

    /// The reverse of `print`. Empty lines and lines that begin with `#` are ignored.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut profile = None;
        let mut steps = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix("world ") {
                profile = Some(Profile::parse(rest)?);
            } else {
                steps.push(step(line).ok_or_else(|| format!("not a step: {line:?}"))?);
            }
        }
        let profile = profile.ok_or_else(|| "no line begins with \"world\"".to_owned())?;
        Ok(Self { profile, steps })
    }
}

fn step(line: &str) -> Option<Step> {
    let mut words = line.split_whitespace();
    let serial = words.next()?.parse().ok()?;
    let gap_ms = words.next()?.strip_prefix('+')?.parse().ok()?;
    let name = words.next()?;
    let verb = *Verb::ALL.iter().find(|verb| verb.name() == name)?;
    let mut number = || words.next().map_or(Ok(0), str::parse).ok();
    Some(Step {
        serial,
        gap_ms,
        verb,
        a: number()?,
        b: number()?,
        c: number()?,
    })
}
