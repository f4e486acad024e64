//! The network of a run: nodes on a wire, those who look after them, and the schedule of faults.

use std::{
    path::Path,
    sync::{Arc, mpsc::channel},
    time::Duration,
};

use super::{
    disk::SmallDisk,
    faults::{Fault, link_now},
    history::{History, What},
    keeper::{Keeper, Order},
    plan::ChaosPlan,
};
use crate::live::{
    LiveError, mesh,
    node::{NodeOptions, NodeProcess},
    wire::{End, Link, Wire},
};

/// Jitter of every path.
const JITTER_US: u64 = 5_000;

/// The configuration of a node on a small disk: nothing of it is kept in reserve, so that it can be full.
const SMALL_DISK_CONFIG: &str = "[limits]\ndisk_reserve_bytes = 0\n";

/// How long all nodes may take to start again.
const RENEW_PATIENCE: Duration = Duration::from_secs(180);

/// Nodes that run on a wire, and their disks. Fields are dropped in order: the wire last.
#[derive(Debug)]
pub(super) struct Nodes {
    running: Vec<(NodeProcess, Option<SmallDisk>)>,
    wire: Wire,
}

impl Nodes {
    /// Lays the wire, makes the disks, starts the nodes, and waits until they are linked.
    pub(super) fn start(plan: &ChaosPlan) -> Result<Self, LiveError> {
        let ends = u16::try_from(plan.nodes).map_err(|error| LiveError::Failed(error.to_string()))?;
        let wire = Wire::lay(ends, plan.seed)?;
        for from in wire.ends() {
            for to in wire.ends() {
                wire.set(from, to, base(plan, from, to));
            }
        }
        let mut disks = Vec::new();
        for node in 0..plan.nodes {
            disks.push(if plan.small_disks.contains(&node) { Some(small_disk()?) } else { None });
        }
        let options = |place: usize| {
            let disk: Option<&SmallDisk> = disks.get(place).and_then(Option::as_ref);
            NodeOptions {
                args: disk.map(|disk| vec!["--config".to_owned(), config_of(disk)]).unwrap_or_default(),
                disk: disk.map(|disk| disk.path().to_owned()),
                apart: true,
                ..NodeOptions::default()
            }
        };
        let nodes = mesh::start_each(&wire, &plan.links, options)?;
        Ok(Self { running: nodes.into_iter().zip(disks).collect(), wire })
    }

    /// What clients take as homes.
    pub(super) fn urls(&self) -> Vec<String> {
        self.running.iter().map(|(node, _)| node.url()).collect()
    }
}

fn small_disk() -> Result<SmallDisk, LiveError> {
    let disk = SmallDisk::make()?;
    std::fs::write(config_of(&disk), SMALL_DISK_CONFIG).map_err(LiveError::io("writing a configuration"))?;
    Ok(disk)
}

fn config_of(disk: &SmallDisk) -> String {
    disk.path().join("griotd.toml").display().to_string()
}

/// What a link is like while nothing is done to it.
fn base(plan: &ChaosPlan, from: End, to: End) -> Link {
    let ms = plan.one_way_ms.get(from.place()).and_then(|row| row.get(to.place())).copied().unwrap_or_default();
    Link { jitter_us_max: JITTER_US, ..Link::with_latency_ms(ms) }
}

/// A network to which things are done. Fields are dropped in order: what runs on the wire goes before it.
#[derive(Debug)]
pub(super) struct Stage {
    keepers: Vec<Keeper>,
    wire: Wire,
    plan: Arc<ChaosPlan>,
    history: Arc<History>,
}

impl Stage {
    /// Takes over running nodes. Their logs are kept in `out`, where there is such a place.
    pub(super) fn new(
        nodes: Nodes,
        plan: &Arc<ChaosPlan>,
        history: &Arc<History>,
        out: Option<&Path>,
    ) -> Result<Self, LiveError> {
        let mut stage =
            Self { keepers: Vec::new(), wire: nodes.wire, plan: Arc::clone(plan), history: Arc::clone(history) };
        for (number, (process, disk)) in nodes.running.into_iter().enumerate() {
            let log = out.map(|out| out.join(format!("node-{number}.log")));
            stage.keepers.push(Keeper::start(number, process, disk, Arc::clone(history), log)?);
        }
        Ok(stage)
    }

    /// Does everything that is planned, each at its time.
    pub(super) async fn run(&self, holding: &tokio::sync::watch::Sender<Vec<Fault>>) {
        let mut moments: Vec<(u64, usize, bool)> = Vec::new();
        for (number, planned) in self.plan.faults.iter().enumerate() {
            moments.extend([(planned.at_ms, number, true), (planned.until_ms, number, false)]);
        }
        moments.sort_unstable();
        let mut held = vec![false; self.plan.faults.len()];
        for (at_ms, number, begins) in moments {
            tokio::time::sleep_until((self.history.begun() + Duration::from_millis(at_ms)).into()).await;
            held[number] = begins;
            let fault = &self.plan.faults[number].fault;
            self.history.note(What::Fault { text: format!("{} {fault}", if begins { "begins:" } else { "ends:" }) });
            let now =
                || self.plan.faults.iter().zip(&held).filter(|(_, held)| **held).map(|(planned, _)| &planned.fault);
            match fault.node() {
                Some(node) => self.order(node, fault, begins),
                None => self.set_links(now),
            }
            holding.send_replace(now().cloned().collect());
        }
    }

    fn order(&self, node: usize, fault: &Fault, begins: bool) {
        let Some(keeper) = self.keepers.get(node) else { return };
        match (fault, begins) {
            (Fault::Kill { .. }, true) => keeper.order(Order::Kill),
            (Fault::Kill { .. }, false) => keeper.order(Order::Launch),
            (Fault::Pause { .. }, true) => keeper.order(Order::Pause),
            (Fault::Pause { .. }, false) => keeper.order(Order::Resume),
            (Fault::Clock { offset_seconds, .. }, true) => keeper.order(Order::Clock(*offset_seconds)),
            (Fault::Clock { .. }, false) => {
                let (done, _) = channel();
                keeper.order(Order::Renew(done));
            }
            (Fault::Full { restart, .. }, true) => {
                keeper.order(Order::Fill);
                if *restart {
                    keeper.order(Order::Kill);
                    keeper.order(Order::Launch);
                }
            }
            (Fault::Full { .. }, false) => keeper.order(Order::Free),
            (Fault::Partition { .. } | Fault::Slow { .. } | Fault::Lossy { .. }, _) => {}
        }
    }

    fn set_links<'a, I: Iterator<Item = &'a Fault>>(&self, holding: impl Fn() -> I) {
        for from in self.wire.ends() {
            for to in self.wire.ends() {
                let link = link_now(base(&self.plan, from, to), from.place(), to.place(), holding());
                if link != self.wire.link(from, to) {
                    self.wire.set(from, to, link);
                }
            }
        }
    }

    /// Undoes everything, and starts every node again. Blocks until they run.
    pub(super) fn renew(&self) {
        self.history.note(What::Fault { text: "everything is healed, and every node started again".to_owned() });
        self.set_links(std::iter::empty);
        let (done, all_done) = channel();
        for keeper in &self.keepers {
            keeper.order(Order::Renew(done.clone()));
        }
        for _ in &self.keepers {
            // One that takes longer is started all the same, and seen by those who ask it.
            if all_done.recv_timeout(RENEW_PATIENCE).is_err() {
                break;
            }
        }
    }

    /// Ends all nodes, so that their last words are noted.
    pub(super) fn end(&mut self) {
        for keeper in &mut self.keepers {
            keeper.end();
        }
    }
}
