//! What gets in, who is answered when, and what is held against whom.

use griot_protocol::{NodeId, Record, Refusal, Shard, Timestamp};

use super::harness::*;
use crate::relay::{CallError, Config, Input, Limits, Output, Rate, Tally, Verdict};
use crate::store::{MemberId, Store as _};

#[test]
fn a_submission_is_answered_only_after_it_is_durable() {
    let mut node = Node::new(1);
    node.disk = Disk::Holds;
    let letter = Mailbox::direct(1).envelope(1);
    let call = node.begin_submit(ANA, letter.frame());
    let second = node.begin_submit(BEN, letter.frame());
    node.wait_ms(1000);
    assert_eq!(node.answer(call), None);
    assert_eq!(node.answer(second), None, "a copy waits for the same commit");
    assert!(node.published().is_empty(), "nothing is announced before it is held");
    node.release();
    assert_eq!(node.answer(call), Some(accepted(&letter)));
    assert_eq!(node.answer(second), Some(duplicate(&letter)));
    assert_eq!(node.published().len(), 1);
    assert!(node.holds(&letter));
}

#[test]
fn a_second_submission_of_what_is_held_is_a_duplicate() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    assert_eq!(node.submit(&letter), accepted(&letter));
    assert_eq!(node.submit(&letter), duplicate(&letter));
    assert_eq!(node.verified, 1);
    assert_eq!(node.published().len(), 1);
}

#[test]
fn a_bad_signature_does_not_block_the_good_copy() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    assert_eq!(node.gossip(&forged(&letter)), Some(Verdict::Reject));
    assert_eq!(node.counted(Tally::Refused("signature", "gossip")), 1);
    assert_eq!(node.gossip(letter.frame()), Some(Verdict::Accept));
    assert!(node.holds(&letter));
}

#[test]
fn a_bad_copy_that_is_still_being_checked_does_not_block_the_good_one() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    let (now, call) = (node.now, node.call());
    let submit = |frame| Input::Submit { call, member: ANA, frame };
    let first = node.relay.handle(
        now,
        Input::Gossiped {
            peer: node.id(),
            message: crate::relay::GossipId(9),
            shard: Shard(0),
            frame: forged(&letter),
        },
        &node.store,
    );
    let second = node.relay.handle(now, submit(letter.frame().clone()), &node.store);
    let is_verify = |output: &Output| matches!(output, Output::Verify { .. });
    assert!(first.iter().any(is_verify) && second.iter().any(is_verify), "both are checked");
}

#[test]
fn the_same_frame_is_checked_once() {
    let node = &mut Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    let gossip = |n| Input::Gossiped {
        peer: NodeId([n; 32]),
        message: crate::relay::GossipId(u64::from(n)),
        shard: Shard(0),
        frame: letter.frame().clone(),
    };
    let outputs = node.relay.handle(node.now, gossip(1), &node.store);
    assert!(node.relay.handle(node.now, gossip(2), &node.store).is_empty());
    let [Output::Verify { ticket, record }] = outputs.as_slice() else { panic!("{outputs:?}") };
    let result = record.clone().verify(&params(0).name);
    node.feed(Input::Verified { ticket: *ticket, result });
    for n in [1, 2] {
        assert_eq!(node.verdict(crate::relay::GossipId(n)), Some(Verdict::Accept), "both hear of it");
    }
}

#[test]
fn unknown_kinds_are_ignored_never_punished() {
    let mut node = Node::new(1);
    let mut frame = Mailbox::direct(1).envelope(1).frame().to_vec();
    frame[0] = 77;
    assert_eq!(node.gossip(&frame.clone().into()), Some(Verdict::Ignore));
    frame[0] = 1;
    frame[1] = 9;
    assert_eq!(node.gossip(&frame.into()), Some(Verdict::Ignore));
    assert_eq!(node.counted(Tally::Refused("unknown-kind", "gossip")), 1);
    assert_eq!(node.counted(Tally::Refused("unknown-version", "gossip")), 1);
}

#[test]
fn malformed_records_are_rejected_and_members_are_told_why() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    let cut = letter.frame().slice(..letter.frame().len() - 1);
    assert_eq!(node.gossip(&cut), Some(Verdict::Reject));
    let call = node.begin_submit(ANA, &cut);
    assert_eq!(node.answer(call), Some(Err(CallError::Refused(Refusal::Truncated))));
}

#[test]
fn wrong_times_are_nobodys_fault_and_may_come_right() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let early = mailbox.envelope_at(1, POSTAGE, DAWN.plus(700), DAWN.plus(7200));
    assert_eq!(node.gossip(early.frame()), Some(Verdict::Ignore));
    assert_eq!(node.counted(Tally::Refused("future", "gossip")), 1);
    node.wait_ms(200_000);
    assert_eq!(node.gossip(early.frame()), Some(Verdict::Accept));
    let late = mailbox.envelope_at(2, POSTAGE, DAWN.minus(7200), DAWN.minus(1));
    assert_eq!(node.submit(&late), Err(CallError::Refused(Refusal::Expired)));
    assert_eq!(node.gossip(late.frame()), Some(Verdict::Ignore));
}

#[test]
fn what_expires_in_a_closed_hour_is_not_accepted_until_the_clock_is_right() {
    let mut node = Node::new(1);
    // The node's clock was five hours ahead for a moment: it has dropped what expires until then, and keeps no more.
    node.store.expire(DAWN.plus(5 * 3600), 100).unwrap();
    let mailbox = Mailbox::direct(1);
    let soon = mailbox.envelope_at(1, POSTAGE, DAWN, DAWN.plus(3600));
    assert!(matches!(node.submit(&soon), Err(CallError::Storage(_))));
    assert!(matches!(node.import(&soon), Err(CallError::Storage(_))));
    assert!(!node.holds(&soon));
    let later = mailbox.envelope(2);
    assert_eq!(node.submit(&later), accepted(&later));
    assert_eq!(node.submit(&later), duplicate(&later));
    node.wait_ms(1_000);
    assert!(node.warnings().iter().any(|text| text.contains("5 hours ahead")), "{:?}", node.warnings());
    assert_eq!(node.submit(&soon), accepted(&soon));
    assert!(node.holds(&soon));
    let said = node.warnings().len();
    node.wait_ms(3 * 60_000);
    assert_eq!(node.warnings().len(), said);
}

#[test]
fn postage_must_be_paid() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let unpaid = (0..=255)
        .map(|text| mailbox.envelope_paying(text, 0))
        .find(|record| griot_protocol::postage::bits_of(&record.id()) < POSTAGE)
        .unwrap();
    assert_eq!(node.submit(&unpaid), Err(CallError::Refused(Refusal::Postage)));
    assert_eq!(node.gossip(unpaid.frame()), Some(Verdict::Ignore), "parameters may change at different times");
}

#[test]
fn gossip_for_shards_not_carried_is_ignored_but_members_may_write_anywhere() {
    let mut node = Node::with(Config::new(params(2), NodeId([0; 32])), 1);
    let letter = Mailbox::direct(1).ground_into(3, 2).envelope(1);
    assert_eq!(node.gossip(letter.frame()), Some(Verdict::Ignore));
    assert_eq!(node.counted(Tally::Refused("shard", "gossip")), 1);
    assert_eq!(node.submit(&letter), accepted(&letter));
}

#[test]
fn gossip_on_another_shards_topic_is_rejected_and_the_good_copy_still_comes() {
    let carry = crate::relay::CarryPolicy::All;
    let mut node = Node::with(Config { carry, ..Config::new(params(2), NodeId([0; 32])) }, 1);
    let (hostile, honest) = (NodeId([8; 32]), NodeId([9; 32]));
    let mailbox = Mailbox::direct(1).ground_into(3, 2);
    let letter = mailbox.envelope(1);
    for shard in 0..3 {
        assert_eq!(node.gossip_on(Shard(shard), hostile, letter.frame()), Some(Verdict::Reject));
    }
    assert_eq!(node.counted(Tally::Refused("topic", "gossip")), 3);
    assert_eq!((node.verified, node.holds(&letter)), (0, false), "no signature was checked for it");
    assert_eq!(node.gossip_on(Shard(3), honest, letter.frame()), Some(Verdict::Accept));
    assert!(node.holds(&letter));
    // Also where it is known already: whoever sends it about on that topic is wrong.
    assert_eq!(node.gossip_on(Shard(1), hostile, letter.frame()), Some(Verdict::Reject));
    // Acks belong where their mailbox is, as envelopes do.
    let ack = mailbox.ack(&[&letter], true);
    assert_eq!(node.gossip_on(Shard(2), hostile, ack.frame()), Some(Verdict::Reject));
    assert_eq!(node.gossip_on(Shard(3), honest, ack.frame()), Some(Verdict::Accept));
    // Length, header and times come first: what is nobody's fault stays nobody's fault.
    let late = mailbox.envelope_at(2, POSTAGE, DAWN.minus(7200), DAWN.minus(1));
    assert_eq!(node.gossip_on(Shard(1), honest, late.frame()), Some(Verdict::Ignore));
}

#[test]
fn a_peer_that_floods_is_ignored_and_others_are_not() {
    let limits = Limits { peer_rate: Rate { per_second: 1, burst: 2 }, ..Limits::default() };
    let mut node = Node::with(Config { limits, ..Config::new(params(0), Node::new(1).id()) }, 1);
    let mailbox = Mailbox::direct(1);
    let (flooder, other) = (NodeId([8; 32]), NodeId([9; 32]));
    let verdicts: Vec<_> = (0..3).map(|n| node.gossip_from(flooder, mailbox.envelope(n).frame()).unwrap()).collect();
    assert_eq!(verdicts, [Verdict::Accept, Verdict::Accept, Verdict::Ignore]);
    assert_eq!(node.gossip_from(other, mailbox.envelope(2).frame()), Some(Verdict::Accept));
    assert_eq!(node.counted(Tally::Refused("rate", "gossip")), 1);
}

#[test]
fn while_lines_are_full_strangers_wait_for_members() {
    let mut node = Node::new(1);
    let (member, stranger) = (Mailbox::direct(1), Mailbox::direct(2));
    node.register(&member);
    let (loud, other) = (NodeId([8; 32]), NodeId([9; 32]));
    for peer in [loud, other] {
        node.feed(Input::PeerUp { peer });
        node.feed(Input::RoundTrip { peer, ms: 50 });
    }
    let late = |node: &mut Node, ms: u64| {
        for peer in [loud, other] {
            node.feed(Input::RoundTrip { peer, ms });
        }
    };
    let flood = Mailbox::direct(3);
    for n in 0..8 {
        for picture in 0..4 {
            node.gossip_from(loud, flood.large_envelope(4 * n + picture).frame());
        }
        node.wait_ms(5_000);
        late(&mut node, 9_000);
    }
    for _ in 0..6 {
        node.wait_ms(10_000);
        late(&mut node, 9_000);
    }
    let refused = node.counted(Tally::Refused("lines", "gossip"));
    assert!(refused > 0);
    let verdicts = |node: &mut Node, mailbox: &Mailbox| -> Vec<_> {
        (0..6).map(|n| node.gossip_from(loud, mailbox.large_envelope(n).frame()).unwrap()).collect()
    };
    use Verdict::{Accept, Ignore};
    assert_eq!(verdicts(&mut node, &stranger), [Accept, Accept, Accept, Accept, Ignore, Ignore], "a burst of 68 KiB");
    assert_eq!(node.counted(Tally::Refused("lines", "gossip")), refused + 2);
    assert_eq!(verdicts(&mut node, &member), [Accept; 6], "members' mail never waits");
    assert_eq!(node.gossip_from(other, stranger.envelope(200).frame()), Some(Accept), "nor does a quiet neighbour");
    // What was not taken is taken later, from whomever.
    late(&mut node, 50);
    node.wait_ms(120_000);
    assert_eq!(verdicts(&mut node, &stranger)[4..], [Accept; 2]);
    assert!((0..6).all(|n| node.holds(&stranger.large_envelope(n))));
}

#[test]
fn members_have_a_rate_and_the_unix_socket_has_none() {
    let limits = Limits { member_rate: Rate { per_second: 1, burst: 1 }, ..Limits::default() };
    let mut node = Node::with(Config { limits, ..Config::new(params(0), Node::new(1).id()) }, 1);
    let mailbox = Mailbox::direct(1);
    assert!(node.submit_as(ANA, &mailbox.envelope(1)).is_ok());
    assert_eq!(node.submit_as(ANA, &mailbox.envelope(2)), Err(CallError::Rate(1)));
    assert!(node.submit_as(BEN, &mailbox.envelope(2)).is_ok());
    for n in 10..20 {
        assert!(node.submit_as(MemberId::LOCAL, &mailbox.envelope(n)).is_ok());
    }
    node.wait_ms(1000);
    assert!(node.submit_as(ANA, &mailbox.envelope(3)).is_ok());
}

#[test]
fn a_full_disk_refuses_records_tries_acks_and_recovers() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let first = mailbox.envelope(1);
    node.submit(&first).unwrap();
    node.disk = Disk::Full;
    assert!(matches!(node.submit(&mailbox.envelope(2)), Err(CallError::Storage(_))));
    let checked = node.verified;
    assert!(matches!(node.submit(&mailbox.envelope(3)), Err(CallError::Storage(_))));
    assert_eq!(node.verified, checked, "no signature is checked for what cannot be kept");
    assert_eq!(node.gossip(mailbox.envelope(4).frame()), Some(Verdict::Ignore));
    assert_eq!(node.warnings().len(), 1, "said once: {:?}", node.warnings());
    node.disk = Disk::Works;
    let ack = mailbox.ack(&[&first], true);
    assert_eq!(node.submit(&ack), accepted(&ack));
    node.wait_ms(5_000);
    assert!(node.submit(&mailbox.envelope(5)).is_ok(), "the ack made room");
}

#[test]
fn a_full_disk_is_tried_again_after_some_seconds() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    node.disk = Disk::Full;
    assert!(node.submit(&mailbox.envelope(1)).is_err());
    node.disk = Disk::Works;
    assert!(node.submit(&mailbox.envelope(1)).is_err());
    node.wait_ms(5_000);
    assert!(node.submit(&mailbox.envelope(1)).is_ok());
}

#[test]
fn a_failed_write_is_told_to_everyone_who_waits() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    node.disk = Disk::Broken;
    assert!(matches!(node.submit(&letter), Err(CallError::Storage(text)) if text.contains("smoke")));
    node.disk = Disk::Works;
    assert_eq!(node.submit(&letter), accepted(&letter), "nothing of it counts as seen");
}

#[test]
fn an_import_is_answered_after_it_is_durable_and_is_announced() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    assert_eq!(node.import(&letter), accepted(&letter));
    assert_eq!(node.import(&letter), duplicate(&letter));
    assert_eq!(node.published().len(), 1);
    assert_eq!(node.counted(Tally::Accepted("envelope", "import")), 1);
}

#[test]
fn rows_expire_only_while_the_clock_is_trusted() {
    let config = Config::new(params(0), Node::new(1).id());
    let store = crate::store::MemoryStore::new(0.try_into().unwrap());
    let mut node = Node::on(config, 1, store, Some(Timestamp(DAWN.0 - 40 * 24 * 3600)));
    assert_eq!(node.warnings().len(), 1);
    let brief = Mailbox::direct(1).envelope_at(1, POSTAGE, DAWN, DAWN.plus(60));
    node.submit(&brief).unwrap();
    node.wait_ms(3 * 3600 * 1000);
    assert!(node.holds(&brief));
}

/// A node that has run for two hours and holds a letter that lives for so many more.
fn holding(hours: u64) -> (Node, Record) {
    let mut node = Node::new(1);
    node.wait_ms(2 * 3600 * 1000);
    let now = node.now.wall;
    let brief = Mailbox::direct(1).envelope_at(1, POSTAGE, now, now.plus(hours * 3600));
    node.submit(&brief).unwrap();
    (node, brief)
}

/// Lets the node's clock be five hours ahead for so many minutes, and then be right.
fn five_hours_ahead(node: &mut Node, minutes: u64) {
    node.ahead_seconds = 5 * 3600;
    node.wait_ms(minutes * 60_000);
    node.ahead_seconds = 0;
    node.wait_ms(60_000);
}

#[test]
fn a_clock_that_is_hours_ahead_for_minutes_loses_nothing() {
    let (mut node, brief) = holding(2);
    five_hours_ahead(&mut node, 50);
    assert!(node.holds(&brief));
    assert_eq!(node.relay.outbox.usage(MemberId::LOCAL).envelopes, 1, "it is still offered to others");
    node.wait_ms(4 * 3600 * 1000);
    assert!(!node.holds(&brief));
}

#[test]
fn one_neighbour_that_says_so_is_enough_to_delete_nothing_early() {
    let (mut node, brief) = holding(2);
    let right = node.now.wall;
    node.ahead_seconds = 5 * 3600;
    node.wait_ms(60_000);
    let machine = node.now;
    node.relay.clock.peer_time(NodeId([9; 32]), right.plus(60), machine);
    node.wait_ms(70 * 60_000);
    assert!(node.holds(&brief), "it has an hour left by the neighbour's clock");
    node.wait_ms(4 * 3600 * 1000);
    assert!(!node.holds(&brief));
}

#[test]
fn after_an_hour_alone_a_clock_is_believed_and_what_it_cost_is_taken_again() {
    let (mut node, brief) = holding(3);
    five_hours_ahead(&mut node, 70);
    assert!(!node.holds(&brief));
    assert_eq!(node.gossip(brief.frame()), Some(Verdict::Accept));
    assert!(node.holds(&brief));
}

#[test]
fn rows_expire_an_hour_after_their_hour() {
    let mut node = Node::new(1);
    let brief = Mailbox::direct(1).envelope_at(1, POSTAGE, DAWN, DAWN.plus(60));
    node.submit(&brief).unwrap();
    node.wait_ms(3600 * 1000);
    assert!(node.holds(&brief));
    node.wait_ms(2 * 3600 * 1000);
    assert!(!node.holds(&brief));
    assert!(node.counted(Tally::Expired(1)) > 0);
    assert_eq!(node.relay.outbox.usage(MemberId::LOCAL).envelopes, 0);
}
