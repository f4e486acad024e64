//! What a relay is told when it is made.

use griot_protocol::{NetworkParams, NodeId};

use super::{carriage::CarryPolicy, limits::Limits};

/// What a relay is told when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub params: NetworkParams,
    /// This node's key.
    pub node: NodeId,
    /// Shards to carry besides those of the mailboxes registered here.
    pub carry: CarryPolicy,
    /// Quotas, rates and budgets.
    pub limits: Limits,
}

impl Config {
    /// A node with documented defaults.
    #[must_use]
    pub fn new(params: NetworkParams, node: NodeId) -> Self {
        Self { params, node, carry: CarryPolicy::default(), limits: Limits::default() }
    }
}
