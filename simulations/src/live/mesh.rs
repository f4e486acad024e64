//! Real nodes on a wire, linked as a topology says.

use super::{
    LiveError,
    node::{NodeOptions, NodeProcess},
    wait_for,
    wire::Wire,
};

/// Starts one `griotd` at each end of `wire`, in its namespace, and waits until all are linked: for each (from, to) of
/// `links` node `from` dials node `to`, which must come before it. They find nobody else. `options` holds for all;
/// where they run, where they listen and whom they dial is decided here.
///
/// # Errors
/// A node did not start, a link does not fit, or did not come up.
pub fn start(wire: &Wire, links: &[(usize, usize)], options: &NodeOptions) -> Result<Vec<NodeProcess>, LiveError> {
    start_each(wire, links, |_| options.clone())
}

/// As [`start`], with options for each node.
///
/// # Errors
/// As for [`start`].
pub fn start_each(
    wire: &Wire,
    links: &[(usize, usize)],
    options: impl Fn(usize) -> NodeOptions,
) -> Result<Vec<NodeProcess>, LiveError> {
    let mut nodes: Vec<NodeProcess> = Vec::new();
    for (place, end) in wire.ends().enumerate() {
        let mut peers = Vec::new();
        for (_, to) in links.iter().filter(|(from, _)| *from == place) {
            let unborn = || LiveError::Failed(format!("node {place} cannot dial node {to}, which starts after it"));
            peers.extend(nodes.get(*to).ok_or_else(unborn)?.addresses()?);
        }
        nodes.push(NodeProcess::start(NodeOptions {
            peers,
            discovery: false,
            mdns: false,
            namespace: Some(wire.namespace(end).to_owned()),
            listen: Some(wire.listen(end)),
            ..options(place)
        })?);
    }
    for (place, node) in nodes.iter().enumerate() {
        let neighbours = links.iter().filter(|(from, to)| *from == place || *to == place).count() as u64;
        wait_for("the nodes to be linked", || node.info().ok().filter(|info| info.peers == neighbours))
            .map_err(|error| LiveError::Failed(format!("node {place}: {error}\n{}", node.log_tail())))?;
    }
    Ok(nodes)
}
