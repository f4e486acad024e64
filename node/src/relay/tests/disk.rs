//! A disk that is full, as the relay is told of it.

use super::harness::*;
use crate::relay::{CallError, Input};

const FULL: &str = "the disk is full: new records are refused until there is room";
const AGAIN: &str = "the disk takes records again";

#[test]
fn an_ack_that_was_taken_is_no_sign_of_room_for_new_records() {
    let mut node = Node::new(1);
    let mailbox = Mailbox::direct(1);
    let (held, refused) = (mailbox.envelope(1), mailbox.envelope(2));
    node.submit(&held).unwrap();
    node.disk = Disk::Full;
    assert!(matches!(node.submit(&refused), Err(CallError::Storage(_))));
    node.disk = Disk::Works;
    node.gossip(mailbox.ack(&[&held], true).frame());
    assert!(!node.holds(&held), "acks are always tried");
    assert!(node.relay.is_disk_full());
    assert_eq!(node.warnings(), [FULL]);
    assert!(matches!(node.submit(&refused), Err(CallError::Storage(_))), "it is too early to try");
    node.wait_ms(5000);
    node.submit(&refused).unwrap();
    assert_eq!(node.warnings(), [FULL, AGAIN]);
}

#[test]
fn nobody_need_submit_anything_for_a_full_disk_to_be_known_or_over() {
    let mut node = Node::new(1);
    let letter = Mailbox::direct(1).envelope(1);
    node.feed(Input::Maintained { full: false });
    assert!(node.warnings().is_empty());
    for _ in 0..3 {
        node.feed(Input::Maintained { full: true });
    }
    assert!(node.relay.is_disk_full());
    assert_eq!(node.warnings(), [FULL], "once");
    assert!(matches!(node.submit(&letter), Err(CallError::Storage(_))));
    node.feed(Input::Maintained { full: false });
    assert_eq!(node.warnings(), [FULL, AGAIN]);
    node.submit(&letter).unwrap();
}
