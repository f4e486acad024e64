//! What a measuring run is going to do: all of it drawn from the seed before the first node starts, and written down, so
//! that the simulator can run the same network and the same messages.

use serde::{Deserialize, Serialize};

use super::{
    super::{
        topology,
        wire::{ENDS_MAX, LatencyLaw, draw},
    },
    CalibrateError, Options,
};

/// The most messages of one run: each is held in memory from the beginning.
pub const MESSAGES_MAX: usize = 100_000;

/// The most messages a second: more than a test machine carries over twenty nodes.
pub const RATE_MAX: f64 = 1000.0;

/// A network and what is sent over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationPlan {
    /// From which everything is drawn.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// Neighbours of each.
    pub degree: usize,
    /// From which the latencies are drawn.
    pub latency: LatencyLaw,
    /// (from, to): node `from` dials node `to`. They find nobody else.
    pub links: Vec<(usize, usize)>,
    /// One-way latency of IP packets, milliseconds: row from, column to.
    pub one_way_ms: Vec<Vec<u32>>,
    /// Payload bytes of a message, a bucket.
    pub payload_bytes: usize,
    /// Whether each reader sends a releasing ack for each message as soon as it has it.
    pub acks: bool,
    /// Seconds between the last link's coming up and the beginning of the quiet window.
    pub warm_up_seconds: u64,
    /// Seconds for which bytes are counted while nothing is sent.
    pub quiet_seconds: u64,
    /// Messages, in order of time.
    pub messages: Vec<PlannedMessage>,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMessage {
    /// When it is submitted, milliseconds since the end of the quiet window.
    pub at_ms: u64,
    /// The node it is submitted to.
    pub from: usize,
    /// The node its mailbox is registered with, and its reader listens to: another.
    pub to: usize,
}

impl CalibrationPlan {
    /// Draws a plan.
    ///
    /// # Errors
    /// The options make no sense together.
    pub fn draw(options: &Options) -> Result<Self, CalibrateError> {
        let refuse = |text: String| Err(CalibrateError::Options(text));
        let Options { nodes, degree, messages, seed, .. } = *options;
        if !(2..=usize::from(ENDS_MAX)).contains(&nodes) {
            return refuse(format!("--nodes must be 2 to {ENDS_MAX}"));
        }
        if !(1..=MESSAGES_MAX).contains(&messages) {
            return refuse(format!("--messages must be 1 to {MESSAGES_MAX}"));
        }
        if !(options.rate > 0.0 && options.rate <= RATE_MAX) {
            return refuse(format!("--rate must be above 0 and at most {RATE_MAX}"));
        }
        let Some(payload_bytes) = griot_protocol::padding::bucket_for(options.size) else {
            return refuse("--size must be at most 65536".to_owned());
        };
        let Some(links) = topology::random_regular(seed, nodes, degree) else {
            let max = topology::DEGREE_MAX;
            return refuse(format!("--degree must be 1 to {max}, below --nodes, and even where --nodes is odd"));
        };
        Ok(Self {
            seed,
            nodes,
            degree,
            latency: options.latency,
            links,
            one_way_ms: options.latency.matrix(seed, nodes),
            payload_bytes,
            acks: !options.no_acks,
            warm_up_seconds: options.warm_up_seconds,
            quiet_seconds: options.quiet_seconds,
            messages: draw_messages(seed, nodes, messages, options.rate),
        })
    }
}

/// A Poisson process: exponential times between messages, with the mean 1 / `rate` seconds.
fn draw_messages(seed: u64, nodes: usize, count: usize, rate: f64) -> Vec<PlannedMessage> {
    let mut draw = draw::stream(seed, "messages", [0, 0]);
    let mut at_seconds = 0.0;
    let next = |_| {
        at_seconds += draw.exponential(1.0) / rate;
        let from = draw.below(nodes as u64) as usize;
        // One of the others.
        let step = 1 + draw.below(nodes as u64 - 1) as usize;
        PlannedMessage { at_ms: libm::round(at_seconds * 1000.0) as u64, from, to: (from + step) % nodes }
    };
    (0..count).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_plan() {
        let options = Options { nodes: 12, messages: 400, rate: 4.0, seed: 9, ..Options::default() };
        let plan = CalibrationPlan::draw(&options).unwrap();
        assert_eq!(plan, CalibrationPlan::draw(&options).unwrap());
        assert_ne!(plan, CalibrationPlan::draw(&Options { seed: 10, ..options.clone() }).unwrap());
        assert!(plan.messages.iter().all(|message| message.from != message.to && message.to < 12));
        assert!(plan.messages.is_sorted_by_key(|message| message.at_ms));
        let seconds = plan.messages.last().unwrap().at_ms / 1000;
        assert!((80..125).contains(&seconds), "{seconds}");
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<CalibrationPlan>(&json).unwrap(), plan);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong = [
            Options { nodes: 1, ..Options::default() },
            Options { nodes: 129, ..Options::default() },
            Options { messages: 0, ..Options::default() },
            Options { rate: 0.0, ..Options::default() },
            Options { rate: f64::NAN, ..Options::default() },
            Options { size: 65_537, ..Options::default() },
            Options { nodes: 11, degree: 5, ..Options::default() },
        ];
        for options in wrong {
            assert!(matches!(CalibrationPlan::draw(&options), Err(CalibrateError::Options(_))), "{options:?}");
        }
    }
}
