//! The world of a run: how many tenants, users and browsers there are, how slow the network is, which limits are
//! set to their minimum. Every setting is a number with a name, so a profile is one line of text.

use comet_core::{CheckedConfig, Config, Rules, Secret};

use crate::prng::Prng;

macro_rules! knobs {
    ($($(#[$doc:meta])* $knob:ident $name:literal $calm:literal),* $(,)?) => {
        /// A setting of the world.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Knob { $($(#[$doc])* $knob),* }

        impl Knob {
            /// Every setting.
            pub const ALL: &[Self] = &[$(Self::$knob),*];

            /// Its name in scripts.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$knob => $name),* }
            }

            /// Its value in a calm world.
            pub const fn calm(self) -> u64 {
                match self { $(Self::$knob => $calm),* }
            }
        }
    };
}

knobs! {
    /// Tenants.
    Devs "devs" 1,
    /// Users of each tenant.
    Users "users" 2,
    /// Browsers.
    Browsers "browsers" 2,
    /// CometQL sessions.
    Sessions "sessions" 1,
    /// Longest network delay in one direction, ms.
    Latency "latency" 5,
    /// Percentage of messages that are delayed much longer.
    Jitter "jitter" 0,
    /// Longest duration of a commit, ms.
    Commit "commit" 5,
    /// `main.reload_grace`, s.
    Grace "grace" 60,
    /// `ws.ack_timeout`, ms.
    AckTimeout "ack_timeout" 10_000,
    /// `ws.ping_interval`, s: 2.5 of them without a sign of life end a connection.
    PingInterval "ping_interval" 30,
    /// Bytes of private messages on their way to one connection.
    Window "window" 65_536,
    /// `main.max_devices_per_user`.
    Devices "devices" 16,
    /// `main.queue_max`.
    QueueMax "queue_max" 0,
    /// `main.delivery_window`, bytes.
    DeliveryWindow "delivery_window" 8_388_608,
    /// `main.queue_ttl`, s.
    QueueTtl "queue_ttl" 0,
    /// `ws.max_subscriptions`.
    Subscriptions "subscriptions" 256,
    /// `ws.send_buffer`, bytes.
    SendBuffer "send_buffer" 1_048_576,
    /// `ws.maxUptime`, s.
    Uptime "uptime" 0,
    /// Percentage of closed connections whose `Closed` comes late, or after `Close`.
    LateClosed "late_closed" 0,
    /// 0: presence events off.
    Presence "presence" 1,
    /// Percentage of browsers with version 5 of the client.
    V5 "v5" 0,
    /// How long the handlers of a page of version 5 run at most, ms.
    Handler "handler" 0,
    /// Percentage of its private messages whose handler does not come back before the page is reloaded.
    Hangs "hangs" 0,
    /// Messages with a send key that the server remembers.
    SendMemory "send_memory" 131_072,
    /// For so long, ms.
    SendMemoryMs "send_memory_ms" 120_000,
    /// 0: `main.save_users_last_online_time` off.
    SaveOnline "save_online" 1,
    /// `ws.max_commands_per_second`.
    Commands "commands" 0,
    /// `cometql.maxUptime`, s.
    SqlUptime "sql_uptime" 0,
    /// `ws.statistics` and `cometql.statistics`, ms.
    Statistics "statistics" 0,
    /// `main.max_message_body`, bytes.
    BodyMax "body_max" 4096,
    /// Longest piece of a list of recipients.
    Piece "piece" 1024,
    /// Most tabs that are open.
    Tabs "tabs" 14,
    /// Percentage of statements that are prepared and bound, where that is possible.
    Prepared "prepared" 0,
    /// `limits.tenant_commands`.
    TenantCommands "tenant_commands" 0,
    /// `quota.subscriptions`.
    TenantSubscriptions "tenant_subscriptions" 0,
    /// Commands of a user per second.
    UserCommands "user_commands" 0,
    /// Messages of a connection per second.
    PageMessages "page_messages" 0,
    /// Messages of a tenant per second.
    TenantMessages "tenant_messages" 0,
    /// Channel names a connection asks for per second.
    PageNames "page_names" 0,
    /// `limits.statements`, per second.
    Statements "statements" 0,
    /// `quota.connections`.
    QuotaConnections "quota_connections" 0,
    /// `quota.sessions`.
    QuotaSessions "quota_sessions" 0,
    /// `quota.users_online`.
    QuotaOnline "quota_online" 0,
    /// `quota.users`.
    QuotaUsers "quota_users" 0,
    /// `quota.channels`.
    QuotaChannels "quota_channels" 0,
    /// `quota.messages`.
    QuotaMessages "quota_messages" 0,
    /// `quota.bytes`.
    QuotaBytes "quota_bytes" 0,
    /// `ws.key_failures`.
    KeyFailures "key_failures" 0,
    /// `ws.max_connections_per_address`.
    AddressMax "address_max" 0,
    /// How fast the server's wall clock goes, in thousandths of the speed of time.
    Drift "drift" 1000,
    /// `main.memory_limit`, bytes; in such a world what is around the core takes more of it, and less again.
    MemoryLimit "memory_limit" 0,
    /// Instead of it: so little that what is stored fills it.
    TightMemory "tight_memory" 0,
}

/// `limits.burst`, s.
pub const BURST_S: u64 = 2;

/// Limits that keep somebody away or his messages out, and what they are in some worlds. When the faults are over, the
/// operator does away with them.
const STRICT: [(Knob, [u64; 3]); 15] = [
    (Knob::UserCommands, [1, 2, 5]),
    (Knob::PageMessages, [1, 1, 2]),
    (Knob::TenantMessages, [1, 2, 4]),
    (Knob::PageNames, [1, 2, 5]),
    (Knob::Statements, [1, 3, 10]),
    (Knob::QuotaConnections, [1, 2, 6]),
    (Knob::QuotaSessions, [1, 1, 2]),
    (Knob::QuotaOnline, [1, 1, 2]),
    (Knob::QuotaUsers, [1, 2, 3]),
    (Knob::QuotaChannels, [1, 2, 3]),
    (Knob::QuotaMessages, [1, 4, 12]),
    (Knob::QuotaBytes, [50, 400, 3_000]),
    (Knob::KeyFailures, [1, 1, 3]),
    (Knob::AddressMax, [1, 2, 3]),
    (Knob::TightMemory, [30_000, 80_000, 200_000]),
];

/// Number of settings.
const KNOBS: usize = Knob::ALL.len();

/// All settings of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The seed of everything that is not a step.
    pub seed: u64,
    values: [u64; KNOBS],
}

impl Profile {
    /// A world without faults.
    pub fn calm(seed: u64) -> Self {
        let mut values = [0; KNOBS];
        for (value, knob) in values.iter_mut().zip(Knob::ALL) {
            *value = knob.calm();
        }
        Self { seed, values }
    }

    /// The world of a seed.
    pub fn drawn(seed: u64) -> Self {
        let mut rng = Prng::keyed(seed, 1);
        let mut profile = Self::calm(seed);
        profile.set(Knob::Devs, rng.pick(&[1, 1, 2, 3]));
        profile.set(Knob::Users, rng.between(1, 4));
        profile.set(Knob::Browsers, rng.between(1, 8));
        profile.set(Knob::Sessions, rng.between(1, 3));
        profile.set(Knob::Latency, rng.pick(&[1, 5, 40, 400, 3000]));
        profile.set(Knob::Jitter, rng.pick(&[0, 0, 2, 10]));
        profile.set(Knob::Commit, rng.pick(&[1, 5, 50, 1500]));
        profile.set(Knob::Grace, rng.pick(&[60, 60, 60, 5, 1, 0]));
        profile.set(Knob::AckTimeout, rng.pick(&[10_000, 10_000, 3_000, 50, 1]));
        profile.set(Knob::PingInterval, rng.pick(&[30, 30, 5]));
        profile.set(Knob::Devices, rng.pick(&[16, 16, 16, 2, 1]));
        profile.set(Knob::Window, rng.pick(&[65_536, 65_536, 65_536, 2_000, 1]));
        profile.set(Knob::QueueMax, rng.pick(&[0, 0, 0, 0, 5, 1]));
        profile.set(Knob::QueueTtl, rng.pick(&[0, 0, 0, 0, 0, 60, 1]));
        profile.set(Knob::Subscriptions, rng.pick(&[256, 256, 256, 3, 1]));
        profile.set(Knob::SendBuffer, rng.pick(&[1_048_576, 1_048_576, 8_192, 1_000]));
        profile.set(Knob::Uptime, rng.pick(&[0, 0, 0, 0, 30]));
        profile.set(Knob::LateClosed, rng.pick(&[0, 0, 30, 100]));
        profile.set(Knob::Presence, rng.pick(&[1, 1, 1, 1, 0]));
        profile.set(Knob::V5, rng.pick(&[0, 30, 60, 100]));
        profile.set(Knob::Handler, rng.pick(&[0, 5, 200, 3_000, 20_000]));
        profile.set(Knob::Hangs, rng.pick(&[0, 0, 0, 5]));
        profile.set(Knob::SendMemory, rng.pick(&[131_072, 131_072, 4, 1]));
        profile.set(Knob::SendMemoryMs, rng.pick(&[120_000, 120_000, 120_000, 2_000]));
        profile.draw_rarer(&mut rng);
        profile.draw_strict(&mut Prng::keyed(seed, 12));
        profile
    }

    /// A world of days, in which steps are hours apart now and then: nothing in it happens every second of a night.
    pub fn calm_nights(&mut self) {
        for knob in [Knob::AckTimeout, Knob::Uptime, Knob::SqlUptime, Knob::Statistics] {
            self.set(knob, knob.calm());
        }
        self.set(Knob::Latency, self.get(Knob::Latency).min(400));
        // Who is not let in tries again all night.
        self.relax();
    }

    fn draw_rarer(&mut self, rng: &mut Prng) {
        self.set(Knob::SaveOnline, rng.pick(&[1, 1, 1, 1, 0]));
        self.set(Knob::Commands, rng.pick(&[0, 0, 0, 0, 0, 0, 4, 1]));
        self.set(Knob::SqlUptime, rng.pick(&[0, 0, 0, 0, 0, 60, 2]));
        self.set(Knob::Statistics, rng.pick(&[0, 0, 0, 60_000, 1_000]));
        self.set(Knob::BodyMax, rng.pick(&[4096, 4096, 4096, 4096, 400, 24]));
        self.set(Knob::Piece, rng.pick(&[1024, 1024, 2, 4]));
        self.set(Knob::Prepared, rng.pick(&[0, 0, 30, 100]));
        let windows = [Knob::DeliveryWindow.calm(), Knob::DeliveryWindow.calm(), 2_000, 0];
        self.set(Knob::DeliveryWindow, rng.pick(&windows));
        self.set(
            Knob::Drift,
            rng.pick(&[1000, 1000, 1000, 1000, 1001, 900, 2000, 0]),
        );
        if rng.percent(8) {
            self.set(Knob::Tabs, 40);
            self.set(Knob::Browsers, rng.between(20, 40));
        }
        self.set(Knob::TenantCommands, rng.pick(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 4]));
        self.set(
            Knob::TenantSubscriptions,
            rng.pick(&[0, 0, 0, 0, 0, 0, 0, 1, 4, 9]),
        );
        self.set(Knob::MemoryLimit, rng.pick(&[0, 0, 0, 40_000_000, 200_000_000]));
    }

    fn draw_strict(&mut self, rng: &mut Prng) {
        if rng.percent(30) {
            for (knob, values) in STRICT {
                if rng.percent(30) {
                    self.set(knob, rng.pick(&values));
                }
            }
        }
        if self.get(Knob::MemoryLimit) > 0 && rng.percent(10) {
            self.set(Knob::Sessions, 18);
        }
        if rng.percent(3) {
            self.set(Knob::DeliveryWindow, 100);
        }
    }

    /// Does away with the strict limits; true if there were any.
    pub fn relax(&mut self) -> bool {
        let strict = STRICT.iter().any(|(knob, _)| self.get(*knob) > 0);
        for (knob, _) in STRICT {
            self.set(knob, knob.calm());
        }
        strict
    }

    /// The value of a setting.
    pub const fn get(&self, knob: Knob) -> u64 {
        self.values[knob as usize]
    }

    /// Changes a setting.
    pub const fn set(&mut self, knob: Knob, value: u64) {
        self.values[knob as usize] = value;
    }

    /// What the core is started with.
    pub fn config(&self) -> CheckedConfig {
        let settings = self.settings().check();
        settings.expect("the password is set and no limit is 0")
    }

    /// The same, unchecked.
    pub fn settings(&self) -> Config {
        let uptime_ms = self.get(Knob::Uptime) * 1000;
        Config {
            password: Secret::new(crate::names::PASSWORD),
            dev_index_size: 10,
            send_online_events: self.get(Knob::Presence) == 1,
            send_offline_events: self.get(Knob::Presence) == 1,
            save_last_online: self.get(Knob::SaveOnline) == 1,
            body_bytes_max: self.get(Knob::BodyMax).max(1) as usize,
            commands_per_second_max: self.get(Knob::Commands) as u32,
            rules: self.rules(),
            recipients_piece_max: self.get(Knob::Piece).max(2) as usize,
            cometql_uptime_max_ms: self.get(Knob::SqlUptime) * 1000,
            cometql_uptime_sweep_ms: self.get(Knob::SqlUptime) * 500,
            ws_statistics_ms: self.get(Knob::Statistics),
            cometql_statistics_ms: self.get(Knob::Statistics),
            private_window_bytes: self.get(Knob::Window).max(1) as usize,
            devices_per_user_max: self.get(Knob::Devices).max(1) as usize,
            delivery_window_bytes: self.get(Knob::DeliveryWindow) as usize,
            queue_ttl_ms: self.get(Knob::QueueTtl) * 1000,
            queue_len_max: self.get(Knob::QueueMax) as usize,
            reload_grace_ms: self.get(Knob::Grace) * 1000,
            ack_timeout_ms: self.get(Knob::AckTimeout).max(1),
            send_memory_ms: self.get(Knob::SendMemoryMs),
            send_memory_max: self.get(Knob::SendMemory) as usize,
            subscriptions_max: self.get(Knob::Subscriptions).max(1) as usize,
            ws_uptime_max_ms: uptime_ms,
            ws_uptime_sweep_ms: uptime_ms / 2,
            memory_limit_bytes: self.memory_limit(),
            address_connections_max: self.get(Knob::AddressMax) as u32,
            key_failures_max: self.get(Knob::KeyFailures) as u32,
            ..Config::default()
        }
    }

    /// `main.memory_limit`.
    pub const fn memory_limit(&self) -> u64 {
        match self.get(Knob::TightMemory) {
            0 => self.get(Knob::MemoryLimit),
            tight => tight,
        }
    }

    /// What tenants may use.
    fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        rules.rates.burst_s = BURST_S as u32;
        rules.rates.user.commands = self.get(Knob::UserCommands) as u32;
        rules.rates.tenant.commands = self.get(Knob::TenantCommands) as u32;
        rules.rates.tenant.messages = self.get(Knob::TenantMessages) as u32;
        rules.rates.connection.messages = self.get(Knob::PageMessages) as u32;
        rules.rates.connection.subscriptions = self.get(Knob::PageNames) as u32;
        rules.rates.statements = self.get(Knob::Statements) as u32;
        rules.quota.connections = self.get(Knob::QuotaConnections);
        rules.quota.sessions = self.get(Knob::QuotaSessions);
        rules.quota.users_online = self.get(Knob::QuotaOnline);
        rules.quota.subscriptions = self.get(Knob::TenantSubscriptions);
        rules.quota.users = self.get(Knob::QuotaUsers);
        rules.quota.channels = self.get(Knob::QuotaChannels);
        rules.quota.messages = self.get(Knob::QuotaMessages);
        rules.quota.bytes = self.get(Knob::QuotaBytes);
        rules
    }

    /// One line: the settings that are not those of a calm world.
    pub fn print(&self) -> String {
        let mut text = format!("seed={}", self.seed);
        for &knob in Knob::ALL {
            if self.get(knob) != knob.calm() {
                text.push_str(&format!(" {}={}", knob.name(), self.get(knob)));
            }
        }
        text
    }

    /// The reverse of `print`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut profile = Self::calm(0);
        for part in text.split_whitespace() {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| format!("no value in {part:?}"))?;
            let value = value.parse().map_err(|_| format!("bad number in {part:?}"))?;
            if name == "seed" {
                profile.seed = value;
                continue;
            }
            let knob = Knob::ALL.iter().find(|knob| knob.name() == name);
            profile.set(*knob.ok_or_else(|| format!("unknown setting {name:?}"))?, value);
        }
        Ok(profile)
    }
}
