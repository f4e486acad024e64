//! What time brings: loading at start, expiry, and bounded rounds of housekeeping.

use griot_protocol::{Address, Hour, RecordId, Timestamp};

use crate::store::{MemberId, Store, StoreError};

use super::{
    Relay,
    limits::{EXPIRE_EVERY_MS, LOAD_PAGE, OUTBOX_SWEEP_PER_TICK, REFRESH_PER_TICK},
    outbox::{Away, Item},
    turn::Turn,
    types::{Now, Output, Tally},
};

/// How often the rounds of housekeeping go, however often the relay is told that time passes.
const UPKEEP_EVERY_MS: u64 = 1_000;

/// How often what is due for other nodes is looked at: what is submitted in a burst then shares a push.
const DISPATCH_EVERY_MS: u64 = 100;

/// The same read error is reported again only after so long.
const STORE_WARNING_EVERY_MS: u64 = 60_000;

/// When what was last done.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    next_ms: u64,
    next_dispatch_ms: u64,
    next_expiry_ms: u64,
    opened_ms: Option<u64>,
    store_warning: Option<(u64, String)>,
    warned_of_clock: bool,
}

impl Relay {
    /// Loads what the store knows of registrations and the outbox, and says which shards to carry.
    ///
    /// # Errors
    /// Reading the store failed.
    pub fn start(&mut self, now: Now, store: &dyn Store) -> Result<Vec<Output>, StoreError> {
        self.clock.observe(now);
        self.load_registrations(store)?;
        self.load_outbox(now, store)?;
        let mut turn = Turn::new(now, self.clock.judged(now), store);
        self.emit_carry(&mut turn);
        if !self.clock.is_settled() {
            turn.emit(Output::Warn(
                "the clock has moved by more than a day since the node last ran: nothing is deleted as expired until a \
                 neighbour confirms the time"
                    .to_owned(),
            ));
        }
        self.note_postage(&turn);
        Ok(self.finish(turn))
    }

    fn load_registrations(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut after: Option<(Address, MemberId)> = None;
        loop {
            let page = store.all_registrations(after, LOAD_PAGE)?;
            let is_last = page.len() < LOAD_PAGE;
            for row in page {
                let address = row.keys.address();
                after = Some((address, row.member));
                if self.registry.insert(address, row.member, store.usage(&address)) {
                    self.carriage.add(address.shard(self.config.params.bits));
                    // A crash may have come between an envelope and its receipt.
                    self.receipts.scan(address);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    fn load_outbox(&mut self, now: Now, store: &dyn Store) -> Result<(), StoreError> {
        let mut after: Option<RecordId> = None;
        loop {
            let page = store.outbox(after, LOAD_PAGE)?;
            let is_last = page.len() < LOAD_PAGE;
            for (id, member) in page {
                after = Some(id);
                let Some(row) = store.row(&id)? else { continue };
                self.outbox.insert(id, Item::of_row(&row, member));
                let shard = row.address.shard(self.config.params.bits);
                if !self.carriage.carries(shard) {
                    self.outbox.set_away(&id, Some(Away::due_at(shard, now.mono_ms)));
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Does what is due at this moment, whatever the input was.
    pub(super) fn keep_up(&mut self, turn: &mut Turn<'_>) {
        if self.disk.takes(griot_protocol::RecordKind::Custody, turn.mono_ms) {
            self.make_due_receipts(turn);
        }
        if turn.mono_ms >= self.upkeep.next_dispatch_ms {
            self.upkeep.next_dispatch_ms = turn.mono_ms.saturating_add(DISPATCH_EVERY_MS);
            self.dispatch_due(turn);
            let outputs = self.sync.tick(turn.now(), turn.store);
            self.carry_out(turn, outputs);
        }
    }

    /// Whether something waits for time to pass that should not wait for half a second: receipts, and what is to be
    /// handed to carriers.
    #[must_use]
    pub fn is_waiting(&self, now: Now) -> bool {
        self.receipts.are_due() || self.has_dispatch_due(now.mono_ms)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        if turn.mono_ms < self.upkeep.next_ms {
            return;
        }
        self.upkeep.next_ms = turn.mono_ms.saturating_add(UPKEEP_EVERY_MS);
        let deletes_until = self.clock.deletes_until(turn.machine);
        self.expire(turn, deletes_until);
        self.watch_clock(turn);
        for address in self.registry.next_to_refresh(REFRESH_PER_TICK) {
            self.registry.refresh(&address, turn.store.usage(&address));
        }
        if let Some(until) = deletes_until {
            for id in self.outbox.sweep(until, OUTBOX_SWEEP_PER_TICK) {
                self.outbox.remove(&id);
            }
        }
        self.look_for_room();
        if self.disk.takes(griot_protocol::RecordKind::Custody, turn.mono_ms) {
            self.scan_for_receipts(turn);
        }
        self.note_postage(turn);
        self.evict(turn);
        self.reclaim(turn);
        self.expire_errands(turn.wall, turn.mono_ms);
        self.told_late(turn);
        self.lines.tick(turn.mono_ms);
    }

    /// Has rows dropped whose hour is over, unless the time itself is in doubt.
    fn expire(&mut self, turn: &mut Turn<'_>, until: Option<Timestamp>) {
        let floor = turn.store.floor();
        if floor > turn.wall.hour() {
            return self.open(turn, floor);
        }
        // To sweep by an earlier time would open what is rightly closed.
        let Some(now) = until.filter(|until| until.hour() >= floor) else { return };
        if turn.mono_ms >= self.upkeep.next_expiry_ms {
            self.upkeep.next_expiry_ms = turn.mono_ms.saturating_add(EXPIRE_EVERY_MS);
            turn.emit(Output::Expire { now });
        }
    }

    /// Hours that are still to come are closed: the clock was ahead, or is behind now. In neither case is there harm in
    /// opening them, so this waits for nobody to confirm the time.
    fn open(&mut self, turn: &mut Turn<'_>, floor: Hour) {
        let since = self.upkeep.opened_ms.map(|at| turn.mono_ms.saturating_sub(at));
        if since.is_some_and(|since| since < EXPIRE_EVERY_MS) {
            return;
        }
        // Where the store keeps some of them closed for its acks, this goes on, and is said once.
        let is_news = since.is_none_or(|since| since > 2 * EXPIRE_EVERY_MS);
        self.upkeep.opened_ms = Some(turn.mono_ms);
        turn.emit(Output::Expire { now: turn.wall });
        if is_news {
            // The floor was an hour behind the clock that set it.
            let hours = floor.0.saturating_sub(turn.wall.hour().0).saturating_add(1);
            turn.emit(Output::Warn(format!(
                "this machine's clock was about {hours} hours ahead until now, or is behind: what expires in those hours \
                 was dropped here as over; it is taken again, and neighbours are asked for it"
            )));
        }
    }

    fn watch_clock(&mut self, turn: &mut Turn<'_>) {
        let skew = self.clock.skew();
        if let Some(seconds) = skew
            && !self.upkeep.warned_of_clock
        {
            turn.emit(Output::Warn(format!(
                "this machine's clock is {} minutes {} its neighbours': set it; until then records are judged by theirs",
                seconds.saturating_abs() / 60,
                if seconds > 0 { "behind" } else { "ahead of" },
            )));
        }
        self.upkeep.warned_of_clock = skew.is_some();
    }

    /// Rows are gone because their time ran out.
    pub(super) fn expired(&mut self, turn: &mut Turn<'_>, rows: u64) {
        turn.count(Tally::Expired(rows));
        self.note_postage(turn);
    }

    /// Ends a turn: an unreadable store is reported, but not with every input.
    pub(super) fn finish(&mut self, mut turn: Turn<'_>) -> Vec<Output> {
        let Some(error) = turn.store_error.take() else { return turn.out };
        let is_news = match &self.upkeep.store_warning {
            Some((at, text)) => *text != error || turn.mono_ms.saturating_sub(*at) >= STORE_WARNING_EVERY_MS,
            None => true,
        };
        if is_news {
            turn.emit(Output::Warn(format!("reading records failed: {error}")));
            self.upkeep.store_warning = Some((turn.mono_ms, error));
        }
        turn.out
    }
}
