//! The language of the scripts: one command per line, `#` begins a comment that is kept in the transcript.
//!
//! ```text
//! config KEY=VALUE …            before anything else: settings other than the defaults
//! open NAME [user= key= dev= v= uuid= origin= agent=]   a browser connects as clients do
//! url NAME TARGET [origin=…]    a browser connects with this request target
//! NAME: TEXT                    a browser sends a command
//! pong NAME                     the browser answers the newest Ping it got
//! pong NAME mN                  … or one of its own making: the id of message N
//! ack NAME mN                   the page acknowledges message N (version 5)
//! close NAME                    the browser goes away
//! sql TEXT                      a statement by root of tenant 0
//! sql@N TEXT                    … of tenant N; `$mN` in it stands for the id of message N
//! health TEXT                   … by a health check's session
//! use NAME                      COM_INIT_DB by root of tenant 0
//! login USER [db=NAME] [nopass] only the decision about a login
//! exec TEXT <- JSON ARRAY       a prepared statement of tenant 0 with its parameters
//! wait DURATION                 time passes: 10s, 300ms
//! memory BYTES                  the world around the core uses so many bytes of the memory limit
//! store hold | go | fail        the store stops answering, answers, refuses the waiting records
//! crash                         the server dies; what the store had not confirmed is lost
//! stop                          an orderly end, then a new start
//! ```
//!
//! `⏎` stands for LF, `␀` for NUL, `{x*70}` for 70 times x; the transcript shortens long runs in the same way.

use crate::render::expand;
use crate::world::World;

/// Runs a script and returns its transcript.
pub(crate) fn run(script: &str) -> String {
    let mut lines = script.lines().peekable();
    let mut settings = String::new();
    let mut head = String::new();
    while let Some(line) =
        lines.next_if(|line| line.is_empty() || line.starts_with('#') || line.starts_with("config "))
    {
        head.push_str(line);
        head.push('\n');
        if let Some(more) = line.strip_prefix("config ") {
            settings.push_str(more);
            settings.push(' ');
        }
    }
    let mut world = World::start(&settings);
    world.note(&head);
    for line in lines {
        if line.is_empty() || line.starts_with('#') {
            world.note(&format!("{line}\n"));
        } else {
            world.note(&format!("> {line}\n"));
            command(&mut world, &expand(line));
        }
    }
    world.finish()
}

fn command(world: &mut World, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "open" => {
            let option = |name: &str, default: &str| option(more, name).unwrap_or(default).to_owned();
            let target = format!(
                "/ws/sesion={}&myid={}&devid={}&v={}&uuid={}&api=js",
                option("key", ""),
                option("user", ""),
                option("dev", "0"),
                option("v", "4.08"),
                option("uuid", ""),
            );
            world.open(first, &target, more);
        }
        "url" => {
            let (target, more) = more.split_once(' ').unwrap_or((more, ""));
            world.open(first, target, more);
        }
        "pong" => world.pong(first, more),
        "ack" => world.ack(first, more),
        "close" => world.close(first),
        "sql" => world.sql(0, rest),
        "health" => world.health(rest),
        "use" => world.use_database(rest),
        "login" => world.login(first, option(more, "db"), !more.contains("nopass")),
        "exec" => {
            let (text, params) = rest.split_once(" <- ").expect("exec TEXT <- PARAMETERS");
            world.exec(text, params);
        }
        "wait" => world.wait(milliseconds(rest)),
        "memory" => world.memory(rest.parse().expect("memory BYTES")),
        "store" => world.store(rest),
        "crash" => world.crash(),
        "stop" => world.stop(),
        other => {
            if let Some(dev) = other.strip_prefix("sql@") {
                world.sql(dev.parse().expect("sql@N"), rest);
            } else if let Some(name) = other.strip_suffix(':') {
                world.request(name, rest);
            } else {
                panic!("unknown command in a script: {line}");
            }
        }
    }
}

/// The value of `name=value` in a list of options.
pub(crate) fn option<'a>(options: &'a str, name: &str) -> Option<&'a str> {
    options
        .split(' ')
        .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

fn milliseconds(text: &str) -> u64 {
    let number = |text: &str| text.parse::<u64>().expect("a number of time units");
    match text.strip_suffix("ms") {
        Some(ms) => number(ms),
        None => number(text.strip_suffix('s').expect("a duration in s or ms")) * 1000,
    }
}
