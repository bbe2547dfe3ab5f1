//! Log levels and tags of comet.ini (protocol.md 8.2) and what they mean for `tracing`.

use std::fmt;

use tracing_subscriber::filter::LevelFilter;

/// A log level: 0 off, 100 critical, 200 error, 300 warning, 400 log, 500 debug, 600 all; numbers between count as
/// the next lower one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LogLevel(u16);

impl LogLevel {
    /// Nothing.
    pub const OFF: Self = Self(0);
    /// What the server cannot live with.
    pub const CRITICAL: Self = Self(100);
    /// What went wrong.
    pub const ERROR: Self = Self(200);
    /// What looks wrong.
    pub const WARNING: Self = Self(300);
    /// What happens.
    pub const INFO: Self = Self(400);
    /// What helps to find a mistake.
    pub const DEBUG: Self = Self(500);
    /// Everything.
    pub const ALL: Self = Self(600);

    /// What `parse` understands.
    pub const ALLOWED: &str = "off, critical, error, warning, info, debug, all, or a number from 0 to 600";

    /// Reads a name or a number.
    pub fn parse(text: &str) -> Option<Self> {
        let level = match text.to_ascii_lowercase().as_str() {
            "off" | "none" => Self::OFF,
            "critical" => Self::CRITICAL,
            "error" => Self::ERROR,
            "warning" | "warn" => Self::WARNING,
            "info" | "log" => Self::INFO,
            "debug" => Self::DEBUG,
            "all" | "trace" => Self::ALL,
            number => Self(number.parse().ok().filter(|n| *n <= Self::ALL.0)?),
        };
        Some(level)
    }

    /// `tracing` has no level above error, so critical shows errors too.
    pub fn filter(self) -> LevelFilter {
        match self.0 {
            0..100 => LevelFilter::OFF,
            100..300 => LevelFilter::ERROR,
            300..400 => LevelFilter::WARN,
            400..500 => LevelFilter::INFO,
            500..600 => LevelFilter::DEBUG,
            600.. => LevelFilter::TRACE,
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "off",
            100 => "critical",
            200 => "error",
            300 => "warning",
            400 => "info",
            500 => "debug",
            600 => "all",
            number => return write!(f, "{number}"),
        };
        f.write_str(name)
    }
}

macro_rules! tags {
    ($($name:ident $text:literal $targets:expr;)*) => {
        /// A part of the server that has a level of its own. Names and order are those of comet.ini; the targets
        /// are our modules that do what the tag's part did.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum LogTag { $(#[doc = $text] $name),* }

        impl LogTag {
            /// Every tag, in the order of the console command `TagLog`.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The key in section `log`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            pub(super) const fn targets(self) -> &'static [&'static str] {
                match self { $(Self::$name => &$targets),* }
            }
        }
    };
}

tags! {
    Any "Any" [];
    TagLoger "TagLoger" ["comet_server::logging"];
    AppConf "appConf" ["comet_server::config"];
    PipeCommands "pipeCommands" ["comet_server::driver"];
    Statistics "statistics" ["comet_server::statistics"];
    RemoveOldConnections "removeOldConnections" [];
    MySqlServer "MySqlServer" ["comet_server::sql"];
    UserIndex "UserIndex" [];
    UserItem "UserItem" [];
    ClientServer "ClientServer" ["comet_server::ws"];
    ServerServer "ServerServer" [];
    SimpleRedisClient "SimpleRedisClient" [];
    TcpServer "tcpServer" ["comet_server::server"];
    CometQlCluster "CometQLCluster" [];
    DevManager "devManager" [];
    FreeswitchServer "FreeswitchServer" [];
    DbLink "dbLink" ["comet_server::store"];
}

impl LogTag {
    /// Finds a tag by its key; case-sensitive like every key of comet.ini.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|tag| tag.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_the_same() {
        for (text, level) in [
            ("off", 0),
            ("critical", 100),
            ("error", 200),
            ("Warning", 300),
            ("log", 400),
        ] {
            assert_eq!(LogLevel::parse(text), Some(LogLevel(level)));
            assert_eq!(LogLevel::parse(&level.to_string()), Some(LogLevel(level)));
        }
        assert_eq!(LogLevel::parse("info"), LogLevel::parse("log"));
        assert_eq!(LogLevel::parse("600"), LogLevel::parse("all"));
        for wrong in ["601", "-1", "", "loud", "4 00"] {
            assert_eq!(LogLevel::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_number_has_a_filter_and_its_display_reads_back() {
        assert_eq!(LogLevel(99).filter(), LevelFilter::OFF);
        assert_eq!(LogLevel(450).filter(), LevelFilter::INFO);
        for level in [0, 100, 150, 200, 300, 400, 500, 600].map(LogLevel) {
            assert_eq!(LogLevel::parse(&level.to_string()), Some(level));
        }
    }

    #[test]
    fn tags_are_numbered_as_in_comet_ini() {
        assert_eq!(LogTag::ALL.len(), 17);
        assert_eq!(LogTag::ALL.first(), Some(&LogTag::Any));
        assert_eq!(LogTag::parse("dbLink"), LogTag::ALL.last().copied());
        assert_eq!(LogTag::parse("dblink"), None);
    }
}
