//! The meeting itself.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use griot_client::home::{Connection, Target};
use griot_protocol::NetworkParams;
use tokio::runtime::Handle;

use super::{
    super::{
        LoadError,
        latency::Latency,
        progress,
        records::{self, Mailbox},
        target_at,
    },
    SyncOptions, SyncReport,
};
use crate::live::{node::NodeProcess, readings::Readings, wait_for};

/// How long the client's wait is measured before the meeting.
const BEFORE: Duration = Duration::from_secs(5);

/// The client's pause between two submissions: it is there to wait, not to load.
const PAUSE: Duration = Duration::from_millis(10);

/// How often the nodes are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How often it is said how far they are.
const SAY: Duration = Duration::from_secs(5);

/// After this long there is no result.
const MEETING_MAX: Duration = Duration::from_secs(3600);

/// Comparisons of equal stores that are averaged.
const EQUAL_SYNCS: f64 = 2.0;

pub(super) fn run(
    options: SyncOptions,
    params: &NetworkParams,
    frame_bytes: usize,
    first: &NodeProcess,
    join: impl FnOnce() -> Result<NodeProcess, LoadError>,
    runtime: &Handle,
) -> Result<SyncReport, LoadError> {
    let client = Client::new(first, params, options.size, runtime)?;
    progress(format_args!("a client submits, before they meet …"));
    let begun = Instant::now();
    let accept_before = client.submit_while(|| begun.elapsed() < BEFORE)?;

    let before_first = first.resident_bytes()?;
    let begun = Instant::now();
    let second = join()?;
    progress(format_args!("they meet …"));
    let before_second = second.resident_bytes()?;
    let whole = (options.shared + 2 * options.each) as u64;
    let apart = AtomicBool::new(true);
    let (accept_during, seen) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.submit_while(|| apart.load(Ordering::Relaxed)));
        let seen = watch(first, &second, whole, &client, runtime, begun, &apart);
        apart.store(false, Ordering::Relaxed);
        let waited = waiting.join().map_err(|_| LoadError::Options("the client panicked".to_owned()))?;
        Ok::<_, LoadError>((waited?, seen?))
    })?;
    let met = Both::read(first, &second)?;
    progress(format_args!("equal stores are compared …"));
    let equal = compare_equal(first, &second, &met)?;
    let transferred = met.sum("griot_sync_repaired_records_total");
    let sync_bytes = met.sync_bytes();
    Ok(SyncReport {
        shared: options.shared,
        each: options.each,
        frame_bytes,
        seconds: seen.seconds,
        transferred: transferred as u64,
        sync_bytes: sync_bytes as u64,
        overhead_bytes: (sync_bytes - met.sum("griot_sync_sent_record_bytes_total")).max(0.0) as u64,
        syncs: [met.sum("griot_syncs_done_total") as u64, met.sum("griot_syncs_failed_total") as u64],
        equal_bytes: equal as u64,
        accept_before,
        accept_during,
        resident_before: [before_first, before_second],
        resident_most: seen.resident_most,
    })
}

/// The metrics of both nodes.
struct Both([Readings; 2]);

impl Both {
    fn read(first: &NodeProcess, second: &NodeProcess) -> Result<Self, LoadError> {
        Ok(Self([first.metrics()?, second.metrics()?]))
    }

    fn sum(&self, name: &str) -> f64 {
        self.0.iter().map(|readings| readings.sum(name)).sum()
    }

    /// What both have sent, which is all that was sent.
    fn sync_bytes(&self) -> f64 {
        self.sum("griot_sync_sent_bytes_total")
    }
}

/// What one comparison costs where nothing differs.
fn compare_equal(first: &NodeProcess, second: &NodeProcess, met: &Both) -> Result<f64, LoadError> {
    let done = |both: &Both| both.sum("griot_syncs_done_total");
    // The next one may still have something to say about what was submitted last.
    let begin = wait_for("another sync", || Both::read(first, second).ok().filter(|now| done(now) > done(met)))?;
    let enough = done(&begin) + EQUAL_SYNCS;
    let end =
        wait_for("equal stores to be compared", || Both::read(first, second).ok().filter(|now| done(now) >= enough))?;
    Ok((end.sync_bytes() - begin.sync_bytes()) / (done(&end) - done(&begin)))
}

struct Seen {
    seconds: f64,
    resident_most: [u64; 2],
}

/// Looks at both until they have everything that there was and the same of what the client submits.
fn watch(
    first: &NodeProcess,
    second: &NodeProcess,
    whole: u64,
    client: &Client,
    runtime: &Handle,
    begun: Instant,
    apart: &AtomicBool,
) -> Result<Seen, LoadError> {
    let nodes = [first, second];
    let mut connections =
        [Connection::new(target_at(first.url(), None)?.into()), Connection::new(target_at(second.url(), None)?.into())];
    let (mut resident_most, mut said) = ([0; 2], Instant::now());
    loop {
        // Before the nodes are asked: what is submitted meanwhile may be at one and not at the other.
        let submitted = client.submitted.load(Ordering::Relaxed);
        let mut records = [0; 2];
        for place in 0..nodes.len() {
            records[place] = runtime.block_on(connections[place].greet())?.records;
            resident_most[place] = nodes[place].resident_bytes()?.max(resident_most[place]);
        }
        if records.iter().all(|records| *records >= whole + submitted) {
            apart.store(false, Ordering::Relaxed);
            return Ok(Seen { seconds: begun.elapsed().as_secs_f64(), resident_most });
        }
        if begun.elapsed() > MEETING_MAX {
            let what = format!("after {MEETING_MAX:?} they hold {records:?} of {whole} records");
            return Err(LoadError::Options(what));
        }
        if said.elapsed() > SAY {
            said = Instant::now();
            let [at_first, at_second] = records;
            progress(format_args!("{at_first} and {at_second} of {} records", whole + submitted));
        }
        std::thread::sleep(LOOK);
    }
}

/// One who submits and waits.
struct Client {
    target: Target,
    mailbox: Mailbox,
    params: NetworkParams,
    size: usize,
    runtime: Handle,
    /// Records accepted so far.
    submitted: AtomicU64,
}

impl Client {
    fn new(node: &NodeProcess, params: &NetworkParams, size: usize, runtime: &Handle) -> Result<Self, LoadError> {
        Ok(Self {
            target: target_at(node.url(), None)?,
            mailbox: Mailbox::fresh()?,
            params: params.clone(),
            size,
            runtime: runtime.clone(),
            submitted: AtomicU64::new(0),
        })
    }

    fn submit_while(&self, goes_on: impl Fn() -> bool) -> Result<Latency, LoadError> {
        let mut connection = Connection::new(self.target.clone().into());
        let mut samples = Vec::new();
        while goes_on() {
            let record = records::one(&self.mailbox, &self.params, self.size)?;
            let begun = Instant::now();
            self.runtime.block_on(connection.submit(record.frame().clone()))?;
            samples.push(begun.elapsed());
            self.submitted.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(PAUSE);
        }
        Ok(Latency::of(&samples))
    }
}
