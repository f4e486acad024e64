//! A client's stream from a home. It breaks when the home goes, or when the way there is cut.

use std::sync::{Arc, Weak};

use futures::FutureExt;
use griot_client::home::{Answer, HomeError, HomeNews, StreamItem};
use griot_node::api::{InsideEnd, InsideItem, InsideStream};
use griot_protocol::{
    NodeId, Nonce,
    api::{StreamEvent, StreamRequest},
};
use tokio::sync::watch;

use crate::{
    plan::{NodeIndex, PersonIndex},
    world::World,
};

/// An open stream.
pub(super) struct News {
    world: Weak<World>,
    person: PersonIndex,
    home: NodeIndex,
    stream: InsideStream,
    cuts: watch::Receiver<u64>,
    node: NodeId,
    nonce: Nonce,
}

fn ended(end: InsideEnd) -> HomeError {
    HomeError::Unreachable(end.to_string())
}

impl News {
    /// Waits for the node's first word.
    pub(super) async fn greeted(
        world: &Arc<World>,
        person: PersonIndex,
        home: NodeIndex,
        mut stream: InsideStream,
    ) -> Result<Self, HomeError> {
        let cuts = world.clients.cuts.subscribe();
        loop {
            if let InsideItem::Event(StreamEvent::Hello { node_id, nonce }) = stream.next().await.map_err(ended)? {
                return Ok(Self { world: Arc::downgrade(world), person, home, stream, cuts, node: node_id, nonce });
            }
        }
    }

    fn check_way(&self) -> Result<(), HomeError> {
        let is_open = self.world.upgrade().is_some_and(|world| world.has_way(self.person, self.home));
        if is_open { Ok(()) } else { Err(HomeError::Unreachable("the way there is cut".to_owned())) }
    }

    fn take(&self, item: InsideItem) -> StreamItem {
        match item {
            InsideItem::Event(event) => StreamItem::Event(event),
            InsideItem::Envelope(address, cursor, frame) => {
                if let Some(world) = self.world.upgrade() {
                    world.gave(self.person, self.home, &frame);
                }
                StreamItem::Envelope { address, cursor, frame }
            }
        }
    }
}

impl HomeNews for News {
    fn node(&self) -> NodeId {
        self.node
    }

    fn nonce(&self) -> Nonce {
        self.nonce
    }

    fn send<'a>(&'a mut self, request: &'a StreamRequest) -> Answer<'a, ()> {
        async move { self.stream.send(request).await.map_err(ended) }.boxed()
    }

    fn next(&mut self) -> Answer<'_, StreamItem> {
        async move {
            loop {
                tokio::select! {
                    biased;
                    _ = self.cuts.changed() => self.check_way()?,
                    item = self.stream.next() => return Ok(self.take(item.map_err(ended)?)),
                }
            }
        }
        .boxed()
    }
}
