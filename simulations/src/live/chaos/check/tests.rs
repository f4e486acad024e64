//! A history that breaks nothing, and for each rule one that breaks it.

use super::*;

const READER: usize = 1;

/// Where messages are submitted.
const NEAR: usize = 0;

/// Where they are read.
const FAR: usize = 1;

const SETTLED: Frame = Frame { nodes: 2, end_ms: 10_000, whole_ms: Some(5_000) };

/// Far beyond the end.
const LATER_MS: u64 = 1_000_000_000;

fn id(name: &str) -> Id {
    name.to_owned()
}

fn cursor(epoch: u64, position: u64) -> Cursor {
    Cursor { epoch, position }
}

fn sent(name: &str, expires_ms: u64) -> What {
    What::Sent { id: id(name), writer: 0, reader: READER, expires_ms }
}

fn accepted(name: &str) -> What {
    What::Accepted { id: id(name), node: NEAR, asked_ms: 0 }
}

fn fed(name: &str, after: Option<Cursor>, cursor: Cursor, asked_ms: u64) -> What {
    What::Fed { reader: READER, node: FAR, feed: 1, after, cursor, id: id(name), asked_ms }
}

fn delivered(name: &str) -> What {
    What::Delivered { id: id(name), reader: READER }
}

fn acked(name: &str, node: usize) -> What {
    What::AckAccepted { reader: READER, node, ids: vec![id(name)] }
}

fn status(name: &str, node: usize, state: Option<RecordState>, asked_ms: u64) -> What {
    What::Status { node, id: id(name), state, asked_ms }
}

/// One message from beginning to end, an event each 100 ms from 100 ms on.
fn whole() -> Vec<What> {
    vec![
        sent("a", LATER_MS),
        accepted("a"),
        fed("a", None, cursor(5, 1), 50),
        delivered("a"),
        acked("a", FAR),
        status("a", NEAR, Some(RecordState::Held), 550),
        status("a", NEAR, Some(RecordState::Acked), 650),
        status("a", FAR, Some(RecordState::Acked), 750),
    ]
}

fn at_each_100_ms(history: Vec<What>) -> Vec<Event> {
    (1..).zip(history).map(|(number, what)| Event { at_ms: number * 100, what }).collect()
}

fn verdict(history: Vec<What>) -> Vec<Broken> {
    check(&at_each_100_ms(history), SETTLED)
}

/// The whole history without the events that `left_out` picks, and `more` at its end.
fn whole_but(left_out: impl Fn(&What) -> bool, more: Vec<What>) -> Vec<Broken> {
    verdict(whole().into_iter().filter(|what| !left_out(what)).chain(more).collect())
}

#[test]
fn a_message_that_went_its_way_breaks_nothing() {
    assert_eq!(verdict(whole()), []);
    assert_eq!(verdict(Vec::new()), []);
}

#[test]
fn accepted_and_never_delivered_is_lost() {
    let gone = |what: &What| !matches!(what, What::Sent { .. } | What::Accepted { .. });
    let lost = Broken::Lost { id: id("a"), reader: READER, accepted: vec![(NEAR, 200)] };
    assert_eq!(whole_but(gone, Vec::new()), [lost]);
    // What was not accepted may be lost, and what has expired.
    assert_eq!(verdict(vec![sent("a", LATER_MS)]), []);
    assert_eq!(verdict(vec![sent("a", 9_999), accepted("a")]), []);
    // Nothing is lost before the network had time.
    let history = at_each_100_ms(vec![sent("a", LATER_MS), accepted("a")]);
    assert_eq!(check(&history, Frame { whole_ms: None, ..SETTLED }), []);
    // What expired at the end of a whole network had time enough, and what expired sooner had not.
    let long = Frame { end_ms: 5_000 + WHOLE_MS_MIN + 50_000, ..SETTLED };
    let until = |expires_ms| check(&at_each_100_ms(vec![sent("a", expires_ms), accepted("a")]), long);
    assert_eq!(until(5_000 + WHOLE_MS_MIN), []);
    assert_eq!(until(5_001 + WHOLE_MS_MIN).len(), 1);
}

#[test]
fn another_reader_having_it_does_not_help() {
    let history = vec![sent("a", LATER_MS), accepted("a"), What::Delivered { id: id("a"), reader: 7 }];
    let lost = Broken::Lost { id: id("a"), reader: READER, accepted: vec![(NEAR, 200)] };
    assert_eq!(verdict(history), [lost, Broken::Unsent { id: id("a"), reader: 7, at_ms: 300 }]);
}

#[test]
fn delivered_twice_and_delivered_unsent() {
    let twice = Broken::DeliveredTwice { id: id("a"), reader: READER, at_ms: 900 };
    assert_eq!(whole_but(|_| false, vec![delivered("a")]), [twice]);
    let unsent = Broken::Unsent { id: id("b"), reader: READER, at_ms: 900 };
    assert_eq!(whole_but(|_| false, vec![delivered("b")]), [unsent]);
}

#[test]
fn delivered_long_after_its_time() {
    let in_time =
        vec![Event { at_ms: 0, what: sent("a", 100) }, Event { at_ms: 100 + LATE_MS_MAX, what: delivered("a") }];
    assert_eq!(check(&in_time, SETTLED), []);
    let mut late = in_time;
    late[1].at_ms += 1;
    let (at_ms, expires_ms) = (101 + LATE_MS_MAX, 100);
    assert_eq!(check(&late, SETTLED), [Broken::Late { id: id("a"), reader: READER, at_ms, expires_ms }]);
}

#[test]
fn a_feed_that_repeats_itself() {
    let (first, second) = (cursor(5, 1), cursor(5, 2));
    let again = |second| vec![sent("b", LATER_MS), fed("b", None, first, 0), fed("b", Some(first), second, 0)];
    let twice = Broken::FedTwice { id: id("b"), reader: READER, node: FAR, first, second };
    assert_eq!(verdict(again(second)), [twice]);
    // A rebuilt index may begin again, and so may another reading.
    assert_eq!(verdict(again(cursor(6, 1))), []);
    let mut another = again(first);
    if let Some(What::Fed { feed, after, .. }) = another.last_mut() {
        (*feed, *after) = (2, None);
    }
    assert_eq!(verdict(another), []);
}

#[test]
fn a_cursor_that_does_not_grow() {
    let (after, same) = (cursor(5, 4), cursor(5, 4));
    let history = vec![fed("b", Some(after), same, 0)];
    assert_eq!(verdict(history), [Broken::CursorBack { id: id("b"), reader: READER, node: FAR, after, cursor: same }]);
    assert_eq!(verdict(vec![fed("b", Some(after), cursor(4, 1), 0)]), []);
}

#[test]
fn a_node_that_forgot_what_it_accepted() {
    let ended = |state| vec![status("a", NEAR, state, 850)];
    for state in [None, Some(RecordState::Evicted)] {
        assert_eq!(whole_but(|_| false, ended(state)), [Broken::Forgotten { id: id("a"), node: NEAR }], "{state:?}");
    }
    // It need not know what another accepted, nor what has expired.
    assert_eq!(whole_but(|_| false, vec![status("a", FAR, None, 850)]), []);
    let expired = vec![sent("b", 9_999), accepted("b"), status("b", NEAR, None, 850)];
    assert_eq!(verdict(expired), []);
}

#[test]
fn acked_and_still_there() {
    let acked_at = |node| move |what: &What| matches!(what, What::Status { node: at, state, .. } if *at == node && *state == Some(RecordState::Acked));
    assert_eq!(whole_but(acked_at(NEAR), Vec::new()), [Broken::NotGone { id: id("a"), node: NEAR }]);
    assert_eq!(whole_but(acked_at(FAR), Vec::new()), [Broken::NotAsked { id: id("a"), node: FAR }]);
}

#[test]
fn acked_and_back_again() {
    let back = |asked_ms| Broken::Resurrected { id: id("a"), node: FAR, acked_ms: 500, asked_ms };
    let again = |asked_ms| fed("a", None, cursor(6, 9), asked_ms);
    assert_eq!(whole_but(|_| false, vec![again(501)]), [back(501)]);
    // What was asked for before the ack was there may still be on its way.
    assert_eq!(whole_but(|_| false, vec![again(500)]), []);
    let held_again =
        vec![status("a", FAR, Some(RecordState::Held), 850), status("a", FAR, Some(RecordState::Acked), 860)];
    assert_eq!(whole_but(|_| false, held_again), [back(850)]);
    // The other node did not have it from the reader, but said so itself.
    let at_near =
        vec![status("a", NEAR, Some(RecordState::Held), 850), status("a", NEAR, Some(RecordState::Acked), 860)];
    let back_at_near = Broken::Resurrected { id: id("a"), node: NEAR, acked_ms: 700, asked_ms: 850 };
    assert_eq!(whole_but(|_| false, at_near), [back_at_near]);
}

#[test]
fn a_node_that_ended_by_itself() {
    let ended = What::NodeEnded { node: FAR, how: "exit status: 101".into() };
    let how = "exit status: 101".to_owned();
    assert_eq!(verdict(vec![ended]), [Broken::NodeEnded { node: FAR, at_ms: 100, how }]);
}
