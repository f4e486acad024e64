//! What a scenario may ask for. Each limit is where a run would no longer fit the machine it is meant for, or where a number
//! would stop meaning what it says.

/// Nodes. A full node takes about half a megabyte in virtual time, so this needs about 24 GiB: the largest machine that
/// the simulator is meant for.
pub const NODES_MAX: u32 = 50_000;

/// Messages. Their fates are kept in memory until the end, some 200 bytes each: 1 GiB.
pub const MESSAGES_MAX: u64 = 5_000_000;

/// Pairs of a message and one of its readers: one line each in `messages.csv`, which is then 5 GB.
pub const DELIVERIES_MAX: u64 = 50_000_000;

/// People. One registration on each home, at least.
pub const PEOPLE_MAX: u64 = 2_000_000;

/// People with a full client. Each looks twice a second whether there is work, as `griot serve` does, and reads its store
/// for that: about a second of CPU time for each hour of virtual time, so that a hundred make twenty minutes of half a day.
pub const FULL_CLIENTS_MAX: u64 = 100;

/// Events (faults, people coming and going). Each is some 50 bytes in the plan, and the plan is kept whole.
pub const EVENTS_MAX: usize = 5_000_000;

/// Neighbours that a topology gives to one node: libp2p keeps a few hundred connections well, not more.
pub const DEGREE_MAX: u32 = 256;

/// How long a run lasts, in milliseconds of the run: 40 days, so that the longest life of a message (30 days) fits.
pub const DURATION_MS_MAX: u64 = 40 * 86_400_000;

/// Below this a run ends before nodes have found each other.
pub const DURATION_MS_MIN: u64 = 10_000;

/// By how much time may be compressed: a 30-day life is then 43 minutes, and the protocol's 30 s are still short beside it.
pub const COMPRESS_MAX: u64 = 1000;

/// Faults in one scenario file: more is a program's work, and a program can write a plan instead.
pub const FAULTS_MAX: usize = 1000;

/// Regions: each pair has a latency, and a plot can tell no more of them apart.
pub const REGIONS_MAX: usize = 64;

/// Homes of one person (the design advises two or three).
pub const HOMES_MAX: usize = 3;

/// Members of a group and followers of a channel: each reads every message.
pub const READERS_MAX: u32 = 10_000;

/// Seats in all groups and channels together, and pairs of people who know each other: each is kept in memory while the
/// workload is drawn (some 10 bytes each).
pub const SEATS_MAX: f64 = 50_000_000.0;

/// Nodes that one entry of adversaries surrounds: an eclipse is against few, and each attacker dials each of them.
pub const VICTIMS_MAX: u32 = 16;

/// The share of nodes that may mean harm. The design claims to bear 40 %; beyond it no claim is made that could be tested.
pub const ADVERSARIES_SHARE_MAX: f64 = 0.4;

/// What one adversary may send in a second: more than the largest peer rate of a node, so that the limit is met.
pub const ADVERSARY_PER_SECOND_MAX: u32 = 10_000;

/// What a scenario or topology file may weigh: a million edges as GraphML.
pub const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Payload bytes of a message: the largest bucket.
pub const MESSAGE_BYTES_MAX: u32 = 65_536;

/// Milliseconds of latency one way: twice a geostationary satellite and then some. Beyond it protocols time out.
pub const LATENCY_MS_MAX: u32 = 10_000;

/// Seconds that a clock may be off: ten years, more than any battery-less clock shows.
pub const SKEW_SECONDS_MAX: i64 = 10 * 365 * 86_400;

/// Parts per million that a clock may drift: 10 %, a hundred times worse than the worst crystal.
pub const DRIFT_PPM_MAX: i32 = 100_000;
