//! From what real nodes were given to a plan of the world.

use crate::{
    live::calibrate::{Calibration, CalibrationPlan, MESSAGES_MAX},
    plan::{
        Conduct, EventPlan, LatencyLaw, LatencyPlan, LinkPlan, MailboxIndex, MailboxPlan, MessagePlan, NodeIndex,
        NodePlan, PersonIndex, PersonPlan, Plan, VirtualMs,
    },
    truth::{TruthError, bare_plan},
};

/// What the machine's disk takes to sync: real nodes answered "accepted" after 1.2 ms in the median, of which this is
/// the larger part. Whole milliseconds are what the world counts in.
pub const FSYNC_MS: u64 = 1;

/// Real nodes are started one after the other, each when the one before it says that it listens. It matters while nothing
/// is sent: nodes compare what they hold when they meet, and again after fixed times.
const START_EVERY_MS: u64 = 300;

/// This long after the last start all are linked and have mailboxes, and the warm-up begins.
const LINKED_WITHIN_MS: u64 = 800;

/// How long a message of a measuring run lives.
const LIFE_SECONDS: u64 = 3600;

/// Nodes of a measuring run: as many as a wire has ends.
const NODES_MAX: usize = crate::live::wire::ENDS_MAX as usize;

/// When what is counted begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// From here on nothing is written.
    pub quiet_from: VirtualMs,
    /// From here on messages are.
    pub messages_from: VirtualMs,
    /// The end, some seconds after the last.
    pub end: VirtualMs,
}

/// The plan of the world for what real nodes were given, and when what is to be counted.
///
/// # Errors
/// [`TruthError::Plan`], where the calibration contradicts itself.
pub fn plan_of(real: &Calibration) -> Result<(Plan, Windows), TruthError> {
    check(&real.plan)?;
    let CalibrationPlan { nodes, links, one_way_ms, payload_bytes, acks, .. } = &real.plan;
    let linked = (*nodes as u64 - 1) * START_EVERY_MS + LINKED_WITHIN_MS;
    // Traffic is seen every full second, so they start somewhat later than at once.
    let first_start = linked.next_multiple_of(1000) - linked;
    let quiet_from = first_start + linked + real.plan.warm_up_seconds * 1000;
    let messages_from = quiet_from + real.quiet.seconds.round() as u64 * 1000;
    let end = messages_from + (real.loaded.seconds * 1000.0).round() as u64;
    let node = |region| NodePlan {
        region,
        up_bytes_per_second: 0,
        down_bytes_per_second: 0,
        behind_nat: false,
        starts_up: false,
        conduct: Conduct::Honest,
    };
    let index = |node: usize| node as u32;
    let plan = Plan {
        duration_ms: end,
        fsync_ms: FSYNC_MS,
        nodes: (0..*nodes as u16).map(node).collect(),
        links: links
            .iter()
            .map(|(from, to)| LinkPlan { from: NodeIndex(index(*from)), to: NodeIndex(index(*to)) })
            .collect(),
        // A region for each node makes a table of regions one of paths.
        latency: LatencyPlan::Regions { one_way_ms: one_way_ms.clone(), jitter: LatencyLaw::Constant { ms: 0 } },
        people: (0..index(*nodes))
            .map(|node| PersonPlan { homes: vec![NodeIndex(node)], starts_online: true, full_client: false })
            .collect(),
        mailboxes: (0..index(*nodes))
            .map(|node| MailboxPlan { shared: !acks, readers: vec![PersonIndex(node)] })
            .collect(),
        messages: real
            .plan
            .messages
            .iter()
            .map(|message| MessagePlan {
                at: VirtualMs(messages_from + message.at_ms),
                author: PersonIndex(index(message.from)),
                mailbox: MailboxIndex(index(message.to)),
                bytes: *payload_bytes as u32,
                life_seconds: LIFE_SECONDS,
            })
            .collect(),
        events: (0..index(*nodes))
            .map(|node| (VirtualMs(first_start + u64::from(node) * START_EVERY_MS), EventPlan::Start(NodeIndex(node))))
            .collect(),
        ..bare_plan("calibration", real.plan.seed)
    };
    let windows =
        Windows { quiet_from: VirtualMs(quiet_from), messages_from: VirtualMs(messages_from), end: VirtualMs(end) };
    Ok((plan, windows))
}

/// A file may say anything.
fn check(plan: &CalibrationPlan) -> Result<(), TruthError> {
    let CalibrationPlan { nodes, links, one_way_ms, payload_bytes, messages, .. } = plan;
    let wrong = |what: &str| Err(TruthError::Plan(format!("the calibration's plan is not consistent: {what}")));
    if !(2..=NODES_MAX).contains(nodes) {
        return wrong("its number of nodes");
    }
    if one_way_ms.len() != *nodes || one_way_ms.iter().any(|row| row.len() != *nodes) {
        return wrong("a latency for each pair of nodes");
    }
    if links.iter().any(|(from, to)| from.max(to) >= nodes || from == to) {
        return wrong("its links");
    }
    if griot_protocol::padding::bucket_for(*payload_bytes).is_none() {
        return wrong("the size of its messages");
    }
    if messages.len() > MESSAGES_MAX || messages.iter().any(|m| m.from.max(m.to) >= *nodes || m.from == m.to) {
        return wrong("its messages");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Calibration {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("calibration/nodes-12.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_plan_is_the_same_network() {
        let real = kept();
        let (plan, windows) = plan_of(&real).unwrap();
        assert_eq!((plan.nodes.len(), plan.links.len(), plan.messages.len()), (12, 24, 300));
        assert_eq!(plan.messages[0].at.0 - windows.messages_from.0, real.plan.messages[0].at_ms);
        assert_eq!(windows.messages_from.0 - windows.quiet_from.0, 60_000);
        assert!(!plan.discovery && plan.messages.is_sorted_by_key(|message| message.at));
    }

    #[test]
    fn a_file_that_contradicts_itself_is_refused() {
        let wrong: [fn(&mut CalibrationPlan); 5] = [
            |plan| plan.nodes = 11,
            |plan| plan.links.push((0, 12)),
            |plan| plan.one_way_ms[3].clear(),
            |plan| plan.messages[0].to = 99,
            |plan| plan.payload_bytes = 1 << 20,
        ];
        for spoil in wrong {
            let mut real = kept();
            spoil(&mut real.plan);
            assert!(matches!(plan_of(&real), Err(TruthError::Plan(_))));
        }
    }
}
